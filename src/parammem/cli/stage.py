"""`parammem stage NAME`: the stages of dvc.yaml, one function each. People run `dvc repro`; DVC runs these."""

from __future__ import annotations

import typer

from parammem.checkout.places import project
from parammem.cli.options import PARAMS, Domain, ParamsFile
from parammem.cli.say import say
from parammem.config import load_params

app = typer.Typer(help="Run one stage of the pipeline. dvc.yaml calls these; `dvc repro` is what people run.")


@app.command()
def code() -> None:
    """Write which sources each stage can reach, and their digests: reports/code/STAGE.json."""
    from parammem.stages import code_digests as stage

    for line in stage.run(project()):
        say(line)


@app.command()
def tasks(domain: Domain, params: ParamsFile = PARAMS) -> None:
    """Generate the pocket tasks of one world: train, bank and evaluation splits."""
    loaded = load_params(params)
    from parammem.stages import tasks as stage

    stage.run(loaded, domain)


@app.command()
def collect(domain: Domain, params: ParamsFile = PARAMS) -> None:
    """Run agents on train tasks and write trajectories and reflection rows."""
    loaded = load_params(params)
    from parammem.engines.progress import progress_shown
    from parammem.stages import collect as stage

    with progress_shown(f"collect {domain}"):
        stage.run(loaded, domain)


@app.command()
def validate(domain: Domain, params: ParamsFile = PARAMS) -> None:
    """Check the reflection rows; quarantine bad ones, stop when the rules are broken."""
    loaded = load_params(params)
    from parammem.stages import validate as stage

    stage.run(loaded, domain)


@app.command()
def train(domain: Domain, params: ParamsFile = PARAMS) -> None:
    """Train the reflector and its controls on the validated rows."""
    loaded = load_params(params)
    from parammem.engines.progress import progress_shown
    from parammem.stages import train as stage

    with progress_shown(f"train {domain}"):
        stage.run(loaded, domain)


@app.command()
def evaluate(domain: Domain, params: ParamsFile = PARAMS) -> None:
    """Run every method on the evaluation tasks and ask for the hidden verdicts."""
    loaded = load_params(params)
    from parammem.engines.progress import progress_shown
    from parammem.stages import evaluate as stage

    with progress_shown(f"evaluate {domain}"):
        stage.run(loaded, domain)


@app.command()
def report(params: ParamsFile = PARAMS) -> None:
    """Put the domains together: reports/metrics.json, report.html, table.txt and plots."""
    loaded = load_params(params)
    from parammem.stages import report as stage

    stage.run(loaded)
