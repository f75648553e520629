"""What `audit verify` says of one link, and of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from parammem.core.record import Record
from parammem.core.words import count


class Finding(Record):
    """One link from raw experience to decision, checked again."""

    kind: str
    """experience, data, adapter, model, report, lock, ledger, decision, evidence, tag, code or git."""
    stage: str
    """The stage or step that it belongs to: a stage of dvc.lock, or ingest, ledger, decide, publish, git."""
    path: str
    """The file, or the tag, that it is about."""
    holds: bool | None
    """None: it cannot be checked here, or it is merely stale; `detail` says why."""
    detail: str


class Verification(Record):
    """The outcome of one verification. Only what does not hold is listed; the rest is counted."""

    checked: dict[str, int]
    """Kind → links that were checked."""
    findings: tuple[Finding, ...]
    """Broken ones first, then the unknown."""
    generations: int
    rows: int
    """Row hashes in the manifests that were checked."""
    files_read: int
    bytes_read: int
    """What was not remembered from an earlier verification."""
    full: bool

    @property
    def broken(self) -> tuple[Finding, ...]:
        return tuple(found for found in self.findings if found.holds is False)


class Tally:
    """Counts what holds and keeps what does not, so that a million links need no memory."""

    def __init__(self) -> None:
        self.checked: Counter[str] = Counter()
        self.kept: dict[tuple[str, str, bool | None], Finding] = {}
        self.generations = 0
        self.rows = 0

    def add(self, findings: Iterable[Finding]) -> None:
        for found in findings:
            self.checked[found.kind] += 1
            if found.holds is not True:
                self.kept.setdefault((found.path, found.detail, found.holds), found)

    def sorted(self) -> tuple[Finding, ...]:
        return tuple(sorted(self.kept.values(), key=lambda found: (found.holds is None, found.path)))


def render_verification(done: Verification) -> str:
    """Return in words: what was checked, then each link that does not hold."""
    total = sum(done.checked.values())
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(done.checked.items()))
    over = f"{count(done.generations, 'generation')} and {count(done.rows, 'row hash', 'row hashes')}"
    lines = [f"{count(total, 'link')} checked over {over}: {kinds}"]
    how = "everything was read again" if done.full else "unchanged files were not read again"
    lines.append(f"{count(done.files_read, 'file')} ({count(done.bytes_read, 'byte', form=',')}) read; {how}")
    for found in done.findings:
        word = "BROKEN " if found.holds is False else "unknown"
        lines.append(f"  {word} {found.path} [{found.stage}]: {found.detail}")
    lines.append(f"{len(done.broken)} BROKEN" if done.broken else _sound(total, len(done.findings)))
    return "\n".join(lines)


def _sound(total: int, unknown: int) -> str:
    """Return the last line where no link is broken: what could not be looked at is no proof of anything."""
    if not total:
        return "nothing is recorded here yet; `dvc repro` makes the first adapter"
    if unknown:
        return f"nothing was changed since it was recorded; unknown: {count(unknown, 'link')} named above"
    return "nothing was changed since it was recorded"
