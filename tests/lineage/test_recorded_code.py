"""The code of an adapter in an audit: digests read from any commit, sources named that changed, docstrings that do not
count, and a dvc.lock that has only seen other docstrings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from parammem.lineage.checks.tree import tree_checks
from parammem.lineage.pages.adapter_code import changed_between, sources_of
from parammem.lineage.pages.page import audit_page
from parammem.lineage.past.history import History
from parammem.lineage.past.recorded_code import DIGESTS, SOURCES
from parammem.lineage.rows.datasets import row_hash
from parammem.stages import code_digests as stage
from tests.checkout.test_source_digests import project
from tests.lineage.test_links import ADAPTER, entry, git, make_adapter, repo  # noqa: F401

CODE = f"{DIGESTS}/collect.json"


def run_code(root: Path, commit: bool = True) -> None:
    """What `dvc repro code` does, and, where it counts for all, a train that read it."""
    stage.run(root)
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    stages = lock["stages"]
    stages["code"] = {"cmd": "c", "deps": [entry(root, SOURCES)], "outs": [entry(root, DIGESTS)]}
    train = stages["train@code"]
    train["deps"] = [one for one in train["deps"] if not one["path"].startswith(("src", DIGESTS))] + [entry(root, CODE)]
    train["outs"] = [entry(root, str(ADAPTER))]
    stages["evaluate@code"]["deps"] = train["outs"]
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))
    if commit:
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "code")


@pytest.fixture
def coded(repo: Path, monkeypatch) -> Path:  # noqa: F811
    monkeypatch.setattr(stage, "STAGES", ("collect",))
    (repo / "src/recipe.py").unlink()
    project(repo)
    run_code(repo)
    return repo


def findings(root: Path) -> dict[str, bool | None]:
    """Path → whether its links hold; the worst where there are several."""
    with History.open(root) as history:
        said = [one for one in tree_checks(history) if one.path.startswith(("dvc.lock", "src", DIGESTS))]
    holds = {path: {one.holds for one in said if one.path == path} for path in {one.path for one in said}}
    return {path: False if False in found else None if None in found else True for path, found in holds.items()}


def test_a_docstring_is_no_change_and_a_constant_is_one_that_is_named(coded):
    whole = findings(coded)
    assert set(whole.values()) == {True}
    top = coded / SOURCES / "top.py"
    top.write_text('"""Why."""\nx = 1\n')
    assert findings(coded)[SOURCES] is True
    run_code(coded, commit=False)
    assert "dvc.lock" in git(coded, "diff", "--name-only")
    assert findings(coded) == whole, "the lock has only seen the sources of now"
    top.write_text("x = 2\n")
    assert findings(coded)[SOURCES] is None
    assert "src/parammem/top.py" in audit_page(coded, str(ADAPTER)).answers[8].says
    run_code(coded, commit=False)
    assert findings(coded)["dvc.lock"] is None, "stages ran anew, and that is not committed yet"


def test_another_hash_of_the_sources_than_that_of_now_breaks_the_lock(coded):
    lock = yaml.safe_load((coded / "dvc.lock").read_text())
    lock["stages"]["code"]["deps"][0]["md5"] = "0" * 32 + ".dir"
    (coded / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert findings(coded)["dvc.lock"] is False


def test_digests_that_were_altered_break_a_link(coded):
    (coded / CODE).write_text((coded / CODE).read_text().replace("a", "b"))
    assert findings(coded)[CODE] is False
    assert findings(coded)[DIGESTS] is False


def test_sources_that_changed_between_two_generations_are_named(coded):
    retrain(coded, 2)
    (coded / SOURCES / "unused.py").write_text("x = 2\n")
    (coded / SOURCES / "top.py").write_text("x = 2\n")
    retrain(coded, 3)
    code = audit_page(coded, str(ADAPTER)).answers[6]
    assert code.facts["code"] == json.loads((coded / CODE).read_text())
    assert code.facts["changed_code"] == ["src/parammem/top.py"]
    assert "1 path changed since generation 2 of code: src/parammem/top.py" in code.says


def test_a_state_from_before_there_were_digests_is_read_and_compared_with_none(coded):
    with History.open(coded) as history:
        old, new = [history.at(commit) for commit in git(coded, "rev-list", "--reverse", "HEAD").splitlines()]
        assert [*sources_of(old, "code")] == ["src/recipe.py"]
        assert changed_between(old, new, "code") is None
        assert changed_between(old, old, "code") == []


def retrain(root: Path, number: int) -> None:
    """Another adapter of the same rows."""
    shutil.rmtree(root / ADAPTER)
    make_adapter(root, ADAPTER, [*hashes_of(root)][number:])
    run_code(root)


def hashes_of(root: Path) -> list[str]:
    return [row_hash(json.loads(line)) for line in (root / "data/validated/code.jsonl").read_text().splitlines()]
