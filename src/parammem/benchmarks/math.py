"""MATH and GSM8K rows → items. There is no visible check: all iterations run, and a stated rule submits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parammem.benchmarks.item import Item, Missing, need
from parammem.core import AnswerKey, Task, digest_of
from parammem.domains.math_answer import read_answer
from parammem.domains.math_text import boxed


def math(row: Mapping[str, Any], number: int) -> Item:
    """Return a problem of MATH (Hendrycks et al. 2021, arXiv:2103.03874): {problem, level, type, solution}.

    The answer is what the solution's last `\\boxed` holds, as MATH's own code reads it. A solution that boxes several
    ("the answers are $\\boxed{-2}$ and $\\boxed{1}$") has them all in `together`, which is right too.
    """
    problem, solution = need(dict(row), "problem", "solution")
    answer = boxed(solution)
    if answer is None:
        raise Missing("its solution boxes no answer")
    tags = {"benchmark": "math", "type": str(row.get("type") or row.get("subject", "")),
            "level": str(row.get("level", "")).removeprefix("Level ")}  # fmt: skip
    together = read_answer(solution).answer
    return _item(
        f"math/{_name(problem)}", problem, answer, solution, tags, together if together.endswith(f", {answer}") else ""
    )


def gsm8k(row: Mapping[str, Any], number: int) -> Item:
    """Return a problem of GSM8K (Cobbe et al. 2021, arXiv:2110.14168): the answer stands after `####`."""
    question, worked = need(dict(row), "question", "answer")
    if "####" not in worked:
        raise Missing("its answer has no ####")
    answer = worked.split("####")[-1].strip().replace(",", "")
    return _item(f"gsm8k/{_name(question)}", question, answer, worked, {"benchmark": "gsm8k"})


def _name(problem: str) -> str:
    """Return a name by content: numbers of rows, and of files in folders, are the same in every split and file."""
    return digest_of(" ".join(problem.split()))[:16]


def _item(task_id: str, problem: str, answer: str, solution: str, tags: dict[str, str], together: str = "") -> Item:
    task = Task(task_id=task_id, domain="math", text=problem.strip())
    gold = solution if boxed(solution) is not None else f"{solution}\n\\boxed{{{answer}}}"
    hidden = {"answer": answer} | ({"together": together} if together else {})
    key = AnswerKey(task_id=task_id, domain="math", hidden=hidden, gold=gold, tags=tags | {"visible": "none"})
    return Item(task=task, key=key, question=problem)
