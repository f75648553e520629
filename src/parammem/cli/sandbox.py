"""`parammem sandbox`: doctor (what protection is here), check (anyone's program), bench (HumanEval-format problems)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ConfigDict, TypeAdapter, ValidationError

from parammem import sandbox
from parammem.cli.say import say
from parammem.core.record import Record
from parammem.errors import DataError, ParamMemError
from parammem.sandbox import humaneval, selftest

app = typer.Typer(help="Run untrusted Python safely.", no_args_is_help=True)

_NOT_SAFE = 2
"""Exit code of `check` and `bench` when the program could not be run safely, or not at all."""
LevelOption = Annotated[str, typer.Option(help="strict, nofiles, or none (no protection at all).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class _Row(Record):
    """One entry of CALLS.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    stdin: str | None = None
    expected: Any = None


@app.command()
def doctor(level: LevelOption = "strict", as_json: JsonOption = False) -> None:
    """Try forbidden acts in a real child and show what is denied. Exit 0: all were; 2: not."""
    report = selftest.self_test(_level(level))
    if as_json:
        say(json.dumps(report.model_dump(mode="json"), indent=2, sort_keys=True))
    else:
        _print_report(report)
    raise typer.Exit(0 if report.safe else _NOT_SAFE)


@app.command()
def check(
    solution: Annotated[Path, typer.Argument(help="A Python file.")],
    calls: Annotated[Path, typer.Option(help='JSON list of {"args": [], "kwargs": {}, "expected": ...}.')],
    entry: Annotated[str, typer.Option(help="Name of the function. Left out: a stdin/stdout program.")] = "",
    level: LevelOption = "strict",
    wall_seconds: float = 5.0,
    cpu_seconds: float = 2.0,
    memory_mb: int = 512,
    tolerance: Annotated[float | None, typer.Option(help="Numbers may differ by this much.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a program on calls and compare what it returns. Exit 0: all passed; 1: not; 2: could not be run safely."""
    try:
        rows = _read_calls(calls)
        source = _read_text(solution)
        limits = sandbox.Limits(wall_seconds=wall_seconds, cpu_seconds=cpu_seconds, memory_mb=memory_mb)
        given = [_call(row, bool(entry)) for row in rows]
        outcomes = sandbox.run(source, entry or None, given, limits, _level(level))
    except (ParamMemError, ValidationError) as error:
        _fail(str(error), as_json)
    results = [_result(outcome, row, tolerance) for outcome, row in zip(outcomes, rows, strict=True)]
    passed = all(result["passed"] for result in results)
    if as_json:
        say(json.dumps({"passed": passed, "level": level, "calls": results}, indent=2))
    else:
        _print_results(results, level)
    raise typer.Exit(0 if passed else 1)


@app.command()
def bench(
    path: Annotated[Path, typer.Argument(metavar="PROBLEMS", help="HumanEval-format .jsonl or .jsonl.gz.")],
    workers: Annotated[int, typer.Option(min=1)] = 2,
    level: LevelOption = "strict",
    rounds: Annotated[int, typer.Option(min=1, help="Run all problems this often.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Run each canonical solution against its tests. Exit 0: all passed; 1: not; 2: could not be run safely."""
    try:
        found = humaneval.read_problems(path)
        checks = [problem.check(problem.canonical_solution, str(path)) for problem in found]
        limits = sandbox.Limits(wall_seconds=10, cpu_seconds=10)
        sandbox.check_many(checks[:workers], limits, workers, _level(level))  # starts the workers
        start = time.perf_counter()
        verdicts = sandbox.check_many(checks * rounds, limits, workers, _level(level))
        seconds = time.perf_counter() - start
    except ParamMemError as error:
        _fail(str(error), as_json)
    names = [problem.task_id for _ in range(rounds) for problem in found]
    failed = sorted({name for name, verdict in zip(names, verdicts, strict=True) if not verdict.passed})
    summary = {
        "problems": len(found),
        "passed": len(found) - len(failed),
        "failed": failed,
        "samples_per_second": round(len(verdicts) / seconds, 1),
        "cpu_ms_per_sample": round(1000 * sum(v.cpu_seconds for v in verdicts) / max(1, len(verdicts)), 2),
        "level": level,
        "workers": workers,
    }
    if as_json:
        say(json.dumps(summary, indent=2))
    else:
        say("\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in summary.items()))
    raise typer.Exit(1 if failed else 0)


def _level(name: str) -> sandbox.Level:
    if name not in ("strict", "nofiles", "none"):
        raise typer.BadParameter(f"level {name!r} is not one of strict, nofiles, none")
    return name  # type: ignore[return-value]


def _fail(message: str, as_json: bool) -> Any:
    say(json.dumps({"passed": False, "error": message}) if as_json else message, err=not as_json)
    raise typer.Exit(_NOT_SAFE)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}; give a readable UTF-8 file") from None


def _read_calls(path: Path) -> list[_Row]:
    try:
        return TypeAdapter(list[_Row]).validate_json(_read_text(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f'{path}: {place}: {first["msg"]}; it must be a JSON list of {{"args": [...], "expected": ...}}'
        ) from None


def _call(row: _Row, function: bool) -> sandbox.Call:
    stdin = None if function else row.stdin or ""
    return sandbox.Call(args=row.args, kwargs=row.kwargs, stdin=stdin)


def _result(outcome: sandbox.ExecutionOutcome, row: _Row, tolerance: float | None) -> dict[str, Any]:
    if row.stdin is not None:
        same = outcome.kind == "value" and outcome.stdout.split() == str(row.expected).split()
    else:
        same = sandbox.equal(outcome, row.expected, tolerance, json_values=True)
    shown = outcome.stdout[:2000] if row.stdin is not None else _shown(outcome.value)[:2000]
    return {"passed": same, "kind": outcome.kind, "got": shown, "error": outcome.error, "expected": row.expected}


def _shown(value: Any) -> str:
    """Return a returned value as text. A number in it may be too long for decimal digits."""
    try:
        return repr(value)
    except ValueError as error:
        return f"a {type(value).__name__} that cannot be shown: {error}"


def _print_results(results: list[dict[str, Any]], level: str) -> None:
    for number, result in enumerate(results, 1):
        said = result["error"] or f"got {result['got']}"
        say(f"{number}: {'passed' if result['passed'] else 'FAILED'}  {result['kind']}: {said}")
    say(f"{sum(r['passed'] for r in results)} of {len(results)} passed" + _warning(level))


def _print_report(report: selftest.ProtectionReport) -> None:
    for finding in report.findings:
        say(f"{'denied' if finding.denied else 'ALLOWED':8} {finding.act:36} {finding.guard:20} {finding.detail[:60]}")
    for name, value in report.layers.items():
        say(f"{name}: {value}")
    say("safe" if report.safe else f"NOT SAFE: {report.missing}")
    say(f"level {report.level}" + _warning(report.level))


def _warning(level: str) -> str:
    return " (level none: run with this account's full rights, nothing was protected)" if level == "none" else ""
