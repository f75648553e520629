"""The `parammem` command: every command parses, calls one function of a room below, and prints what it returned.

Rooms are imported inside the commands, so that `parammem --help` does not wait for torch. What can go wrong has an
exit code of its own (the help's last lines list them); a ParamMemError becomes one red line on stderr.
"""

from __future__ import annotations

import errno
import sys

import typer

from parammem.cli import (
    audit,
    doctor,
    gate,
    grade,
    improve,
    ingest,
    pocket,
    profile,
    reflect,
    registry,
    sandbox,
    serve,
    stage,
    track,
)
from parammem.errors import ParamMemError

INTERRUPTED = 130
FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "a file grew too large"}
"""Errors of the disk that may meet any command; files are written beside the old ones first, so these stay whole."""

EPILOG = (
    "Exit codes: 0 done · 1 something is missing or went wrong · 2 wrong usage · 3 params.yaml · 4 data · 5 model · "
    "6 adapter · 7 sandbox · 8 validation failed · 9 too many tasks failed · 10 lineage does not hold · "
    "11 the ledger or a version · 12 a cluster · "
    "130 stopped by Ctrl-C."
)

app = typer.Typer(
    name="parammem",
    help="ParamMem: reflective memory in parameters. Rebuild everything with `dvc repro`; ask a trained reflector "
    "for advice with `parammem reflect`; ask what made a model with `parammem audit show`.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("reflect")(reflect.reflect)
app.add_typer(audit.app, name="audit")
app.command("ingest")(ingest.ingest)
app.command("grade")(grade.grade)
app.command("gate")(gate.gate)
app.command("improve")(improve.improve)
app.command("check-champion")(improve.check_champion)
app.command("generations")(improve.generations)
app.add_typer(registry.app, name="registry")
app.command("rollback")(registry.rollback)
app.command("sync")(registry.sync)
app.add_typer(stage.app, name="stage")
app.command("track")(track.track)
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(pocket.app, name="pocket")
app.add_typer(profile.app, name="profile")
app.command("synthesise")(profile.synthesise)
app.add_typer(serve.app, name="serve")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """The console script. Exits with the error's own code; see EPILOG."""
    try:
        app()
    except ParamMemError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        typer.secho(
            f"error: {FULL[error.errno]} ({error}); files are as they were: make room, then run the same again",
            fg=typer.colors.RED,
            err=True,
        )
        raise SystemExit(1) from None
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.secho(resume_hint(sys.argv[1:]), err=True)
        raise


def resume_hint(arguments: list[str]) -> str:
    """What to run after Ctrl-C to go on."""
    again = "dvc repro" if arguments[:1] == ["stage"] else " ".join(["parammem", *arguments])
    return f"stopped; what was finished is kept. To go on, run: {again}"
