"""One line of any known form → an Experience. What is not in the log is not invented: it stays empty or None.

A line is told by its keys: `trajectory` (ours), `messages` (chat transcripts as OpenAI's interfaces and fine-tuning
files have them), `implementations` or another list of tries (logs of Reflexion and its kin).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, get_args

from pydantic import ValidationError

from parammem.config import DOMAINS
from parammem.core import AnswerKey, Attempt, Feedback, Reflection, Task, Trajectory, digest_of
from parammem.core.experience import Experience
from parammem.domains import get_domain
from parammem.experience.field_paths import known_fields, place_of
from parammem.experience.transcripts import Unmapped, read_chat

Format = Literal["parammem", "reflexion", "openai"]
FORMATS: tuple[Format, ...] = get_args(Format)
SCHEMA = 1
"""The version of the Experience record that is read. It goes up when a field changes its meaning."""

TASK_TEXT = ("prompt", "question", "problem", "task", "instruction")
TRIES = ("implementations", "trajectories", "scratchpads", "answers")
SUCCESS = ("outcome", "is_solved", "is_success", "is_correct", "success", "passed", "correct", "reward")
FEEDBACK = ("test_feedback", "feedback", "observations")


class Unreadable(Exception):
    """A line that cannot become an Experience: the rule's name and what is wrong, without any value or key of it."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule, self.detail = rule, detail


def read_line(data: bytes, domain: str = "", form: Format | None = None) -> tuple[Experience, AnswerKey | None, Format]:
    """A line as Experience, the answer key if one came with it, and the form it had.

    Args:
        domain: what the tasks of logs are that do not say it themselves.
        form: None tells it from the line's keys.

    Raises:
        Unreadable: it is no JSON object, has another schema, or lacks something.
    """
    row = _parsed(data)
    if b"\\u" not in data or not _has_half_character(row):
        return _read(row, domain, form)
    try:
        found = _read(row, domain, form)
    except (Unreadable, UnicodeEncodeError):
        raise _half_character() from None
    record, key, form = found
    used = row if form == "parammem" else [record.model_dump(), key.model_dump() if key else None]
    if _has_half_character(used):
        raise _half_character()
    return found  # it stands in what is not kept of a log: metadata, say


def _read(row: dict[str, Any], domain: str, form: Format | None) -> tuple[Experience, AnswerKey | None, Format]:
    version = row.pop("schema", SCHEMA)
    if version != SCHEMA:
        raise Unreadable("schema-version", f"`schema` is another one; this version reads {SCHEMA}")
    key = row.pop("key", None)
    form = form or _form_of(row)
    try:
        experience = _READERS[form](row, domain)
        return experience, None if key is None else AnswerKey.model_validate(key), form
    except ValidationError as error:
        raise Unreadable("not-a-record", _why(error)) from None


def _why(error: ValidationError) -> str:
    """The first thing that is wrong with a record, without a value or a key of the row."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    said = first["msg"]
    if first["type"] == "extra_forbidden":
        known = known_fields(error.title, first["loc"][:-1])
        said = f"no such field; there are {', '.join(known)}"
    return f"{place_of(first['loc'])}: {said}"


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        row = json.loads(data.decode("utf-8"))
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


def _form_of(row: dict[str, Any]) -> Format:
    if isinstance(row.get("trajectory"), list):
        raise Unreadable(
            "unknown-form", "`trajectory` is a list, as SWE-agent writes its steps; runs have no steps yet"
        )
    if "trajectory" in row:
        return "parammem"
    if {"attempts", "task_id", "stop"} <= row.keys():
        raise Unreadable(
            "bare-trajectory",
            "a trajectory of data/trajectories or reports/evaluation has neither its task's text nor an outcome, and "
            'what `collect` made is learned from already; write {"task": …, "trajectory": …, "outcome": true or false} '
            "a line, as parammem.report does",
        )
    if "messages" in row:
        return "openai"
    if any(name in row for name in (*TRIES, "reflections", "is_solved")):
        return "reflexion"
    raise Unreadable("unknown-form", "it has neither `trajectory`, `messages` nor a list of tries (`implementations`)")


def _own(row: dict[str, Any], domain: str) -> Experience:
    try:
        return Experience.model_validate_json(json.dumps(row, allow_nan=False))
    except ValidationError:
        raise
    except ValueError:
        raise Unreadable("not-json", "NaN and infinite numbers are no JSON") from None


def _from_reflexion(row: dict[str, Any], domain: str) -> Experience:
    """noahshinn/reflexion's programming logs (`implementations`, `test_feedback`, `reflections`, `is_solved`), and the
    same lists under the names of its other experiments. Hidden tests in the log (`test`) are left behind."""
    text = _first(row, TASK_TEXT)
    if not isinstance(text, str):
        raise Unreadable("not-a-record", f"no task text under any of {', '.join(TASK_TEXT)}")
    task = _task(row, text, _domain(row, domain))
    tries = _texts(_first(row, TRIES) or [])
    last = row.get("solution")
    alone = not tries  # its real logs keep the last try alone, and the reflections that led to it
    if isinstance(last, str) and last and last not in tries:
        tries.append(last)
    feedback = _texts(_first(row, FEEDBACK) or [])
    advice = _texts(row.get("reflections") or [])
    author = str(row.get("model") or "unknown")
    reflections = tuple(
        Reflection(text=said, source="self", author=author, iteration=number + 2, temperature=0.0)
        for number, said in enumerate(advice)
    )
    first = len(advice) + 1 if alone else 1
    feedback = feedback[first - 1 :]
    return _experience(task, tries, feedback, reflections, _outcome(row), str(row.get("method") or "reflexion"), first)


def _from_openai(row: dict[str, Any], domain: str) -> Experience:
    """A chat transcript; `transcripts` says what of it is the task, an attempt, and what was said to it."""
    meta = row.get("metadata")
    row = {**(meta if isinstance(meta, dict) else {}), **row}
    outcome, domain = _outcome(row), _domain(row, domain)
    try:
        chat = read_chat(row["messages"], domain)
    except Unmapped as error:
        raise Unreadable(error.rule, error.detail) from None
    task = _task(row, chat.task, domain)
    return _experience(task, chat.tries, chat.feedback, (), outcome, str(row.get("method") or "transcript"))


_READERS: dict[Format, Callable[[dict[str, Any], str], Experience]] = {
    "parammem": _own,
    "reflexion": _from_reflexion,
    "openai": _from_openai,
}


def _experience(
    task: Task,
    tries: list[str],
    feedback: list[str],
    advice: tuple[Reflection, ...],
    outcome: bool | None,
    method: str,
    first: int = 1,
) -> Experience:
    """All tries but the last failed: otherwise there would have been no next one. `first`: number of the first one."""
    judge = get_domain(task.domain, real=task.domain == "code")  # a stranger's answer holds prose and fences
    attempts = tuple(
        Attempt(
            number=first + number - 1,
            text=text,
            candidate=judge.parse(text, task),
            temperature=0.0,
            feedback=Feedback(
                passed=False if number < len(tries) else None,
                text=feedback[number - 1] if number <= len(feedback) else "",
            ),
        )
        for number, text in enumerate(tries, 1)
    )
    trajectory = Trajectory(
        task_id=task.task_id,
        domain=task.domain,
        method=method,
        protocol="foreign",
        seed=0,
        attempts=attempts,
        reflections=advice,
        stop="iterations",
        submission=attempts[-1].number if attempts else None,
    )
    return Experience(task=task, trajectory=trajectory, outcome=outcome)


def _task(row: dict[str, Any], text: str, domain: str) -> Task:
    named = row.get("task_id") or row.get("name") or row.get("id")
    return Task(task_id=str(named or digest_of(text)[:16]), domain=domain, text=text)


def _domain(row: dict[str, Any], default: str) -> str:
    domain = row.get("domain") or default
    if domain not in DOMAINS:
        raise Unreadable("unknown-domain", f"`domain` is none of {', '.join(DOMAINS)}; say one of them (--domain)")
    return domain


WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False, "null": None, "none": None}
"""Outcomes as text: OpenAI's metadata may hold nothing else."""


def _outcome(row: dict[str, Any]) -> bool | None:
    """True, false, 1, 0 or null, or one of them as text, under any usual name. Anything between is not guessed at."""
    names = [name for name in SUCCESS if name in row]
    if not names:
        raise Unreadable("no-outcome", f"no outcome under any of {', '.join(SUCCESS)}; write null if nobody knows")
    first, *others = (_bit(row[name]) for name in names)
    if first is ...:
        raise Unreadable("no-outcome", f"{names[0]}: neither true, false, 1, 0 nor null")
    if first is None:
        return next((other for other in others if isinstance(other, bool)), None)
    if any(isinstance(other, bool) and other != first for other in others):
        raise Unreadable("no-outcome", f"{' and '.join(names)} contradict each other; keep the one that is right")
    return first


def _bit(value: Any) -> Any:
    """True, False, None, or ... for what is none of them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return WORDS.get(value.strip().lower(), ...) if isinstance(value, str) else ...


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unreadable("not-a-record", "tries, feedback and reflections must be lists of text")
    return list(value)
