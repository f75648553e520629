"""APPS and LiveCodeBench rows → items: programs that read and print, and functions or methods that are called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from parammem.benchmarks.item import Item, Missing, code_item, need
from parammem.benchmarks.private_tests import decode_tests
from parammem.core import digest_of
from parammem.domains.added import COMPLETE, READS, WRITE


def apps(row: Mapping[str, Any], number: int) -> Item:
    """Return a problem of APPS (Hendrycks et al. 2021, arXiv:2105.09938). Its tests are hidden; the samples that stand
    in the question's text cannot be told apart from prose, so it has no visible check and says so."""
    question, tests = need(dict(row), "question", "input_output")
    # APPS numbers the problems of each of its splits from 0, so the number alone names two problems.
    given, digest = row.get("problem_id", row.get("id")), digest_of(str(question))
    name = digest[:12] if given is None else f"{given}-{digest[:6]}"
    spec: dict[str, Any] = (json.loads(tests or "{}") if isinstance(tests, str) else tests) or {}
    solutions = row.get("solutions") or "[]"
    solutions = json.loads(solutions) if isinstance(solutions, str) else list(solutions)
    starter, entry = row.get("starter_code") or "", spec.get("fn_name", "")
    pairs = list(zip(spec.get("inputs", []), spec.get("outputs", []), strict=False))
    checks = [_apps_call(i, a, b) if entry else _apps_run(i, a, b) for i, (a, b) in enumerate(pairs, 1)]
    tags = {"benchmark": "apps", "level": str(row.get("difficulty", "")), "visible": "none"}
    hidden = {"entry": entry, "rule": "apps", "checks": checks}
    visible = {"entry": entry, "rule": "apps", "checks": []}
    text = _text(question, starter, entry)
    gold = solutions[0] if solutions else ""
    return code_item(f"apps/{name}", text, question, visible, hidden, gold, tags)


def livecodebench(row: Mapping[str, Any], number: int) -> Item:
    """Return a problem of LiveCodeBench (Jain et al. 2024, arXiv:2403.07974). Its public tests are visible; public and
    private ones are hidden ones. It publishes no solutions, so the gold is empty."""
    name, question, public = need(dict(row), "question_id", "question_content", "public_test_cases")
    starter = row.get("starter_code") or ""
    about = row.get("metadata") or "{}"
    entry = (json.loads(about) if isinstance(about, str) else about).get("func_name", "")
    entry = entry or _starter_name(starter)
    visible = [_lcb_check(f"public {i}", t, entry) for i, t in enumerate(decode_tests(public), 1)]
    private = decode_tests(row.get("private_test_cases") or "[]")
    hidden = visible + [_lcb_check(f"private {i}", t, entry) for i, t in enumerate(private, 1)]
    tags = {"benchmark": "livecodebench", "level": str(row.get("difficulty", "")),
            "platform": str(row.get("platform", "")), "date": str(row.get("contest_date", ""))[:10],
            "visible": "public tests" if visible else "none"}  # fmt: skip
    shared = {"entry": entry, "rule": "livecodebench"}
    text = _text(question, starter, entry)
    name = f"livecodebench/{name}"
    return code_item(name, text, question, shared | {"checks": visible}, shared | {"checks": hidden}, "", tags)


def problems(row: Mapping[str, Any], number: int) -> Item:
    """Return a programming problem without tests and solution: {problem_id, question}. Good for labels from the task
    alone (`parammem synthesise` writes such a file), and for nothing else: it cannot be judged."""
    name, question = need(dict(row), "problem_id", "question")
    tags = {"benchmark": "problems", "visible": "none"}
    spec = {"entry": "", "checks": []}
    return code_item(f"problems/{name}", str(question).strip(), str(question), spec, spec, "", tags)


def _text(question: str, starter: str, entry: str) -> str:
    if starter.strip():
        return f"{question.strip()}\n\n{COMPLETE}\n```python\n{starter.rstrip()}\n```"
    return f"{question.strip()}\n\n" + (WRITE.format(name=entry) if entry else READS)


def _starter_name(starter: str) -> str:
    """Return the method that starter code leaves open."""
    names = re.findall(r"def\s+(\w+)\s*\(", starter)
    return names[-1] if names else ""


def _apps_call(number: int, given: Any, wanted: Any) -> dict[str, Any]:
    return {"name": f"test {number}", "args": repr(list(given)), "expected": repr(wanted), "json": True}


def _apps_run(number: int, given: Any, wanted: Any) -> dict[str, Any]:
    return {"name": f"test {number}", "stdin": _lines(given), "expected": _lines(wanted)}


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _lcb_check(name: str, test: Mapping[str, Any], entry: str) -> dict[str, Any]:
    given, wanted = str(test["input"]), str(test["output"])
    if str(test.get("testtype", "stdin")) == "stdin":
        return {"name": name, "stdin": given, "expected": wanted}
    if not entry:
        raise Missing("functional tests and no func_name")
    args = [json.loads(line) for line in given.split("\n") if line.strip()]
    return {"name": name, "args": repr(args), "expected": repr(json.loads(wanted)), "json": True}
