"""`parammem registry`, `rollback` and `sync`: versions of reflectors, and what is made from the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.checkout.places import TRACKING, project
from parammem.cli.options import FIRST_DOMAIN, PARAMS, Domain, ParamsFile
from parammem.cli.say import say, say_end
from parammem.config import load_params
from parammem.core.words import count

app = typer.Typer(help="Show and keep the versions of the reflectors, by the ledger.", no_args_is_help=True)


@app.command()
def history(domain: Domain = FIRST_DOMAIN) -> None:
    """List every version of a domain, what became of it, and the champion."""
    from parammem.registry.branch import known
    from parammem.registry.ledger_text import as_text

    say(as_text(known(project()), domain))


@app.command()
def verify() -> None:
    """Check every ledger that counts: that its chain is unbroken, and its decisions and files of runs in use are what
    they were (exit code 11 if not), and that no commit, merge or reset took an event away (exit code 10 if one did)."""
    from parammem.registry.ledger_text import check

    say(check(project()))


@app.command("merge-driver")
def merge_driver(
    base: Annotated[Path, typer.Argument(help="The common ancestor's ledger (git's %O).")],
    ours: Annotated[Path, typer.Argument(help="This side's (git's %A); the result goes there.")],
    theirs: Annotated[Path, typer.Argument(help="The other side's (git's %B).")],
) -> None:
    """Join two ledgers that grew side by side: what git calls in a merge, once `registry setup` has told it to."""
    from parammem.registry.merge import drive

    drive(base, ours, theirs)


@app.command()
def setup() -> None:
    """Tell this clone's git how to merge a ledger. `make setup` does it; a second time changes nothing."""
    from parammem.registry.merge import DRIVER, install

    done = install(Path())
    say(f"git merges ledgers by the driver {DRIVER}" if done else "no git repository: there is nothing to merge")


@app.command()
def merge() -> None:
    """Settle the ledger of a `git merge` that has stopped in it, in a clone that `registry setup` was not run in."""
    from parammem.registry.merge import settle

    say(f"{count(settle(Path()), 'event')} in one unbroken chain; `git status` says what is left, then `git commit`")


@app.command()
def register(
    domain: Domain = FIRST_DOMAIN,
    folder: Annotated[
        Path | None, typer.Argument(help="Adapter folder; default: models/reflectors/<domain>.", show_default=False)
    ] = None,
) -> None:
    """Give an adapter the next version number, as candidate."""
    from parammem.registry.branch import refuse_behind
    from parammem.registry.register import register_folder

    refuse_behind(project())
    say(register_folder(Path(), domain, folder))


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="PEFT folder with a LoRA.", show_default=False)],
    domain: Domain = FIRST_DOMAIN,
    base_model: Annotated[
        str, typer.Option("--base-model", help="Folder or hub name of the base model that it was trained on.")
    ] = "",
    params: ParamsFile = PARAMS,
) -> None:
    """Take in a LoRA adapter that was trained elsewhere: copy it to models/imported, make its card, register it."""
    from parammem.checkout.git import person
    from parammem.registry.branch import refuse_behind
    from parammem.registry.import_adapter import import_adapter, in_words

    refuse_behind(Path())
    settings = load_params(params)
    kind = settings.kind(domain)
    named, real = "" if kind == domain else kind, bool(settings.benchmarks.sources)
    say(in_words(import_adapter(Path(), domain, folder, base_model, person(Path()), kind=named, real=real)))


@app.command()
def fetch(
    version: Annotated[str, typer.Argument(help="champion, v3, 3, or the beginning of a digest.")],
    to: Annotated[Path, typer.Option(help="Folder to write; must not exist.")],
    domain: Domain = FIRST_DOMAIN,
) -> None:
    """Write a version's adapter folder, as it was committed."""
    from parammem.registry.branch import known
    from parammem.registry.state import find_version
    from parammem.registry.storage import fetch as get

    found = find_version(known(project()), domain, version)
    get(Path(), domain, found, to)
    say(f"{domain} {found.name} ({found.adapter[:16]}) in {to}")


@app.command()
def gc(dry: Annotated[bool, typer.Option("--dry", help="Only say what would go.")] = False) -> None:
    """Delete what DVC no longer needs (`dvc gc`), but keep every version and what it was made from. Waits for a turn of
    `improve` to end."""
    from parammem.checkout.git import person
    from parammem.checkout.lock import locked
    from parammem.improve.generations import settings
    from parammem.registry.branch import known
    from parammem.registry.storage import collect_garbage

    root = project()
    with locked(root, person(root), settings(root).wait_seconds, say):
        say(collect_garbage(root, dry, known(root)).strip())


def rollback(
    to: Annotated[str, typer.Option("--to", help="An earlier champion (v2), before (the one before this), or none.")],
    domain: Domain = FIRST_DOMAIN,
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")] = "asked for",
) -> None:
    """Make an earlier champion champion again. Nothing is deleted.

    Works in a worktree of its own, commits to the branch of `improve.branch`, and tags it; your files are not touched.
    """
    from parammem.checkout.git import person
    from parammem.improve.champion import rollback as roll_back
    from parammem.improve.generations import settings
    from parammem.improve.run import plain_tools

    report = roll_back(project(), plain_tools(person(Path()), say), domain, to, reason)
    say_end(report)
    if report.commit:
        branch = settings(Path()).branch
        say(f"committed to {branch} as {report.commit[:12]}; `git merge {branch}` brings it into your branch")


def sync(
    params: ParamsFile = PARAMS,
    folder: Annotated[Path, typer.Option(help="Where offline runs are kept.")] = TRACKING,
) -> None:
    """Make what is missing of git tags and W&B aliases from the ledger. Running it again does nothing twice."""
    from parammem.registry.branch import known
    from parammem.registry.sync import operations, replay
    from parammem.registry.tags import sync_tags
    from parammem.tracking.wandb_server import open_server, send_offline_runs

    tags = sync_tags(project())
    say(f"tags: {len(tags.made)} made, {len(tags.mended)} mended, {len(tags.waiting)} wait for a commit")
    events, server = known(Path()), open_server(load_params(params).tracking, folder)
    if server is None:
        say(f"W&B: offline; {count(len(operations(events)), 'operation')} will be replayed when a server is there")
        return
    sent = send_offline_runs(folder)
    say(f"W&B: {count(sent, 'run')} sent, {count(len(replay(events, server, folder)), 'operation')} replayed")
