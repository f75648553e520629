"""`parammem audit …`: which data made which model, whether that still holds, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from parammem.checkout.places import project
from parammem.cli.options import FIRST_DOMAIN, Domain
from parammem.cli.say import say
from parammem.core.escape import shown
from parammem.core.words import count
from parammem.errors import LineageError

app = typer.Typer(help="Show what made a model, and check it link by link, offline.", no_args_is_help=True)

Adapter = Annotated[
    str | None,
    typer.Argument(
        help="A version (v7), a digest (8 digits or more), champion, HEAD, or a folder; default: the reflector of this "
        "working tree.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
LONGEST = 1000
"""Characters of a line with ids."""
BROKEN = "`dvc checkout` restores the recorded files, `git checkout` those in git, `dvc repro` makes new ones"


@app.callback()
def audit() -> None:
    """Show what made a model."""


@app.command()
def show(adapter: Adapter = None, domain: Domain = FIRST_DOMAIN, as_json: AsJson = False) -> None:
    """Show one page that answers the ten questions about an adapter, every link checked again.

    Exit code 10 when one does not hold.
    """
    from parammem.lineage import audit_page, render_page

    page = audit_page(project(), adapter, domain)
    say(page.model_dump_json(indent=2) if as_json else render_page(page))
    if page.broken:
        names = ", ".join(dict.fromkeys(found.path for found in page.broken))
        raise LineageError(f"{page.title}: what is recorded does not hold: {names}; {BROKEN}")


@app.command()
def row(row: Annotated[str, typer.Argument(help="A row hash (8 digits or more), or words of its text.")],
        as_json: AsJson = False) -> None:  # fmt: skip
    """List every batch, dataset, adapter, evaluation and promotion that a training row was part of."""
    from parammem.lineage import render_trace, trace_rows

    found = trace_rows(project(), row)
    if as_json:
        say(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    else:
        say("\n\n".join(render_trace(one) for one in found))


@app.command()
def verify(
    adapter: Adapter = None,
    domain: Domain = FIRST_DOMAIN,
    full: Annotated[bool, typer.Option("--full", help="Read every file again, and let git check its objects.")] = False,
    as_json: AsJson = False,
) -> None:
    """Re-hash every link from raw experience to decision; without an adapter, of all generations.

    Exit code 10 when one does not hold.
    """
    from parammem.lineage import render_verification, verify

    done = verify(project(), adapter, full, domain)
    say(done.model_dump_json(indent=2) if as_json else render_verification(done))
    if done.broken:
        names = ", ".join(f"{found.path} [{found.stage}]" for found in done.broken[:10])
        raise LineageError(f"{count(len(done.broken), 'link')} broken: {names}; {BROKEN}")


@app.command()
def answer(
    trajectory: Annotated[
        str, typer.Argument(help="Id of a trajectory, a run or a task, or a JSONL file.", show_default=False)
    ] = "",
    by: Annotated[
        str, typer.Option("--by", help="Instead: list every trajectory that this adapter advised.", show_default=False)
    ] = "",
    domain: Domain = FIRST_DOMAIN,
    as_json: AsJson = False,
) -> None:
    """Say which adapter gave the advice in a trajectory; with --by, list the trajectories that an adapter advised."""
    from parammem.lineage import answered_by, answers_of

    if bool(trajectory) == bool(by):
        raise typer.BadParameter("name a trajectory, or an adapter with --by")
    if by:
        pieces = answers_of(project(), by, domain)
        listed = "\n".join(f"{shown(name)}  {count(number, 'piece')} of advice" for name, number in pieces.items())
        say(json.dumps(pieces, indent=2) if as_json else listed or "no trajectory here carries its digest")
        return
    found = answered_by(project(), trajectory)
    if as_json:
        say(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
        return
    for one in found:
        run = f"run {one.run_id}, " if one.run_id else ""
        say(shown(f"{one.trajectory_id} ({run}task {one.task_id}, {one.file})", LONGEST))
        for said in one.advised:
            known = f"v{said.version}" if said.version else said.generation or "no adapter of this history"
            commit = f", commit {said.commit[:12]}" if said.commit else ""
            say(f"  {count(said.pieces, 'piece')} of advice from {said.author[:16]}: {known}{commit}")
        if not one.advised:
            say("  no trained reflector took part")


@app.command()
def graph(
    adapter: Adapter = None,
    domain: Domain = FIRST_DOMAIN,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the picture.")] = Path("lineage.svg"),
) -> None:
    """Draw what made an adapter as SVG; boxes whose links do not hold are red."""
    from parammem.core.jsonl import write_text
    from parammem.lineage import graph_svg

    write_text(out, graph_svg(project(), adapter, domain))
    say(f"wrote {out}")


@app.command()
def rebuild(
    adapter: Adapter = None,
    domain: Domain = FIRST_DOMAIN,
    change: Annotated[list[str] | None, typer.Option("--set", help="Lay section.key=value over the params.")] = None,
    recreate: Annotated[
        bool,
        typer.Option(
            "--recreate-environment",
            help="Where this environment differs from the recorded one, make that anew with pip and run in it.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build an adapter again from its commit, in a clean worktree with nothing cached, and compare every byte.

    Exit code 10 when it is not bit-identical, unless --set changed it on purpose.
    """
    from parammem.lineage import rebuild, render_rebuilt

    changes = dict(map(_change, change or ()))
    done = rebuild(project(), adapter, domain, changes, recreate, say=lambda line: say(line, err=True))
    say(done.model_dump_json(indent=2) if as_json else render_rebuilt(done))
    if not done.identical and not changes:
        raise LineageError(f"{done.adapter[:16]} is {done.verdict}")


def _change(text: str) -> tuple[str, Any]:
    """Return key and value of one --set. Raises BadParameter: the value is no YAML."""
    from parammem.core.plain_yaml import plain_yaml

    key, _, value = text.partition("=")
    try:
        return key, plain_yaml(value)
    except ValueError as error:
        raise typer.BadParameter(f"--set {shown(key)}: its value cannot be read: {shown(str(error))}") from None


@app.command()
def recall(
    row: Annotated[str, typer.Option("--row", help="Hash of the row (8 digits or more), or words of its text.")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without this nothing is changed.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")] = "asked for by a person",
    as_json: AsJson = False,
) -> None:
    """Withdraw a row: who saw it and what follows; with --execute, roll back, rebuild without it, and prove it gone."""
    from parammem.improve.recall import recall, render_done
    from parammem.lineage import plan_recall, render_plan

    if not execute:
        plan = plan_recall(project(), row)
        say(plan.model_dump_json(indent=2) if as_json else render_plan(plan))
        say("nothing was changed; --execute does it", err=True)
        return
    plan, done = recall(project(), row, reason, _aside)
    say(done.model_dump_json(indent=2) if as_json else f"{render_plan(plan)}\n{render_done(done)}")


def _aside(line: str) -> None:
    say(line, err=True)


@app.command()
def blame(
    batch: Annotated[bool, typer.Option("--batch", help="Bisect over experience batches: the only way so far.")] = True,
    domain: Domain = FIRST_DOMAIN,
    arm: Annotated[str, typer.Option("--arm", help="Whose outcomes are compared.")] = "paramagent",
    as_json: AsJson = False,
) -> None:
    """Find the experience batch that hurt, in about log2(n) trainings."""
    from parammem.lineage import blame_batches, render_blame

    assert batch
    done = blame_batches(project(), domain, arm, say=lambda line: say(line, err=True))
    say(done.model_dump_json(indent=2) if as_json else render_blame(done))


@app.command()
def export(
    adapter: Annotated[str, typer.Argument(help="A version (v7), a digest, champion, HEAD, or a folder.")],
    out: Annotated[Path, typer.Argument(help="An empty or new folder, or a new .zip.")],
    domain: Domain = FIRST_DOMAIN,
    key: Annotated[
        Path | None, typer.Option("--key", help="Ed25519 key, PEM; default: one below .cache/audit/.")
    ] = None,
) -> None:
    """Write a signed bundle for an outsider, with a verifier that needs only Python."""
    from parammem.lineage import export

    done = export(project(), adapter, out, domain, key)
    say(f"wrote {count(len(done.files), 'file')} to {done.place}")
    say(f"public key, to be given by another way than the bundle: {done.key}")


@app.command()
def check(
    bundle: Annotated[Path, typer.Argument(help="A bundle that somebody exported: a folder or a zip.")],
    key: Annotated[
        str | None, typer.Option("--key", help="The sender's public key, or a file with it; default: the bundle's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle that came from elsewhere, as its own verify.py does. Exit code 10 when it does not hold."""
    from parammem.lineage import check_bundle, render_checked

    checked = check_bundle(bundle, key)
    say(checked.model_dump_json(indent=2) if as_json else render_checked(checked))
    if checked.faults:
        raise LineageError(
            f"{bundle}: {count(len(checked.faults), 'fault')}; do not use it, and ask the sender for another"
        )
