"""Facts about what a guarded command's lines become in a log."""

from __future__ import annotations

import sys

from parammem.checkout import dvc
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


def test_dvc_s_advice_to_people_is_kept_out_of_a_turn_s_log_and_a_push_is_told_once(tmp_path, monkeypatch):
    said = ["Running stage 'train@code':", "To track the changes with git, run:", "\tgit add dvc.lock",
            "To enable auto staging, run:", "\tdvc config core.autostage true",
            "Use `dvc push` to send your updates to remote storage."]  # fmt: skip
    told: list[str] = []

    def pretend(command, root, say, env=None):
        lines = ["5 files pushed"] if "push" in command else said
        for line in lines:
            say(line)
        return 0, lines

    monkeypatch.setattr(dvc, "run_guarded", pretend)
    monkeypatch.setattr(dvc, "has_remote", lambda _: True)
    dvc.repro(tmp_path, ["train"], told.append)
    assert told == said[:1]
    assert dvc.push(tmp_path) == "DVC remote: 5 files pushed"
