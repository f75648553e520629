"""The `parammem` command: every command parses, calls one function of a package below, and prints what it returned.

Packages are imported inside the commands, so that `parammem --help` does not wait for torch. What can go wrong has an
exit code of its own (the help's last lines list them); an error becomes one red line on stderr (exceptions.py).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from parammem.cli import (
    audit,
    doctor,
    exceptions,
    gate,
    grade,
    improve,
    ingest,
    init,
    mcp,
    model,
    pocket,
    probe,
    profile,
    quiet,
    reflect,
    registry,
    run_list,
    sandbox,
    schema,
    serve,
    stage,
    track,
    up,
    uptake,
)
from parammem.cli.say import say

INTERRUPTED = 130
DEBUG = "PARAMMEM_DEBUG"
"""Environment variable that `--debug` sets: errors show their traceback, also those of processes that are started."""

EPILOG = (
    "Exit codes: 0 done · 1 something is missing or went wrong · 2 wrong usage · 3 params.yaml · 4 data · 5 model · "
    "6 adapter · 7 sandbox · 8 validation failed · 9 too many tasks failed · 10 lineage does not hold · "
    "11 the ledger or a version · 12 a cluster · 13 the service · "
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
app.command("init")(init.init)
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
app.add_typer(model.app, name="model")
app.add_typer(profile.app, name="profile")
app.command("probe")(probe.probe)
app.command("uptake")(uptake.uptake)
app.command("synthesise")(profile.synthesise)
app.add_typer(serve.app, name="serve")
app.command("up")(up.up)
app.command("runs")(run_list.runs)
app.command("mcp")(mcp.mcp)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"parammem {version('parammem')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole traceback of an error, and warnings of libraries.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    assert not version  # _version has ended the command
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """Run the console script."""
    run_command(app)


def run_command(command: Callable[[], object]) -> None:
    """Call a command; an error becomes one red line, and the process exits with the error's own code (EPILOG)."""
    if not os.environ.get(DEBUG) and "--debug" not in sys.argv:
        quiet.quiet_libraries()
    try:
        command()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            say(resume_hint(sys.argv[1:]), err=True)
        raise
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exception(error)
        message, code = exceptions.ending(error)
        say(f"error: {message}", fg=typer.colors.RED, err=True)
        raise SystemExit(code) from None


def resume_hint(arguments: list[str]) -> str:
    """Return what to run after Ctrl-C to go on."""
    again = "dvc repro" if arguments[:1] == ["stage"] else " ".join(["parammem", *arguments])
    return f"stopped; what was finished is kept. To go on, run: {again}"
