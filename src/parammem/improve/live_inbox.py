"""Runs of agents in use on their way into a turn: files that the service left in data/live/in, tried before anything of
them counts.

A file's name holds its SHA-256 and a keyed hash of that, so nobody without the repository's secret can write one; each
run's arm must be the one that the secret gives it; and its runs must follow the last one in the ledger.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from parammem.checkout.dvc import track
from parammem.checkout.places import LIVE, LIVE_INBOX
from parammem.core.event import Event, Observed
from parammem.core.jsonl import read_jsonl
from parammem.core.live_run import LiveRun, assigned_arm
from parammem.core.words import count
from parammem.errors import DataError
from parammem.gate.live_evidence import moment
from parammem.gate.record_live import counts_of
from parammem.improve.turn import Turn
from parammem.registry.ledger import Ledger
from parammem.registry.live_secret import HALF, evidence_name, live_secret

NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}\.jsonl")
LARGEST = 256 << 20
"""Bytes of a file; ten thousand runs, as many as the service puts into one, take a tenth of that."""
ROUNDING = 1e-6
"""By which the sum of shares may differ from 1."""


class Found(NamedTuple):
    """What is in the folder."""

    files: list[tuple[Path, Observed, list[LiveRun]]]
    """Whole files that follow the last run in the ledger, in the order of their runs; what they will be entered as."""
    refused: dict[str, str]
    """Name of a file that stays where it is → why."""


def look_for_runs(root: Path, events: Sequence[Event]) -> Found:
    """Return what the service has left. Writes nothing."""
    found, refused = Found([], {}), {}
    last: dict[str, int] = {}
    known = set()
    for fact in (event.fact for event in events):
        if isinstance(fact, Observed):
            last[fact.domain] = max(last.get(fact.domain, 0), fact.last)
            known.add(fact.runs)
    files = []
    for path in _files(root):
        try:
            fact, runs = _tried(path, live_secret(root))
        except (DataError, OSError) as error:
            refused[path.name] = str(error)
            continue
        if fact.runs not in known:
            files.append((path, fact, runs))
    for path, fact, runs in sorted(files, key=lambda one: (one[1].domain, one[1].first)):
        expected = last.get(fact.domain, 0) + 1
        if fact.first != expected:
            refused[path.name] = (
                f"it holds runs {fact.first} to {fact.last} of {fact.domain}, and run {expected} is the next one that "
                f"the ledger waits for. If those before it are lost: `parammem gate --live --domain {fact.domain} "
                f"--lost {fact.first - 1}`, and commit"
            )
            continue
        last[fact.domain] = fact.last
        found.files.append((path, fact, runs))
    return found._replace(refused=refused)


def runs_wait(root: Path) -> bool:
    """Return whether files of runs are in the folder, whatever they are worth."""
    return bool(_files(root))


def take_in_runs(turn: Turn) -> list[Observed]:
    """Put the service's files into the worktree, under DVC and into its ledger; return what was entered."""
    found = look_for_runs(turn.root, turn.ledger.read()) if runs_wait(turn.root) else Found([], {})
    for name, why in found.refused.items():
        turn.note(f"runs stay in {LIVE_INBOX}: {name}: {why}")
    for path, fact, _ in found.files:
        target = turn.tree / LIVE / f"{fact.runs}.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    if found.files and (turn.tree / ".dvc").is_dir():
        track(turn.tree, [(LIVE / f"{fact.runs}.jsonl").as_posix() for _, fact, _ in found.files])
    for _, fact, _ in found.files:
        turn.record(fact)
        turn.note(f"{fact.domain}: runs in use, {fact.first} to {fact.last}: {_said(fact)}")
    return [fact for _, fact, _ in found.files]


def clear_entered(root: Path, tree: Path) -> int:
    """Take away the files that the worktree's ledger names; return how many that were. Call it when that is
    committed."""
    entered = {e.fact.runs[:HALF] for e in Ledger(tree).read() if isinstance(e.fact, Observed)}
    done = [path for path in _files(root) if path.name[:HALF] in entered]
    for path in done:
        path.unlink(missing_ok=True)
    return len(done)


def _files(root: Path) -> list[Path]:
    folder = root / LIVE_INBOX
    return sorted(path for path in folder.glob("*.jsonl") if not path.name.startswith(".")) if folder.is_dir() else []


def _tried(path: Path, secret: bytes) -> tuple[Observed, list[LiveRun]]:
    """Return a file's runs, and what it is entered as.

    Raises:
        DataError: it is not the service's, or what stands in it contradicts itself.
    """
    if path.is_symlink() or not path.is_file():
        raise DataError("it is no regular file; take it away")
    if path.stat().st_size > LARGEST:
        raise DataError(f"it has more than {LARGEST} bytes, as no file of the service's has; take it away")
    data = path.read_bytes()
    if not NAME.fullmatch(path.name) or not hmac.compare_digest(path.name, evidence_name(data, secret)):
        raise DataError(
            "its name is not that of its contents under this repository's secret, so it was changed, or another "
            "service wrote it; take it away"
        )
    runs = read_jsonl(path, LiveRun)
    if not runs:
        raise DataError("it holds no run; take it away")
    first = runs[0]
    for place, run in enumerate(runs):
        if run.domain != first.domain or run.number != first.number + place:
            raise DataError(f"line {place + 1}: run {run.number} of {run.domain!r} does not follow the line before it")
        _refuse_odd(run, place + 1)
        if run.arm != assigned_arm(run.domain, run.run_id, run.shares, secret):
            raise DataError(f"line {place + 1}: run {run.run_id!r} is not of the arm that was drawn for it")
    _refuse_doubles(runs)
    digest = hashlib.sha256(data).hexdigest()
    fact = Observed(
        domain=first.domain, runs=digest, first=first.number, last=runs[-1].number, counts=counts_of(runs)
    )  # fmt: skip
    return fact, runs


def _refuse_odd(run: LiveRun, line: int) -> None:
    shares = run.shares.values()
    if not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > ROUNDING:
        raise DataError(f"line {line}: the shares of run {run.run_id!r} are no chances that add up to 1")
    try:
        moment(run.started)
    except ValueError:
        raise DataError(f"line {line}: run {run.run_id!r} does not say when it started") from None


def _refuse_doubles(runs: Iterable[LiveRun]) -> None:
    seen: set[str] = set()
    for run in runs:
        if run.run_id in seen:
            raise DataError(f"run {run.run_id!r} stands in it twice")
        seen.add(run.run_id)


def _said(fact: Observed) -> str:
    return ", ".join(
        f"{arm} {count(runs, 'run')}, {known} with an outcome, {passed} passed"
        for arm, (runs, known, passed) in fact.counts.items()
    )
