"""`parammem model …`: model folders from other forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from parammem.cli.say import say

app = typer.Typer(help="Convert model files of other formats.", no_args_is_help=True)


@app.callback()
def model() -> None:
    """Convert model files of other formats."""


@app.command("from-gguf")
def from_gguf(
    file: Annotated[Path, typer.Argument(help="A .gguf file.")],
    out: Annotated[Path, typer.Argument(help="The model folder to write: new or empty.")],
    dtype: Annotated[Literal["bfloat16", "float32"], typer.Option(help="Of the weights in the folder.")] = "bfloat16",
    digest: Annotated[str, typer.Option(help="What the folder's digest must be; else nothing is written.")] = "",
) -> None:
    """Turn a GGUF file into an ordinary Hugging Face folder, for engine.model; prints its digest."""
    from parammem.engines.gguf import from_gguf

    say(from_gguf(file, out, dtype, digest))
