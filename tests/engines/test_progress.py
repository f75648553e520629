"""Facts about what people are told while they wait."""

from __future__ import annotations

import time

import pytest

from parammem.engines import progress as room
from parammem.engines.progress import PROGRESS, Progress, progress_bar, progress_shown


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_what_is_done_how_fast_and_what_is_left():
    clock = Clock()
    work = Progress(clock)
    work.begin("collect code", 200, most_tokens=100_000)
    clock.now = 60
    work.tokens = 6_000
    assert work.line() == ("collect code: 0 of 200 (0%), 6,000 tokens written, 100 a second, at most about 16 min left")
    clock.now, work.done, work.tokens = 120, 50, 12_000
    assert work.line().endswith("50 of 200 (25%), 12,000 tokens written, 100 a second, about 6 min left")
    work.begin("labels code", 0)
    assert work.line() == "labels code: at work"


def test_a_log_gets_lines_within_seconds_also_while_nothing_has_ended(capsys):
    with progress_shown("collect code", first=0.05, every=0.05):
        show = progress_bar(200, "collect code")
        time.sleep(0.3)
        show(200)
    said = capsys.readouterr().err
    assert said.count("collect code: 0 of 200 (0%)") >= 2
    assert "\r" not in said


def test_no_line_comes_after_the_work(capsys):
    with progress_shown("x", first=0.05, every=0.05):
        pass
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "said"), [(3, "3 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times_are_said_in_the_unit_that_fits(seconds, said):
    assert room._minutes(seconds) == said


def test_the_decode_loop_counts_tokens_while_it_writes(tiny_model):
    from parammem.engines.base import Message, Request
    from parammem.engines.hf import HfEngine

    before = PROGRESS.tokens
    request = Request(messages=(Message(role="user", content="hello"),), temperature=0.0, max_tokens=5, seed=1)
    ((done,),) = HfEngine.load(tiny_model, batch=4).complete([request])
    assert PROGRESS.tokens - before >= done.completion_tokens
