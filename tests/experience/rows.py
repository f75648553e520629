"""Experience for tests: rows, keys, and stores to put them into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from parammem.core import AnswerKey, Attempt, Feedback, Outcome, Reflection, Task, Trajectory
from parammem.core.domain_names import USUAL_KINDS
from parammem.core.experience import Experience
from parammem.experience.admission import Admission
from parammem.experience.convert import OURS, form_of, own_row, parsed, read_runs
from parammem.experience.formats import FORMATS
from parammem.experience.formats.base import ReadOptions, Unreadable
from parammem.experience.store import ExperienceStore

PLACES = ("the north harbour", "the old mill", "the glass works", "the upper terrace", "the ferry office")
THINGS = ("crates", "lanterns", "barrels", "ledgers", "carts", "sails", "bricks")


def text_of(number: int) -> str:
    """A task's text; every number has its own words, so that no two are nearly alike."""
    place, thing = PLACES[number % len(PLACES)], THINGS[number % len(THINGS)]
    return (
        f"Write f(xs) for case {number}: count the {thing} at {place} on day {number * 7 + 3}, row {number * number}."
    )


def task(number: int, domain: str = "code") -> Task:
    checks = [{"name": "a", "args": [[number]], "expected": number}]
    return Task(task_id=f"t-{number}", domain=domain, text=text_of(number), visible={"entry": "f", "checks": checks})


def row(number: int, outcome: bool | None = True, seed: int = 0, answer: str = "", advice: str = "") -> Experience:
    asked = task(number)
    text = answer or f"def f(xs):\n    return {number}"
    attempt = Attempt(
        number=1, text=text, candidate=text, temperature=0.2, feedback=Feedback(passed=True, text="all passed")
    )
    said = [Reflection(text=advice, source="self", author="m", iteration=2, temperature=1.0)] if advice else []
    trajectory = Trajectory(
        task_id=asked.task_id,
        domain=asked.domain,
        method="reflexion",
        protocol="strict",
        seed=seed,
        attempts=(attempt,),
        reflections=tuple(said),
        stop="visible-pass",
        submission=1,
    )
    return Experience(task=asked, trajectory=trajectory, outcome=Outcome(passed=outcome))


def key(number: int) -> AnswerKey:
    return AnswerKey(task_id=f"t-{number}", domain="code", hidden={"entry": "f", "checks": []}, gold="def f(xs): pass")


def line(one: Experience, **more: Any) -> str:
    return json.dumps(one.model_dump(mode="json") | more)


def write(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    return path


def store(root: Path, share: float = 0.0, evaluation: Iterable[Task] = (), **more: Any) -> ExperienceStore:
    return ExperienceStore(root=root, admission=Admission.against(list(evaluation), 0.9), fresh_share=share, **more)


def rows_in(folder: Path) -> list[Experience]:
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    return [Experience.model_validate_json(one) for file in files for one in file.read_text().splitlines()]


def read_line(
    data: bytes, domain: str = "", form: str | None = None, kinds: Mapping[str, str] = USUAL_KINDS
) -> tuple[Experience, AnswerKey | None, str]:
    """Return a line as Experience, the answer key if one came with it, and the form it had.

    Args:
        domain: what the tasks of logs are that do not say it themselves.
        form: None: the one that the line's keys show.
        kinds: kind of each domain, by its name.

    Raises:
        Unreadable: it is no JSON object, has another schema, lacks something, or is a part of a run.
    """
    row = parsed(data)
    form = form or form_of(row, data)
    if form == OURS:
        return *own_row(row, data), OURS
    cut = FORMATS[form].parts
    rows = [piece for _, piece in cut(row)] if cut else [row]
    found = read_runs(rows, form, ReadOptions(domain=domain, kinds=kinds), data=data) if rows else []
    if len(found) != 1:
        raise Unreadable("not-a-record", "the line does not hold one run")
    return found[0], None, form
