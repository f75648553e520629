"""Reads a vetted model folder with transformers. Every tokenizer and model of the project comes from here.

Whatever a library raises over a broken file becomes an EngineError that names the folder: libraries raise all kinds of
exceptions there, some of them derived from nothing but Exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parammem.core.words import count
from parammem.engines.vetting import Vetted, check_unchanged, view
from parammem.errors import EngineError, ParamMemError


@contextmanager
def opened(vetted: Vetted, what: str, step: str) -> Iterator[Path]:
    """A view of the folder to load from; whatever is raised in the block becomes an EngineError.

    It says what could not be read, why, and the next step.
    """
    with view(vetted) as place:
        try:
            yield place
            check_unchanged(vetted)
        except ParamMemError:
            raise
        except Exception as error:
            why = first_line(error).replace(str(place), str(vetted.folder))
            raise EngineError(f"{what} in {str(vetted.folder)!r} could not be loaded ({why}); {step}") from error


def first_line(error: Exception) -> str:
    """The kind of an exception and the beginning of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def load_tokenizer(vetted: Vetted) -> Any:
    """The folder's tokenizer. Raises EngineError."""
    from transformers import AutoTokenizer

    step = "a model folder needs tokenizer.json (or its older forms) and tokenizer_config.json; fetch it again"
    with opened(vetted, "the tokenizer", step) as place:
        tokenizer = AutoTokenizer.from_pretrained(str(place), local_files_only=True, trust_remote_code=False)
    tokenizer.name_or_path = str(vetted.folder)
    return tokenizer


def load_causal_model(vetted: Vetted, dtype: str) -> Any:
    """The folder's causal language model on the CPU, every weight of it from the folder.

    Raises:
        EngineError: a file is broken, or weights are missing: the library would draw them at random.
    """
    import torch
    from transformers import AutoModelForCausalLM

    step = "check that the folder is whole (all weights and config.json of one model), or fetch it again"
    with opened(vetted, "the model", step) as place:
        found: Any = AutoModelForCausalLM.from_pretrained(
            str(place),
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    model, said = found
    missing = sorted(said["missing_keys"])
    if missing:
        raise EngineError(
            f"the weights in {str(vetted.folder)!r} lack {count(len(missing), 'tensor')} that its config.json asks for "
            f"({', '.join(missing[:3])}…): fetch the model again, all of its files"
        )
    model.config._name_or_path = model.name_or_path = str(vetted.folder)
    return model
