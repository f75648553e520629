"""`make demo`: five batches of experience from a drifting world, through a real Prefect server, in a throwaway clone.

python -m experiments.demo.run [--folder DIR] [--batches N] [--tasks N] [--poisoned N] [--settings YAML]

Each batch is what a pocket agent did in a season with its own kinds of quantity; it works with the champion's advice as
soon as there is a champion. The third batch is poisoned: it calls wrong solutions right. Every turn is the `improve`
flow, at the end the champion is checked and rolled back, and a chart shows the generations. A witness beside it writes
down what happened, so that what `parammem audit` says of it can be compared. Exit code 1 unless a challenger was
promoted, the poisoned batch's challenger refused, and the champion rolled back.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flows import ROOT
from flows.prefect_server import local_server
from parammem.config import read_mapping
from parammem.core.event import Event, Published, RolledBack
from parammem.core.words import count

if TYPE_CHECKING:
    from experiments.demo.witness import Witness

DOMAIN = "code"
POISONED = 3
SETTINGS = {
    "domains": [DOMAIN],
    "tasks": {"train": 24, "bank": 0, "eval": 100, "unseen": 10},
    "engine": {"cache": ".cache/completions"},
    "collect": {"trajectories": 1},
    "validate": {"min_rows": 1},
    "train": {"max_steps": 90, "controls": [], "checkpoint_every": 45, "held_out": 0.0},
    # Some 200 tasks find no gain of 8 points, and need not: here a season is worth more.
    "gate": {"fresh_tasks": 100, "min_power": 0.0},
    "experience": {"fresh_share": 0.25},
    "tracking": {"mode": "off"},
    "improve": {"min_new_rows": 40, "max_hours": 0, "drift_points": 0, "stages": ["train"]},
}
"""Laid over params.yaml: one domain, and sizes with which a generation takes about two minutes."""
BATCHES, TASKS = 5, 240
LOOSER = "with a gate of yours the poisoned batch may stay undecided"


def main() -> int:
    """Play it. Exit code 1, with a sentence for each thing, when it did not show what it is there to show."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.demo.run", description="Continual self-improvement, offline."
    )
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "demo", help="where it works; made anew")
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks of a season")
    parser.add_argument("--poisoned", type=int, default=POISONED, help="number of the batch that lies")
    parser.add_argument("--settings", type=Path, help=f"a YAML file laid over the demo's own; {LOOSER}")
    given = parser.parse_args()
    started = time.monotonic()
    shutil.rmtree(given.folder, ignore_errors=True)
    more = read_mapping(given.settings) if given.settings else {}
    root = make_repository(given.folder, more)
    os.chdir(root)
    with contextlib.ExitStack() as stack:
        os.environ["PREFECT_HOME"] = str(given.folder / "prefect")  # its own database
        os.environ["PREFECT_API_URL"] = stack.enter_context(local_server(given.folder / "prefect"))
        os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
        print(f"Prefect: {os.environ['PREFECT_API_URL'].removesuffix('/api')} (open it in a browser)", flush=True)
        said = play(root, given.batches, given.tasks, given.poisoned)
    events = report(root, given.folder)
    used = sum(os.times()[:4])
    print(f"{(time.monotonic() - started) / 60:.1f} minutes, {used / 60:.1f} CPU minutes", flush=True)
    failed = unmet(said, events, given.poisoned, refused="gate" not in more)
    for sentence in failed:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if failed else 0


def make_repository(folder: Path, more: Mapping[str, Any]) -> Path:
    """Return a copy of the working tree without what git ignores: small settings, a DVC remote beside it, an identity.

    Args:
        more: params laid over SETTINGS, section by section.
    """
    root = folder / "repo"
    root.mkdir(parents=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("ledger/", "data/experience/", "data/fresh/")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    (root / "data" / "experience").mkdir(parents=True, exist_ok=True)
    (root / "data" / "experience" / ".gitkeep").touch()
    (root / "dvc.lock").unlink(missing_ok=True)
    params = read_mapping(root / "params.yaml")
    for section, values in (*SETTINGS.items(), *more.items()):
        params[section] = values if not isinstance(values, dict) else {**params[section], **values}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    who = [["config", "user.name", "demo"], ["config", "user.email", "demo@example.org"]]
    for words in (["init", "-q", "-b", "main"], *who, ["config", "commit.gpgsign", "false"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    remote = [sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "demo", str(folder / "remote")]
    subprocess.run(remote, cwd=root, check=True)
    for words in (["add", "-A"], ["commit", "-q", "-m", "The demo's repository"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def play(root: Path, batches: int, tasks: int, poisoned: int) -> dict[int, str]:
    """Play the batches, a turn after each; then the nightly check, and a rollback.

    Returns:
        What each batch's turn said.
    """
    from experiments.demo.drift import seasons
    from experiments.demo.witness import Witness
    from flows.improve import evaluate_champion, improve, rollback

    params = read_mapping(root / "params.yaml")
    witness = Witness(root, root.parent / "witness.jsonl", DOMAIN, params["improve"]["branch"])
    witness.start(params)
    kinds = seasons(params["tasks"]["world"], DOMAIN, batches)
    turns: dict[int, str] = {}
    for number in range(1, batches + 1):
        began = time.monotonic()
        rows = drop_batch(root, number, kinds[number - 1], tasks, number == poisoned, witness)
        dropped = time.monotonic()
        print(f"\nbatch {number} about {', '.join(kinds[number - 1])}{' (poisoned)' * (number == poisoned)}: {rows}")
        turns[number] = said = improve(str(root))
        print(f"improve: {said}")
        print(
            f"{dropped - began:.0f} s of work by the agent, {time.monotonic() - dropped:.0f} s for the turn", flush=True
        )
        witness.turn(number, said)
    print(f"\nevaluate-champion: {evaluate_champion(str(root))}")
    said = rollback(DOMAIN, "before", "asked for in the demo", str(root))
    print(f"rollback: {said}")
    witness.rollback(said)
    return turns


def unmet(turns: Mapping[int, str], events: Sequence[Event], poisoned: int, refused: bool = True) -> list[str]:
    """Return what the demo is there to show and did not show, a sentence each; empty if it showed all of it.

    Args:
        turns: number of a batch → what its turn said, as `improve` says it.
        events: the ledger at the end.
        poisoned: number of the batch that lies; nothing is asked of it when there was no such batch.
        refused: it must be refused; False: it may stay undecided too, as by wider margins than the demo's it does.
    """
    facts = [event.fact for event in events]
    found = []
    if not any(isinstance(fact, Published) and fact.stage == "champion" for fact in facts):
        found.append("nobody was promoted; see the decisions above, and `parammem gate --show` in the repository")
    answers = re.findall(rf"{DOMAIN}: (\w+)", turns.get(poisoned, ""))
    harmless = {"refuse"} if refused else {"refuse", "undecided"}
    if poisoned in turns and (not answers or not harmless.issuperset(answers)):
        found.append(f"the challenger of the poisoned batch {poisoned} was not refused: {turns[poisoned]}")
    if not any(isinstance(fact, RolledBack) for fact in facts):
        found.append("no champion was rolled back")
    return found


def drop_batch(root: Path, number: int, kinds: tuple[str, ...], tasks: int, poisoned: bool, witness: Witness) -> str:
    """Write an agent's season as a file into the inbox. Returns what is in it, in words."""
    from experiments.demo.drift import draw, poison, work, write_batch
    from parammem.config import load_params
    from parammem.registry.branch import ledger_at
    from parammem.registry.state import champion

    params = load_params(root / "params.yaml")
    drawn = draw(params, DOMAIN, number, kinds, tasks)
    incumbent = champion(ledger_at(root, f"refs/heads/{params.improve.branch}"), DOMAIN)
    advisor = champion_folder(root, incumbent) if incumbent and not poisoned else None
    rows = poison(drawn, DOMAIN, number) if poisoned else work(params, root, DOMAIN, drawn, advisor, number)
    file = write_batch(rows, root / params.experience.inbox, f"batch-{number}")
    old = time.time() - 60
    os.utime(file, (old, old))
    witness.batch(number, file, advisor)
    right = sum(bool(row.experience.outcome.passed) for row in rows)
    return (
        f"{count(len(rows), 'task')}, {right} said to be right, advised by {incumbent.name if incumbent else 'nobody'}"
    )


def champion_folder(root: Path, version) -> Path:
    """Return the champion's adapter, by its tag."""
    to = root / ".cache" / "demo" / version.name
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        tag = f"{DOMAIN}-reflector@{version.name}.0.0"
        command = [sys.executable, "-m", "dvc", "get", "-q", "--rev", tag, ".", f"models/reflectors/{DOMAIN}"]
        subprocess.run([*command, "--out", str(to)], cwd=root, check=True)
    return to


def report(root: Path, folder: Path) -> list[Event]:
    """The generations as a table and a chart. Returns the ledger."""
    from parammem.improve.generations import as_text, chart, generations
    from parammem.registry.branch import decision_at, ledger_at

    branch = "refs/heads/improve"
    events = ledger_at(root, branch)
    found = generations(events, lambda digest: decision_at(root, branch, digest), DOMAIN)
    print("\n" + as_text(found))
    chart(found, folder / "generations.png")
    print(f"chart: {folder / 'generations.png'}; repository: {root}")
    return events


if __name__ == "__main__":
    sys.exit(main())
