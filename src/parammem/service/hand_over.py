"""Hand runs over to `improve`: lines of evidence in order of number, and rows of experience for the inbox.

First it is decided, in a transaction, which runs a file holds; then the file is written whole; then it is marked as
done. What a file holds does not change any more when that is decided. So after a kill it is written again, byte for
byte the same, and its digest tells that it has been taken in already.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from parammem.checkout.places import LIVE_INBOX
from parammem.config import Params
from parammem.core.event import Observed
from parammem.core.jsonl import write_text
from parammem.core.record import digest_of
from parammem.registry.branch import known
from parammem.registry.live_secret import evidence_name
from parammem.service.experience_rows import experience_row
from parammem.service.run_queries import packed
from parammem.service.run_records import SweepResult
from parammem.service.run_rows import count_runs, live_run
from parammem.service.spool import Spool

EVIDENCE_RUNS = 10_000
"""Of one file of evidence, at most."""
BATCH_RUNS, BATCH_BYTES = 2000, 32 << 20
"""Runs of one file of the inbox, and size of their texts, at most."""
ENOUGH = 1000
"""Runs for which no more are waited for."""
AT_ONCE = 500
"""Runs of one transaction: others wait for it."""
LONGEST_RUN = 7
"""How many times as long as a silent run one may go on without an outcome: evidence of later runs waits for it."""
KEPT_RUNS, KEPT_SHARE = 20_000, 0.5
"""Runs that stay in the spool when they were handed over, to be read and for late outcomes, and the share of the spool
that they may fill."""
KEY_SECONDS, KNOWN_SECONDS = 2 * 86400.0, 30 * 86400.0
"""How long a key of a run is known; and the number of runs of a task, and ids of runs that are no longer kept."""
MINUTE = 60.0


class HandOver:
    """What a sweep does."""

    def __init__(self, root: Path, params: Params, spool: Spool, secret: bytes) -> None:
        self._root, self._service, self._spool, self._secret = root, params.service, spool, secret
        self._alone = Lock()
        self._inbox, self._kinds = root / params.experience.inbox, params.kinds()

    def sweep(self, now: float, all: bool = False) -> SweepResult:
        """Settle, hand over and tidy up; as `RunBook.sweep`."""
        with self._alone:
            settled = self._settle(now, all)
            self._decide_evidence(now, all)
            self._decide_batches(now, all)
            evidence, batches = self._write()
            removed = self._remove_old(now)
            self._spool.tidy()
        return SweepResult(settled, tuple(evidence), tuple(batches), removed)

    def _settle(self, now: float, all: bool) -> int:
        """Decide how those runs ended that have an outcome since long enough, or will get none."""
        waited = 0.0 if all else self._service.settle_seconds
        patience = (self._service.run_minutes + self._service.outcome_minutes) * MINUTE
        settled = 0
        over = (
            ("reported IS NOT NULL AND reported <= ?", now - waited),
            ("reported IS NULL AND heard < ?", now - patience),
            ("reported IS NULL AND started < ?", now - LONGEST_RUN * patience),
        )
        for condition, bound in over:
            while True:
                with self._spool.writing() as base:
                    found = base.execute(
                        "UPDATE runs SET settled = ?, ended = COALESCE(reported, heard), final_steps = steps,"
                        " verdict = CASE WHEN reported IS NULL THEN 'missing' ELSE verdict END,"
                        # nothing to learn from where nothing was written
                        " batch = CASE WHEN steps OR answer <> '' THEN 0 ELSE -1 END,"
                        " batch_done = CASE WHEN steps OR answer <> '' THEN 0 ELSE 1 END"
                        f" WHERE id IN (SELECT id FROM runs WHERE settled IS NULL AND {condition} LIMIT ?)"
                        " RETURNING domain, arm, verdict",
                        (now, bound, AT_ONCE),
                    ).fetchall()
                    missing = Counter((row["domain"], row["arm"]) for row in found if row["verdict"] == "missing")
                    for (domain, arm), many in missing.items():
                        count_runs(base, domain, arm, "open", -many)
                        count_runs(base, domain, arm, "missing", many)
                settled += len(found)
                if len(found) < AT_ONCE:
                    break
        return settled

    def _decide_evidence(self, now: float, all: bool) -> None:
        """Put the settled runs below the first one that is not settled into batches, domain by domain."""
        with self._spool.reading() as base:
            domains = [name for (name,) in base.execute("SELECT domain FROM domains").fetchall()]
        for domain in domains:
            while self._decide_one(domain, now, all):
                pass

    def _decide_one(self, domain: str, now: float, all: bool) -> bool:
        with self._spool.writing() as base:
            last, handed = base.execute("SELECT last, handed FROM domains WHERE domain = ?", (domain,)).fetchone()
            query = "SELECT MIN(number) FROM runs WHERE domain = ? AND settled IS NULL"
            unsettled = base.execute(query, (domain,)).fetchone()[0]
            last = min(last if unsettled is None else unsettled - 1, handed + EVIDENCE_RUNS)
            if last <= handed:
                return False
            oldest = "SELECT MIN(settled) FROM runs WHERE domain = ? AND number BETWEEN ? AND ?"
            since = base.execute(oldest, (domain, handed + 1, last)).fetchone()[0]
            if not (all or last - handed >= ENOUGH or now - since >= self._service.batch_seconds):
                return False
            base.execute("INSERT INTO batches VALUES (NULL, 'evidence', ?, ?, ?)", (domain, handed + 1, last))
            base.execute("UPDATE domains SET handed = ? WHERE domain = ?", (last, domain))
        return True

    def _decide_batches(self, now: float, all: bool) -> None:
        while self._decide_batch(now, all):
            pass

    def _decide_batch(self, now: float, all: bool) -> bool:
        with self._spool.writing() as base:
            texts = "size + LENGTH(text) + LENGTH(answer) + LENGTH(given) AS size"
            query = f"SELECT id, settled, {texts} FROM runs WHERE settled IS NOT NULL AND batch = 0 ORDER BY id LIMIT ?"
            taken, size = [], 0
            for row in base.execute(query, (BATCH_RUNS,)).fetchall():
                size += row["size"]
                if taken and size > BATCH_BYTES:
                    break
                taken.append(row)
            ready = len(taken) >= ENOUGH or size > BATCH_BYTES
            old = taken and now - min(row["settled"] for row in taken) >= self._service.batch_seconds
            if not taken or not (all or ready or old):
                return False
            made = base.execute("INSERT INTO batches VALUES (NULL, 'inbox', '', 0, 0)").lastrowid
            base.executemany("UPDATE runs SET batch = ? WHERE id = ?", [(made, row["id"]) for row in taken])
        return True

    def _write(self) -> tuple[list[str], list[str]]:
        """Write the files that were decided on and are not done. Raises OSError."""
        with self._spool.reading() as base:
            waiting = base.execute("SELECT * FROM batches ORDER BY id").fetchall()
        evidence, batches = [], []
        if waiting:
            self._spool.flush()  # a file must not be ahead of what a power cut leaves of the spool
        for batch in waiting:
            if batch["kind"] == "evidence":
                evidence.append(self._write_evidence(batch))
            elif name := self._write_batch(batch):
                batches.append(name)
        return evidence, batches

    def _write_evidence(self, batch: sqlite3.Row) -> str:
        domain, first, last = batch["domain"], batch["first"], batch["last"]
        lines = []
        for row in self._rows("domain = ? AND number BETWEEN ? AND ? ORDER BY number", (domain, first, last)):
            lines.append(live_run(row).line() + "\n")
        text = "".join(lines)
        name = evidence_name(text.encode(), self._secret)
        write_text(self._root / LIVE_INBOX / name, text, mode=0o600)
        self._done(batch, "evidence_done = 1 WHERE domain = ? AND number BETWEEN ? AND ?", (domain, first, last))
        return name

    def _write_batch(self, batch: sqlite3.Row) -> str:
        lines = []
        for row in self._rows("batch = ? AND batch_done = 0 ORDER BY id", (batch["id"],)):
            with self._spool.reading() as base:
                line = experience_row(base, row, self._kinds)
            if line:
                lines.append(line + "\n")
        text = "".join(lines)
        name = f"service-{digest_of(text)[:32]}.jsonl" if lines else ""
        if name:
            write_text(self._inbox / name, text, mode=0o640)
        self._done(batch, "batch_done = 1 WHERE batch = ? AND batch_done = 0", (batch["id"],))
        return name

    def _rows(self, where: str, values: tuple[object, ...]) -> Iterator[sqlite3.Row]:
        """Yield the runs of a file, a few at a time, so that calls of agents go on meanwhile."""
        at = 0
        while True:
            with self._spool.reading() as base:
                query = f"SELECT * FROM runs WHERE {where} LIMIT ? OFFSET ?"
                found = base.execute(query, (*values, AT_ONCE, at)).fetchall()
            yield from found
            at += len(found)
            if len(found) < AT_ONCE:
                return

    def _done(self, batch: sqlite3.Row, change: str, values: tuple[object, ...]) -> None:
        with self._spool.writing() as base:
            base.execute(f"UPDATE runs SET {change}", values)
            base.execute("DELETE FROM batches WHERE id = ?", (batch["id"],))

    def _remove_old(self, now: float) -> int:
        """Remove runs that were handed over: the oldest beyond what is kept. Returns how many."""
        removed = 0
        while True:
            with self._spool.writing() as base:
                kept = base.execute("SELECT COUNT(*) FROM runs WHERE evidence_done AND batch_done").fetchone()[0]
                crowded = self._spool.used() > KEPT_SHARE * self._spool.limit
                over = min(AT_ONCE, kept if crowded else kept - KEPT_RUNS)
                if over <= 0:
                    self._forget(base, now)
                    return removed
                chosen = "(SELECT id FROM runs WHERE evidence_done AND batch_done ORDER BY id LIMIT ?)"
                names = base.execute(f"SELECT run_id FROM runs WHERE id IN {chosen}", (over,)).fetchall()
                base.executemany("INSERT OR REPLACE INTO used VALUES (?, ?)", [(packed(n), now) for (n,) in names])
                for table in ("steps", "outcomes", "keys"):
                    base.execute(f"DELETE FROM {table} WHERE run IN {chosen}", (over,))
                base.execute(f"DELETE FROM runs WHERE id IN {chosen}", (over,))
            removed += over

    def _forget(self, base: sqlite3.Connection, now: float) -> None:
        base.execute("DELETE FROM keys WHERE at < ?", (now - KEY_SECONDS,))
        base.execute("DELETE FROM tasks WHERE seen < ?", (now - KNOWN_SECONDS,))
        base.execute("DELETE FROM used WHERE at < ?", (now - KNOWN_SECONDS,))


def last_number(root: Path, domain: str, secret: bytes) -> int:
    """Return the number of a domain's last run that was handed over: in the ledger, or in a file that waits for it; 0:
    there was none. Raises LedgerError: the ledger cannot be read."""
    facts = (event.fact for event in known(root))
    numbers = [fact.last for fact in facts if isinstance(fact, Observed) and fact.domain == domain]
    for file in sorted((root / LIVE_INBOX).glob("*.jsonl")):
        if file.is_symlink() or not file.is_file():  # a pipe would be waited for
            continue
        data = file.read_bytes()
        if file.name == evidence_name(data, secret):  # others are not ours
            last = json.loads(data.splitlines()[-1])
            numbers += [last["number"]] if last["domain"] == domain else []
    return max(numbers, default=0)
