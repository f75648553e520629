"""The whole pipeline in a temporary clone, with .ci/small.yaml laid over params.yaml; then once more, to see that
nothing is left to do; then in another clone, killed again and again (killed_repro.py). The working tree is what is
tested: committed, changed and new files, but nothing ignored.

    python .ci/small_repro.py [--keep]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from parammem.overlays import written_over

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from experiments.clones import copy_tree, environment_of, make_repository  # noqa: E402

EXPECTED = ("reports/metrics.json", "reports/report.html", "reports/table.txt")
NOTHING_TO_DO = "Data and pipelines are up to date."


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="small-repro-")).resolve()
    try:
        return run_in(folder / "whole") or run_killed(folder / "whole", folder / "killed")
    finally:
        if "--keep" in sys.argv:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def run_in(folder: Path) -> int:
    """Copy, override, run twice. Returns the exit code of the checks."""
    prepare(folder)
    started = time.monotonic()
    first = dvc(folder, "repro")
    print(f"small repro: {time.monotonic() - started:.0f} s", flush=True)
    if first.returncode:
        return first.returncode
    missing = [name for name in EXPECTED if not (folder / name).is_file()]
    if missing:
        print(f"error: the pipeline ended well but did not write {', '.join(missing)}", file=sys.stderr)
        return 1
    again = dvc(folder, "repro", capture=True)
    if NOTHING_TO_DO not in again.stdout:
        print(f"error: a second dvc repro found something to do:\n{again.stdout}{again.stderr}", file=sys.stderr)
        return 1
    print("second repro: nothing to do")
    return 0


def run_killed(whole: Path, folder: Path) -> int:
    """Copy, override, run with kills. Returns the exit code of the checks."""
    import killed_repro  # pyright: ignore[reportMissingImports]

    prepare(folder)
    started = time.monotonic()
    wrong = killed_repro.run(whole, folder, begin)
    print(
        f"error: {wrong}" if wrong else f"killed repro: the same bytes, {time.monotonic() - started:.0f} s", flush=True
    )
    return int(bool(wrong))


def prepare(folder: Path) -> None:
    """The working tree with the small settings, as a repository of its own."""
    copy_tree(folder)
    override = yaml.safe_load((ROOT / ".ci/small.yaml").read_text())
    params = folder / "params.yaml"
    params.write_text(written_over(params.read_text(), override))
    make_repository(folder)


def dvc(folder: Path, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run DVC in the clone, with the clone's own sources before the installed ones."""
    command, environment = [sys.executable, "-m", "dvc", *arguments], environment_of(folder)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=capture, text=True)


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """`dvc repro` in a session of its own, quietly."""
    with (folder.parent / "killed.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"], cwd=folder, env=environment_of(folder), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
