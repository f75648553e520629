"""An adapter's card that is not here is told with its generation, version and commit, and with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from parammem.checkout.git import commits_of, git
from parammem.checkout.hashes import dvc_hash
from parammem.errors import AdapterError, AdapterMissingError
from parammem.lineage import audit_page, render_verification, verify
from parammem.lineage.past.history import History, card_in
from tests.lineage.life import FOLDER, Life

CARD = f"{FOLDER}/adapter.json"


def cached(root: Path, md5: str) -> Path:
    return root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def card_in_cache(root: Path, revision: str) -> Path:
    """The card of the adapter that a commit's dvc.lock names."""
    lock = yaml.safe_load(git(root, "show", f"{revision}:dvc.lock"))["stages"]["train@code"]
    (out,) = [one["md5"] for one in lock["outs"] if one["path"] == str(FOLDER)]
    listing = json.loads(cached(root, out).read_bytes())
    (md5,) = [one["md5"] for one in listing if one["relpath"] == "adapter.json"]
    return cached(root, md5)


def commit_a_broken_card(root: Path) -> str:
    """A commit that records an adapter whose card is none. Returns its SHA."""
    life = Life.__new__(Life)
    life.root, old = root, dvc_hash(root / FOLDER)
    (root / CARD).write_text("{}")
    life._cache(root / FOLDER)
    (root / "dvc.lock").write_text((root / "dvc.lock").read_text().replace(str(old), str(dvc_hash(root / FOLDER))))
    git(root, "commit", "-q", "-a", "-m", "A broken card")
    return git(root, "rev-parse", "HEAD")


def shas(root: Path) -> list[str]:
    """Of the commits that made the three generations."""
    return [commit.sha for commit in commits_of(root, "dvc.lock")]


def test_generations_without_a_card_are_named_with_version_and_commit(lived):
    root, _ = lived
    first, second, _third = shas(root)
    for revision in (first, second):
        card_in_cache(root, revision).unlink()
    done = verify(root)
    (found,) = [one for one in done.findings if one.path == CARD]
    assert found.holds is None
    assert f"1 (v1, commit {first[:12]}), 2 (v2, commit {second[:12]})" in found.detail
    assert "`dvc fetch --all-commits`" in found.detail
    said = render_verification(done)
    assert said.splitlines()[-1] == (
        f"nothing was changed since it was recorded; unknown: {len(done.findings)} links named above"
        if len(done.findings) > 1
        else "nothing was changed since it was recorded; unknown: 1 link named above"
    )


def test_a_card_that_cannot_be_read_is_told_from_one_that_is_not_here(lived):
    root, _ = lived
    commit = commit_a_broken_card(root)
    (found,) = [one for one in verify(root).findings if one.path == CARD and one.holds is None]
    assert f"generation 4 (commit {commit[:12]}) is no card that this version reads" in found.detail
    with History.open(root) as history, pytest.raises(AdapterError, match=f"of commit {commit[:12]} is no adapter"):
        card_in(history.at(commit), str(FOLDER))


def test_the_version_that_was_asked_for_is_in_the_message(lived):
    root, truth = lived
    card_in_cache(root, shas(root)[0]).unlink()
    with pytest.raises(AdapterMissingError, match=rf"v1 \(adapter {truth.adapters[0][:16]}\) of code .*fetch"):
        audit_page(root, "v1")


def test_a_state_that_must_have_a_card_says_which_commit_lacks_it(lived):
    root, _ = lived
    first, _, third = shas(root)
    card_in_cache(root, first).unlink()
    with History.open(root) as history:
        assert card_in(history.at(third), str(FOLDER)).domain == "code"
        with pytest.raises(AdapterMissingError, match=rf"{CARD} of commit {first[:12]} is neither here .*fetch"):
            card_in(history.at(first), str(FOLDER))


def test_a_folder_where_nothing_was_recorded_is_not_called_sound(tmp_path):
    done = verify(tmp_path)
    assert sum(done.checked.values()) == 0
    assert render_verification(done).splitlines()[-1].startswith("nothing is recorded here yet; ")
