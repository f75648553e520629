"""`parammem serve`: the command that starts vLLM for a reflector, and what servers were paid for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from parammem.checkout.places import CACHE
from parammem.cli.options import PARAMS, ParamsFile
from parammem.cli.say import say
from parammem.config import load_params
from parammem.errors import EngineError

app = typer.Typer(help="Use models on servers: start vLLM for a reflector, see what was spent.")

ENVIRONMENT = CACHE / "vllm-env" / "bin" / "python"
"""Where `make vllm-env` puts vLLM."""


@app.command()
def reflector(
    adapter: Annotated[Path, typer.Argument(help="Adapter folder, e.g. models/reflectors/code.")],
    further: Annotated[
        list[str] | None, typer.Argument(help="After --: arguments of vLLM's own, e.g. -- --enforce-eager.")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Start the server instead of printing the command.")] = False,
    base_url: Annotated[
        str, typer.Option(help="Where engine.server.base_url of params.yaml expects the server.")
    ] = "http://127.0.0.1:8000/v1",
    base_model: Annotated[Path | None, typer.Option(help="Base model folder, if it has moved.")] = None,
    max_model_len: Annotated[
        int, typer.Option(help="Tokens of prompt and answer together.", show_default="the model's, at most 8192")
    ] = 0,
    dtype: Annotated[str, typer.Option(help="auto, bfloat16, or float32 (the one that a CPU wants).")] = "auto",
) -> None:
    """Print the exact vLLM command for a trained reflector and its base model."""
    from parammem.core.adapter import read_card
    from parammem.engines.folders import hub_parts
    from parammem.engines.openai import vllm
    from parammem.reflectors.parametric import find_base

    vllm.check_url(base_url)
    card = read_card(adapter)
    base = find_base(adapter, card, base_model)
    length = max_model_len or vllm.model_length(base)
    served, _ = hub_parts(card.base_model)
    command = vllm.serve_command(base.resolve(), served, adapter, length, base_url, dtype, further or ())
    program = find_vllm()
    if not run:
        say(command.shell(program or ("vllm", "serve")))
        return
    if program is None:
        raise EngineError(
            "vLLM is not installed: no command `vllm`, and no environment .cache/vllm-env; install it in one "
            "of its own (pip install --group vllm; without a GPU: make vllm-env), and see that `vllm` is on PATH"
        )
    os.execvpe(program[0], [*program, *command.arguments], {**os.environ, **command.environment})


@app.command()
def spent(params: ParamsFile = PARAMS) -> None:
    """Print what servers were paid for, by role and model, since the completion cache was begun."""
    from parammem.engines.completion_store import FILE, Store
    from parammem.engines.openai.servers import spent_table

    cache = Path(load_params(params).engine.cache)
    say(spent_table(Store(cache).spent() if (cache / FILE).is_file() else []))


def find_vllm() -> tuple[str, ...] | None:
    """Return the beginning of the command: the environment of `make vllm-env`, or vLLM on PATH. None: neither is
    there."""
    if ENVIRONMENT.is_file():  # its package is not named vllm, so its `vllm` command does not start
        return (str(ENVIRONMENT.absolute()), "-m", "vllm.entrypoints.openai.api_server", "--model")
    return ("vllm", "serve") if shutil.which("vllm") else None
