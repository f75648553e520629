"""The guards: conditions that no score can buy off. Each is a pure function from what was seen to a Guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parammem.core import ReflectionExample, Task
from parammem.core.adapter import UNKNOWN
from parammem.core.decision import Guard
from parammem.validation.duplicates import overlaps, shingles


def validated(report: Mapping[str, Any] | None, rows: Sequence[str], known: Sequence[str]) -> Guard:
    """Return the guard that the suite passed, and that every row which the adapter was trained on came through it.

    Args:
        report: reports/validation/<domain>.json; None if there is none.
        rows: row hashes of the adapter's rows.txt.
        known: row hashes of the validated file.
    """
    if report is None:
        return Guard(name="validated", passed=None, detail="no validation report; run `dvc repro`")
    strange = len(set(rows) - set(known))
    passed = bool(report.get("passed")) and not strange and bool(rows)
    suite = "passed" if report.get("passed") else "did not pass"
    return Guard(
        name="validated",
        passed=passed,
        detail=f"the suite {suite}; {strange} of {len(rows)} rows did not come through it",
    )


def no_leakage(rows: Sequence[ReflectionExample], tasks: Sequence[Task], near: float) -> Guard:
    """Return the guard that no row's task or advice holds a task that the arms were judged on, word for word or
    nearly."""
    content = {task.content for task in tasks}
    same = {
        i for i, row in enumerate(rows) if Task(task_id="", domain=row.domain, text=row.task_text).content in content
    }
    references = sorted({shingles(task.text) for task in tasks}, key=sorted)
    same |= overlaps([shingles(row.task_text) for row in rows], references, near)
    same |= overlaps([shingles(row.reflection) for row in rows], references, near)
    return Guard(
        name="no-leakage",
        passed=not same,
        detail=f"{len(same)} of {len(rows)} rows hold one of the tasks (there are {len(tasks)}) that it was judged on",
    )


def unknown(name: str, accepted: bool) -> Guard:
    """Return a guard about the rows of an imported adapter, which are not here.

    Args:
        accepted: gate.accept_imported: its user answers for it.
    """
    if accepted:
        return Guard(name=name, passed=True, detail=f"{UNKNOWN}; accepted by gate.accept_imported")
    detail = f"{UNKNOWN}; gate.accept_imported in params.yaml lets such an adapter pass"
    return Guard(name=name, passed=None, detail=detail)


def differs(name: str, other: str, ours: Sequence[str], theirs: Sequence[str]) -> Guard:
    """Return the guard that two models write different text on canary prompts: an adapter that was not loaded writes
    what its base does."""
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    return Guard(
        name=name, passed=same < len(ours), detail=f"{len(ours) - same} of {len(ours)} canary texts differ from {other}"
    )


def tokens(champion: float, challenger: float, most: float, other: str = "the champion") -> Guard:
    """Check that tokens written per task stay within a multiple of the champion's (or of what stands in its place)."""
    ratio = challenger / champion if champion else float("inf")
    return Guard(
        name="tokens",
        passed=ratio <= most,
        detail=f"{challenger:.1f} tokens per task, {other} {champion:.1f}: {ratio:.2f} times, allowed {most:g}",
    )


def diversity(champion: float | None, challenger: float, least: float, floor: float) -> Guard:
    """Return the guard that distinct advice per task has not collapsed: not below the floor, and not far below the
    champion's.

    Args:
        champion: None where there is none yet. What an untrained base says is no measure: it was not trained on the
            world, so its draws contradict each other, and whoever learned something says fewer different things.
        least: share of the champion's.
        floor: distinct pieces of advice per task.
    """
    wanted = max(floor, least * (champion or 0.0))
    measure = "there is no champion to compare with" if champion is None else f"the champion {champion:.2f}"
    return Guard(
        name="diversity",
        passed=challenger >= wanted,
        detail=f"{challenger:.2f} distinct pieces of advice per task, {measure}; at least {wanted:.2f} are wanted",
    )
