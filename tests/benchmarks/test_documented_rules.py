"""The table of disagreements with MATH's official rule in docs/benchmarks.md says what both rules do."""

from __future__ import annotations

import re

import pytest

from benchmarks.official_rules import math_equivalent
from parammem.domains.real_math import RealMathJudge, RealMathPrompts

pytestmark = pytest.mark.integration


def documented(text: str) -> list[tuple[list[str], list[str], bool, bool]]:
    """(golds, answers, right here, right officially) of every row that quotes its gold answer."""
    table = text.split("| gold | answer | here | official | reason |\n")[1].split("\n\n")[0]
    found = []
    for line in table.splitlines()[1:]:
        golds, answers, here, official, *_ = re.findall(r"(?:`[^`]*`|[^|`])+", line)
        quoted = [re.findall(r"`([^`]+)`", cell) for cell in (golds, answers)]
        if quoted[0]:
            found.append((*quoted, here.strip() == "right", official.strip() == "right"))
    return found


def test_the_documented_disagreements_are_what_the_rules_do(repo_root):
    prompts, judge = RealMathPrompts(), RealMathJudge()
    rows = documented((repo_root / "docs/benchmarks.md").read_text(encoding="utf-8"))
    assert len(rows) >= 15
    for golds, answers, here, official in rows:
        for gold, answer in zip(golds * len(answers) if len(golds) == 1 else golds, answers, strict=False):
            ours = judge.compare({"answer": gold}, prompts.parse(f"So $\\boxed{{{answer}}}$.")).equal
            assert (ours, math_equivalent(gold, answer)) == (here, official), (gold, answer)
