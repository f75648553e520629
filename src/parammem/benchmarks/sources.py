"""Rows of a benchmark, as plain dicts: from a local file or folder in the original format, or from the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parammem.core.jsonl import BOM, iter_values, unpacked
from parammem.core.record import digest_of
from parammem.errors import DataError

Row = dict[str, Any]
ENVELOPES = ("data", "rows", "examples", "instances")
"""Names under which a file that is one object may hold its rows."""


def local_rows(path: Path) -> list[Row]:
    """Return the rows of a .json, .jsonl or .jsonl.gz file, or of a folder of problems (APPS' and MATH's original
    layouts).

    Raises:
        DataError: there is nothing there, or it cannot be read; names the file and the line.
    """
    if path.is_dir():
        return list(_folder_rows(path))
    if not path.is_file():
        raise DataError(f"no file or folder {str(path)!r}; put the benchmark there (docs/benchmarks.md says which)")
    if path.name.removesuffix(".gz").endswith(".json") and (table := _table(path)):
        return table
    return _listed(path, [value for _, value in iter_values(path)])


def content_digest(path: Path) -> str:
    """Return SHA-256 of a file as it is on the disk; of a folder, over the names and digests of its files."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest_of([[file.relative_to(path).as_posix(), content_digest(file)] for file in files])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hub_rows(hub: str, config: str, split: str, revision: str, files: str) -> tuple[list[Row], str]:
    """Return the rows of a data set of the hub, and the commit they came from ("" where the hub cannot say).

    Args:
        hub: name of the data set, or a local folder of one.
        config: its configuration; "" for the only one.
        split: e.g. test.
        revision: commit, tag or branch.
        files: data files to read, for data sets that come with a program of their own (`datasets` runs none any more);
            "" for the data set's own choice.

    Raises:
        DataError: it cannot be had.
    """
    from datasets import load_dataset

    commit = "" if Path(hub).exists() else _commit(hub, revision)
    named = {"name": config or None, "split": split, "revision": commit or revision or None}
    try:
        if files:
            place = hub if Path(hub).exists() else f"hf://datasets/{hub}@{commit or revision or 'main'}"
            kind = "parquet" if files.endswith(".parquet") else "json"
            found: Any = load_dataset(
                kind, data_files={split: f"{place}/{files}"}, split=split, trust_remote_code=False
            )
        else:
            found = load_dataset(hub, **named, trust_remote_code=False)  # pyright: ignore[reportArgumentType]
        return [dict(row) for row in found], commit
    except Exception as error:  # datasets raises whatever its readers and the network raise
        raise DataError(
            f"data set {hub!r} (config {config or 'default'!r}, split {split!r}, revision {revision or 'none'!r}) "
            f"cannot be had: {type(error).__name__}: {str(error)[:300]}; check the name and the network, or give a "
            "local path"
        ) from error


def _commit(hub: str, revision: str) -> str:
    """Return the commit that a revision stands for; the revision itself if it is one, or if the hub cannot be asked."""
    if len(revision) == 40 and all(c in "0123456789abcdef" for c in revision):
        return revision
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(hub, revision=revision or None).sha or ""
    except Exception:  # offline: the data set may be in the cache all the same
        return ""


def _folder_rows(folder: Path) -> Iterator[Row]:
    """Yield the rows of a folder. APPS keeps a folder per problem, MATH a JSON file per problem in a folder per
    subject."""
    problems = sorted(path.parent for path in folder.rglob("question.txt"))
    if problems:
        yield from (_apps_problem(problem) for problem in problems)
        return
    files = sorted(folder.rglob("*.json"))
    if not files:
        raise DataError(f"folder {str(folder)!r} holds neither question.txt (APPS) nor .json files (MATH)")
    for file in files:
        row = _parsed(file, 0, file.read_text(encoding="utf-8-sig"))
        yield row | {"idx": row.get("idx", f"{file.parent.name}/{file.stem}")}


def _apps_problem(folder: Path) -> Row:
    row: Row = {"problem_id": folder.name, "question": (folder / "question.txt").read_text(encoding="utf-8-sig")}
    for name, field in (("input_output.json", "input_output"), ("solutions.json", "solutions")):
        file = folder / name
        row[field] = file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    about = folder / "metadata.json"
    row["difficulty"] = (
        _parsed(about, 0, about.read_text(encoding="utf-8-sig")).get("difficulty", "") if about.is_file() else ""
    )
    starters = [file for file in (folder / "starter_code.py", folder / "starter_code.txt") if file.is_file()]
    row["starter_code"] = starters[0].read_text(encoding="utf-8-sig") if starters else ""
    return row


def _parsed(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        where = f"{path}:{line}" if line else str(path)
        raise DataError(f"{where}: not JSON: {error}; fetch the file again") from error


def _table(path: Path) -> list[Row]:
    """Return the rows of a file that is one JSON object: a table of columns or of rows by id. None: it is something
    else."""
    with path.open("rb") as file:
        data = unpacked(file).read().removeprefix(BOM)
    if not data.lstrip().startswith(b"{"):
        return []
    try:
        return _listed(path, json.loads(data))
    except ValueError:  # objects one after the other
        return []


def _listed(path: Path, value: Any) -> list[Row]:
    """Return the rows of a JSON file. It holds a list of rows, a table of columns or of rows by id, or rows in an
    envelope, as those of the hub's viewer (`{"rows": [{"row": {…}}]}`) and of many exports (`{"data": […]}`)."""
    if isinstance(value, dict):
        packed = next((value[name] for name in ENVELOPES if isinstance(value.get(name), list)), None)
        value = list(value.values()) if packed is None else packed
    if isinstance(value, list) and all(isinstance(row, dict) and isinstance(row.get("row"), dict) for row in value):
        value = [row["row"] for row in value]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise DataError(f"{path}: not a list of rows; give the benchmark's original file")
    return value
