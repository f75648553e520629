"""Facts about what a guarded command's lines become in a log."""

from __future__ import annotations

import sys

from parammem.checkout.processes import run_guarded

PROGRAM = r"""
import sys, time
from tqdm import tqdm
print("begun")
for number in tqdm(range(300), desc="Loading weights", mininterval=0, disable=False):
    pass
sys.stderr.write("Downloading  42%|####      | 3/7\n50% [=====>    ]\n")
print("collect code: 40 of 200 (20%), about 6 min left")
print("bad bytes", flush=True); sys.stdout.buffer.write(b"\xff\xfe x\n"); sys.stdout.flush()
print("p = 3% | q")
sys.exit(3)
"""


def test_a_log_has_no_states_of_progress_bars_and_every_other_line(tmp_path):
    lines: list[str] = []
    code, tail = run_guarded([sys.executable, "-u", "-c", PROGRAM], tmp_path, lines.append)
    assert code == 3
    assert lines == tail
    assert lines == [
        "begun",
        "collect code: 40 of 200 (20%), about 6 min left",
        "bad bytes",
        "\ufffd\ufffd x",
        "p = 3% | q",
    ]
