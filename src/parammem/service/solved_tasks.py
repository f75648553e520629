"""Solved tasks of a domain that are like a given one: from the validated rows, as the agents' bank finds them.

Answer keys and evaluation tasks are not looked at; rows that were recalled and what agents were advised are not shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from parammem.agents.bank import Embed, TrajectoryBank
from parammem.checkout.places import BATCHES, Places
from parammem.core import ReflectionExample, Task, Trajectory
from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl
from parammem.core.record import Record
from parammem.stages.validate import read_recalled

R = TypeVar("R", bound=Record)

SUCCESS = "hindsight"
"""Part of a label that is made of a success only."""
MOST = 20_000
"""Newest solved tasks of a domain that are looked through."""
SHOWN = 20
"""Most that are returned."""


class SolvedTasks:
    """Finds solved tasks. Reads the files again when they have changed."""

    def __init__(self, root: Path, embed: Embed | None = None) -> None:
        self._root, self._embed = root, embed
        self._banks: dict[str, tuple[Any, TrajectoryBank]] = {}
        self._alone = Lock()

    def similar(self, domain: str, text: str, count: int = 3) -> list[dict[str, str]]:
        """Return the solved tasks that are most like a text, the most similar first: task and answer.

        Takes seconds the first time: call it in a thread.
        """
        task = Task(task_id="", domain=domain, text=text)
        with self._alone:
            bank = self._bank(domain)
        found = bank.retrieve([task], max(0, min(count, SHOWN)))[0]
        return [{"task": one.text, "answer": attempt.candidate or attempt.text} for one, attempt in reversed(found)]

    def _bank(self, domain: str) -> TrajectoryBank:
        files = [*self._files(domain), *sorted((self._root / BATCHES).glob("*.jsonl"))]
        state = [(str(file), file.stat().st_mtime_ns) for file in files if file.is_file()]
        known = self._banks.get(domain)
        if known is None or known[0] != state:
            known = self._banks[domain] = (state, self._read(domain))
        return known[1]

    def _files(self, domain: str) -> tuple[Path, ...]:
        places = Places(self._root, domain)
        return places.validated, places.trajectories, places.recalled

    def _read(self, domain: str) -> TrajectoryBank:
        validated, trajectories, recalled = self._files(domain)
        withdrawn = read_recalled(recalled)
        texts: dict[str, str] = {}
        outcomes: dict[str, bool] = {}
        for row in _rows(validated, ReflectionExample):
            if row.trajectory_id and row.row_hash not in withdrawn:
                texts[row.trajectory_id] = row.task_text
                if row.part == SUCCESS:
                    outcomes[row.trajectory_id] = True
        solved: deque[Trajectory] = deque(maxlen=MOST)
        solved.extend(one for one in _rows(trajectories, Trajectory) if one.trajectory_id in texts)
        for file in sorted((self._root / BATCHES).glob("*.jsonl")):
            for row in _rows(file, Experience):
                name = row.trajectory.trajectory_id
                if row.task.domain == domain and name in texts:
                    solved.append(row.trajectory)
                    outcomes[name] = row.outcome.passed is True
        tasks = {one.task_id: texts[one.trajectory_id] for one in solved}
        asked = [Task(task_id=name, domain=domain, text=text) for name, text in tasks.items()]
        return TrajectoryBank(asked, list(solved), self._embedding(), outcomes)

    def _embedding(self) -> Embed:
        if self._embed is None:
            from parammem.embeddings import embed

            return embed
        return self._embed


def _rows(file: Path, kind: type[R]) -> Iterator[R]:
    return iter_jsonl(file, kind) if file.is_file() else iter(())
