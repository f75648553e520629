"""`parammem profile`: settings of other set-ups, and laying them over params.yaml. And `parammem synthesise`, which
some of them need first."""

from __future__ import annotations

import difflib
import itertools
import re
from pathlib import Path
from typing import Annotated

import typer

from parammem.checkout.places import CACHE
from parammem.cli.options import FIRST_DOMAIN, PARAMS, Domain, ParamsFile
from parammem.cli.say import say
from parammem.config import load_params
from parammem.core.jsonl import write_text
from parammem.errors import ConfigError
from parammem.overlays import BASE, applied_text, base_text

app = typer.Typer(
    no_args_is_help=True, help="Use settings of other set-ups: the paper's, a laptop's, a small real model's."
)
KEPT = CACHE / "params.before.yaml"
"""The params file that was there before the last `apply`."""
FOLDER = Path("profiles")
PINS = FOLDER / "models"
"""Models of the hub, each with its commit."""
COMMIT = re.compile("[0-9a-f]{40}")
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
"""What is between two sentences."""

Name = Annotated[str, typer.Argument(help="Name of a profile; `parammem profile list` shows them.")]


@app.command("list")
def list_profiles() -> None:
    """List the profiles there are, each with the first sentence about it."""
    found = sorted(FOLDER.glob("*.yaml"), key=lambda path: path.stem)
    for path in found:
        say(f"{path.stem:26} {summary(path)}")
    if not found:
        say(f"no profile in {str(FOLDER.absolute())!r}; the project's repository has some")


@app.command("show")
def show(name: Name) -> None:
    """Show what `apply` would change in params.yaml."""
    say(difference(find(name)) or "params.yaml is this profile already")


@app.command("apply")
def apply(name: Name) -> None:
    """Lay a profile over params.yaml, after showing what changes. Then `dvc repro` runs it."""
    path = find(name)
    load_params(path)  # every mistake shows before anything is changed
    changes = difference(path)
    if not changes:
        say("params.yaml is this profile already")
        return
    say(changes)
    base, text = base_text(Path()), applied_text(Path(), path)
    write_text(KEPT, PARAMS.read_text(encoding="utf-8"))
    write_text(BASE, base)
    write_text(PARAMS, text)
    say(
        f"params.yaml now holds {path}; the one before is {KEPT}. The first lines of {path} say what it needs. "
        "Next: dvc repro"
    )


@app.command("pin")
def pin(
    model: Annotated[
        str, typer.Argument(help="owner/name of a model of the Hugging Face hub; with --served a server's name.")
    ],
    revision: Annotated[str, typer.Option(help="Commit, tag or branch.", show_default="the newest commit")] = "",
    served: Annotated[bool, typer.Option("--served", help="Only a server has this model, under this name.")] = False,
) -> None:
    """Write a small file that names a model of the hub and its commit, for engine.model and reflector.base."""
    from parammem.engines.folders import Pin

    if "@" in model or (not served and model.count("/") != 1):
        raise ConfigError(f"{model!r} is no owner/name of the hub; give one, or --served for a model of a server")
    commit = "" if served else revision if COMMIT.fullmatch(revision) else _commit(model, revision)
    path = PINS / f"{model.split('/')[-1].lower()}.json"
    write_text(path, Pin(hub=model, revision=commit).line() + "\n")
    at = f"at {commit}" if commit else "as a server has it"
    say(f"{path} names {model} {at}; put this path into engine.model or reflector.base")


def _commit(model: str, revision: str) -> str:
    """Return the commit that a branch or tag of the hub stands for. Raises ConfigError: the hub does not say."""
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(model, revision=revision or None).sha or ""
    except Exception as error:  # the hub's client raises whatever the network does
        raise ConfigError(
            f"the hub did not say which commit {revision or 'the newest'} of {model!r} is ({type(error).__name__}); "
            "check the name and the network, or give the commit's 40 hex digits with --revision"
        ) from error


def find(name: str) -> Path:
    """Return the file of a profile. Raises ConfigError, naming the profiles there are."""
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml"))) or "none; run from the project's folder"
        raise ConfigError(f"no profile {name!r}; known: {known}")
    return path


def difference(path: Path) -> str:
    """Return a unified diff from params.yaml to what it would be with a profile; empty if they are the same."""
    before = PARAMS.read_text(encoding="utf-8").splitlines() if PARAMS.is_file() else []
    after = applied_text(Path(), path).splitlines()
    return "\n".join(difflib.unified_diff(before, after, str(PARAMS), str(path), lineterm="", n=1))


def summary(path: Path) -> str:
    """Return the first sentence of the comment that a profile opens with, however many lines it takes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    opening = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return SENTENCE.split(" ".join(line.lstrip("# ").strip() for line in opening), maxsplit=1)[0]


def synthesise(
    count: Annotated[int, typer.Option(min=1, help="How many problems the teacher is asked for.")],
    out: Annotated[Path, typer.Option(help="File to write, relative to data/benchmarks.")] = Path("synthesised.jsonl"),
    domain: Domain = FIRST_DOMAIN,
    params: ParamsFile = PARAMS,
) -> None:
    """Ask the teacher of params to write new problems for training, in the manner of the train sources' own."""
    loaded = load_params(params)
    from parammem.stages import synthesise as stage

    made = stage.run(loaded, domain, count, out)
    say(f"{made} different problems of {count} asked for, in data/benchmarks/{out}")
