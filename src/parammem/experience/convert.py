"""Rows of any known format → Experience. What is not in the log is not invented: it stays empty or None.

Our own rows are read here; `formats` reads all others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from parammem.core import AnswerKey, Attempt, Feedback, Outcome, Task, Trajectory, digest_of
from parammem.core.advice import OPENING, without_advice
from parammem.core.experience import SCHEMAS, Experience
from parammem.domains import get_domain
from parammem.experience.field_paths import known_fields, place_of
from parammem.experience.formats import FORMATS, format_of
from parammem.experience.formats.base import LoggedRun, ReadOptions, Try, Unreadable, refuse_many
from parammem.experience.outcomes import NONE, OutcomeTable

OURS = "parammem"
NAMES: tuple[str, ...] = (OURS, *FORMATS)
"""Names of all formats, as `--format` takes them."""


def parsed(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a line is. Raises Unreadable."""
    refuse_many(data)
    try:
        text = data.decode("utf-8").strip("\x1e\0 \t\r\n")  # \x1e begins each record of a JSON text sequence
        row = json.loads(text.removesuffix(","))  # as a line of a JSON array that lost its brackets
    except UnicodeDecodeError as error:
        raise Unreadable("not-utf8", f"byte {error.start} is no UTF-8") from None
    except (ValueError, RecursionError) as error:
        kinds = {RecursionError: "nested too deep", ValueError: "a number of too many digits"}
        where = kinds.get(type(error), "")
        where = where or f"column {getattr(error, 'colno', 1)}: {getattr(error, 'msg', 'broken')}"
        raise Unreadable("not-json", where) from None
    if not isinstance(row, dict):
        raise Unreadable("not-json", "not a JSON object")
    return row


def form_of(row: Mapping[str, Any], data: bytes = b"") -> str:
    """Return the name of a row's format, told by its keys. Raises Unreadable.

    Args:
        data: the bytes that it was read from; they tell quickly whether it can hold half a character.
    """
    check_schema(row)
    if "trajectory" in row and not isinstance(row["trajectory"], list):
        return OURS
    if {"attempts", "task_id", "stop"} <= row.keys():
        raise Unreadable(
            "bare-trajectory",
            "a trajectory of data/trajectories or reports/evaluation has neither its task's text nor an outcome, and "
            'what `collect` made is learned from already; write {"task": …, "trajectory": …, "outcome": true or false} '
            "a line, as parammem.report does",
        )
    found = format_of(dict(row))
    if found is None and b"\\u" in data and _has_half_character(row):
        raise _half_character()
    if found is None:
        raise Unreadable(
            "unknown-form", "it has neither `trajectory`, `messages`, a list of tries (`implementations`) nor the keys "
            f"of another format; the formats are {', '.join(NAMES)} (--format)"
        )  # fmt: skip
    return found.name


def own_row(row: dict[str, Any], data: bytes = b"\\u") -> tuple[Experience, AnswerKey | None]:
    """Return our own row and its key. Raises Unreadable.

    Args:
        data: the bytes that it was read from; they tell quickly whether it can hold half a character.
    """
    check_schema(row)
    if b"\\u" in data and _has_half_character(row):
        raise _half_character()
    key = row.pop("key", None)
    try:
        text = json.dumps(row, allow_nan=False)
    except ValueError:
        raise Unreadable("not-json", "NaN and infinite numbers are no JSON") from None
    try:
        one = unmarked(Experience.model_validate_json(text))
        return one, None if key is None else AnswerKey.model_validate(key)
    except ValidationError as error:
        raise Unreadable("not-a-record", _why(error)) from None


def check_schema(row: Mapping[str, Any]) -> None:
    """Raise Unreadable if a row has a schema that this version does not read."""
    version = row.get("schema", SCHEMAS[0])
    if version not in SCHEMAS or isinstance(version, bool):
        read = " and ".join(map(str, SCHEMAS))
        raise Unreadable("schema-version", f"`schema` is another one; this version reads {read}")


def read_runs(
    rows: Sequence[dict[str, Any]],
    form: str,
    reading: ReadOptions,
    outcomes: OutcomeTable = NONE,
    data: bytes = b"\\u",
) -> list[Experience]:
    """Return the runs in rows of one format that belong together. Raises Unreadable.

    Half a character may stand in what is not kept of a log, but in nothing else.

    Args:
        data: the bytes that they were read from; they tell quickly whether they can hold half a character.
    """
    check_schema(rows[0])
    halves = b"\\u" in data and _has_half_character(rows)
    try:
        found = [experience_of(run, reading, outcomes) for run in FORMATS[form].read(rows, reading)]
    except (Unreadable, ValidationError, UnicodeEncodeError) as error:
        if halves:
            raise _half_character() from None
        if isinstance(error, ValidationError):
            raise Unreadable("not-a-record", _why(error)) from None
        raise
    if halves and _has_half_character([one.model_dump() for one in found]):
        raise _half_character()
    return found


def experience_of(run: LoggedRun, reading: ReadOptions, outcomes: OutcomeTable = NONE) -> Experience:
    """Return a run as a row, with the outcome that its log or the table of outcomes names. Raises Unreadable.

    All tries but the last failed: otherwise there would have been no next one.
    """
    task = Task(task_id=run.task_id or digest_of(run.task)[:16], domain=run.domain, text=run.task)
    kind = reading.kinds.get(run.domain, run.domain)
    # A third party's answer holds prose and fences.
    prompts = None if kind == "open" else get_domain(run.domain, kind=kind, real=kind == "code").prompts

    def candidate(one: Try) -> str:
        return "" if one.text is None else prompts.parse(one.text, task) if prompts else one.text.strip()

    attempts = tuple(
        Attempt(
            number=run.first + place,
            text=one.text or "",
            candidate=candidate(one),
            temperature=0.0,
            feedback=Feedback(passed=False if place < len(run.tries) - 1 else None, text=one.feedback),
            steps=one.steps,
        )
        for place, one in enumerate(run.tries)
    )
    handed = bool(run.tries) and run.tries[-1].text is not None
    trajectory = Trajectory(
        task_id=task.task_id,
        domain=task.domain,
        method=run.method,
        protocol="foreign",
        seed=0,
        attempts=attempts,
        reflections=run.reflections,
        stop="iterations",
        submission=attempts[-1].number if handed else None,
    )
    ended = _outcome(run, outcomes).decided(reading.passes_at.get(run.domain))
    return Experience(task=task, trajectory=trajectory, outcome=ended, advice=run.advice, run_id=run.run_id)


def _outcome(run: LoggedRun, outcomes: OutcomeTable) -> Outcome:
    """Return the outcome of the table, or that of the log. Raises Unreadable: there is none, or they contradict each
    other."""
    names = dict.fromkeys(name for name in (run.run_id, *run.names, run.task_id) if name)
    joined = next((found for name in names if (found := outcomes.get(name)) is not None), None)
    if joined is None:
        if run.outcome is None:
            more = "the table of outcomes does not name the run" if outcomes else "name it with --outcomes FILE"
            raise Unreadable("no-outcome", f"the log does not say how it ended; {more}, or write null if unknown")
        if isinstance(run.outcome, Unreadable):
            raise run.outcome
        return run.outcome
    said = {one.passed for one in (run.outcome, joined) if isinstance(one, Outcome)}
    if said == {True, False}:
        raise Unreadable("no-outcome", "the log and the table of outcomes contradict each other; keep what is right")
    return joined


def unmarked(row: Experience) -> Experience:
    """Return a run without the blocks of advice in the texts that its agent was sent; the advice is the run's."""
    if OPENING not in row.line():
        return row
    text, found = without_advice(row.task.text)
    given = [*row.advice, *found]
    attempts = []
    for attempt in row.trajectory.attempts:
        steps = []
        for step in attempt.steps:
            said, found = without_advice(step.text) if step.role != "assistant" else (step.text, ())
            given += found
            steps.append(step.model_copy(update={"text": said}))
        attempts.append(attempt.model_copy(update={"steps": tuple(steps)}))
    once = {(one.digest, one.draw): one for one in reversed(given)}
    return row.model_copy(
        update={
            "task": row.task.model_copy(update={"text": text}),
            "trajectory": row.trajectory.model_copy(update={"attempts": tuple(attempts)}),
            "advice": tuple(reversed(once.values())),
        }
    )


def _why(error: ValidationError) -> str:
    """Return the first thing that is wrong with a record, without a value or a key of the row."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    said = first["msg"]
    if first["type"] == "extra_forbidden":
        known = known_fields(error.title, first["loc"][:-1])
        said = f"no such field; there are {', '.join(known)}"
    return f"{place_of(first['loc'])}: {said}"


def _half_character() -> Unreadable:
    return Unreadable(
        "half-character", "a text holds half a surrogate pair (\\ud800 to \\udfff), which is no character"
    )


def _has_half_character(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return True
    return False
