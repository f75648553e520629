"""What every reader of a format returns, and what the readers share: runs, refusals, outcomes.

A reader gets the parsed rows of one run and nothing else. What is not in the log stays empty or None.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parammem.core import GivenAdvice, Outcome, Reflection, Step
from parammem.core.domain_names import USUAL_KINDS
from parammem.core.outcome import OutcomeSource

Row = dict[str, Any]
KINDS: Mapping[str, str] = USUAL_KINDS
"""Name of each domain → its kind. Kinds code, math and qa want one answer; others take a whole conversation."""
MOST_VALUES = 500_000
"""Values of one row, or of all rows of one run: each takes some hundred bytes of memory, or more, when it is read."""
MOST_TRIES = 1000
"""Attempts of one run, and pieces of feedback or reflections."""
DEEPEST = 60
"""Levels of lists and objects in the arguments of a tool call; deeper ones are kept as JSON text."""


class Unreadable(Exception):
    """A row that cannot become a run: the rule's name and what is wrong, without any value or key of it."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule, self.detail = rule, detail


@dataclass(frozen=True)
class ReadOptions:
    """What a reader gets beside the rows."""

    domain: str = ""
    """Domain of runs that do not name theirs."""
    file: str = ""
    """Name of the file without its ending; some formats hold no other name of the run."""
    kinds: Mapping[str, str] = field(default_factory=lambda: KINDS)
    """Name → kind of the domains that there are."""
    passes_at: Mapping[str, float] = field(default_factory=dict)
    """Domain → least value of an outcome that passes, where the outcome does not say it itself."""

    def domain_of(self, named: Any) -> str:
        """Return the domain that a row names, or the default. Raises Unreadable when there is none of that name."""
        domain = named or self.domain
        if domain not in self.kinds:
            known = ", ".join(self.kinds)
            raise Unreadable("unknown-domain", f"`domain` is none of {known}; say one of them (--domain)")
        return domain

    def domain_in(self, metadata: Any) -> str:
        """Return the domain that a row's metadata name, or the default. Raises Unreadable as `domain_of`."""
        return self.domain_of(metadata.get("domain") if isinstance(metadata, dict) else None)


@dataclass(frozen=True)
class Try:
    """One attempt, as it was read from a log."""

    text: str | None
    """What was handed over; None if nothing was."""
    steps: tuple[Step, ...] = ()
    feedback: str = ""
    """What was said to it."""


@dataclass(frozen=True)
class LoggedRun:
    """One run, as it was read from a log."""

    task: str
    """The task's text."""
    domain: str
    tries: tuple[Try, ...]
    outcome: Outcome | Unreadable | None = None
    """None: the log does not say how it ended. Unreadable: what it says is no outcome, but a table can say it."""
    task_id: str = ""
    run_id: str = ""
    names: tuple[str, ...] = ()
    """Other names by which an outcome may mean this run."""
    method: str = "transcript"
    reflections: tuple[Reflection, ...] = ()
    advice: tuple[GivenAdvice, ...] = ()
    first: int = 1
    """Number of the first try."""


@dataclass(frozen=True)
class Format:
    """A format of logs: how its rows are known, and how they are read."""

    name: str
    fits: Callable[[Row], bool]
    """Whether a row is of this format."""
    read: Callable[[Sequence[Row], ReadOptions], list[LoggedRun]]
    """The runs in the rows that belong together."""
    parts: Callable[[Row], list[tuple[str | None, Row]]] | None = None
    """For formats that spread a run over rows: what of a row belongs to which run. None for the run: to that of the row
    before it in the file. A part may name another run in `copy_of`: parts of that run that follow in the file are
    copies, and belong to this one. No list: each row is by itself."""


def refuse_many(data: bytes) -> None:
    """Raise Unreadable if JSON may hold so many values that it is not read. Counts what can begin one; text has some
    too."""
    if len(data) > MOST_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Unreadable(
            "too-long", f"it holds more than {MOST_VALUES} values; leave out what is no message, as logprobs"
        )


def is_text(value: Any) -> bool:
    """Return whether a value is text that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def named(row: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that is text or a whole number, as text; empty if none is."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return ""


def all_named(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Return what each of these fields names, in their order, as `named` reads it; empty ones are left out."""
    return tuple(filter(None, (named(row, name) for name in names)))


def loaded(value: Any) -> Any:
    """Return what a JSON text holds; the value itself if it is no text, or no JSON."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def is_deep(value: Any, most: int = DEEPEST) -> bool:
    """Return whether lists and objects are nested deeper than allowed."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


WORDS = {"true": True, "1": True, "1.0": True, "pass": True, "passed": True, "correct": True, "c": True,
         "false": False, "0": False, "0.0": False, "fail": False, "failed": False, "incorrect": False, "i": False,
         "n": False, "null": None, "none": None}  # fmt: skip
"""Verdicts as text."""


def verdict(value: Any, source: OutcomeSource | None = None, at: str = "") -> Outcome:
    """Return the outcome that a score means: true, false, null, a word for them, or a number between 0 and 1.

    A number between is kept as the value, and whether it passes is not known. Raises Unreadable for anything else.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        if word == "p":  # Inspect's word for a part of the credit
            return Outcome(passed=None, value=0.5, source=source, at=at)
        if word not in WORDS:
            raise Unreadable("no-outcome", "an outcome is neither true, false, 1, 0 nor null; --outcomes can say it")
        return Outcome(passed=WORDS[word], source=source, at=at)
    if value is None or isinstance(value, bool):
        return Outcome(passed=value, source=source, at=at)
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise Unreadable("no-outcome", "an outcome is neither true, false, null nor a number between 0 and 1")
    if value in (0, 1):
        return Outcome(passed=bool(value), value=float(value) if source else None, source=source, at=at)
    return Outcome(passed=None, value=float(value), source=source, at=at)


OTHER_SCORES = re.compile(
    r"hallucinat|toxic|bias|(?<![a-z])harm|unsafe|profan|\bpii\b|jailbreak|injection|risk|violat|leak|refus|sycophan|sentiment|"
    r"latency|cost|duration|token|length|concise|verbos|fluen|coheren|context|retriev",
    re.IGNORECASE,
)
"""In the names of scores that do not say whether a run turned out right: often less is better, as with toxicity."""


def is_outcome_name(name: Any) -> bool:
    """Return whether a score of this name says how the run ended."""
    return not (isinstance(name, str) and OTHER_SCORES.search(name[:200]))


def settled(find: Callable[[], Outcome | None]) -> Outcome | Unreadable | None:
    """Return the outcome that a function finds, or what it raised: a table of outcomes may name the run."""
    try:
        return find()
    except Unreadable as error:
        return error


def agreed(found: Iterable[Outcome]) -> Outcome | None:
    """Return the one outcome that several scores of a run name; None if there is no score.

    Raises Unreadable when they contradict each other: which of them counts is for a person to say.
    """
    found = list(found)
    known = [one for one in found if one.passed is not None or one.value is not None]
    if not known:
        return found[0] if found else None
    if len({(one.passed, one.value if one.passed is None else None) for one in known}) > 1:
        raise Unreadable("no-outcome", "several scores contradict each other; keep one, or say it with --outcomes")
    return known[0]
