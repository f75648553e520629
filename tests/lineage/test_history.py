"""The ledger in git's history as the audit sees it, and who is champion when two ledgers grow side by side."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem import cli, errors
from parammem.core.event import Ingested, Published, RolledBack
from parammem.errors import LedgerError, LineageError
from parammem.improve.champion import resolve
from parammem.lineage import audit_page, verify
from parammem.lineage.past.events import ledger_bytes, read_life
from parammem.lineage.past.events import walk as audit_walk
from parammem.registry import Ledger
from parammem.registry.branch import known, refuse_behind
from parammem.registry.join import merged
from parammem.registry.ledger import walk
from parammem.registry.state import champion
from parammem.registry.tags import existing_tags
from tests.lineage import fake_pipeline
from tests.lineage.life import Life
from tests.lineage.test_verify import broken, git

PLACE = "ledger/events.jsonl"
PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def cut(root: Path, lines: int = 1) -> None:
    whole = (root / PLACE).read_bytes().splitlines(keepends=True)
    (root / PLACE).write_bytes(b"".join(whole[: len(whole) - lines]))


def test_a_tail_cut_in_an_ordinary_commit_is_found_by_verify(lived, monkeypatch):
    """The last event and its tag: the third generation's promotion."""
    root, _ = lived
    last = Ledger(root).read()[-1]
    cut(root)
    git(root, "commit", "-qam", "tidy")
    for name, (event, _) in existing_tags(root).items():
        if event == last.digest:
            git(root, "tag", "-d", name)
    assert broken(root) == broken(root, full=True) == {(PLACE, "ledger")}
    [found] = verify(root).broken
    assert git(root, "rev-parse", "--short=12", "HEAD") in found.detail
    assert f"1 event: {last.number} (publish champion" in found.detail
    monkeypatch.chdir(root)
    for command in (["audit", "verify"], ["registry", "verify"], ["audit", "show", "v3"]):
        result = CliRunner().invoke(cli.app, command)
        assert isinstance(result.exception, LineageError), command
        assert result.exception.exit_code == 10


def test_a_cut_that_is_not_committed_and_one_that_was_amended_are_found(lived):
    root, _ = lived
    cut(root)
    assert broken(root) == {(PLACE, "ledger")}
    git(root, "commit", "-qa", "--amend", "-m", "generation 3")
    assert (PLACE, "ledger") in broken(root)
    assert any("only the reflog" in one.detail or "only a tag" in one.detail for one in verify(root).broken)


def forked(root: Path, original: Life, folder: Path, answer: str = "promote") -> str:
    """Automation takes in a batch, and promotes what it made of it, on its branch; a person ingests on main."""
    ahead = Life.__new__(Life)
    shutil.copytree(root, folder)
    ahead.root, ahead.truth = folder, copy.deepcopy(original.truth)
    ahead.ledger = Ledger(folder, clock=lambda: "2026-11-24T00:00:00Z")
    digest = ahead.generation(2, answer)
    git(root, "fetch", "-q", "--tags", str(folder), "main:improve")
    shutil.copytree(folder / ".dvc/cache", root / ".dvc/cache", dirs_exist_ok=True)
    fact = Ingested(source="f" * 64, name="by-hand.jsonl", format="parammem", batch="", fresh="", rows=1, kept=0,
                    held=0, duplicates=1, quarantined=0)  # fmt: skip
    Ledger(root, clock=lambda: "2026-11-23T12:00:00Z").append(fact, "person Ada")
    git(root, "commit", "-qam", "by hand")
    return digest


def champions(root: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Who is champion, by everybody who may be asked: registry, gate, improve, tracking and audit."""
    incumbent = champion(known(root), "code")
    assert incumbent is not None
    said = CliRunner().invoke(cli.app, ["registry", "history"]).output.splitlines()[-1]
    assert said == f"champion: {incumbent.name} ({incumbent.adapter[:16]})"
    with monkeypatch.context() as patched:
        patched.setattr("parammem.registry.storage.fetch", lambda root, domain, version, to: Path(version.adapter))
        by_gate = cli.gate._folder(known(Path()), "code", "champion", root / "unused")
    by_improve = resolve(known(root, committed=True), "code", "before").present
    asked: list[dict[str, tuple[str, ...]]] = []
    with monkeypatch.context() as patched:
        patched.setattr("parammem.tracking.track_all", lambda *given: asked.append(given[-1]) or [])
        assert CliRunner().invoke(cli.app, ["track", "--params", str(PARAMS)]).exit_code == 0
    by_tracking = {adapter for adapter, names in asked[0].items() if "champion" in names}
    by_audit = {read_life(root).champion("code").adapter, audit_page(root, "champion").digest}  # pyright: ignore
    assert by_improve == incumbent.number
    return {incumbent.adapter, str(by_gate)} | by_tracking | by_audit


def test_registry_gate_and_audit_name_one_champion_before_and_after_a_merge(lived, original, tmp_path, monkeypatch):
    root, _ = lived
    monkeypatch.chdir(root)
    digest = forked(root, original, tmp_path / "ahead")
    assert champions(root, monkeypatch) == {digest}
    assert [e.digest for e in known(root)] == [e.digest for e in read_life(root).events]
    done = verify(root)
    assert done.broken == ()
    [fork] = [one.detail for one in done.findings if one.path == PLACE]
    assert "it goes on here (1 event) and on the branch improve (6)" in fork
    here, there = Ledger(root).read(), walk((tmp_path / "ahead" / PLACE).read_bytes())[0]
    chain = merged(here, there)
    assert chain == merged(there, here)
    data = b"".join(event.line().encode() + b"\n" for event in chain)
    assert data == ledger_bytes(root)
    assert audit_walk(data).faults == []
    assert [e.fact for e in chain] == [e.fact for e in known(root)], "what a merge writes is what was read before it"


def test_a_rollback_by_hand_and_a_promotion_by_automation_have_one_order(lived, original, tmp_path, monkeypatch):
    root, truth = lived
    monkeypatch.chdir(root)
    forked(root, original, tmp_path / "ahead")
    back = RolledBack(domain="code", version=1, adapter=truth.adapters[0], left=3, reason="by hand")
    Ledger(root, clock=lambda: "2026-11-25T12:00:00Z").append(back, "person Ada")
    git(root, "commit", "-qam", "back")
    assert champions(root, monkeypatch) == {truth.adapters[0]}, (
        "both named champions: automation's first, then the person's"
    )


def test_the_ledger_of_a_remote_that_was_fetched_is_read_too(lived, original, tmp_path, monkeypatch):
    """A clone has automation's branch as origin/improve only."""
    root, _ = lived
    digest = forked(root, original, tmp_path / "ahead")
    git(tmp_path, "clone", "-q", str(root), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert read_life(tmp_path / "clone").champion("code").adapter == digest  # pyright: ignore
    assert champion(known(tmp_path / "clone"), "code").adapter == digest  # pyright: ignore
    assert broken(tmp_path / "clone") == set()
    with pytest.raises(LedgerError, match="git merge origin/improve"):
        refuse_behind(tmp_path / "clone")


def test_experiments_stash_notes_and_other_worktrees_are_no_generations(lived, tmp_path):
    """As `dvc exp run` leaves them: commits with a dvc.lock of their own below refs/exps, and not in the cache."""
    root, truth = lived
    head = git(root, "rev-parse", "HEAD")
    (root / "dvc.lock").write_text((root / "dvc.lock").read_text().replace("md5: ", "md5: 0"))
    (root / PLACE).write_bytes(b"")
    git(root, "commit", "-qam", "an experiment")
    apart = git(root, "rev-parse", "HEAD")
    git(root, "reset", "-q", "--hard", head)
    git(root, "reflog", "expire", "--expire=now", "--all")
    for ref in ("refs/exps/ab/cdef/exp-one", "refs/exps/stash", "refs/stash", "refs/notes/commits"):
        git(root, "update-ref", ref, apart)
    git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "elsewhere"), apart)
    done = verify(root, full=True)
    assert done.broken == ()
    assert done.generations == len(truth.adapters)


def test_the_same_weights_in_another_folder_break_nothing(lived, monkeypatch):
    """Validation was made anew with another suite; the adapter came out the same, its validation.json did not."""
    root, truth = lived
    again = Life.__new__(Life)
    again.root, again.truth = root, copy.deepcopy(truth)
    validate, report = fake_pipeline.STAGES["validate"], root / "reports/validation/code.json"

    def by_another_suite() -> None:
        validate()
        report.write_text(report.read_text().replace("5" * 64, "6" * 64))

    monkeypatch.setitem(fake_pipeline.STAGES, "validate", by_another_suite)
    again.run_pipeline()
    git(root, "add", "-A")
    git(root, "commit", "-qm", "another suite")
    done = verify(root)
    assert done.broken == ()
    assert done.generations == len(truth.adapters) + 1
    assert audit_page(root).digest == truth.adapters[-1]


def test_a_published_folder_that_no_commit_has_is_still_found(lived):
    root, _ = lived
    last = Ledger(root).read()[-1].fact
    assert isinstance(last, Published)
    Ledger(root).append(last.model_copy(update={"dvc": "0" * 32 + ".dir"}), "person Eve")
    git(root, "commit", "-qam", "forged")
    assert any("no dvc.lock has it" in one.detail for one in verify(root).broken)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["audit", "row", "no such row anywhere"], 1),
        (["audit", "row", "f" * 64], 1),
        (["audit", "answer", "nobody-said-this"], 1),
        (["audit", "recall", "--row", "largest"], 1),
        (["audit", "recall", "--row", "f" * 64], 1),
        (["audit", "blame", "--arm", "nobody", "--domain", "math"], 1),
        (["audit", "show", "v99"], 6),
        (["audit", "verify", "v99"], 6),
        (["audit", "graph", "nothing-like-it"], 6),
        (["audit", "rebuild", "v99"], 6),
        (["registry", "fetch", "v99", "--to", "x"], 11),
        (["registry", "register", "nowhere"], 6),
        (["registry", "merge"], 11),
        (["audit", "verify"], 0),
        (["registry", "verify"], 0),
    ],
    ids=lambda one: "-".join(one[:2]) if isinstance(one, list) else str(one),
)
def test_ten_is_for_lineage_that_does_not_hold_and_nothing_else(lived, monkeypatch, command, code):
    root, truth = lived
    if "blame" in command:
        git(root, "rm", "-q", *[f"data/experience/{batch}.jsonl.dvc" for batch in truth.batches])
        git(root, "commit", "-qm", "none")
    monkeypatch.chdir(root)
    result = CliRunner().invoke(cli.app, command)
    found = getattr(result.exception, "exit_code", result.exit_code)
    assert found == code, (result.output, result.exception)


def test_every_exit_code_in_the_help_is_one_of_the_errors_and_the_other_way_round():
    told = {int(code) for code in re.findall(r"(\d+) [a-zA-Z]", cli.EPILOG)}
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ParamMemError)
    ]
    assert {kind.exit_code for kind in kinds} | {0, 2, 130} == told
