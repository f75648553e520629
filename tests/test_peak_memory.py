"""Facts about benchmarks/peak_memory.py, which says what `make repro` needs."""

from __future__ import annotations

import sys

from benchmarks.peak_memory import MB, measure

HOLD = "import time; held = bytearray(60 << 20); held[::4096] = b'x' * len(held[::4096]); time.sleep(0.4)"


def test_the_peak_is_that_of_the_tree_and_the_exit_code_is_the_commands() -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}]); {HOLD}; sys.exit(3)"
    one = measure([sys.executable, "-c", HOLD], every=0.02)
    two = measure([sys.executable, "-c", program], every=0.02)
    assert one.code == 0
    assert two.code == 3
    assert one.whole.tree >= 60 * MB
    assert two.whole.tree > one.whole.tree, "parent and child are both counted"
    assert two.whole.largest < two.whole.tree
    assert two.whole.seconds >= 0.8
    assert not two.stages


def test_a_stage_is_measured_by_itself() -> None:
    stage = [sys.executable, "-c", HOLD, "parammem", "stage", "train", "--domain", "math"]
    program = f"import subprocess; held = bytearray(b'x') * (30 << 20); subprocess.run({stage!r})"
    found = measure([sys.executable, "-c", program], every=0.02)
    assert list(found.stages) == ["train --domain math"]
    assert 60 * MB <= found.stages["train --domain math"].tree < found.whole.tree
