"""Git tags in GTO's form, made from the ledger: `gto history`, `gto show` and `dvc artifacts get` read them.

    code-reflector@v3.0.0          version 3 was registered
    code-reflector#candidate#5     … as candidate (5: the fifth assignment of this artifact)
    code-reflector#champion!#6     … the one before is champion no longer
    code-reflector#champion#7      … and this one is, by the gate or by a rollback

All are annotated, carry the event's digest and time, and point at the first commit whose ledger holds the event that
registered the version: GTO tells the version by the commit. So they can be rebuilt from nothing, to the same names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from parammem.checkout.git import git, git_folder, has_commits, require_identity
from parammem.checkout.leftovers import at_work, clear_leftovers, ref_lock, take_away
from parammem.core.event import Event, Published, RolledBack
from parammem.core.jsonl import text_lines
from parammem.registry.ledger import PLACE, Ledger

DIGEST = re.compile(r'"digest": "([0-9a-f]{64})"')
PLAIN = ("--text", "--no-ext-diff", "--no-textconv")
"""Whatever .gitattributes and the configuration say of diffs."""
EVENT = re.compile(r"^Event: ([0-9a-f]{64})$", re.M)


class Wanted(NamedTuple):
    """A tag that the ledger asks for."""

    name: str
    version_event: str
    """Digest of the event that registered the version."""
    event: Event
    message: str


class Synced(NamedTuple):
    """What was done to the tags."""

    made: tuple[str, ...]
    mended: tuple[str, ...]
    """Tags of ours that said something else than the ledger, and were made anew."""
    waiting: tuple[str, ...]
    """Tags whose event is not committed yet."""


def artifact(domain: str) -> str:
    return f"{domain}-reflector"


def wanted_tags(events: Sequence[Event]) -> list[Wanted]:
    """Return every tag that this ledger asks for, in its order.

    Who was champion before is unassigned: GTO lets several versions stand in a stage and then shows the highest.
    """
    found: list[Wanted] = []
    made_by: dict[tuple[str, int], str] = {}
    incumbent: dict[str, int] = {}
    assigned: Counter[str] = Counter()

    def assign(event: Event, domain: str, version: int, stage: str, sign: str = "") -> None:
        name = artifact(domain)
        assigned[name] += 1
        said = f"v{version} is {'no longer ' if sign else ''}{stage}"
        found.append(Wanted(f"{name}#{stage}{sign}#{assigned[name]}", made_by[domain, version], event, said))

    for event in events:
        fact = event.fact
        if not isinstance(fact, Published | RolledBack):
            continue
        domain, version = fact.domain, fact.version
        if isinstance(fact, Published) and fact.stage == "candidate":
            made_by[domain, version] = event.digest
            tag = f"{artifact(domain)}@v{version}.0.0"
            found.append(Wanted(tag, event.digest, event, f"Registered v{version}"))
            assign(event, domain, version, "candidate")
            continue
        before = incumbent.get(domain, 0)
        if before and before != version:
            assign(event, domain, before, "champion", "!")
        if version:
            assign(event, domain, version, "champion")
        incumbent[domain] = version
    return found


def sync_tags(root: Path) -> Synced:
    """Make the tags that are missing, and mend those of ours that say something else. Nothing else is touched.

    Raises:
        LedgerError: the ledger is broken, or git has no identity to sign tags with.
    """
    clear_leftovers(root)
    there, commits = existing_tags(root), commits_of_events(root)
    made, mended, waiting = [], [], []
    for want in wanted_tags(Ledger(root).read()):
        commit = commits.get(want.version_event)
        if commit is None or want.event.digest not in commits:
            waiting.append(want.name)
        elif there.get(want.name) != (want.event.digest, commit):
            require_identity(root)
            _make(root, want, commit)
            (mended if want.name in there else made).append(want.name)
    return Synced(tuple(made), tuple(mended), tuple(waiting))


def existing_tags(root: Path) -> dict[str, tuple[str, str]]:
    """Return tag name → the event it was made from (empty: none) and the commit that it points at."""
    listing = git(root, "for-each-ref", "--format=%(refname:strip=2)%00%(*objectname)%00%(contents)%01", "refs/tags")
    found = {}
    for entry in listing.split("\x01"):
        if entry.strip():
            name, commit, message = entry.lstrip("\n").split("\x00", 2)
            event = EVENT.search(message)
            found[name] = (event[1] if event else "", commit)
    return found


def commits_of_events(root: Path, revision: str = "HEAD") -> dict[str, str]:
    """Return event digest → the first commit, on the way to a revision, whose ledger holds it."""
    if revision == "HEAD" and not has_commits(root):
        return {}
    # A merge of two ledgers signs events anew, so it is compared with each parent. Of its parents' own events the
    # parents come first: by --date-order whatever the clocks said.
    how = ("--reverse", "--date-order", "--diff-merges=separate", "--format=%x01%H", "-p", "-U0", *PLAIN)
    found: dict[str, str] = {}
    commit = ""
    for line in text_lines(git(root, "log", *how, revision, "--", PLACE.as_posix())):
        if line.startswith("\x01"):
            commit = line[1:]
        elif line.startswith("+{") and (digest := DIGEST.search(line)):
            found.setdefault(digest[1], commit)
    return found


def _make(root: Path, want: Wanted, commit: str) -> None:
    message = f"{want.message}\n\nEvent: {want.event.digest}\nActor: {want.event.actor}\n"
    date = {"GIT_COMMITTER_DATE": want.event.time}
    folder = git_folder(root)
    lock = ref_lock(folder or root, f"refs/tags/{want.name}")
    if lock.exists():  # no other program makes tags of these names, so unless a git is at work it was killed
        take_away(root, lock)
    with at_work(root, [lock]):
        git(root, "tag", "--annotate", "--force", "--message", message, want.name, commit, env=date)
