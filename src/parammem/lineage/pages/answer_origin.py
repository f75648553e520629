"""Which adapter gave this answer: the digest that a trajectory, or the advice of a run in use, carries, resolved to
generation, version and commit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from parammem.core.jsonl import byte_lines
from parammem.core.record import Record
from parammem.errors import LineageMissingError
from parammem.lineage.past.events import Life, read_life
from parammem.lineage.past.history import Generation, History
from parammem.lineage.past.raw import trajectory_files
from parammem.lineage.past.subject import find_subject


class Advised(Record):
    """An adapter that advised in a trajectory."""

    author: str
    """The digest that the trajectory or the run carries, as the engine or the server reported it."""
    pieces: int
    """Of advice, from this author."""
    generation: str | None
    """`<domain> #<number>`; None: no adapter of this repository's history has this digest."""
    version: int | None
    commit: str | None
    champion_since: int | None
    """Number of the first event that made it champion; None: it never was."""


class FoundTrajectory(NamedTuple):
    """A trajectory in a file, and who advised in it."""

    plain: dict[str, Any]
    run_id: str
    authors: list[str]
    """One for each piece of advice."""


class AnsweredBy(Record):
    """Who was behind one trajectory."""

    file: str
    trajectory_id: str
    task_id: str
    run_id: str = ""
    """Of a run in use; empty: it is none, or its log named no run."""
    advised: tuple[Advised, ...]
    """Empty: no trained reflector took part."""


def answered_by(repo: Path, name: str) -> list[AnsweredBy]:
    """Return the adapters behind a trajectory, named by its id, its run's or its task's, or behind all of a JSONL file.

    Raises:
        LineageMissingError: no trajectory of that name is here.
    """
    with History.open(repo) as history:
        life, generations = read_life(history.repo), list(history.generations())
        given = Path(name) if Path(name).is_file() else history.repo / name
        whole = given.is_file()
        files = [(str(given), given.read_bytes())] if whole else trajectory_files(history)
        found = []
        for file, data in files:
            for one in _trajectories(data):
                if whole or name in (one.run_id, one.plain["task_id"], _id(one.plain)):
                    found.append(_answered(file, one, life, generations))
        if not found:
            raise LineageMissingError(
                f"no trajectory {name!r} in the experience or trajectories here or on any branch; `dvc fetch "
                "--all-commits`, or name its file; a run that no turn of `improve` has taken in yet: `parammem runs ID`"
            )
        return found


def advised_by(history: History, digest: str) -> dict[str, int]:
    """Return trajectory id → pieces of advice in it that carry this digest, over this repository's experience and
    trajectories."""
    # Most files hold none: the digest is looked for before anything is parsed.
    files = [data for _, data in trajectory_files(history) if digest.encode() in data]
    found: dict[str, int] = {}
    for one in (one for data in files for one in _trajectories(data)):
        pieces = one.authors.count(digest)
        if pieces:
            name = _id(one.plain)
            found[name] = found.get(name, 0) + pieces
    return found


def answers_of(repo: Path, adapter: str, domain: str) -> dict[str, int]:
    """Return `advised_by` for an adapter by name. Raises AdapterMissingError if there is none of that name."""
    with History.open(repo) as history:
        subject = find_subject(history, read_life(history.repo), adapter, domain)
        return advised_by(history, subject.adapter.digest)


def _trajectories(data: bytes) -> Iterator[FoundTrajectory]:
    """Yield trajectories of a file of them, or of experience. Broken lines are named by `audit verify`, not here."""
    for line in byte_lines(data):
        if b"author" not in line and b"task_id" not in line:
            continue
        try:
            plain = json.loads(line)
            if isinstance(plain.get("raw"), str):  # refused at ingestion, kept as it came
                plain = json.loads(plain["raw"])
            row, plain = plain, plain.get("trajectory", plain)
        except (ValueError, AttributeError):
            continue
        if isinstance(plain, dict) and "reflections" in plain:
            yield FoundTrajectory(plain, str(row.get("run_id") or ""), [*_authors(plain), *_advisers(row)])


def _id(plain: dict[str, Any]) -> str:
    from parammem.core import Trajectory

    return Trajectory.model_validate(plain).trajectory_id


def _authors(plain: dict[str, Any]) -> list[str]:
    return [str(said["author"]) for said in plain["reflections"] if said.get("source") == "parametric"]


def _advisers(row: dict[str, Any]) -> list[str]:
    """Return who wrote what a run in use was advised."""
    given = row.get("advice")
    listed = given if isinstance(given, list) else []
    return [str(one["adapter"]) for one in listed if isinstance(one, dict) and one.get("adapter")]


def _answered(file: str, one: FoundTrajectory, life: Life, generations: list[Generation]) -> AnsweredBy:
    by = [_advised(author, one.authors.count(author), life, generations) for author in dict.fromkeys(one.authors)]
    return AnsweredBy(
        file=file, trajectory_id=_id(one.plain), task_id=one.plain["task_id"], run_id=one.run_id, advised=tuple(by)
    )


def _advised(author: str, pieces: int, life: Life, generations: list[Generation]) -> Advised:
    # A server is told an adapter's name, which holds at least the first digits of its digest.
    made = next((one for one in generations if one.digest and _same(one.digest, author)), None)
    digest = made.digest if made and made.digest else author
    championship = next((one for one in life.championships() if one.adapter == digest), None)
    return Advised(
        author=author,
        pieces=pieces,
        generation=made.name if made else None,
        version=life.version_of(digest),
        commit=made.commit.sha if made and made.commit else None,
        champion_since=championship.event if championship else None,
    )


def _same(digest: str, author: str) -> bool:
    return digest == author or (len(author) >= 12 and (digest.startswith(author) or digest[:12] in author))
