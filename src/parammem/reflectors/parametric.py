"""ParamMem: a base model with a trained adapter, sampled for advice from the task text alone. And Untrained, the same
base model asked the same question without the adapter: the first thing a trained reflector must beat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from parammem.config import read_mapping
from parammem.core import Adapter, Reflection, Task
from parammem.core.adapter import read_card
from parammem.engines.base import Engine, Message, Request
from parammem.engines.folders import find_model
from parammem.engines.hf import HfEngine
from parammem.errors import AdapterError, ConfigError, DataError, ModelMissingError

DTYPE, MAX_TOKENS = "float32", 128
"""Of an adapter whose card does not say what its run had."""
DTYPES = ("float32", "bfloat16")


class Advises(Protocol):
    """The one thing a reflector needs of a domain's prompts."""

    def advise(self, task_text: str) -> tuple[Message, ...]: ...


@dataclass(frozen=True)
class ParamMem:
    """A trained reflector, ready to be asked. Make one with `ParamMem.load(folder)`.

    It is a SamplingReflector too, for agents that batch the requests of many tasks themselves.
    """

    adapter: Adapter
    engine: Engine
    prompts: Advises
    max_tokens: int = MAX_TOKENS
    """A piece of advice ends here if it does not end by itself."""
    kind: Literal["sampling"] = "sampling"
    source: Literal["parametric"] = "parametric"

    @classmethod
    def load(
        cls,
        folder: Path | str,
        base_model: Path | str | None = None,
        device: str = "auto",
        dtype: str | None = None,
        max_tokens: int | None = None,
        prompts: Advises | None = None,
    ) -> ParamMem:
        """Load an adapter folder with the base model it was trained on.

        Args:
            base_model: where the base model is, if not where adapter.json says, seen from the working directory or
                from a folder above `folder`.
            dtype: float32 or bfloat16; None: that of the run that trained it.
            max_tokens: where a piece of advice ends if it does not end by itself; None: as in that run.
            prompts: words the question; by default those of the domain that adapter.json names.

        Raises:
            AdapterMissingError: `folder` holds no adapter.
            AdapterMismatchError: the weights, or the base model, are not those that adapter.json names.
            ModelMissingError: the base model is not found.
        """
        adapter = read_card(Path(folder))
        base = find_base(Path(folder), adapter, base_model)
        if prompts is None:
            from parammem.domains import get_domain

            recipe = adapter.recipe
            real, named = recipe.get("prompts") == "benchmarks", recipe.get("domain_kind", "")
            prompts = get_domain(adapter.domain, kind=named, real=real).prompts
        kind = dtype or adapter.recipe.get("dtype", DTYPE)
        if kind not in DTYPES:
            raise AdapterError(f"dtype is {kind!r}; give {' or '.join(DTYPES)}")
        engine = HfEngine.load(base, adapter=Path(folder), device=device, dtype=kind)
        most = max_tokens or adapter.max_advice_tokens or MAX_TOKENS
        return cls(adapter=adapter, engine=engine, prompts=prompts, max_tokens=most)

    @property
    def author(self) -> str:
        return self.adapter.digest

    def messages(self, task: Task) -> tuple[Message, ...]:
        return self.prompts.advise(task.text)

    def reflect(self, task_text: str, n: int = 5, temperature: float = 1.0, seed: int = 0) -> list[Reflection]:
        """Return n pieces of advice for a task. The same arguments give the same advice; more draws only add to it.

        Raises:
            DataError: the task text is empty, or n is not positive.
            EngineError: the model could not write.
        """
        if not task_text.strip():
            raise DataError("the task text is empty; give the text of a task, as an agent would see it")
        if n < 1:
            raise DataError(f"cannot draw {n} pieces of advice; ask for at least 1")
        request = Request(
            messages=self.prompts.advise(task_text),
            temperature=temperature,
            max_tokens=self.max_tokens,
            seed=seed,
            n=n,
            role="reflector",
        )
        (draws,) = self.engine.complete([request])
        return [
            Reflection(
                text=draw.text,
                source=self.source,
                author=self.author,
                iteration=1,
                temperature=temperature,
                cut=draw.finish == "length",
            )
            for draw in draws
        ]


@dataclass(frozen=True)
class Untrained:
    """The base model asked for advice with ParamMem's prompt: a control."""

    engine: Engine
    prompts: Advises
    kind: Literal["sampling"] = "sampling"
    source: Literal["parametric"] = "parametric"

    @property
    def author(self) -> str:
        return self.engine.digest

    def messages(self, task: Task) -> tuple[Message, ...]:
        return self.prompts.advise(task.text)


def _named_in_params(folder: Path, name: str) -> Iterator[Path]:
    """Yield the models of this name that the params of the adapter's repository say it is made from: a card holds no
    path of a machine."""
    for above in folder.resolve().parents:
        if (above / "params.yaml").is_file():
            with suppress(ConfigError):
                given = read_mapping(above / "params.yaml")
                named = ((given.get("reflector"), "base"), (given.get("engine"), "model"))
                said = [section.get(key) for section, key in named if isinstance(section, dict)]
                yield from (above / one for one in said if isinstance(one, str) and Path(one).name == name)
            return


def find_base(folder: Path, adapter: Adapter, override: Path | str | None = None) -> Path:
    """Return where the adapter's base model is: the override, or the recorded place seen from here or from above
    `folder`, or a model of its name that params.yaml above the folder names.

    Whether it is the right model is checked by the engine that loads it.

    Raises:
        ModelMissingError: nowhere.
    """
    if override is not None:
        return find_model(override)
    name = adapter.base_model
    places = [Path(name), *(above / name for above in folder.resolve().parents)]
    found = next((place for place in (*places, *_named_in_params(folder, name)) if place.is_dir()), None)
    if found is not None:
        return found
    try:
        return find_model(name)  # it may be the name of a model on a hub
    except ModelMissingError as error:
        raise ModelMissingError(
            f"the base model {name!r} of the adapter in {str(folder)!r} is neither here nor in a folder above the "
            "adapter; say where it is (base_model=…, --base-model …)"
        ) from error
