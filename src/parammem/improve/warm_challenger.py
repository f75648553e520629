"""The second challenger: the champion, trained on with what is new and a share of what it knew. Off by default.

The pipeline's own state is always the reflector retrained from the base. The second challenger takes its place in the
worktree for one commit, to which its tag points, so that it is fetched, rebuilt and audited like any other version.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from parammem.checkout import dvc
from parammem.checkout.git import UNATTENDED, commit, git, tip
from parammem.checkout.places import CHALLENGERS, MODELS, Places
from parammem.core.jsonl import write_text
from parammem.errors import ConfigError
from parammem.registry.register import register_adapter
from parammem.registry.state import Version, champion
from parammem.registry.storage import fetch

if TYPE_CHECKING:
    from parammem.improve.turn import Turn

PLACE = re.compile(r"^(warm_start:.*\n(?:(?:[ #].*)?\n)*?)( +)adapters:.*\n(?:\2 +.*\n)*", re.M)
"""warm_start.adapters in params.yaml, on one line or several."""
STATE = ("params.yaml", "dvc.lock")
"""Files of git in which the two challengers' states differ."""


def champion_folder(turn: Turn, domain: str, incumbent: Version) -> Path:
    """Return the champion's adapter in the worktree, where `train` looks for it too."""
    place = Places(turn.tree, domain).start(incumbent.adapter)
    return place if place.exists() else fetch(turn.tree, domain, incumbent, place)


def keep(turn: Turn, domain: str, adapter: str) -> Path:
    """Return a copy of the adapter that the pipeline has just made: the next one takes its place."""
    place = turn.tree / CHALLENGERS / adapter[:16]
    if not place.exists():
        shutil.copytree(Places(turn.tree, domain).reflector, place)
    return place


def add_challengers(turn: Turn, message: str, paths: tuple[str, ...]) -> None:
    """Train on every champion that is challenged, and enter what comes of it.

    An arm that cannot be made (the recipe's rank has changed, nothing is new) is noted, and the turn goes on.
    """
    incumbent = {one.domain: champion(turn.ledger.read(), one.domain) for one in turn.challengers}
    starts = {domain: version.adapter for domain, version in incumbent.items() if version}
    if not starts:
        return
    for one in turn.challengers:
        one.folder = keep(turn, one.domain, one.adapter)
    for domain, version in incumbent.items():
        if version:
            champion_folder(turn, domain, version)
    turn.note(dvc.push(turn.tree))  # data first, then the commit that refers to it
    turn.retrained = commit(turn.tree, paths, message) or tip(turn.tree, "HEAD")
    turn.commits.append(turn.retrained)
    params = turn.tree / "params.yaml"
    try:
        write_text(params, with_starts(params.read_text(encoding="utf-8"), starts))
        turn.tools.rebuild(turn.tree, [f"train@{domain}" for domain in starts])
    except Exception as error:  # whatever a rebuild by other tools raises: this arm is an extra
        show_state(turn, turn.retrained)
        turn.retrained = ""
        turn.note(f"no challenger was trained on from a champion: {error}")
        return
    for domain, start in starts.items():
        version = register_adapter(turn.tree, domain, None, turn.tools.actor)
        turn.challenge(domain, version.adapter, keep(turn, domain, version.adapter), start)
        turn.note(f"{domain}: {version.name} ({version.adapter[:12]}), trained on from {start[:12]}, is candidate")


def back_to_retrained(turn: Turn) -> None:
    """Make one more commit, with the pipeline's own state. The second challenger's is in the commit before it."""
    if turn.retrained:
        turn.warm = turn.commits[-1]
        git(turn.tree, *UNATTENDED, "checkout", turn.retrained, "--", *STATE)
        turn.commits.append(commit(turn.tree, STATE, "Back to the state that is retrained from the base"))


def show_state(turn: Turn, commit_: str) -> None:
    """Let the worktree hold the adapters of one of the two states."""
    git(turn.tree, *UNATTENDED, "checkout", commit_, "--", *STATE)
    dvc.check_out(turn.tree, str(MODELS), turn.tools.say)


def with_starts(text: str, starts: Mapping[str, str]) -> str:
    """Return the text of params.yaml, naming these adapters to go on from. All else stays as it is written: libraries
    that read and write YAML whole take the quotes off 'off', which then is no word any more.

    Raises:
        ConfigError: there is no place for them.
    """
    written = ", ".join(f'{domain}: "{adapter}"' for domain, adapter in starts.items())
    found, count = PLACE.subn(lambda m: f"{m[1]}{m[2]}adapters: {{{written}}}\n", text, count=1)
    if not count:
        raise ConfigError("params.yaml has no warm_start.adapters; add `warm_start:` with `adapters: {}` to it")
    return found
