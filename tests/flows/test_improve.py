"""Facts about the flows of self-improvement, on a real Prefect server and in a lab where a turn takes seconds."""

from __future__ import annotations

import time

import pytest

from flows import improve as flows
from flows.rebuild import RebuildFailed
from tests.improve.lab import drop_batch, fake_meeting, git, make_lab
from tests.improve.settled import champion_versions

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect_server"), pytest.mark.timeout(900)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(flows, "contest_in_process", fake_meeting)
    return make_lab(tmp_path)


def artifact(key: str) -> str:
    from prefect.artifacts import Artifact

    return str(Artifact.get(key).data)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


def test_a_turn_promotes_then_finds_nothing_to_do_then_is_rolled_back(root):
    drop_batch(root, "one")
    assert flows.improve(str(root)) == "code: promote"
    assert champion_versions(root) == [1]
    page = artifact("improve")
    assert "# code: promote" in page
    assert "## code: promote" in page
    assert "anchor" in artifact("improve-decisions")
    assert float(artifact("improve-progress")) == 100
    started = time.monotonic()
    assert "Nothing to do" in flows.improve(str(root))
    assert time.monotonic() - started < 20
    assert "Nothing to do" in artifact("improve")
    assert "v1 holds" in flows.evaluate_champion(str(root), "2026-11-23")
    assert "rolled back to no reflector: too slow" in flows.rollback("code", "before", "too slow", str(root))
    assert "code-reflector#champion!#" in git(root, "tag", "-l")


def failing_check(turn, domain, champion, challenger):
    """A champion that solves next to nothing."""
    found = fake_meeting(turn, domain, champion, challenger)
    worse = found.slices[0].model_copy(update={"challenger": tuple(int(n < 5) for n in range(200))})
    return found.model_copy(update={"slices": (worse,)})


def test_failed_checks_and_the_rollback_after_them_are_told_as_events(root, monkeypatch):
    told: list[tuple[str, dict]] = []
    monkeypatch.setattr(flows, "emit_event", lambda event, resource, payload: told.append((event, payload)))
    drop_batch(root, "one")
    flows.improve(str(root))
    assert [event for event, _ in told] == ["parammem.champion.promoted"]
    monkeypatch.setattr(flows, "contest_in_process", failing_check)
    told.clear()
    flows.evaluate_champion(str(root), "2026-11-23")
    assert [event for event, _ in told] == ["parammem.champion.check-failed"]
    flows.evaluate_champion(str(root), "2026-11-23")
    assert len(told) == 1, "the same night once more"
    told.clear()
    flows.evaluate_champion(str(root), "2026-11-24")
    assert [event for event, _ in told] == ["parammem.champion.check-failed", "parammem.champion.rolled-back"]
    assert "2 times in a row" in told[1][1]["reason"]
    assert (told[1][1]["left"], told[1][1]["version"]) == (1, 0)


def test_a_failed_stage_fails_the_flow_with_its_last_lines(root):
    (root / "behave/train").write_text("sys.exit('out of luck')")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "bad luck")
    drop_batch(root, "one")
    with pytest.raises(RebuildFailed, match=r"(?s)stage 'train@code' failed.*out of luck"):
        flows.improve(str(root), retries=0)
    assert champion_versions(root) == []


def test_a_failed_step_is_named_with_what_it_leaves(root, tmp_path):
    drop_batch(root, "one")
    (tmp_path / "remote").write_text("no folder")
    with pytest.raises(
        flows.TurnFailed, match=r"(?s)step 'push' failed: `dvc push` failed.*This leaves data in the remote"
    ):
        flows.improve(str(root))
