"""Reads a vetted model folder with transformers. Every tokenizer and model of the project comes from here.

Whatever a library raises over a broken file becomes an EngineError that names the folder: libraries raise all kinds of
exceptions there, some of them derived from nothing but Exception, and panics of their Rust parts not even from that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parammem.core.words import count
from parammem.engines.digests import read_settings, weight_files
from parammem.engines.tokenizer_files import check_tokenizer
from parammem.engines.vetting import Vetted, check_unchanged, view
from parammem.errors import EngineError, ParamMemError

LOADING_SECONDS = 300.0
"""CPU for reading a tokenizer; converting a large SentencePiece model takes a tenth of that."""
MOST_LAYERS, MOST_EXPERTS = 1000, 100_000
"""Of a model; the largest known have 126 layers, and 23,000 experts in all of them."""
FOUR_BITS, ANYHOW = 2, 64 << 20
"""Most numbers that a byte of weights stands for, and numbers that a model may have beside its weights (tables)."""


class TooSlow(Exception):
    """Raised when a call has used up its CPU time; the call goes on in a thread whose result is ignored."""


@contextmanager
def opened(vetted: Vetted, what: str, step: str) -> Iterator[Path]:
    """Yield a view of the folder to load from; whatever is raised in the block becomes an EngineError.

    It says what could not be read, why, and the next step.
    """
    with view(vetted) as place:
        try:
            yield place
            check_unchanged(vetted)
        except ParamMemError:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            why = first_line(error).replace(str(place), str(vetted.folder))
            raise EngineError(f"{what} in {str(vetted.folder)!r} could not be loaded ({why}); {step}") from error


def is_failure(error: BaseException) -> bool:
    """Return whether something failed, a panic of a library's Rust part included. An interrupt is no failure."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return what a call returns, made in a thread, or raise what it raises.

    Raises:
        TooSlow: this process has used more CPU than `seconds` meanwhile (CPU, so that a busy machine changes nothing).
            The call goes on until the process ends: a thread cannot be stopped.
    """
    answer: list[Any] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            answer.append(call())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    began = time.process_time()
    threading.Thread(target=work, daemon=True).start()
    while not done.wait(0.1):
        if time.process_time() - began > seconds:
            raise TooSlow(f"more than {seconds:.0f} s of CPU")
    if raised:
        raise raised[0]
    return answer[0]


def first_line(error: BaseException) -> str:
    """Return the kind of an exception and the beginning of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def load_tokenizer(vetted: Vetted) -> Any:
    """Return the folder's tokenizer. Raises EngineError."""
    from transformers import AutoTokenizer

    step = "a model folder needs tokenizer.json (or its older forms) and tokenizer_config.json; fetch it again"
    with opened(vetted, "the tokenizer", step) as place:
        tokenizer = within(
            LOADING_SECONDS,
            lambda: AutoTokenizer.from_pretrained(str(place), local_files_only=True, trust_remote_code=False),
        )
        if "tokenizer.json" not in vetted.files and tokenizer.is_fast:  # made of other files: looked at only now
            check_tokenizer(tokenizer.backend_tokenizer.to_str())
    tokenizer.name_or_path = str(vetted.folder)
    return tokenizer


def _check_size(vetted: Vetted, place: Path) -> None:
    """See that config.json asks for no more than the weights hold: a library fills what is missing with numbers drawn
    at random, be it terabytes, before it says so. Built without memory for its numbers. Raises EngineError."""
    from transformers import AutoConfig

    layers = max(_counts(read_settings(place / "config.json"), "layer"), default=0)
    experts = max(_counts(read_settings(place / "config.json"), "expert"), default=1)
    held = sum((vetted.folder / name).stat().st_size for name in weight_files(vetted.folder))
    many = f"{layers:,} layers of {experts:,} experts"
    if layers <= MOST_LAYERS and layers * max(1, experts) <= MOST_EXPERTS:
        config = AutoConfig.from_pretrained(str(place), local_files_only=True, trust_remote_code=False)
        asked = numbers_of(config)
        if asked <= FOUR_BITS * held + ANYHOW:
            return
        many = count(asked, "number", form=",")
    raise EngineError(
        f"config.json in {str(vetted.folder)!r} asks for {many}, and the weights are {held:,} bytes: they belong to "
        "different models, or the file is spoilt; fetch the model again, all of its files"
    )


def numbers_of(config: Any) -> int:
    """Return how many numbers a model of these settings has. It is built without memory for them."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return sum(one.numel() for one in [*model.parameters(), *model.buffers()])


def _counts(settings: Any, word: str) -> Iterator[int]:
    """Yield every whole number in nested settings whose name contains this word."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _counts(value, word)
        elif isinstance(value, int) and word in name:
            yield value


def load_causal_model(vetted: Vetted, dtype: str) -> Any:
    """Return the folder's causal language model on the CPU, every weight of it from the folder.

    Raises:
        EngineError: a file is broken, or weights are missing: the library would draw them at random.
    """
    import torch
    from transformers import AutoModelForCausalLM

    step = "check that the folder is whole (all weights and config.json of one model), or fetch it again"
    with opened(vetted, "the model", step) as place:
        _check_size(vetted, place)
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
