"""A repository with a life of three generations: promoted, refused, promoted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lineage.life import Life, Truth


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Life:
    life = Life(tmp_path_factory.mktemp("life") / "repo")
    for rows, answer in ((4, "promote"), (3, "refuse"), (5, "promote")):
        life.generation(rows, answer)
    return life


@pytest.fixture
def lived(original, tmp_path) -> tuple[Path, Truth]:
    """A copy that a test may do to what it likes, and what truly happened."""
    root = tmp_path / "repo"
    shutil.copytree(original.root, root)
    return root, original.truth
