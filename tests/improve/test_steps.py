"""Facts about the table of steps and how it is run. No git, no DVC."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.errors import DataError
from parammem.improve.run import call, run_steps
from parammem.improve.steps import STEPS, TurnStep, targets
from parammem.improve.triggers import Reason
from parammem.improve.turn import Ended, Tools, Turn, headline
from tests.stages.arena import parsed


def make_turn(tmp_path: Path, **sections) -> Turn:
    (tmp_path / ".git").mkdir(exist_ok=True)
    tools = Tools(rebuild=lambda *_: None, compare=lambda *_: pytest.fail("compared"), say=print, actor="test")
    return Turn(root=tmp_path, branch="improve", tools=tools, params=parsed(**sections))


def reason(domain: str, due: bool) -> Reason:
    return Reason(domain=domain, due=due, why=f"{domain}: so", new_rows=1, kind="rows" if due else "none")


def test_steps_have_names_of_their_own_and_say_what_a_crash_leaves():
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    assert all(step.crash for step in STEPS)
    assert names.index("push") < names.index("commit") < names.index("publish") < names.index("clear")
    assert names[-1] == "close"


def test_stages_of_domains_stand_for_the_due_ones(tmp_path):
    turn = make_turn(tmp_path, improve={"stages": ["train", "report"]})
    turn.reasons = [reason("code", True), reason("math", False)]
    assert targets(turn) == ["train@code", "report"]


def test_a_step_that_may_be_tried_again_is(tmp_path):
    turn, tried = make_turn(tmp_path), []

    def shaky(_turn: Turn) -> None:
        tried.append(1)
        if len(tried) < 3:
            raise DataError("the network hiccuped")

    call(TurnStep("push", shaky, "nothing", tries=3), turn)
    assert len(tried) == 3
    assert turn.notes == ["push failed and is tried again: the network hiccuped"] * 2
    with pytest.raises(DataError, match="hiccuped"):
        call(TurnStep("push", lambda _: shaky_always(), "nothing", tries=2), turn)


def shaky_always() -> None:
    raise DataError("the network hiccuped")


def test_a_turn_that_has_nothing_more_to_do_still_closes(tmp_path):
    turn, done = make_turn(tmp_path), []

    def enough(_turn: Turn) -> None:
        raise Ended("Nothing to do: all quiet")

    steps = (
        TurnStep("one", enough, "nothing"),
        TurnStep("two", lambda _: done.append("two"), "nothing"),
        TurnStep("close", lambda _: done.append("close"), "nothing"),
    )
    report = run_steps(turn, steps, call)
    assert done == ["close"]
    assert (report.headline, report.commit) == ("Nothing to do: all quiet", "")


def test_headline_is_what_was_decided_if_anything_was(tmp_path):
    turn = make_turn(tmp_path)
    assert headline(turn) == "Nothing to do"
    assert headline(turn, "why not") == "why not"
