"""`parammem ingest`: experience of agents in use, from files or from the inbox, into immutable batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parammem.cli.options import PARAMS, ParamsFile
from parammem.config import DomainName, Params, load_params
from parammem.errors import DataError

if TYPE_CHECKING:
    from parammem.experience.records import Outcome
    from parammem.experience.sources import Source
    from parammem.experience.store import Store


def ingest(
    files: Annotated[list[Path] | None, typer.Argument(help="JSONL files; none: sweep the inbox.")] = None,
    domain: Annotated[
        DomainName | None, typer.Option("--domain", "-d", help="Domain of logs that do not name theirs.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="parammem, reflexion or openai; auto tells it line by line.")
    ] = "auto",
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and sweep the inbox again and again.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks of --watch.")] = 10.0,
    dvc: Annotated[bool, typer.Option(help="Put the batches under DVC.")] = True,
    params: ParamsFile = PARAMS,
) -> None:
    """Check, deduplicate and store trajectories. Bad rows are set aside with their reasons; a second time is a no-op.

    Files: trajectories as `parammem` writes them, logs of Reflexion, chat transcripts with an outcome.
    """
    loaded = load_params(params)
    store = _store(loaded, domain or "")
    if files:
        from parammem.experience.sources import Source

        taken = [_take(Source.of(file), store, form, dvc) for file in files]
        if not any(t.event.kept + t.event.held + t.event.duplicates for t in taken):
            raise DataError("no row was fit to come in; the reasons stand above, the rows lie in data/quarantine")
        _warn()
        return
    _sweep(Path(loaded.experience.inbox), store, form, dvc, every if watch else None)
    _warn()


def _warn() -> None:
    from parammem.registry.branch import warning_behind

    if note := warning_behind(Path()):
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW, err=True)


def _store(params: Params, domain: str) -> Store:
    from parammem.experience.store import open_store

    share, near = params.experience.fresh_share, params.validate_.near_duplicate
    return open_store(Path(), params.domains, share, near, domain)


def _sweep(inbox: Path, store: Store, form: str, dvc: bool, every: float | None) -> None:
    from parammem.experience.inbox import clear, waiting, watch

    if every is not None:
        typer.echo(f"watching {inbox}; Ctrl-C ends it")
    sources = waiting(inbox) if every is None else watch(inbox, every)
    found, failed = 0, []
    for source in sources:
        found += 1
        try:
            _take(source, store, form, dvc)
            clear(inbox, source)
        except DataError as error:  # it stays where it is, and the others have their turn
            failed.append(source.name)
            typer.secho(f"{source.name}: {error}", fg=typer.colors.RED, err=True)
    if failed:
        raise DataError(f"{len(failed)} of {found} could not be ingested and stay in {inbox}: {', '.join(failed)}")
    if not found:
        typer.echo(f"nothing waits in {inbox}")


def _take(source: Source, store: Store, form: str, dvc: bool) -> Outcome:
    from parammem.experience.convert import FORMATS, Format
    from parammem.experience.ingest import ingest as take
    from parammem.experience.store import track
    from parammem.registry.git import person

    named: Format | None = next((name for name in FORMATS if name == form), None)
    if named is None and form != "auto":
        raise typer.BadParameter(f"format {form!r} is not one of auto, {', '.join(FORMATS)}")
    outcome = take(source, store, person(store.root), named)
    if dvc and (store.root / ".dvc").is_dir():
        track(store.root, outcome.files)
    typer.echo(as_text(outcome))
    return outcome


def as_text(outcome: Outcome) -> str:
    """What became of a file, for people; no text of a row."""
    event = outcome.event
    if not outcome.new:
        return (
            f"{event.name}: ingested before as batch {(event.batch or event.fresh)[:12] or '(no rows)'}; nothing to do"
        )
    lines = [
        f"{event.name} ({event.format}): {event.rows} rows, {event.kept} to learn from, {event.held} kept for judging, "
        f"{event.duplicates} duplicates, {event.quarantined} quarantined"
    ]
    lines += [f"  {count:>6} {reason}" for reason, count in event.reasons.items()]
    lines += [f"  {example}" for example in outcome.examples]
    lines += [f"  {name}" for name in outcome.files]
    return "\n".join(lines)
