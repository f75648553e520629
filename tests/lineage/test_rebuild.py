"""A rebuild from nothing is bit-identical, or the first stage, file and tensor that differ are named."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

from parammem.checkout.worktree import worktree
from parammem.errors import LineageError
from parammem.lineage import audit_page, rebuild
from parammem.lineage.rebuilds.compare import compare_files
from parammem.lineage.rebuilds.environment import package_differences, pins_of
from parammem.lineage.rebuilds.rebuild import stages_before
from parammem.overlays import written_over
from tests.lineage.life import FOLDER
from tests.lineage.test_verify import git

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.integration
def test_a_past_generation_is_rebuilt_bit_for_bit_and_a_changed_param_is_named(lived):
    root, truth = lived
    before = git(root, "status", "--porcelain")
    done = rebuild(root, "v2")
    assert done.identical, done.verdict
    assert done.commit == truth.commits[1]
    assert done.stages == ("collect@code", "validate@code", "train@code")
    assert "bit-identical" in done.verdict
    page = audit_page(root, "v2")
    assert page.answers[3].holds is True
    other = rebuild(root, "v2", changes={"train.learning_rate": 0.75})
    assert not other.identical
    first = other.differences[0]
    assert (first.stage, first.path) == ("train@code", f"{FOLDER}/adapter_model.safetensors")
    assert first.tensor == "lora_A"
    assert first.largest == pytest.approx(0.25, abs=0.13)
    assert audit_page(root, "v2").answers[3].holds is True, "a changed param is no verdict on the record"
    assert git(root, "status", "--porcelain") == before
    assert git(root, "worktree", "list").count("\n") == 0


def test_a_worktree_is_gone_afterwards_also_when_something_failed(lived):
    root, truth = lived
    with suppress(RuntimeError), worktree(root, truth.commits[0], shared_cache=False) as tree:
        there = {path.stem for path in (tree / "data/experience").glob("*.jsonl")}
        raise RuntimeError
    assert there == {truth.batches[0]}
    assert not tree.exists()
    assert git(root, "worktree", "list").count("\n") == 0


def test_a_raw_input_that_is_nowhere_is_named(lived):
    root, truth = lived
    batch = truth.batches[0]
    (root / f"data/experience/{batch}.jsonl").unlink()
    md5 = yaml.safe_load((root / f"data/experience/{batch}.jsonl.dvc").read_text())["outs"][0]["md5"]
    (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    with pytest.raises(LineageError, match=f"{batch}.*dvc fetch"):
        rebuild(root, "v1")


def test_an_adapter_that_no_commit_names_cannot_be_rebuilt(lived):
    root, _ = lived
    (root / "dvc.lock").unlink()
    with pytest.raises(LineageError, match="in no commit"):
        rebuild(root)


def test_the_adapter_that_training_went_on_from_is_laid_where_train_looks_for_it(lived, tmp_path):
    from parammem.checkout.places import Places
    from parammem.core import Adapter
    from parammem.lineage.past.history import History
    from parammem.lineage.rebuilds.rebuild import bring_start

    root, truth = lived
    card = Adapter.model_validate_json((root / FOLDER / "adapter.json").read_bytes())
    start, tree = truth.adapters[0], tmp_path / "tree"
    with History.open(root) as history:
        bring_start(history, tree, card)
        assert not tree.exists()
        bring_start(history, tree, card.model_copy(update={"recipe": {"start": start}}))
        place = Places(tree, "code").start(start)
        assert Adapter.model_validate_json((place / "adapter.json").read_bytes()).digest == start
        assert (place / "rows.txt").read_text().split() == truth.rows[0]
        with pytest.raises(LineageError, match="dvc fetch"):
            bring_start(history, tree, card.model_copy(update={"recipe": {"start": "f" * 64}}))


def test_stages_come_after_what_they_need():
    def stage(deps, outs):
        return {"deps": dict.fromkeys(deps, ""), "outs": dict.fromkeys(outs, "")}

    lock = {"c": stage(["b/x"], ["c"]), "b": stage(["a"], ["b"]), "a": stage([], ["a/1", "a/2"]), "d": stage([], ["d"])}
    assert stages_before(lock, "c") == ["a", "b", "c"]


def test_the_first_tensor_that_differs_is_named_with_its_size():
    one = {"a": np.zeros(4, np.float32), "b": np.ones(4, np.float32)}
    other = one | {"b": np.array([1, 1, 1.5, 1], np.float32)}
    found = compare_files("train", "w.safetensors", save(one), save(other))
    assert (found.tensor, found.largest) == ("b", 0.5)
    assert "1 of 4 values differ" in found.detail
    reshaped = compare_files("train", "w.safetensors", save(one), save(one | {"a": np.zeros(5, np.float32)}))
    assert "float32[4] became float32[5]" in reshaped.detail


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("a.jsonl", b'{"x": 1}\n{"x": 2}\n', b'{"x": 1}\n{"x": 3}\n', "line 2: x: 2 became 3"),
        ("a.jsonl", b"{}\n", b"{}\n{}\n", "2 lines for 1"),
        ("a.json", b'{"a": {"b": [1, 2]}}', b'{"a": {"b": [1, 4]}}', "a.b[1]: 2 became 4"),
        ("a.txt", b"one\ntwo", b"one\ntoo", "byte 5 of 7 (line 2)"),
        ("a.txt", b"one", None, "did not write it"),
    ],
)
def test_text_differs_first_where_it_is_said(path, old, new, said):
    assert said in compare_files("s", path, old, new).detail


def test_packages_of_another_version_than_the_commits_are_named(lived):
    root, _ = lived
    (root / "constraints.txt").write_text("numpy==0.0.1\nnobody-has-this==1\n")
    git(root, "add", "constraints.txt")
    git(root, "commit", "-qm", "pins")
    assert package_differences(pins_of(root, "HEAD")) == {"numpy": ("0.0.1", np.__version__)}


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_a_pocket_adapter_is_rebuilt_bit_for_bit_from_an_empty_cache(tmp_path):
    """The real stages with the small settings of CI, one domain, up to the adapter."""
    spec = importlib.util.spec_from_file_location("small_repro", ROOT / ".ci/small_repro.py")
    assert spec is not None
    assert spec.loader is not None
    small = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(small)
    repo = tmp_path / "repo"
    repo.mkdir()
    small.copy_tree(repo)
    override = yaml.safe_load((ROOT / ".ci/small.yaml").read_text()) | {"domains": ["code"]}
    (repo / "params.yaml").write_text(written_over((repo / "params.yaml").read_text(), override))
    small.make_repository(repo)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(repo / "src")}
    command = [sys.executable, "-m", "dvc", "repro", "train@code"]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    git(repo, "-c", "user.name=t", "-c", "user.email=t@t", "add", "-A")
    git(repo, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "made")
    same = rebuild(repo, "HEAD")
    assert same.identical, same.verdict
    assert same.stages == ("code", "tasks@code", "collect@code", "validate@code", "train@code")
    other = rebuild(repo, "HEAD", changes={"train.learning_rate": 0.003})
    assert (other.differences[0].stage, other.differences[0].tensor is not None) == ("train@code", True)
    assert other.differences[0].largest > 0  # pyright: ignore[reportOptionalOperand]
