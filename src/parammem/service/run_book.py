"""The book of runs: which runs there are, what they were advised, their steps, and how they ended.

It is kept in the spool (spool.py), not in memory, so a restart goes on where the last service was killed. A method that
has returned has written; `report` has also flushed, so that an acknowledged outcome survives a power cut.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parammem.checkout.places import SPOOL
from parammem.config import Params
from parammem.core.advice import GivenAdvice, without_advice
from parammem.core.escape import clean
from parammem.core.live_run import assigned_arm
from parammem.core.outcome import Outcome
from parammem.core.step import Step
from parammem.core.task import Task
from parammem.errors import DataError, NotRecorded, UnknownRun
from parammem.registry.live_secret import live_secret
from parammem.service.hand_over import HandOver
from parammem.service.outcome_report import completed, keep_outcome
from parammem.service.run_queries import counts, keyed_row, list_runs, run_row, waiting
from parammem.service.run_records import ArmsNow, BookStats, OpenRun, ReportResult, RunView, SweepResult
from parammem.service.run_rows import SCHEMA, assigned, outcomes_of, steps_of, view_of
from parammem.service.run_start import SaidOfRun, begin_run, name_run
from parammem.service.spool import OUTCOMES, STARTS, STEPS, Spool
from parammem.service.written import as_json, step_line

RUN_ID = re.compile(r"[!-.0-~]{1,200}")
"""Printable ASCII without blanks and slashes: ids stand in addresses and logs."""
LONGEST_TASK = 1 << 20
"""Bytes of a task's text."""
LARGEST_RUN = 3 << 20
"""Bytes of a run's steps: a line of the inbox may have four MiB."""
MOST_TOKENS = 10**9
"""Of one call."""
TOO_LARGE = f"steps beyond {LARGEST_RUN} bytes of a run are left out"
MINUTE = 60.0
_NO_ARMS = ArmsNow({"holdout": 1.0}, {})

log = logging.getLogger(__name__)


class RunBook:
    """Runs of one repository. Safe for threads; one service at a time has it."""

    def __init__(
        self,
        root: Path,
        params: Params,
        arms: Callable[[str], ArmsNow],
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        """
        Args:
            arms: domain → how its runs are assigned now.
            read_only: look into the book while a service writes it; `list`, `get`, `find` and `stats` work.

        Raises:
            DataError: another service has the book; says which.
        """
        self.root, self._params, self._arms, self._clock = root, params, arms, clock
        self._kinds = params.kinds()
        self._spool = Spool(root / SPOOL, params.service.spool_mb << 20, SCHEMA, read_only)
        self._secret = b"" if read_only else live_secret(root)
        self._hand_over = HandOver(root, params, self._spool, self._secret)
        self._lost = 0

    def start(
        self, domain: str, text: str, run_id: str = "", visible: Mapping[str, Any] | None = None, key: str = "",
        stratum: str = "",
    ) -> OpenRun:  # fmt: skip
        """Begin a run, and assign it to an arm. The same run id again returns the same run.

        Args:
            text: of the task; blocks of advice in it are taken out, and count for nothing.
            run_id: empty: a new one is drawn.
            visible: what visible checks of the task need; data that was not checked.
            key: by which later calls of the run are known (`find`).
            stratum: group of tasks that this one belongs to, for the live gate; known before the arm is.

        Raises:
            DataError: no such domain, no task, or an id that is none.
        """
        text = clean(without_advice(text).text).strip()
        self._check(domain, text, run_id)
        run_id = run_id or secrets.token_hex(16)
        task = Task(task_id="", domain=domain, text=text)
        try:
            arms = self._arms(domain)
        except Exception as error:  # whoever reads the ledger failed: the agent must not
            log.exception("arms of %s", domain)
            return self._not_recorded(task, run_id, _NO_ARMS, f"arms: {type(error).__name__}")
        now = self._clock()
        try:
            with self._spool.writing(STARTS) as base:
                row = run_row(base, run_id)
                if row is None:
                    said = SaidOfRun(task, as_json(visible or {}), clean(stratum)[:200], clean(key)[:500])
                    row = begin_run(base, self.root, self._secret, run_id, said, arms, now)
                if key:
                    name_run(base, key, row["id"], now)
            return self._open(row)
        except NotRecorded as error:
            return self._not_recorded(task, run_id, arms, str(error))

    def _check(self, domain: str, text: str, run_id: str) -> None:
        if domain not in self._kinds:
            raise DataError(f"no domain of that name; there are {', '.join(self._kinds)}")
        if not text:
            raise DataError("the task has no text; say what the agent is to do")
        if len(text.encode()) > LONGEST_TASK:
            raise DataError(f"the task's text is longer than {LONGEST_TASK} bytes; give the task without its material")
        if run_id and not RUN_ID.fullmatch(run_id):
            raise DataError("a run's id has 1 to 200 printable ASCII characters without blanks and slashes")

    def _not_recorded(self, task: Task, run_id: str, arms: ArmsNow, why: str) -> OpenRun:
        """Return a run that cannot be recorded. It has its arm all the same, since its id decides that."""
        self._lost += 1
        arm = assigned_arm(task.domain, run_id, arms.shares, self._secret)
        return OpenRun(
            run_id=run_id, domain=task.domain, number=0, arm=arm, adapter=arms.adapters.get(arm, ""), task=task.content,
            retry=0, token=self.token_of(run_id), recorded=False, why_not=f"not recorded: {why}",
        )  # fmt: skip

    def token_of(self, run_id: str) -> str:
        """Return the token that its owner reports and reads a run with. It follows from the id and the secret."""
        return hmac.new(self._secret, f"run token\n{run_id}".encode(), hashlib.sha256).hexdigest()

    def advised(self, run_id: str, given: GivenAdvice | None, why_not: str = "") -> bool:
        """Record what a run was advised, or why not; the first word counts. Returns whether it is recorded."""
        text = clean(given.line()) if given else ""
        return self._changed(
            "UPDATE runs SET advised = 1, given = ?, why_not = ? WHERE run_id = ? AND NOT advised AND settled IS NULL",
            (text, clean(why_not)[:500], run_id),
        )

    def add_key(self, run_id: str, key: str) -> bool:
        """Record a further key by which calls of a run are known. Returns whether it is recorded."""
        try:
            with self._spool.writing(STEPS) as base:
                row = run_row(base, run_id)
                if row is not None:
                    name_run(base, key, row["id"], self._clock())
                return row is not None
        except NotRecorded:
            self._lost += 1
            return False

    def _changed(self, statement: str, values: tuple[Any, ...]) -> bool:
        try:
            with self._spool.writing(STEPS) as base:
                return base.execute(statement, values).rowcount > 0
        except NotRecorded:
            self._lost += 1
            return False

    def add_steps(self, run_id: str, steps: Sequence[Step], tokens: int = 0, error: str = "") -> bool:
        """Add steps to a run. What comes when it is settled is kept, and is no longer handed over.

        Returns:
            Whether they are recorded: not where the run is unknown, has too many bytes of steps, or the spool is full.
        """
        texts, error = [step_line(step) for step in steps], clean(error)[:500]
        size, now = sum(map(len, texts)), self._clock()
        try:
            with self._spool.writing(STEPS) as base:
                row = run_row(base, run_id)
                if row is None:
                    return False
                fits = row["size"] + size <= LARGEST_RUN
                if fits:
                    places = range(row["steps"], row["steps"] + len(texts))
                    rows = [(row["id"], place, text) for place, text in zip(places, texts, strict=True)]
                    base.executemany("INSERT INTO steps VALUES (?, ?, ?)", rows)
                else:
                    error = TOO_LARGE
                added, size = (len(texts), size) if fits else (0, 0)
                counted = min(max(tokens, 0), MOST_TOKENS) if row["settled"] is None else 0
                base.execute(
                    "UPDATE runs SET steps = steps + ?, size = size + ?, tokens = tokens + ?, heard = max(heard, ?),"
                    " error = CASE WHEN ? = '' THEN error ELSE ? END WHERE id = ?",
                    (added, size, counted, now, error, error, row["id"]),
                )
                return fits
        except NotRecorded:
            self._lost += 1
            return False

    def report(self, run_id: str, outcome: Outcome, by: str = "", answer: str = "") -> ReportResult:
        """Record how a run ended, and return which outcome counts: the last word of the most trusted source.

        Every outcome is kept. One that comes when the run is settled is kept and changes nothing. The outcome is on the
        disk when this returns.

        Args:
            by: who reports it, in words.
            answer: what the run handed over, where its steps do not say it.

        Raises:
            UnknownRun: there is no run of this id, or it was handed over long ago.
            DataError: the run has too many outcomes already.
            NotRecorded: the spool is full or broken; the outcome is not kept.
        """
        now = self._clock()
        try:
            with self._spool.writing(OUTCOMES) as base:
                row = run_row(base, run_id)
                if row is None:
                    raise UnknownRun(f"no run {run_id[:200]!r}")
                one = self._params.domains.get(row["domain"])
                told = completed(outcome, one.passes_at if one else 1.0, now)
                result = keep_outcome(base, row, told, by, answer, now)
            self._spool.flush()
        except NotRecorded:
            self._lost += 1
            raise
        return result

    def find(self, key: str, minutes: float | None = None) -> OpenRun | None:
        """Return the run that a key belongs to, if it has no outcome yet and was heard of lately.

        minutes: how lately; None: service.run_minutes.
        """
        within = self._params.service.run_minutes if minutes is None else minutes
        with self._spool.reading() as base:
            row = keyed_row(base, key, self._clock() - within * MINUTE)
        return self._open(row) if row else None

    def get(self, run_id: str) -> RunView | None:
        """Return a run with its steps and outcomes; None: there is none of this id, or it was handed over long ago."""
        with self._spool.reading() as base:
            row = run_row(base, run_id)
            return view_of(row, steps_of(base, row), outcomes_of(base, row)) if row else None

    def list(
        self, domain: str = "", arm: str = "", outcome: str = "", reflector: str = "", limit: int = 50, before: str = ""
    ) -> list[RunView]:
        """Return runs, newest first, without their steps.

        Args:
            outcome: a verdict, such as passed.
            reflector: beginning of an adapter's digest.
            before: id of a run; the list goes on behind it.
        """
        with self._spool.reading() as base:
            return list_runs(base, domain, arm, outcome, reflector, limit, before)

    def sweep(self, all: bool = False) -> SweepResult:
        """Settle the runs that are over, and hand over what is settled: evidence in order of number, experience.

        It may be killed at any point, and is gone on with by the next one.

        Args:
            all: do not wait for better outcomes, nor for larger batches.

        Raises:
            OSError: a file cannot be written; nothing is lost, and the next sweep tries again.
            NotRecorded: the spool is broken.
        """
        return self._hand_over.sweep(self._clock(), all)

    def stats(self) -> BookStats:
        """Return counts of the runs."""
        with self._spool.reading() as base:
            runs, (opened, settled) = counts(base), waiting(base)
        return BookStats(opened, settled, runs, self._spool.used(), self._spool.limit, self._lost)

    def close(self) -> None:
        """Give the spool back. Nothing needs to be saved."""
        self._spool.close()

    def _open(self, row: sqlite3.Row) -> OpenRun:
        return OpenRun(**assigned(row), token=self.token_of(row["run_id"]))
