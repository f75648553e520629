"""Which adapter gave this answer: the digest that a trajectory carries, resolved to generation, version and commit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    """The digest that the trajectory carries, as the engine or the server reported it."""
    pieces: int
    """Of advice, from this author."""
    generation: str | None
    """`<domain> #<number>`; None: no adapter of this repository's history has this digest."""
    version: int | None
    commit: str | None
    champion_since: int | None
    """Number of the first event that made it champion; None: it never was."""


class AnsweredBy(Record):
    """Who was behind one trajectory."""

    file: str
    trajectory_id: str
    task_id: str
    advised: tuple[Advised, ...]
    """Empty: no trained reflector took part."""


def answered_by(repo: Path, name: str) -> list[AnsweredBy]:
    """Return the adapters behind a trajectory, named by its id or its task's id, or behind all of a JSONL file.

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
            for plain in _trajectories(data):
                if whole or name in (plain["task_id"], _id(plain)):
                    found.append(_answered(file, plain, life, generations))
        if not found:
            raise LineageMissingError(
                f"no trajectory {name!r} in the experience or trajectories here or on any branch; `dvc fetch "
                "--all-commits`, or name its file"
            )
        return found


def advised_by(history: History, digest: str) -> dict[str, int]:
    """Return trajectory id → pieces of advice in it that carry this digest, over this repository's experience and
    trajectories."""
    # Most files hold none: the digest is looked for before anything is parsed.
    files = [data for _, data in trajectory_files(history) if digest.encode() in data]
    found: dict[str, int] = {}
    for plain in (one for data in files for one in _trajectories(data)):
        pieces = sum(author == digest for author in _authors(plain))
        if pieces:
            found[_id(plain)] = found.get(_id(plain), 0) + pieces
    return found


def answers_of(repo: Path, adapter: str, domain: str) -> dict[str, int]:
    """Return `advised_by` for an adapter by name. Raises AdapterMissingError if there is none of that name."""
    with History.open(repo) as history:
        subject = find_subject(history, read_life(history.repo), adapter, domain)
        return advised_by(history, subject.adapter.digest)


def _trajectories(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield trajectories of a file of them, or of experience. Broken lines are named by `audit verify`, not here."""
    for line in byte_lines(data):
        if b"author" not in line and b"task_id" not in line:
            continue
        try:
            plain = json.loads(line)
            if isinstance(plain.get("raw"), str):  # refused at ingestion, kept as it came
                plain = json.loads(plain["raw"])
            plain = plain.get("trajectory", plain)
        except (ValueError, AttributeError):
            continue
        if isinstance(plain, dict) and "reflections" in plain:
            yield plain


def _id(plain: dict[str, Any]) -> str:
    from parammem.core import Trajectory

    return Trajectory.model_validate(plain).trajectory_id


def _authors(plain: dict[str, Any]) -> list[str]:
    return [str(said["author"]) for said in plain["reflections"] if said.get("source") == "parametric"]


def _answered(file: str, plain: dict[str, Any], life: Life, generations: list[Generation]) -> AnsweredBy:
    authors = _authors(plain)
    advised = [_advised(author, authors.count(author), life, generations) for author in dict.fromkeys(authors)]
    return AnsweredBy(file=file, trajectory_id=_id(plain), task_id=plain["task_id"], advised=tuple(advised))


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
