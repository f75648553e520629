"""Facts about the rebuild flow, on a real Prefect server."""

from __future__ import annotations

import logging
import sys
import time

import pytest

from flows import rebuild as room
from flows.pipeline import StageResult
from flows.rebuild import ARTIFACT_KEY, RebuildFailed, explain, headline, rebuild, summary
from parammem.checkout.lock import locked
from parammem.errors import DataError

server = pytest.mark.usefixtures("prefect_server")
slow = pytest.mark.integration

FAIL_ONCE = "p = pathlib.Path('failed'); was = p.exists(); p.touch(); was or sys.exit('the disk hiccuped')"


def outcomes(results) -> dict[str, str]:
    return {result.stage: result.outcome for result in results}


def last_artifact() -> str:
    from prefect.artifacts import Artifact

    artifact = Artifact.get(ARTIFACT_KEY)
    return str(artifact.data)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


@slow
@server
def test_all_stages_run_then_nothing_is_left_to_do(pipeline, runs):
    assert outcomes(rebuild(str(pipeline))) == {"first": "ran", "second": "ran", "aside": "ran"}
    text = last_artifact()
    assert "3 ran" in text
    assert "| code.base.pass_rate | 0.25 |" in text
    assert "tokens" not in text
    started = time.monotonic()
    again = rebuild(str(pipeline))
    assert time.monotonic() - started < 15
    assert set(outcomes(again).values()) == {"unchanged"}
    assert "Nothing to do" in last_artifact()
    assert len(runs()) == 3


@slow
@server
def test_stage_that_fails_once_is_tried_again(pipeline, runs):
    (pipeline / "behave/first").write_text(FAIL_ONCE)
    results = rebuild(str(pipeline), retries=1, retry_seconds=0)
    assert outcomes(results)["second"] == "ran"
    assert runs().count("first") == 2


@slow
@server
def test_failure_names_stage_and_last_lines_and_holds_back_only_its_dependants(pipeline, runs):
    (pipeline / "behave/first").write_text("sys.exit('out of luck')")
    with pytest.raises(RebuildFailed, match=r"(?s)stage 'first' failed with exit code 1.*out of luck.*dvc repro first"):
        rebuild(str(pipeline), retries=0)
    assert sorted(runs()) == ["aside", "first"]
    text = last_artifact()
    assert "| second | not run |" in text
    assert "out of luck" in text


@slow
@server
def test_failed_validation_is_not_tried_again(pipeline, runs):
    (pipeline / "behave/first").write_text("sys.exit(8)")
    with pytest.raises(RebuildFailed, match="exit code 8"):
        rebuild(str(pipeline), ["first"], retries=3, retry_seconds=0)
    assert runs() == ["first"]


@slow
@server
def test_unknown_stage_is_refused_with_the_known_ones(pipeline):
    with pytest.raises(ValueError, match=r"no stage third in .*; there are: .*first, second"):
        rebuild(str(pipeline), ["third"])


@slow
@server
def test_equal_arguments_do_not_mean_nothing_to_do(pipeline, runs):
    rebuild(str(pipeline), ["aside"])
    (pipeline / "input.txt").write_text("changed ")
    assert outcomes(rebuild(str(pipeline), ["aside"])) == {"aside": "ran"}
    assert runs() == ["aside", "aside"]


def test_headline_counts_what_happened():
    results = [StageResult("a", "ran"), StageResult("b", "restored"), StageResult("c", "unchanged")]
    assert headline(results) == "1 ran, 1 restored, of 3 stages"
    assert headline(results[2:]) == "Nothing to do: every stage is up to date"


def test_summary_shows_pass_rates_when_there_are_any():
    text = summary([StageResult("a", "ran", 1.25)], {"code.base.pass_rate": 0.5, "code.base.tokens": 9})
    assert "| a | ran | 1.2 |" in text
    assert "code.base.pass_rate" in text
    assert "tokens" not in text


def test_explanation_says_what_to_do_next():
    text = explain(StageResult("train@qa", "failed", 1.0, 5, ("no model folder",)))
    assert text.startswith("stage 'train@qa' failed with exit code 5")
    assert "no model folder" in text
    assert text.endswith("`dvc repro train@qa`.")


def test_logging_alone_is_nothing_that_was_done():
    results = [StageResult("a", "unchanged"), StageResult("track", "ran")]
    assert headline(results) == "Nothing to do: every stage is up to date"
    assert headline([StageResult("a", "ran"), StageResult("track", "ran")]) == "1 ran, of 1 stages"
    assert "1 failed" in headline([StageResult("a", "ran"), StageResult("track", "failed")])


def test_failed_logging_is_not_mended_by_dvc():
    text = explain(StageResult("track", "failed", 1.0, 4, ("no server",)))
    assert text.startswith("logging to W&B failed with exit code 4")
    assert text.endswith("`parammem track`.")


@pytest.fixture
def alone(monkeypatch):
    """No Prefect around the flow's own function, and nothing behind it."""
    monkeypatch.setattr(room, "get_run_logger", lambda: logging.getLogger("rebuild"))
    monkeypatch.setattr(room, "bring_up_to_date", lambda *_: [StageResult("a", "ran")])
    monkeypatch.setattr(room, "patience", lambda _: 0.0)


def test_a_rebuild_waits_for_whoever_is_at_work_in_the_repository(alone, tmp_path):
    with locked(tmp_path, "flow improve", 0), pytest.raises(DataError, match=r"flow improve .* is still at work"):
        rebuild.fn(str(tmp_path), artifact=False)


def test_whoever_comes_during_a_rebuild_waits_for_it(alone, tmp_path, monkeypatch):
    def meanwhile(*_):
        with pytest.raises(DataError, match=r"flow rebuild .* is still at work"), locked(tmp_path, "flow improve", 0):
            pass
        return [StageResult("a", "ran")]

    monkeypatch.setattr(room, "bring_up_to_date", meanwhile)
    assert rebuild.fn(str(tmp_path), artifact=False) == [StageResult("a", "ran")]
    with locked(tmp_path, "flow improve", 0):
        pass


def test_a_rebuild_waits_as_long_as_params_say(tmp_path, repo_root):
    assert room.patience(tmp_path) == room.WAIT_SECONDS
    text = (repo_root / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("wait_seconds: 3600", "wait_seconds: 7"))
    assert room.patience(tmp_path) == 7


@pytest.mark.parametrize(("words", "logs"), [([], True), (["--no-track"], False), (["first", "--track"], True)])
def test_the_command_logs_runs_unless_told_not_to(monkeypatch, words, logs):
    asked = {}
    monkeypatch.setattr(room, "rebuild", lambda *_, **more: asked.update(more) or [])
    monkeypatch.setattr(sys, "argv", ["rebuild", *words])
    assert room.main() == 0
    assert asked["track"] is logs


def test_a_lock_that_is_not_given_up_is_one_line_and_exit_code_1(monkeypatch, capsys):
    def busy(*_, **__):
        raise DataError("flow improve is still at work")

    monkeypatch.setattr(room, "rebuild", busy)
    monkeypatch.setattr(sys, "argv", ["rebuild"])
    assert room.main() == 1
    assert capsys.readouterr().err == "error: flow improve is still at work\n"
