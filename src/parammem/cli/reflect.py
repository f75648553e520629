"""`parammem reflect TASK.txt`: a trained ParamMem's advice on a task, in a shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from parammem.checkout.places import REFLECTORS
from parammem.cli.options import FIRST_DOMAIN, Domain
from parammem.cli.say import say
from parammem.core import Reflection
from parammem.errors import DataError


def reflect(
    task: Annotated[str, typer.Argument(metavar="TASK.txt", help="A file with the task's text; - reads stdin.")],
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many pieces of advice.")] = 5,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 always gives the most likely advice.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same advice.")] = 0,
    domain: Domain = FIRST_DOMAIN,
    adapter: Annotated[
        Path | None, typer.Option(help="Adapter folder.", show_default=f"{REFLECTORS.as_posix()}/<domain>")
    ] = None,
    base_model: Annotated[Path | None, typer.Option(help="Base model folder, if it has moved.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Where advice ends at the latest.", show_default="as in its run, or 128")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32 or bfloat16.", show_default="as in its run, or float32")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Sample advice for a task from a trained reflector."""
    text = read_task(task)
    from parammem.reflectors.parametric import ParamMem

    memory = ParamMem.load(adapter or REFLECTORS / domain, base_model=base_model, dtype=dtype, max_tokens=max_tokens)
    advice = memory.reflect(text, n=n, temperature=temperature, seed=seed)
    say(as_json_text(text, advice, seed) if as_json else numbered(advice))


def read_task(name: str) -> str:
    """Return the task's text. Raises DataError when the file is missing, is not text, or is empty."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"no file {name!r}; give a text file with the task, or - for stdin") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {name!r} as text: {error}; give a UTF-8 text file") from error
    if not text.strip():
        raise DataError(f"{'stdin' if name == '-' else repr(name)} is empty; write the task's text into it")
    return text.strip()


def as_json_text(task: str, advice: list[Reflection], seed: int) -> str:
    """Return {"task", "seed", "reflections": [Reflection, …]} as indented JSON."""
    rows = [reflection.model_dump(mode="json") for reflection in advice]
    return json.dumps({"task": task, "seed": seed, "reflections": rows}, indent=2, ensure_ascii=False)


def numbered(advice: list[Reflection]) -> str:
    return "\n".join(f"{number}. {reflection.text}" for number, reflection in enumerate(advice, 1))
