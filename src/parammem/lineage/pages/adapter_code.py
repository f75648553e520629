"""The code of an adapter: its sources with their digests, which of them differ between two states, and its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parammem.checkout.snapshot import Snapshot
from parammem.checkout.source_digests import changed_sources
from parammem.lineage.checks.tree import kind_of
from parammem.lineage.past.recorded_code import digests_of


def sources_of(state: Snapshot, domain: str) -> dict[str, str]:
    """Return source → digest, as the stage `code` recorded them. Of an older dvc.lock: path → DVC's hash, of what it
    names."""
    found = digests_of(state, domain)
    if found is not None:
        return found
    stages = [stage for name, stage in state.lock.items() if name.partition("@")[2] in ("", domain)]
    return {path: md5 for stage in stages for path, md5 in stage["deps"].items() if kind_of(path) == "code"}


def changed_between(before: Snapshot, after: Snapshot, domain: str) -> list[str] | None:
    """Return code paths that differ between two states; None where they cannot be compared: only one of them has
    digests, or one has no code."""
    old, new = sources_of(before, domain), sources_of(after, domain)
    alike = (digests_of(before, domain) is None) == (digests_of(after, domain) is None)
    return changed_sources(old, new) if alike and old and new else None


def recipe_in_words(recipe: Mapping[str, Any]) -> str:
    """Return the settings of a training as people write them: lists without brackets and quotation marks."""
    plain = {key: ", ".join(map(str, said)) if isinstance(said, list | tuple) else said for key, said in recipe.items()}
    return "; ".join(f"{key} {said}" for key, said in sorted(plain.items()))
