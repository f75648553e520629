"""Results beside the pipeline belong to the model that they were made with."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.kept_results import MADE_WITH, of_one_model
from parammem.engines.digests import model_digest
from parammem.errors import ConfigError
from tests.tiny import make_tiny_model


def test_results_of_another_model_are_not_taken_up(tmp_path: Path) -> None:
    ours, other = make_tiny_model(tmp_path / "ours"), make_tiny_model(tmp_path / "other", seed=1)
    results = tmp_path / "results"
    of_one_model(results, ours)
    of_one_model(results, ours)
    with pytest.raises(ConfigError, match="remove that folder"):
        of_one_model(results, other)
    assert (results / MADE_WITH).read_text().strip() == model_digest(ours)


@pytest.mark.parametrize("folder", ["study", "variants"])
def test_the_committed_results_are_those_of_the_committed_model(repo_root: Path, folder: str) -> None:
    made_with = (repo_root / "reports" / folder / MADE_WITH).read_text().strip()
    assert made_with == model_digest(repo_root / "models" / "pocket-1m")
