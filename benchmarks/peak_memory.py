"""Peak memory and wall time of a command with everything that it starts.

python benchmarks/peak_memory.py [--every SECONDS] COMMAND ..., say: python benchmarks/peak_memory.py dvc repro.
Resident memory is added up over the process tree and sampled: a peak shorter than the interval may be missed, and
pages that processes share are counted once for each, so the sum is an upper bound. Beside the whole, the peak of each
pipeline stage (`parammem stage NAME --domain D`) is printed. Ends with the command's own exit code.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psutil

MB = 1 << 20


@dataclass
class Peak:
    """What was seen of one command, or of one stage in it."""

    tree: int = 0
    """Highest sum over the tree, bytes."""
    largest: int = 0
    """Highest of any single process, bytes."""
    seconds: float = 0.0

    def see(self, sizes: Sequence[int], seconds: float) -> None:
        self.tree = max(self.tree, sum(sizes))
        self.largest = max(self.largest, *sizes, 0)
        self.seconds += seconds


@dataclass
class Measured:
    whole: Peak = field(default_factory=Peak)
    stages: dict[str, Peak] = field(default_factory=dict)
    """In the order in which they were seen."""
    code: int = 0


def measure(command: Sequence[str], every: float = 0.1) -> Measured:
    """Run a command to its end; its output goes where this process's goes. A Ctrl-C reaches the command too."""
    found, process = Measured(), subprocess.Popen(command)
    top, before = psutil.Process(process.pid), time.monotonic()
    while process.poll() is None:
        try:
            tree = list(_tree(top))
            now = time.monotonic()
            found.whole.see([size for _, size in tree], now - before)
            _see_stages(found.stages, tree, now - before)
            before = now
            time.sleep(every)
        except KeyboardInterrupt:
            process.wait()
    found.whole.seconds += time.monotonic() - before
    found.code = process.returncode
    return found


def _see_stages(stages: dict[str, Peak], tree: Sequence[tuple[psutil.Process, int]], seconds: float) -> None:
    """A stage is a process whose command line says so, with everything below it."""
    for process, _ in tree:
        name = _stage(process)
        if name:
            stages.setdefault(name, Peak()).see([size for _, size in _tree(process)], seconds)
            return  # what lies below it repeats its command line


def _tree(top: psutil.Process) -> Iterator[tuple[psutil.Process, int]]:
    """Yield the process and all below it that still live, with their resident bytes."""
    try:
        processes = [top, *top.children(recursive=True)]
    except psutil.Error:
        return
    for process in processes:
        try:
            yield process, process.memory_info().rss
        except psutil.Error:
            continue


def _stage(process: psutil.Process) -> str:
    """Return e.g. "train --domain code"; empty if this is no stage. A shell that starts one is none."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    for number in range(1, len(words) - 2):
        if words[number].endswith(("parammem", "parammem.cli")) and words[number + 1] == "stage":
            return " ".join(words[number + 2 :])
    return ""


def line(name: str, peak: Peak) -> str:
    return f"{name:32s} {peak.tree / MB:8.0f} MB {peak.largest / MB:8.0f} MB {peak.seconds:8.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=float, default=0.1, help="seconds between two samples")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("no command")
    found = measure(arguments.command, arguments.every)
    print(f"{'':32s} {'tree':>11s} {'largest':>11s} {'wall':>10s}", file=sys.stderr)
    for name, peak in found.stages.items():
        print(line(name, peak), file=sys.stderr)
    print(line("whole command", found.whole), file=sys.stderr)
    return found.code if found.code >= 0 else 128 - found.code


if __name__ == "__main__":
    sys.exit(main())
