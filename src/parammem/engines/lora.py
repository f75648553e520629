"""The settings of a LoRA adapter that this project loads, out of adapter_config.json. All others are refused by name.

PEFT has many kinds of adapters, and kinds of LoRA that change the base's weights, import modules or take patterns from
the file. What is let through here is what a test loads and compares. Names of modules are plain names, never patterns:
some patterns take for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from parammem.errors import AdapterError

ADDRESS = frozenset({"base_model_name_or_path", "revision", "peft_version", "inference_mode"})
"""Where the adapter is, and what wrote it: they change nothing."""
INERT = frozenset({"auto_mapping", "megatron_core", "qalora_group_size"})
"""Settings of kinds that are switched off by another setting."""
KIND = "LORA"

Name = Annotated[str, StringConstraints(pattern=r"^[\w.-]+$", max_length=200)]
"""Its length stands beside the pattern: in it, pydantic's compiled form of the pattern took 17 MB."""
Rank = Annotated[int, Field(ge=1, le=100_000)]
Scale = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class Lora(BaseModel):
    """What is given to PEFT."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    r: Rank
    lora_alpha: Scale
    target_modules: list[Name] | Literal["all-linear"]
    exclude_modules: list[Name] | None = None
    lora_dropout: Annotated[float, Field(ge=0, le=1)] = 0.0
    fan_in_fan_out: bool = False
    use_rslora: bool = False
    use_dora: bool = False
    modules_to_save: list[Name] | None = None
    init_lora_weights: bool | Literal["gaussian"] = True
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[Name] | Name | None = None
    rank_pattern: dict[Name, Rank] = {}
    alpha_pattern: dict[Name, Scale] = {}

    @property
    def ranks(self) -> set[int]:
        """Every rank that a module may have."""
        return {self.r, *self.rank_pattern.values()}

    @classmethod
    def changes(cls, settings: Mapping[str, Any]) -> set[str]:
        """Return names of the settings that are not PEFT's defaults."""
        usual = {name: field.default for name, field in cls.model_fields.items()} | USUAL
        known = {key: value for key, value in settings.items() if key not in ADDRESS | INERT}
        return {key for key, value in known.items() if value != usual.get(key) and not _empty(value)}

    def config(self) -> Any:
        """Return PEFT's record of these settings."""
        from peft import LoraConfig

        return LoraConfig(**self.model_dump(), task_type="CAUSAL_LM", inference_mode=True)


LEAST: dict[str, Any] = {"peft_type": KIND, "r": 8, "lora_alpha": 8, "target_modules": []}
"""PEFT's own defaults."""
USUAL: dict[str, Any] = {"bias": "none", "peft_type": KIND, "task_type": "CAUSAL_LM"}


def lora_of(settings: Mapping[str, Any], folder: Path, served: bool = False) -> Lora:
    """Return the settings of an adapter_config.json.

    Args:
        served: a server reads the file itself, and says what is missing in it.

    Raises:
        AdapterError: another kind of adapter, or a setting that this project does not load.
    """
    settings = {**LEAST, **settings} if served else settings
    kind = settings.get("peft_type")
    if kind != KIND:
        raise AdapterError(
            f"the adapter in {str(folder)!r} is of the kind {_short(kind)}, and only LoRA adapters (peft_type "
            f"{KIND!r}) are loaded; convert it with PEFT, or train one (`dvc repro train`)"
        )
    known = {name: settings[name] for name in Lora.model_fields if settings.get(name) is not None}
    rest = Lora.changes(settings) - Lora.model_fields.keys()
    if rest:
        named = ", ".join(f"{key}: {_short(settings[key])}" for key in sorted(rest)[:3])
        raise AdapterError(
            f"the adapter in {str(folder)!r} has settings that are not loaded here ({named}); merge it into its base "
            "with PEFT and use that as engine.model, or train a plain LoRA"
        )
    try:
        return Lora.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][:1]))
        raise AdapterError(
            f"adapter_config.json in {str(folder)!r} has {where}: {_short(settings.get(where))} ({first['msg']}); "
            "modules have plain names here, and numbers are within what PEFT takes; mend it, or train again"
        ) from error


def _empty(value: Any) -> bool:
    return value is None or value is False or value in ({}, [], "")


def _short(value: Any) -> str:
    text = re.sub(r"\s+", " ", repr(value))
    return text if len(text) <= 80 else f"{text[:80]}…"
