"""Check rows by the admission rules, and return those that each row breaks; docs/continual.md lists the rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from parammem.core import AnswerKey, Task, digest_of
from parammem.core.domain_names import USUAL_KINDS
from parammem.core.experience import Experience
from parammem.domains.added import unadded
from parammem.experience.checks import fault_of
from parammem.experience.field_paths import shown
from parammem.experience.texts import hides_characters, is_garbled
from parammem.validation.duplicates import Shingles, overlaps, shingles
from parammem.validation.private import find_private


class BrokenRule(NamedTuple):
    """A rule that a row broke."""

    rule: str
    detail: str
    """In words, without any value of the row that could be private."""


LONGEST_NAME = 500
PRIVATE = "secret-or-personal-data"


def visible_digest(task: Task) -> str:
    """Return what tells the checks of a task from all others."""
    return digest_of([task.domain, task.visible])


@dataclass(frozen=True)
class Admission:
    """The evaluation tasks and settings that rows are checked against."""

    evaluation: frozenset[str]
    """`Task.content` of every evaluation task."""
    references: tuple[Shingles, ...]
    """Their word shingles."""
    near: float
    """Jaccard similarity from which on a task counts as an evaluation task."""
    own: frozenset[str] = frozenset()
    """`visible_digest` of this repository's own tasks: their test programs are nothing new."""
    kinds: Mapping[str, str] = field(default_factory=lambda: USUAL_KINDS)
    """Kind of each domain that there is, by its name."""

    @classmethod
    def against(
        cls,
        tasks: Sequence[Task],
        near: float,
        own: Iterable[Task] = (),
        kinds: Mapping[str, str] = USUAL_KINDS,
    ) -> Admission:
        known = {shingles(unadded(task.text)) for task in tasks}
        ours = frozenset(map(visible_digest, own))
        return cls(frozenset(task.content for task in tasks), tuple(sorted(known, key=sorted)), near, ours, kinds)

    def judge(self, rows: Sequence[tuple[Experience, AnswerKey | None]]) -> list[list[BrokenRule]]:
        """Return for each row the rules it broke; empty: it may come in."""
        texts = [[unadded(row.task.text), *advice_of(row)] for row, _ in rows]
        places = [place for place, many in enumerate(texts) for _ in many]
        near = overlaps([shingles(text) for many in texts for text in many], self.references, self.near)
        holding = {places[number] for number in near}
        return [
            [
                *self._known(row),
                *_shape(row),
                *_key(row, key),
                *self._programs(row, key),
                *self._leaks(row, place in holding),
                *_looks(row, key),
            ]
            for place, (row, key) in enumerate(rows)
        ]

    def _known(self, row: Experience) -> list[BrokenRule]:
        if row.task.domain in self.kinds:
            return []
        return [BrokenRule("unknown-domain", f"no domain of that name; there are {', '.join(self.kinds)}")]

    def _programs(self, row: Experience, key: AnswerKey | None) -> list[BrokenRule]:
        task = row.task
        if task.visible and self.own and visible_digest(task) in self.own:
            task = task.model_copy(update={"visible": {}})
        fault = fault_of(task, key, self.kinds.get(task.domain, ""))
        return [BrokenRule("untrusted-tests", fault)] if fault else []

    def _leaks(self, row: Experience, near: bool) -> list[BrokenRule]:
        if row.task.content in self.evaluation:
            return [BrokenRule("evaluation-task", "its task is one that reflectors are judged on")]
        if near:
            return [BrokenRule("evaluation-task", "its task or advice holds nearly all words of an evaluation task")]
        return []


def advice_of(row: Experience) -> list[str]:
    """Return every piece of advice that a run had: what it was given, and its own reflections."""
    return [*(one.text for one in row.advice), *(said.text for said in row.trajectory.reflections)]


def _shape(row: Experience) -> list[BrokenRule]:
    task, trajectory = row.task, row.trajectory
    found = []
    if not task.text.strip():
        found.append(BrokenRule("empty-task", "the task has no text"))
    if (trajectory.task_id, trajectory.domain) != (task.task_id, task.domain):
        found.append(BrokenRule("other-task", "the trajectory is about another task or domain"))
    if trajectory.submission is not None and trajectory.submitted is None:
        found.append(BrokenRule("no-submission", "the attempt that is submitted is not there"))
    if row.outcome.passed and trajectory.submitted is None:
        found.append(BrokenRule("no-submission", "it turned out right without an attempt"))
    numbers = [attempt.number for attempt in trajectory.attempts]
    if numbers != sorted(set(numbers)):
        found.append(BrokenRule("attempts-out-of-order", "attempts are not numbered upwards, each once"))
    return found


def _key(row: Experience, key: AnswerKey | None) -> list[BrokenRule]:
    if key is not None and (key.task_id, key.domain) != (row.task.task_id, row.task.domain):
        return [BrokenRule("other-task", "the answer key is of another task or domain")]
    return []


def _looks(row: Experience, key: AnswerKey | None) -> list[BrokenRule]:
    found = []
    plain = [row.task.text, *advice_of(row)]
    if any(map(hides_characters, plain)):
        found.append(BrokenRule("control-characters", "its task or advice holds invisible characters"))
    if any(len(name) > LONGEST_NAME or not name.isprintable() for name in _names(row)):
        found.append(
            BrokenRule("odd-name", f"an id or a name is not printable, or longer than {LONGEST_NAME} characters")
        )
    if any(map(is_garbled, plain)):
        found.append(BrokenRule("garbled", "its task or advice was decoded wrongly"))
    values = [*_strings("task", row.task.model_dump()), *_strings("trajectory", row.trajectory.model_dump())]
    values += _strings("advice", [one.model_dump() for one in row.advice])
    values += [("run_id", row.run_id)] if row.run_id else []
    values += _strings("key", key.model_dump()) if key else []
    whole = find_private("\n".join(dict.fromkeys(text for _, text in values)))
    if whole:  # looked up by place only when there is something: most rows hold nothing
        where = [f"{', '.join(kinds)} in {place}" for place, text in values if (kinds := find_private(text))]
        found.append(BrokenRule(PRIVATE, "; ".join(where[:5]) or ", ".join(whole)))
    return found


def _names(row: Experience) -> list[str]:
    """Return what stands in tables and file names of reports, and on terminals."""
    trajectory = row.trajectory
    names = [row.task.task_id, trajectory.task_id, trajectory.method, trajectory.protocol]
    names += [row.run_id] if row.run_id else []
    return [*names, *trajectory.examples, *(said.author for said in trajectory.reflections)]


def _strings(place: str, value: Any) -> list[tuple[str, str]]:
    """Return every text in a nested value with its place, keys of mappings too."""
    if isinstance(value, str):
        return [(place, value)]
    if isinstance(value, dict):
        inner = [_strings(f"{place}.{shown(key)}", item) for key, item in value.items()]
        return [*((f"{place} (a key)", str(key)) for key in value), *(pair for many in inner for pair in many)]
    if isinstance(value, list | tuple):
        return [pair for number, item in enumerate(value) for pair in _strings(f"{place}.{number}", item)]
    return [(place, json.dumps(value))] if isinstance(value, int) and abs(value) > 10**8 else []
