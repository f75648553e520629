"""Facts about the audit of runs of agents in use: whatever is done to a file of them is found and named."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

from parammem.checkout.places import LIVE
from parammem.core.decision import ArmResult, Decision, ErrorBudget, LiveResult
from parammem.core.event import Decided, Observed, TrialStarted
from parammem.core.live_run import LiveRun
from parammem.errors import LedgerError, LineageError
from parammem.gate.record_live import counts_of
from parammem.lineage import audit_page, check_bundle, export, verify
from parammem.registry import Ledger
from parammem.registry.ledger_text import check
from tests.gate.live_runs import SHARES, live_runs

RATES = {"holdout": 0.4, "champion": 0.5, "challenger": 0.7}
WHEN = "2026-11-28T12:00:00Z"


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)


def arm(name, adapter: str, every: list[LiveRun]) -> ArmResult:
    ended = [run.outcome for run in every if run.arm == name and run.number > 1]
    passed = sum(one.passed is True for one in ended if one)
    return ArmResult(
        arm=name, adapter=adapter, runs=len(ended), known=len(ended), solved=passed / len(ended), unadvised=1, tokens=0
    )  # fmt: skip


@pytest.fixture
def tried(lived) -> tuple[Path, list[Path], str]:
    """The newest adapter was promoted once more, by 200 runs in two files."""
    root, truth = lived
    ledger = Ledger(root, clock=lambda: WHEN)
    champion, challenger = truth.adapters[0], truth.adapters[-1]
    files, every, inputs = [], [], {"outcomes": "7" * 64}
    trial = TrialStarted(
        domain="code", champion=champion, challenger=challenger, version=3, shares=SHARES, look=4, alpha=0.002
    )  # fmt: skip
    ledger.append(trial, "flow improve")
    for first in (1, 101):
        runs = live_runs(first, 100, RATES, adapters={"holdout": "", "champion": champion, "challenger": challenger})
        every += runs
        data = "".join(run.line() + "\n" for run in runs).encode()
        digest = hashlib.sha256(data).hexdigest()
        path = root / LIVE / f"{digest}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        md5 = hashlib.md5(data).hexdigest()
        outs = {"outs": [{"md5": md5, "size": len(data), "hash": "md5", "path": path.name}]}
        path.with_name(f"{path.name}.dvc").write_text(yaml.safe_dump(outs))
        ledger.append(
            Observed(domain="code", runs=digest, first=first, last=first + 99, counts=counts_of(runs)), "flow improve"
        )  # fmt: skip
        files.append(path)
        inputs[f"runs {first}–{first + 99}"] = digest
    live = LiveResult(
        kind="trial", treated=arm("challenger", challenger, every), control=arm("champion", champion, every),
        first=2, last=200, settled_at=190, difference=0.12, low=0.01, high=0.2, confidence=0.95, threshold=500.0,
        e_values={"decides": 612.0}, runs_needed=1800,
    )  # fmt: skip
    decision = Decision(
        domain="code", champion=champion, challenger=challenger, answer="promote", reasons=("better: it was",),
        guards=(), slices=(), test=None, rule={}, rule_version=1, inputs=inputs, live=live,
        budget=ErrorBudget(total=0.05, look=4, alpha=0.002, spent_before=0.0, paid=True),
    )  # fmt: skip
    ledger.save_decision(decision)
    ledger.append(
        Decided(domain="code", decision=decision.digest, champion=champion, challenger=challenger, answer="promote",
                look=4, alpha=0.0, live=True), "flow improve",
    )  # fmt: skip
    (root / ".gitignore").write_text((root / ".gitignore").read_text() + "/data/live/*.jsonl\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "runs in use")
    return root, files, decision.digest


def found(root: Path) -> dict[str, str]:
    return {one.path: one.detail for one in verify(root).broken}


def test_untouched_runs_hold(tried):
    root, files, _ = tried
    assert found(root) == {}
    here = [one for one in verify(root).findings if one.path.startswith("data/live")]
    assert here == []
    assert all(path.is_file() for path in files)


def name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"passed": false', b'"passed": true'), (b'"arm": "holdout"', b'"arm": "champion"')],
    ids=["outcome", "arm"],
)
def test_a_run_that_was_changed_is_found(tried, old, new):
    root, files, _ = tried
    data = files[0].read_bytes()
    assert old in data
    files[0].write_bytes(data.replace(old, new, 1))
    assert name(root, files[0]) in found(root)


def test_a_run_that_was_dropped_is_found(tried):
    root, files, _ = tried
    lines = files[1].read_bytes().splitlines(keepends=True)
    files[1].write_bytes(b"".join(lines[:-1]))
    assert name(root, files[1]) in found(root)


def test_a_file_that_was_deleted_with_its_pointer_is_found(tried):
    root, files, _ = tried
    for path in (files[0], files[0].with_name(f"{files[0].name}.dvc")):
        path.unlink()
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "nothing to see")
    assert "are gone" in found(root)[name(root, files[0])]


def test_a_changed_file_under_its_new_name_is_a_stranger_and_the_old_one_is_missing(tried):
    root, files, _ = tried
    data = files[0].read_bytes().replace(b'"passed": false', b'"passed": true', 1)
    forged = files[0].with_name(f"{hashlib.sha256(data).hexdigest()}.jsonl")
    files[0].rename(forged)
    forged.write_bytes(data)
    said = {one.path: one.detail for one in verify(root).findings}
    assert "no event of the ledger names it" in said[name(root, forged)]
    assert "not here" in said[name(root, files[0])]


def test_the_page_answers_why_an_adapter_was_promoted_by_its_runs(tried):
    root, files, decision = tried
    answer = next(one for one in audit_page(root, "v3").answers if one.number == 5)
    for wanted in ("on trial as challenger by runs in use", "promote: better", "outcomes (0 missing)",
                   "+12.0 points", "e-value 612", decision[:16], files[0].stem[:16]):  # fmt: skip
        assert wanted in answer.says, answer.says
    assert answer.facts["decisions"][-1]["live"]["e_values"]["decides"] == 612.0
    assert answer.facts["trials"][0]["as"] == "challenger"


def test_registry_verify_reads_the_files_too(tried):
    root, files, _ = tried
    assert "2 files of runs in use, each what the ledger names" in check(root)
    whole = files[0].read_bytes()
    files[0].write_bytes(whole.replace(b'"passed": false', b'"passed": true', 1))
    with pytest.raises(LedgerError, match=f"{files[0].stem}.jsonl was changed"):
        check(root)
    files[0].unlink()
    assert "1 file that `dvc pull` brings" in check(root)
    files[0].with_name(f"{files[0].name}.dvc").unlink()
    assert "1 file that `dvc pull` brings" in check(root), "a branch has its pointer"
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "nothing to see")
    with pytest.raises(LedgerError, match="runs 1 to 100 of code, is gone"):
        check(root)


def test_a_bundle_holds_the_runs_behind_a_decision(tried, tmp_path):
    root, files, _ = tried
    done = export(root, "v3", tmp_path / "bundle", key_file=tmp_path / "key.pem")
    assert {f"live/{path.name}" for path in files} <= set(done.files)
    assert check_bundle(tmp_path / "bundle", done.key).faults == ()
    files[0].unlink()
    with pytest.raises(LineageError, match=r"runs 1–100, on which decision \w+ was made, are not here; `dvc pull"):
        export(root, "v3", tmp_path / "another", key_file=tmp_path / "key.pem")
    assert not (tmp_path / "another").exists()
    data = (tmp_path / "bundle/live" / files[0].name).read_bytes()
    md5 = hashlib.md5(data).hexdigest()
    cached = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(data)
    assert f"live/{files[0].name}" in export(root, "v3", tmp_path / "another", key_file=tmp_path / "key.pem").files


@pytest.mark.parametrize("what", ["changed", "missing", "added", "counted otherwise"])
def test_runs_of_a_bundle_are_held_to_its_decisions(tried, tmp_path, what):
    """Whoever has the key can sign anything; that the files fit each other is found all the same."""
    root, files, decision = tried
    folder = tmp_path / "bundle"
    done = export(root, "v3", folder, key_file=tmp_path / "key.pem")
    file = folder / "live" / files[0].name
    if what == "changed":
        file.write_bytes(file.read_bytes().replace(b'"passed": false', b'"passed": true', 1))
        expected = (f"live/{file.name}", "its SHA-256 is not its name")
    elif what == "missing":
        file.unlink()
        expected = (f"live/{file.name}", f"it is missing, and decision/{decision}.json was made on it")
    elif what == "added":
        other = file.read_bytes().replace(b"run-1", b"run-0")
        added = file.with_name(f"{hashlib.sha256(other).hexdigest()}.jsonl")
        added.write_bytes(other)
        expected = (f"live/{added.name}", "no event of the ledger names it")
    else:
        path = folder / f"decision/{decision}.json"
        path.write_text(path.read_text().replace('"known": ', '"known": 1'))
        expected = (f"decision/{decision}.json", "the runs of challenger that it counted are not those of its files")
    assert expected in [(one.file, one.what) for one in check_bundle(folder, done.key).faults]
