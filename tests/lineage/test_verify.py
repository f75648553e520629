"""One flipped byte anywhere is found and named with its stage; a clean tree has none."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from parammem.checkout.hashes import dvc_hash
from parammem.core import digest_of
from parammem.core.decision import Decision, ErrorBudget, Guard
from parammem.core.event import Decided
from parammem.errors import AdapterMissingError
from parammem.lineage import audit_page, verify
from parammem.registry import Ledger
from tests.lineage.life import FOLDER, Life


def flip(path: Path, place: int = 0) -> None:
    """Change one bit of one byte, and set the times back as a forger would."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def cached(root: Path, md5: str) -> Path:
    return root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def broken(root: Path, **how) -> set[tuple[str, str]]:
    return {(found.path, found.stage) for found in verify(root, **how).broken}


def test_nothing_is_found_in_a_clean_tree_and_every_link_is_checked(lived):
    root, truth = lived
    done = verify(root)
    assert done.findings == ()
    assert done.generations == 3
    assert done.rows == sum(map(len, truth.rows))
    assert {"experience", "data", "adapter", "report", "lock", "ledger", "decision", "tag", "model"} <= set(
        done.checked
    )


def judged(root: Path, truth, name: str = "anchor") -> Path:
    """A decision about the newest adapter with the outcomes that it was made on, committed. Returns the evidence."""
    slices = [{"name": name, "tasks": ["1" * 64], "runs": 2, "none": [0], "champion": [1], "challenger": [2]}]
    arms = {"domain": "code", "champion": truth.adapters[0], "challenger": truth.adapters[-1]}
    guards = (Guard(name="loads", passed=True, detail="as its card says"),)
    decision = Decision(
        **arms, answer="undecided", reasons=("so it was",), guards=guards, slices=(), test=None, rule={},
        rule_version=1, inputs={"base model": "2" * 64, "outcomes": digest_of(slices)},
        budget=ErrorBudget(total=0.04, look=9, alpha=0.0, spent_before=0.0, paid=False),
    )  # fmt: skip
    ledger = Ledger(root, clock=lambda: "2026-11-24T00:00:00Z")
    ledger.save_decision(decision)
    ledger.append(Decided(**arms, decision=decision.digest, answer="undecided", look=9, alpha=0.0), "flow improve")
    path = root / "ledger/evidence" / f"{digest_of(slices)}.json"
    path.parent.mkdir(exist_ok=True)
    plain = {
        **arms,
        "slices": slices,
        "guards": [one.model_dump() for one in guards],
        "inputs": {"base model": "2" * 64},
    }
    path.write_text(json.dumps(plain) + "\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "decided")
    return path


def raw_input(root: Path, folder: str, name: str = "") -> str:
    """A raw input with its pointer and its cached copy, committed. Returns its path."""
    data = f"{folder} has a line of its own\n".encode()
    path = root / folder / f"{name or hashlib.sha256(data).hexdigest()}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    md5 = str(dvc_hash(path))
    cached(root, md5).parent.mkdir(parents=True, exist_ok=True)
    cached(root, md5).write_bytes(data)
    Path(f"{path}.dvc").write_text(f"outs:\n- md5: {md5}\n  size: {len(data)}\n  hash: md5\n  path: {path.name}\n")
    git(root, "add", "-f", f"{path}.dvc")
    git(root, "commit", "-qm", "a raw input")
    return path.relative_to(root).as_posix()


def experience(root, truth):
    path = f"data/experience/{truth.batches[1]}.jsonl"
    flip(root / path, 40)
    return path, "ingest"


def dataset(root, truth):
    flip(root / "data/validated/code.jsonl", 30)
    return "data/validated/code.jsonl", "validate@code"


def reflections(root, truth):
    flip(root / "data/reflections/code.jsonl", 30)
    return "data/reflections/code.jsonl", "collect@code"


def adapter(root, truth):
    flip(root / FOLDER / "adapter_model.safetensors", -1)
    return f"{FOLDER}/adapter_model.safetensors", "train@code"


def manifest(root, truth):
    flip(root / FOLDER / "rows.txt", 3)
    return f"{FOLDER}/rows.txt", "train@code"


def metrics(root, truth):
    flip(root / "reports/metrics.json", -8)
    return "reports/metrics.json", "report"


def rules(root, truth):
    flip(root / "reports/validation/code.json", 12)
    return "reports/validation/code.json", "validate@code"


def evaluation(root, truth):
    flip(root / "reports/evaluation/code/runs.jsonl", 25)
    return "reports/evaluation/code/runs.jsonl", "evaluate@code"


def decision(root, truth):
    path = f"ledger/decisions/{truth.decisions[0]}.json"
    data = (root / path).read_text()
    flip(root / path, data.index("so it was"))
    return path, "decide"


def ledger(root, truth):
    data = (root / "ledger/events.jsonl").read_bytes()
    flip(root / "ledger/events.jsonl", len(data) // 2)
    return "ledger/events.jsonl", "ledger"


def tag(root, truth):
    name = "code-reflector#champion#2"
    git(root, "tag", "-f", "-a", "-m", git(root, "tag", "-l", "--format=%(contents)", name), name, truth.commits[1])
    return f"tag {name}", "publish"


def tag_message(root, truth):
    name = "code-reflector@v1.0.0"
    message = git(root, "tag", "-l", "--format=%(contents)", name).replace("Registered v1", "Registered v0")
    git(root, "tag", "-f", "-a", "-m", message, name, f"{name}^{{}}")
    return f"tag {name}", "publish"


def tag_lost(root, truth):
    git(root, "tag", "-d", "code-reflector@v2.0.0")
    return "tag code-reflector@v2.0.0", "publish"


def tag_forged(root, truth):
    git(root, "tag", "-a", "-m", "v2 is champion", "code-reflector#champion#99", truth.commits[1])
    return "tag code-reflector#champion#99", "publish"


def lock(root, truth):
    data = (root / "dvc.lock").read_text()
    flip(root / "dvc.lock", data.rindex("md5: ") + 9)
    return "dvc.lock", "every stage"


def base_model(root, truth):
    flip(root / "models/base/model.safetensors")
    return "models/base", "train@code"


def pointer(root, truth):
    path = f"data/experience/{truth.batches[2]}.jsonl.dvc"
    flip(root / path, (root / path).read_text().index("md5: ") + 7)
    return path, "ingest"


def old_adapter_in_the_cache(root, truth):
    old = git(root, "show", f"{truth.commits[0]}:dvc.lock").split(f"path: {FOLDER}")[1].split("md5: ")[1].split()[0]
    listing = cached(root, old).read_text()
    inner = listing.split('"relpath": "adapter_model')[0].rsplit('"md5": "', 1)[1][:32]
    flip(cached(root, inner), -2)
    return f"{FOLDER}/adapter_model.safetensors", "train@code"


def old_dataset_in_the_cache(root, truth):
    text = git(root, "show", f"{truth.commits[1]}:dvc.lock")
    md5 = text.split("path: data/validated/code.jsonl")[1].split("md5: ")[1].split()[0]
    flip(cached(root, md5), 50)
    return "data/validated/code.jsonl", "validate@code"


def batch_in_the_cache(root, truth):
    path = f"data/experience/{truth.batches[1]}.jsonl"
    flip(cached(root, str(dvc_hash(root / path))), 40)
    return path, "ingest"


TAMPERS = (experience, dataset, reflections, adapter, manifest, metrics, rules, evaluation, decision, ledger, tag,
           tag_message, tag_lost, tag_forged, lock, base_model, pointer, old_adapter_in_the_cache,
           old_dataset_in_the_cache, batch_in_the_cache)  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda one: one.__name__)
def test_one_flipped_byte_is_named_with_its_stage(lived, tamper):
    root, truth = lived
    assert broken(root) == set()  # fills the memory of hashes, which must not hide what comes
    named = tamper(root, truth)
    assert named in broken(root), verify(root).findings


FOLDERS = ("data/keys/fresh", "data/fresh", "data/quarantine/batches/experience", "data/quarantine/batches/keys/fresh",
           "data/quarantine/experience")  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_keys_and_batches_that_were_set_aside_are_verified_here_and_in_the_cache(lived, folder):
    root, _ = lived
    path = raw_input(root, folder, "f" * 64 if "keys" in folder or folder.endswith("ne/experience") else "")
    copy_of = cached(root, str(dvc_hash(root / path)))
    assert broken(root) == set()
    for place in (root / path, copy_of):
        flip(place, 3)
        assert broken(root) == broken(root, full=True) == {(path, "ingest")}
        flip(place, 3)
    assert broken(root) == set()
    (root / path).unlink()
    copy_of.unlink()
    assert [(one.path, one.holds) for one in verify(root).findings] == [(path, None)]


def test_a_batch_whose_only_copy_is_in_the_cache_is_verified(lived):
    """Automation took it in on its own branch; later generations of that branch no longer name it."""
    root, _ = lived
    here = git(root, "branch", "--show-current")
    git(root, "checkout", "-qb", "improve")
    path = raw_input(root, "data/fresh")
    git(root, "rm", "-q", f"{path}.dvc")
    git(root, "commit", "-qm", "gone again")
    git(root, "checkout", "-q", here)
    copy_of = cached(root, str(dvc_hash(root / path)))
    (root / path).unlink()
    assert verify(root).findings == ()
    flip(copy_of, 3)
    assert broken(root) == {(path, "ingest")}


def test_one_adapter_is_held_to_the_raw_inputs_of_its_own_state(lived):
    root, truth = lived
    flip(cached(root, str(dvc_hash(root / f"data/experience/{truth.batches[1]}.jsonl"))), 40)
    assert broken(root, adapter="v1") == set()
    assert broken(root, adapter="v2") == {(f"data/experience/{truth.batches[1]}.jsonl", "ingest")}


FORGERIES = (
    ('"challenger": [2]', '"challenger": [1]'),
    ('"passed": true', '"passed": null'),
    ('"base model": "2', '"base model": "1'),
    ('"domain": "code"', '"domain": "math"'),
    ('{"domain"', '{"more": 1, "domain"'),
)


@pytest.mark.parametrize(("old", "new"), FORGERIES)
def test_evidence_forged_and_committed_no_longer_fits_its_decision(lived, old, new):
    root, truth = lived
    path = judged(root, truth)
    assert verify(root).findings == ()
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    git(root, "commit", "-qam", "forged")
    assert broken(root) == {(path.relative_to(root).as_posix(), "decide")}


def test_evidence_deleted_and_committed_is_found_and_evidence_without_a_decision_is_unknown(lived):
    root, truth = lived
    path = judged(root, truth)
    stray = path.with_name("0" * 64 + ".json")
    stray.write_bytes(path.read_bytes())
    assert [(one.path, one.holds) for one in verify(root).findings] == [(stray.relative_to(root).as_posix(), None)]
    stray.unlink()
    git(root, "rm", "-q", str(path))
    git(root, "commit", "-qm", "tidy")
    assert broken(root) == {(path.relative_to(root).as_posix(), "decide")}


def test_evidence_that_only_automations_branch_has_is_read_from_there(lived):
    root, truth = lived
    here = git(root, "branch", "--show-current")
    git(root, "checkout", "-qb", "improve")
    judged(root, truth)
    git(root, "checkout", "-q", here)
    done = verify(root)
    assert done.findings == ()
    assert done.checked["evidence"] == 1


def test_a_line_taken_from_the_ledger_and_committed_is_found(lived):
    root, _ = lived
    path = root / "ledger/events.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:4] + lines[5:]))
    git(root, "commit", "-qam", "tidy")
    assert ("ledger/events.jsonl", "ledger") in broken(root)


def test_a_lock_file_forged_and_committed_contradicts_itself(lived):
    root, _ = lived
    lock_file = root / "dvc.lock"
    text = lock_file.read_text()
    read_by_train = text.index("md5: ", text.index("data/validated/code.jsonl", text.index("train@code"))) + 6
    flip(lock_file, read_by_train)
    git(root, "commit", "-qam", "forged")
    assert ("dvc.lock", "train@code") in broken(root)


def test_a_dataset_forged_with_its_lock_entries_no_longer_fits_the_validation(lived):
    root, _ = lived
    path, lock_file = root / "data/validated/code.jsonl", root / "dvc.lock"
    old = dvc_hash(path)
    path.write_text(path.read_text().replace("limit inside 1 0", "limit outside 1 0"))
    lock_file.write_text(lock_file.read_text().replace(str(old), str(dvc_hash(path))))
    git(root, "commit", "-qam", "forged")
    found = broken(root)
    assert any(name == "reports/validation/code.json" for name, _ in found)


def test_a_suite_forged_with_its_lock_entries_is_not_the_one_that_the_adapter_names(lived):
    root, _ = lived
    path, lock_file = root / "reports/validation/code.json", root / "dvc.lock"
    old = dvc_hash(path)
    path.write_text(path.read_text().replace("5" * 64, "6" * 64))
    lock_file.write_text(lock_file.read_text().replace(str(old), str(dvc_hash(path))))
    git(root, "commit", "-qam", "a laxer suite")
    assert broken(root) == {(f"{FOLDER}/validation.json", "train@code")}
    assert audit_page(root).answers[1].holds is False


def test_a_base_model_that_was_replaced_and_committed_no_longer_fits_the_adapter(lived):
    root, _ = lived
    flip(root / "models/base/model.safetensors")
    git(root, "commit", "-qam", "another base")
    assert broken(root) == {("models/base", "train")}


def test_a_link_that_is_committed_holds_until_it_leads_elsewhere(lived, tmp_path_factory):
    """`parammem init --model FOLDER` makes one: git has where it leads, not what lies there."""
    root, _ = lived
    link, elsewhere = root / "models/linked", tmp_path_factory.mktemp("elsewhere")
    link.symlink_to(elsewhere)
    git(root, "add", "models/linked")
    git(root, "commit", "-qm", "a link")
    assert broken(root) == set()
    link.unlink()
    link.symlink_to(root / "models/base")
    assert broken(root) == {("models/linked", "git")}
    link.unlink()
    assert broken(root) == {("models/linked", "git")}


def test_outs_that_were_not_pulled_are_unknown_and_not_broken(lived):
    root, _ = lived
    shutil.rmtree(root / "reports/evaluation/code")
    shutil.rmtree(root / FOLDER)
    done = verify(root)
    assert done.broken == ()
    assert "reports/evaluation" in {found.path for found in done.findings}


def test_unchanged_files_are_not_read_again_unless_asked(lived, monkeypatch):
    from parammem.checkout import hashes

    root, _ = lived
    monkeypatch.setattr(hashes, "SETTLED_NS", 0)
    first, second, full = verify(root), verify(root), verify(root, full=True)
    assert first.files_read > 20
    assert second.files_read == 0
    assert full.files_read >= first.files_read
    assert first.checked == second.checked


def test_experience_that_came_since_is_no_fault(lived, original):
    root, _ = lived
    (root / "data/experience/.keep").write_text("")
    assert broken(root) == set()


def test_one_adapter_is_verified_alone(lived):
    root, truth = lived
    done = verify(root, "v1")
    assert (done.generations, done.rows, done.broken) == (1, len(truth.rows[0]), ())
    old_adapter_in_the_cache(root, truth)
    assert broken(root, adapter="v3") == set()
    assert broken(root, adapter="v1") == {(f"{FOLDER}/adapter_model.safetensors", "train@code")}
    with pytest.raises(AdapterMissingError, match="v1, v2, v3"):
        verify(root, "v9")


def test_what_automation_did_on_its_own_branch_is_seen_and_is_no_fault(lived, original, tmp_path):
    """The person's tree stands at generation 3; the branch `improve` has a fourth, with its tags."""
    root, truth = lived
    ahead = Life.__new__(Life)
    shutil.copytree(root, tmp_path / "ahead")
    ahead.root, ahead.truth = tmp_path / "ahead", copy.deepcopy(truth)
    ahead.ledger = Ledger(ahead.root, clock=lambda: "2026-11-24T00:00:00Z")
    digest = ahead.generation(2)
    git(root, "fetch", "-q", "--tags", str(ahead.root), "main:improve")
    shutil.copytree(ahead.root / ".dvc/cache", root / ".dvc/cache", dirs_exist_ok=True)
    done = verify(root)
    assert done.broken == ()
    assert done.generations == 4
    assert audit_page(root, "champion").digest == digest
    assert audit_page(root, "HEAD").digest == truth.adapters[-1]
    assert verify(root, "v4").broken == ()
    tag_forged(root, truth)
    assert broken(root) == {("tag code-reflector#champion#99", "publish")}


def test_without_ledger_cache_or_git_what_is_here_is_verified(lived):
    root, _ = lived
    for path in (".git", ".dvc/cache", "ledger"):
        shutil.rmtree(root / path)
    assert verify(root).broken == ()
    flip(root / "data/validated/code.jsonl", 30)
    assert ("data/validated/code.jsonl", "validate@code") in broken(root)


def test_two_audits_at_once_do_not_wait_for_each_other(lived, monkeypatch):
    """A rebuild has the memory of hashes open while it brings its inputs, and for as long as its stages run."""
    from parammem.checkout import hashes

    root, _ = lived
    monkeypatch.setattr(hashes, "SETTLED_NS", 0)
    with hashes.Hashes(root) as one, hashes.Hashes(root) as other:
        one.file(root / "params.yaml")
        other.file(root / "dvc.yaml")
        one.fact("f", "k", lambda: 1)
        assert other.fact("f", "k", lambda: 2) == 1
        assert other.file(root / "params.yaml")
        assert (one.read_files, other.read_files) == (1, 1)
