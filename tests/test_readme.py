"""What README.md and docs/study.md quote is what the committed reports say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.study_tables import study_table
from parammem.evaluation.inputs import PAIRS, pair_name

ARMS = {
    "Base, one attempt": ("base",),
    "Resample": ("resample",),
    "Reflexion": ("reflexion",),
    "DoT": ("dot",),
    "DoT-bank": ("dot_bank",),
    "Retrieved advice": ("retrieved",),
    "**ParamAgent**": ("paramagent",),
    "**ParamAgent-plus**": ("paramagent_plus",),
    "ParamAgent, untrained reflector": ("paramagent", "untrained"),
    "… trained on shuffled pairs": ("paramagent", "shuffled"),
    "… trained on another world": ("paramagent", "other_world"),
    "… constant majority advice": ("paramagent", "majority"),
}


@pytest.fixture(scope="module")
def rows(repo_root: Path) -> dict[str, list[str]]:
    """Cells of every table row of the README by the row's name."""
    lines = (repo_root / "README.md").read_text(encoding="utf-8").splitlines()
    tables = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {name: cells for name, *cells in tables}


@pytest.fixture(scope="module")
def study(repo_root: Path) -> dict[str, Any]:
    return json.loads((repo_root / "reports" / "study.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ARMS)
def test_shares_solved_are_those_of_the_metrics(repo_root: Path, rows: dict[str, list[str]], name: str) -> None:
    metrics = json.loads((repo_root / "reports" / "metrics.json").read_text(encoding="utf-8"))
    for cell, domain in zip(rows[name], ("code", "math", "qa"), strict=True):
        found = metrics[domain]
        for step in ARMS[name]:
            found = found[step]
        shares = [100 * found[key] for key in ("pass_rate", "pass_rate_low", "pass_rate_high")]
        quoted = [int(number) for number in re.findall(r"\d+", cell)]
        assert all(abs(said - share) <= 0.51 for said, share in zip(quoted, shares, strict=True)), (domain, cell)


@pytest.mark.parametrize("pair", PAIRS)
def test_differences_are_those_of_the_study(
    rows: dict[str, list[str]], study: dict[str, Any], pair: tuple[str, str]
) -> None:
    for cell, rho in zip(rows[pair_name(*pair)], (0.9, 0.5, 0.0), strict=True):
        (found,) = [
            row
            for row in study["comparisons"]
            if (row["rho"], row["domain"], row["left"], row["right"]) == (rho, "all", *pair)
        ]
        numbers = [float(number) for number in re.findall(r"[+-]?\d+\.?\d*", cell.replace("−", "-").replace("–", " "))]
        shares = [round(100 * found[key], 1) for key in ("difference", "low", "high")]
        assert numbers == [*shares, found["wins"], found["losses"]], (rho, cell)


def test_the_page_of_the_study_holds_its_tables(repo_root: Path, study: dict[str, Any]) -> None:
    assert study_table(study["worlds"]) in (repo_root / "docs" / "study.md").read_text(encoding="utf-8")
