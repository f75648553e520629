"""`parammem ingest`: experience of agents in use, from files or from the inbox, into immutable batches."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parammem.cli.options import PARAMS, ParamsFile
from parammem.cli.say import say
from parammem.config import Params, load_params
from parammem.core.escape import shown
from parammem.core.words import count
from parammem.errors import DataError, LedgerError

if TYPE_CHECKING:
    from parammem.experience.ingest_result import IngestResult
    from parammem.experience.source_files import Source
    from parammem.experience.store import ExperienceStore


def ingest(
    files: Annotated[
        list[Path] | None, typer.Argument(help=".jsonl, .json, .traj or .eval files; none: sweep the inbox.")
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option("--domain", "-d", help="Domain of logs that do not name theirs; default: experience.domain."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="Name of a format (docs/formats.md); auto finds it for each row.")
    ] = "auto",
    outcomes: Annotated[
        Path | None,
        typer.Option(
            "--outcomes", help="CSV or JSON lines with run_id,passed,value: how runs ended.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what each row would become, and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: an object a row.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and sweep the inbox again and again.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks of --watch.")] = 10.0,
    dvc: Annotated[bool, typer.Option(help="Put the batches under DVC.")] = True,
    params: ParamsFile = PARAMS,
) -> None:
    """Check, deduplicate and store trajectories. Bad rows are set aside with their reasons; a second time is a no-op.

    Files: our own trajectories, chat transcripts, sessions and exports of other tools (docs/formats.md).
    """
    loaded = load_params(params)
    named, inbox = _format(form), Path(loaded.experience.inbox)
    if as_json and not dry_run:
        raise typer.BadParameter("--json goes with --dry-run")
    if dry_run:
        _show(files or [], inbox, _store(loaded, domain, outcomes, must=False), named, as_json)
        return
    if files:
        _take_files(files, _store(loaded, domain, outcomes), named, dvc)
    else:
        _sweep(inbox, _store(loaded, domain, outcomes), named, dvc, every if watch else None)
    _warn()


def _warn() -> None:
    from parammem.registry.branch import warning_behind

    if note := warning_behind(Path()):
        say(f"note: {note}", fg=typer.colors.YELLOW, err=True)


def _format(form: str) -> str | None:
    from parammem.experience.convert import NAMES

    if form not in ("auto", *NAMES):
        raise typer.BadParameter(f"format {form!r} is not one of auto, {', '.join(NAMES)}")
    return None if form == "auto" else form


def _store(params: Params, domain: str | None, table: Path | None, must: bool = True) -> ExperienceStore:
    """Open the store of experience. must: without the evaluation tasks nothing is ingested; a look at what would become
    of rows goes on."""
    from parammem.experience.outcomes import NONE, read_outcomes
    from parammem.experience.store import open_store

    share, near = params.experience.fresh_share, params.validate_.near_duplicate
    given = domain or params.experience.domain
    outcomes = read_outcomes(table) if table else NONE
    opened = partial(open_store, kinds=params.kinds(), outcomes=outcomes, passes_at=params.passes_at())
    try:
        return opened(Path(), params.domains, share, near, given)
    except DataError as error:
        if must:
            raise
        say(f"not searched for evaluation tasks: {error}", fg=typer.colors.YELLOW, err=True)
        return opened(Path(), [], share, near, given)


def _take_files(files: list[Path], store: ExperienceStore, form: str | None, dvc: bool) -> None:
    from parammem.experience.source_files import Source

    taken, failed = [], []
    for file in files:
        try:
            taken.append(_take(Source.of(file), store, form, dvc))
        except Exception as error:  # one bad file must not stop the others
            failed.append(_refusal(file.name, error))
    if failed:
        raise DataError(f"{len(failed)} of {count(len(files), 'file')} could not be ingested: {', '.join(failed)}")
    if not any(t.event.kept + t.event.held + t.event.duplicates for t in taken):
        raise DataError("no row was fit to come in; the reasons stand above, the rows lie in data/quarantine")


def _sweep(inbox: Path, store: ExperienceStore, form: str | None, dvc: bool, every: float | None) -> None:
    from parammem.experience.inbox import looks

    if every is not None:
        say(f"watching {inbox}; Ctrl-C ends it")
    found, failed, told = 0, [], dict[str, str]()
    for look in looks(inbox, every):
        for name, why in look.left.items():
            if told.get(name) != why:
                say(f"{name}: left in {inbox}: {why}", fg=typer.colors.YELLOW, err=True)
        told = look.left
        for source in look.sources:
            found += 1
            failed += _take_and_clear(inbox, source, store, form, dvc)
    if failed:
        raise DataError(f"{len(failed)} of {found} could not be ingested and stay in {inbox}: {', '.join(failed)}")
    if not found:
        say(f"nothing waits in {inbox}" if not told else f"nothing in {inbox} can be taken")


def _take_and_clear(inbox: Path, source: Source, store: ExperienceStore, form: str | None, dvc: bool) -> list[str]:
    """Take a source and clear it from the inbox. Returns its name if it failed: it stays where it is, and the others
    have their turn."""
    from parammem.experience.inbox import clear

    try:
        outcome = _take(source, store, form, dvc)
        if not clear(inbox, source, outcome.digest):
            say(f"{source.name}: it has grown meanwhile and stays in {inbox} for the next sweep")
    except Exception as error:
        return [_refusal(source.name, error)]
    return []


def _refusal(name: str, error: Exception) -> str:
    """Print a source's error and return its name. Raises the error if it concerns more than this source."""
    from parammem.experience.source_files import concerns_all, words_of

    # Whoever reads what is printed may stop (`| head`): that is no fault of a file.
    if isinstance(error, LedgerError | typer.Exit | BrokenPipeError) or concerns_all(error):
        raise error
    say(f"{shown(name)}: {words_of(error)}", fg=typer.colors.RED, err=True)
    return shown(name)


def _take(source: Source, store: ExperienceStore, form: str | None, dvc: bool) -> IngestResult:
    from parammem.checkout.dvc import track
    from parammem.checkout.git import person
    from parammem.experience.ingest import ingest as take

    outcome = take(source, store, person(store.root), form)
    if dvc and (store.root / ".dvc").is_dir():
        track(store.root, outcome.files)
    say(as_text(outcome))
    return outcome


def _show(files: list[Path], inbox: Path, store: ExperienceStore, form: str | None, as_json: bool) -> None:
    from parammem.experience.inbox import look
    from parammem.experience.preview import preview, row_as_text
    from parammem.experience.source_files import Source

    found = files or look(inbox, restore=False).sources
    failed = []
    for given in found:
        try:
            source = Source.of(given) if isinstance(given, Path) else given
            for one in preview(source, store, form):
                say(json.dumps(one.model_dump(mode="json")) if as_json else row_as_text(one))
        except Exception as error:
            failed.append(_refusal(given.name, error))
    if failed:
        raise DataError(f"{len(failed)} of {len(found)} cannot be read: {', '.join(failed)}")
    if not found:
        say(f"nothing waits in {inbox}", err=True)


def as_text(outcome: IngestResult) -> str:
    """Return what became of a file, for people; no text of a row."""
    event = outcome.event
    if not outcome.new:
        return (
            f"{event.name}: ingested before as batch {(event.batch or event.fresh)[:12] or '(no rows)'}; nothing to do"
        )
    lines = [
        f"{event.name} ({event.format}): {count(event.rows, 'row')}, {event.kept} to learn from, "
        f"{event.held} kept for judging, {count(event.duplicates, 'duplicate')}, {event.quarantined} quarantined"
    ]
    lines += [f"  {count:>6} {reason}" for reason, count in event.reasons.items()]
    lines += [f"  {example}" for example in outcome.examples]
    lines += [f"  {name}" for name in outcome.files]
    return "\n".join(lines)
