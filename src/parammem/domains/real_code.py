"""Programs of real benchmarks, judged by running them in the sandbox.

Task.visible and AnswerKey.hidden: {"entry": name or "", "stub"?: text, "rule"?: "livecodebench" or "apps",
"imports"?: bool, "checks": [check, …]}, where a check is one of
- {"name", "call": "f(1, (2,))", "expected": "[3]"}: source text of a call with literal arguments and of its value;
- {"name", "args": "[1, [2]]", "expected", "json": True, "also"?}: the same from JSON, which has no tuples;
- {"name", "tests"}: a test program, which raises when the candidate is wrong. `TrustedTests` (our stages wrote them)
  run where the candidate cannot reach; a plain string (a third party's) runs in the candidate's child, as advice;
- {"name", "stdin": text, "expected": text}: a run of the whole program, and what it must print.
`stub` is the head of a function that the candidate completes or writes anew. An empty list of checks is no verdict.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from parammem import sandbox
from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.core.python_source import literal_of, parse_expression, parse_python
from parammem.domains.code_outcomes import placed, plain, printed, returned, told
from parammem.domains.code_text import program_in
from parammem.domains.contest_rules import APPS, APPS_NUMPY, RULES, ContestRule
from parammem.domains.prose import BenchmarkProse
from parammem.domains.wording import CheckResult, each, short
from parammem.engines.base import Message
from parammem.sandbox.asks import sendable
from parammem.sandbox.humaneval import HumanEvalProblem

IMPORTS = (
    "from typing import *\n"
    "import bisect, collections, functools, heapq, itertools, math, operator, random, re, string, sys\n"
    "from bisect import *\nfrom collections import *\nfrom functools import *\nfrom heapq import *\n"
    "from itertools import *\nfrom math import inf, gcd, ceil, floor, sqrt, comb\n"
    "from sys import exit\nquit = exit\n"
)
"""What contest sites import before a solution; `exit` and `quit` come from `site`, which the sandbox does not have."""
_FUTURE = re.compile(r"\b__future__\b")
_NUMPY = re.compile(r"\bnumpy\b|\bnp\b")
LARGE = {"output_bytes": 16 * 2**20, "value_bytes": 16 * 2**20}
"""Where params say nothing: contests ask for some hundred thousand lines, and lists of a million numbers."""


@dataclass(frozen=True)
class RealCodePrompts(BenchmarkProse):
    """The prompts of tasks whose candidates are programs, functions or the methods of a class."""

    style: str = "code"

    def parse(self, text: str, task: Task | None = None) -> str:
        """Return the program in what an actor wrote, by what the task needs (domains/code_text.py)."""
        return program_in(text, task.visible if task else None)

    def synthesise(self, task_text: str) -> tuple[Message, ...]:
        """Return the prompt that asks a teacher for a new problem in the manner of this one."""
        return self._ask("synthesise", {"task": task_text})


class RealCodeJudge:
    """Runs programs on the tests of their benchmark."""

    def __init__(self, workers: int = 1, level: sandbox.Level = "strict", **limits: float) -> None:
        self._runner = _Runner(workers, level, sandbox.Limits.model_validate(LARGE | limits))

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        runs = self._runner.results([(task.visible, candidate) for task, candidate in items])
        return [run if isinstance(run, Exception) else _feedback(run) for run in runs]

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        runs = self._runner.results([(key.hidden, candidate) for _, key, candidate in items])
        return each(lambda place: _score(items[place][0].task_id, runs[place]), range(len(items)))


_Tests = sandbox.ProgramCheck | sandbox.CandidateJob
"""A test program as a run: outside the child where it is trusted, else inside, as advice."""


@dataclass(frozen=True)
class _Runner:
    """Puts checks together into as few runs as they allow, and reads the outcomes."""

    workers: int
    level: sandbox.Level
    limits: sandbox.Limits

    def results(self, items: Sequence[tuple[Mapping[str, Any], str]]) -> list[list[CheckResult] | Exception]:
        """Return per item its checks in order, or why it cannot be judged. Equal runs are made once."""
        plans = each(lambda item: self._sendable(_plan(*item)), items)
        jobs, programs = {}, {}
        for plan in plans:
            if not isinstance(plan, Exception):
                jobs |= {job.model_dump_json(): job for job in plan.jobs()}
                programs |= {check.model_dump_json(): check for check in plan.programs}
        ran = sandbox.run_many(list(jobs.values()), self.limits, self.workers, self.level)
        said = self._said(list(programs.values()))
        outcomes, verdicts = dict(zip(jobs, ran, strict=True)), dict(zip(programs, said, strict=True))
        return each(lambda place: _read(plans[place], outcomes, verdicts), range(len(items)))

    def _sendable(self, plan: _Plan) -> _Plan:
        """Return the plan. Raises ValueError: a run of it cannot be sent to the sandbox, which concerns this item
        alone."""
        for run in (*plan.jobs(), *plan.programs):
            run.model_dump_json()
            if isinstance(run, sandbox.CandidateJob):
                sendable(run, self.limits)
        return plan

    def _said(self, programs: Sequence[_Tests]) -> list[sandbox.Verdict]:
        """Return what each test program says: a verdict of trusted tests, advice of all others."""
        checks = [program for program in programs if isinstance(program, sandbox.ProgramCheck)]
        advice = [program for program in programs if isinstance(program, sandbox.CandidateJob)]
        told = iter(sandbox.check_many(checks, self.limits, self.workers, self.level))
        advised = iter(sandbox.run_many(advice, self.limits, self.workers, self.level))
        return [next(told) if isinstance(p, sandbox.ProgramCheck) else sandbox.advised(next(advised)) for p in programs]


@dataclass(frozen=True)
class _Plan:
    """One candidate with its checks, as runs of the sandbox: calls share a child, and so do the runs of a program."""

    checks: tuple[dict[str, Any], ...]
    before: int
    """Lines of the program that stand before the candidate's."""
    rule: ContestRule | None
    """How its benchmark judges, where that is a contest's way."""
    calls: sandbox.CandidateJob | None
    runs: sandbox.CandidateJob | None
    programs: tuple[_Tests, ...]

    def jobs(self) -> list[sandbox.CandidateJob]:
        return [job for job in (self.calls, self.runs) if job is not None]


def source_of(spec: Mapping[str, Any], candidate: str) -> tuple[str, int]:
    """Return the program to run, and how many lines of it stand before the candidate's first (of one that completes the
    stub: before the stub's first).

    It has the stub's imports and helpers before a candidate that writes the function anew, and the whole stub before
    one that completes it.
    """
    before = _names(spec, candidate)
    stub = sandbox.text_of(spec.get("stub") or "")
    if stub and _defines(candidate, spec["entry"]):
        before = _before(stub, spec["entry"])
    elif stub:
        problem = HumanEvalProblem(
            task_id="", prompt=stub, entry_point=spec["entry"], canonical_solution=candidate, test=""
        )
        candidate = problem.program(candidate)
    if _rule(spec) and not spec.get("entry"):
        candidate = _without_returns(candidate)
    if before:
        future, candidate = _without_future(candidate)
        before = future + before
    return before + candidate, before.count("\n")


def _names(spec: Mapping[str, Any], candidate: str) -> str:
    """Return what stands before every program: the names that its benchmark gives it."""
    rule = _rule(spec)
    if rule is None:
        return IMPORTS if spec.get("imports") else ""
    return rule.preamble + (APPS_NUMPY if rule.preamble == APPS and _NUMPY.search(candidate) else "")


def _rule(spec: Mapping[str, Any]) -> ContestRule | None:
    return RULES.get(str(spec.get("rule", "")))


def _preload(spec: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """Return modules to import before the program's child is forked: its benchmark's, and numpy where it is spoken
    of."""
    rule = _rule(spec)
    return (*(rule.preload if rule else ()), *(("numpy",) if _NUMPY.search(source) else ()))


def _without_future(source: str) -> tuple[str, str]:
    """Return the source's future imports as a line of their own, which must be a program's first, and the source with
    an empty expression in the place of each, as many lines as before."""
    if not _FUTURE.search(source):
        return "", source
    tree = parse_python(source)
    if tree is None:
        return "", source  # the sandbox will say what is wrong with it
    found: list[ast.ImportFrom] = []
    for node in tree.body[ast.get_docstring(tree) is not None :]:
        if not isinstance(node, ast.ImportFrom) or node.module != "__future__":
            break  # a later one is an error, and stays one
        found.append(node)
    data = source.encode()
    places = list(accumulate(map(len, data.splitlines(keepends=True)), initial=0))
    for node in reversed(found):
        last = node.end_lineno or node.lineno
        start, end = places[node.lineno - 1] + node.col_offset, places[last - 1] + (node.end_col_offset or 0)
        data = data[:start] + b"(0" + b"\n" * (last - node.lineno) + b")" + data[end:]
    names = ", ".join(alias.name for node in found for alias in node.names)
    return f"from __future__ import {names}\n" if found else "", data.decode()


_RETURN = re.compile(r"(?:^|[:;])[ \t]*return\b", re.MULTILINE)


def _without_returns(source: str) -> str:
    """Return the source with `raise SystemExit` for each `return` outside of functions, which ends a program where a
    harness makes it the body of a function: many of APPS' own solutions have been written so."""
    if not _RETURN.search(source):
        return source
    tree = parse_python(source)
    if tree is None:
        return source
    found = [node for node in _outer(tree) if isinstance(node, ast.Return)]
    data = source.encode()
    places = list(accumulate(map(len, data.splitlines(keepends=True)), initial=0))
    for node in sorted(found, key=lambda node: node.lineno, reverse=True):
        last = node.end_lineno or node.lineno
        start, end = places[node.lineno - 1] + node.col_offset, places[last - 1] + (node.end_col_offset or 0)
        data = data[:start] + b"raise SystemExit(" + b"\n" * (last - node.lineno) + b")" + data[end:]
    return data.decode()


def _outer(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a program that are not inside a function or class."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [
            part for part in ast.iter_child_nodes(node)
            if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.expr)
        ]  # fmt: skip


def _defines(source: str, name: str) -> bool:
    return re.search(rf"^(?:async\s+)?(?:def|class)\s+{re.escape(name)}\b", source, re.MULTILINE) is not None


def _before(stub: str, entry: str) -> str:
    """Return what stands in the stub before the function itself."""
    match = re.search(rf"^def\s+{re.escape(entry)}\b", stub, re.MULTILINE)
    return stub[: match.start()] if match else ""


def _plan(spec: Mapping[str, Any], candidate: str) -> _Plan:
    checks, (source, before) = tuple(spec.get("checks", ())), source_of(spec, candidate)
    entry = spec.get("entry", "")
    rule, preload = _rule(spec), _preload(spec, candidate)
    method = "class Solution" in candidate if rule else not _defines(candidate, entry)
    called = f"Solution.{entry}" if method and _defines(candidate, "Solution") else entry
    calls = [_call(check, rule) for check in checks if "call" in check or "args" in check]
    runs = [sandbox.Call(stdin=check["stdin"]) for check in checks if "stdin" in check]
    programs = [_tests(spec, check["tests"], source, preload) for check in checks if "tests" in check]
    return _Plan(
        checks=checks,
        before=before,
        rule=rule,
        calls=sandbox.CandidateJob(source=source, entry=called, calls=calls, preload=preload) if calls else None,
        runs=sandbox.CandidateJob(source=source, calls=runs, preload=preload) if runs else None,
        programs=tuple(programs),
    )


def _tests(spec: Mapping[str, Any], tests: sandbox.TrustedTests | str, source: str, preload: tuple[str, ...]) -> _Tests:
    """Return a test program as a run. The stub, where it is a program by itself, gives its helpers to the tests."""
    entry, stub = spec.get("entry", ""), spec.get("stub", "")
    preload = ("numpy",) if preload or _NUMPY.search(sandbox.text_of(tests)) else ()
    before = stub if stub and _compiles(sandbox.text_of(stub)) else None
    if isinstance(tests, sandbox.TrustedTests) and isinstance(before, sandbox.TrustedTests | None):
        return sandbox.ProgramCheck(source=source, entry=entry, tests=tests, preamble=before, preload=preload)
    advice = sandbox.advice(source, entry, sandbox.text_of(tests), sandbox.text_of(before or ""))
    return advice.model_copy(update={"preload": preload})


def _compiles(source: str) -> bool:
    return parse_python(source) is not None


def _call(check: Mapping[str, Any], rule: ContestRule | None) -> sandbox.Call:
    if "args" in check:
        args = list(plain(check["args"]))
        return sandbox.Call(args=rule.args(args) if rule else args)
    node = parse_expression(check["call"])
    if not isinstance(node, ast.Call):
        raise ValueError(f"a check's call is no call: {short(str(check['call']))}")
    named = {k.arg: literal_of(k.value) for k in node.keywords if k.arg}
    return sandbox.Call(args=[literal_of(value) for value in node.args], kwargs=named)


def _read(
    plan: _Plan | Exception,
    outcomes: Mapping[str, list[sandbox.ExecutionOutcome]],
    verdicts: Mapping[str, sandbox.Verdict],
) -> list[CheckResult]:
    """Return the results of one candidate's checks, in their order."""
    if isinstance(plan, Exception):
        raise plan
    calls = iter(outcomes[plan.calls.model_dump_json()] if plan.calls else ())
    runs = iter(outcomes[plan.runs.model_dump_json()] if plan.runs else ())
    programs = iter(plan.programs)
    found = []
    for check in plan.checks:
        if "tests" in check:
            found.append(told(check, verdicts[next(programs).model_dump_json()]))
        elif "stdin" in check:
            found.append(printed(check, placed(next(runs), plan.before), plan.rule))
        else:
            found.append(returned(check, placed(next(calls), plan.before), plan.rule))
    return found


def _feedback(results: Sequence[CheckResult]) -> Feedback:
    """Return one line per visible test; a task without any has no visible verdict."""
    if not results:
        return Feedback(passed=None, text="")
    lines = []
    for item in results:
        wrong = f"expected {item.expected}, got {item.got}" if item.expected is not None else item.got
        lines.append(f"passed: {item.name}" if item.ok else f"FAILED: {item.name}: {wrong}")
    return Feedback(passed=all(item.ok for item in results), text="\n".join(lines))


def _score(task_id: str, results: list[CheckResult] | Exception) -> Score:
    if isinstance(results, Exception):
        raise results
    if not results:
        raise ValueError(f"the answer key of task {task_id!r} holds no hidden check; make the tasks again")
    failed = [item for item in results if not item.ok]
    detail = f"{len(failed)} of {len(results)} failed; {failed[0].name}: {failed[0].got}" if failed else ""
    return Score(task_id=task_id, passed=not failed, value=float(not failed), detail=detail)
