"""Tasks and answer keys of the pipeline's own files: the one place where tests that were read from disk become trusted.

Trusted tests run with this account's rights, so a folder that holds some has to be, to the byte, what the stage `tasks`
wrote: by its digest in dvc.lock, or by the note that the stage leaves in this checkout. The note is for what DVC has
not recorded (the stage run by hand, the study); who could forge it could forge dvc.lock as well.

What came through the inbox (data/experience, data/fresh, data/keys/fresh) is read by `core.read_jsonl` and stays plain
text: its tests never run outside a child.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parammem.checkout.dvc_lock import read_lock
from parammem.checkout.hashes import dvc_hash, file_hash, files_below
from parammem.checkout.places import Places
from parammem.core import AnswerKey, Task, read_jsonl
from parammem.core.escape import shown
from parammem.core.jsonl import write_text
from parammem.errors import LineageError, UntrustedTests
from parammem.sandbox.trusted import holds_tests, trust_spec

NAMED = 5
"""Files that a message names."""


def stage_tasks(places: Places, split: str) -> list[Task]:
    """Return the tasks of a split that the stage `tasks` wrote, with trusted tests. Raises RecordError,
    SandboxError."""
    file = places.tasks(split)
    tasks = read_jsonl(file, Task)
    trusted = _trusted(places, file, [task.visible for task in tasks])
    return [task.model_copy(update={"visible": spec}) for task, spec in zip(tasks, trusted, strict=True)]


def stage_keys(places: Places, split: str) -> list[AnswerKey]:
    """Return the answer keys of a split that the stage `tasks` wrote, with trusted tests. Raises RecordError,
    SandboxError."""
    file = places.keys(split)
    keys = read_jsonl(file, AnswerKey)
    trusted = _trusted(places, file, [key.hidden for key in keys])
    return [key.model_copy(update={"hidden": spec}) for key, spec in zip(keys, trusted, strict=True)]


def note_written(places: Places) -> None:
    """Write down the digests of the folders that the stage `tasks` has just written."""
    folders = [places.tasks("eval").parent, places.keys("eval").parent]
    found = {_seen_from(places, folder): _listing(folder) for folder in folders}
    write_text(places.written, json.dumps(found, indent=1, sort_keys=True) + "\n")


def _trusted(places: Places, file: Path, specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if any(map(holds_tests, specs)):
        _check_written(places, file.parent)
    origin = _seen_from(places, file)
    return [trust_spec(spec, origin=origin) for spec in specs]


def _check_written(places: Places, folder: Path) -> None:
    """Raise UntrustedTests if the folder is not what the stage `tasks` wrote."""
    name, here = _seen_from(places, folder), _listing(folder)
    digest = dvc_hash(folder) or ""
    noted = _noted(places).get(name)
    if here == noted:
        return
    try:
        outs = [stage["outs"] for stage in read_lock(places.root).values()]
        recorded = next((found[name] for found in outs if name in found), "")
    except LineageError as error:
        recorded, why = "", str(error)
    else:
        why = f"dvc.lock says {recorded[:12]}" if recorded else "dvc.lock has no digest of it"
    if recorded and recorded == digest:
        return
    raise UntrustedTests(
        f"{name} is not what the stage `tasks` wrote, so the tests in it are not run: its digest is "
        f"{digest[:12]}, and {why}{_differing(here, noted)}; bring it back with `dvc checkout {name}`, or "
        f"write it anew with `dvc repro tasks@{places.domain}` (`dvc data status --granular` names the files)"
    )


def _listing(folder: Path) -> dict[str, str]:
    """Return path inside a folder → MD5, of the files that DVC counts."""
    return {name: file_hash(file, "md5") for name, file in files_below(folder)}


def _noted(places: Places) -> Mapping[str, Any]:
    """Return what the last run of the stage here noted; nothing if there is no such note, or none that can be read."""
    try:
        found = json.loads(places.written.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _differing(here: Mapping[str, str], noted: Any) -> str:
    if not isinstance(noted, dict):
        return ""
    names = sorted(name for name in here.keys() | noted.keys() if here.get(name) != noted.get(name))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"; since the stage last ran here these have changed: {', '.join(map(shown, names[:NAMED]))}{more}"


def _seen_from(places: Places, path: Path) -> str:
    return path.relative_to(places.root).as_posix()
