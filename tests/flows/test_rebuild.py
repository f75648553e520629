"""Facts about the rebuild flow, on a real Prefect server."""

from __future__ import annotations

import time

import pytest

from flows.pipeline import StageResult
from flows.rebuild import ARTIFACT_KEY, RebuildFailed, explain, headline, rebuild, summary

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
