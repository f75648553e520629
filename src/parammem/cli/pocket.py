"""`parammem pocket`: train a pocket model by its recipe, score one, and show pocket tasks."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from parammem.checkout.places import CACHE, MODELS
from parammem.cli.say import say
from parammem.errors import ConfigError, DataError, EngineError, ModelMissingError

if TYPE_CHECKING:
    from parammem.pocket.recipe import Recipe
    from parammem.pocket.world import WorldTask

app = typer.Typer(help="Train and score the embedded default: pocket models on pocket tasks.", no_args_is_help=True)

NOT_FINISHED = 1
"""Exit code of `train` when its time ran out; the checkpoint is kept."""
Device = Annotated[str, typer.Option(help="auto (a GPU when there is one), cpu or cuda.")]
Tasks = Annotated[int, typer.Option(min=1, help="Tasks per domain that the scores are taken over.")]


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="Name of the recipe, e.g. pocket-1m.")],
    out: Annotated[Path | None, typer.Option(help="Model folder.", show_default=f"{MODELS}/NAME")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Token shards and checkpoint of a run that goes on.", show_default=f"{CACHE}/pocket/NAME"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Stop with a checkpoint after this time.")] = math.inf,
    device: Device = "auto",
    tasks: Tasks = 200,
) -> None:
    """Train a pocket model, or go on with one, and score it. A model of the current recipe is left as it is."""
    recipe, out = find_recipe(name), out or MODELS / name
    if not of_recipe(out, recipe):
        from parammem.pocket.pretrain import pretrain

        finished = pretrain(recipe, out, cache or CACHE / "pocket" / name, device, seconds)
        if not finished:
            say(f"{name}: time ran out, nothing is lost. To go on, run: parammem pocket train {name}", err=True)
            raise typer.Exit(NOT_FINISHED)
        (out / "scores.json").unlink(missing_ok=True)
    if not (out / "scores.json").is_file():
        write_scores(out, device, tasks)
    say(f"{out}: trained by the recipe {name} as it is now; scores in {out / 'scores.json'}")


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(help="A model folder.")], device: Device = "auto", tasks: Tasks = 200
) -> None:
    """Measure what a model solves with all the right advice and with none; written to scores.json in its folder."""
    say(json.dumps(write_scores(folder, device, tasks), indent=2, sort_keys=True))


@app.command()
def show(
    domain: Annotated[Literal["code", "math", "qa"], typer.Argument(help="code, math or qa.")],
    world: Annotated[int, typer.Option(min=0, help="Seed of the world.")] = 1,
    rho: Annotated[float, typer.Option(min=0.0, max=1.0, help="Strength of its regularities.")] = 0.9,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many tasks.")] = 3,
) -> None:
    """Print a few evaluation tasks: what the agent sees, what it does not see, and a solution."""
    from parammem.pocket.world import World, draw_splits

    for drawn in draw_splits(domain, World(world, rho), {"eval": n})["eval"]:
        say(as_text(drawn))


def find_recipe(name: str) -> Recipe:
    """Return the recipe of this name. Raises ConfigError, naming the recipes there are."""
    from parammem.pocket.recipe import RECIPES

    if name not in RECIPES:
        raise ConfigError(f"no pocket recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]


def of_recipe(folder: Path, recipe: Recipe) -> bool:
    """Return whether a complete model of this very recipe is there.

    Raises:
        DataError: something else is there, which training would overwrite.
    """
    from parammem.pocket.recipe import recipe_digest

    record = folder / "recipe.json"
    if not record.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise DataError(
                f"{str(folder)!r} holds files but no recipe.json; give an empty --out, or remove the folder"
            )
        return False
    try:
        made_by = json.loads(record.read_text(encoding="utf-8"))["recipe_digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{record} is not a recipe record ({error}); remove the folder and train again") from error
    return made_by == recipe_digest(recipe)


def write_scores(folder: Path, device: str, tasks: int) -> dict[str, Any]:
    """Measure a model and write scores.json into its folder. Returns what was written. Raises EngineError as
    `HfEngine.load` does."""
    from parammem.engines.hf import HfEngine
    from parammem.pocket import scores

    if not folder.is_dir():
        raise ModelMissingError(f"no model folder {str(folder)!r}; train one with `parammem pocket train`")
    if device not in ("auto", "cpu", "cuda"):
        raise EngineError(f"no device {device!r}; give auto, cpu or cuda")
    return scores.write_scores(folder, HfEngine.load(folder, device=device), tasks)


def as_text(drawn: WorldTask) -> str:
    """Return a task for people: the spec, what its visible checks reveal, and what stays hidden."""
    key = drawn.key
    revealed = key.tags["revealed"].split()
    checks = "\n".join(f"  {check}" for check in drawn.task.visible["checks"])
    truth = "\n".join(
        f"  {name} {value}" + ("   (a visible check tells)" if name in revealed else "")
        for name, value in key.facts.items()
    )
    parts = [
        f"── {drawn.task.task_id}, about {key.tags['noun']}: kind {key.tags['kind']}",
        drawn.task.text,
        f"visible checks:\n{checks}",
        f"hidden from the agent, left open by the text:\n{truth}",
        f"a solution that scores 1:\n{_indented(key.gold)}\n",
    ]
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
