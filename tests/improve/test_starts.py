"""Facts about writing into params.yaml which adapters training goes on from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from parammem.errors import ConfigError
from parammem.improve.warm_challenger import with_starts
from parammem.overlays import applied_text

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]
STARTS = {"code": "1" * 64, "math": "12e4" * 16}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_else_changes_in_any_params_of_ours(path):
    text = applied_text(ROOT, path) if path.parent.name == "profiles" else path.read_text()
    before, after = yaml.safe_load(text), yaml.safe_load(with_starts(text, STARTS))
    assert after["warm_start"].pop("adapters") == STARTS
    assert before["warm_start"].pop("adapters") == {}
    assert before == after
    lines = set(text.splitlines()) - set(with_starts(text, STARTS).splitlines())
    assert [line.strip() for line in lines] == ["adapters: {}"]


def test_words_that_yaml_would_take_for_truth_values_stay_words():
    text = "tracking:\n  mode: 'off'\nwarm_start:\n  adapters: {}\n"
    assert yaml.safe_load(with_starts(text, STARTS))["tracking"]["mode"] == "off"


def test_earlier_ones_are_replaced_however_they_are_written():
    many = "  adapters:\n    code: abc\n    qa: def\n"
    text = f"warm_start:   # why\n  replay: 0.5\n\n  # which\n{many}  seed: 1\ngate:\n  a: 1\n"
    after = yaml.safe_load(with_starts(text, STARTS))
    assert after == {"warm_start": {"replay": 0.5, "adapters": STARTS, "seed": 1}, "gate": {"a": 1}}


@pytest.mark.parametrize(
    "text", ["gate:\n  a: 1\n", "other:\n  adapters: {}\n", "warm_start:\n  seed: 1\nx:\n  adapters: {}\n"]
)
def test_params_without_a_place_for_them_are_an_error(text):
    with pytest.raises(ConfigError, match=r"no warm_start\.adapters"):
        with_starts(text, STARTS)
