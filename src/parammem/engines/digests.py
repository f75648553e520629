"""Digests of models and adapters: what makes two folders the same model. Hashing streams, so memory stays flat.

What a model writes follows from its weights, its tokenizer, its chat template and the settings in its config files,
so all of these are in the digest; where the folder is and which library version saved it are not. Files that some
models have beside these, and that libraries read, have a digest of their own (`extra_digest`): models that have none
keep the digest by which ledgers and lock files name them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from parammem.core.record import digest_of
from parammem.errors import AdapterMissingError, EngineError, ModelMissingError

ADAPTER_WEIGHTS = "adapter_model.safetensors"
TEXT_FILES = ("chat_template.jinja", "merges.txt", "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
CONFIG_FILES = ("config.json", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json")
EXTRA_FILES = (
    "*.index.json", "added_tokens.json", "additional_chat_templates/*.jinja", "chat_template.json", "encoder.json",
    "preprocessor_config.json", "processor_config.json", "tekken.json", "*.bpe", "*.model", "*.spm", "*.tiktoken",
)  # fmt: skip
"""What libraries may read beside the files above."""
LARGEST_SETTINGS = 64 << 20
"""Bytes of a settings file; the largest tokenizers' are some ten million."""
VOLATILE_KEYS = frozenset({"_name_or_path", "name_or_path", "transformers_version", "is_local", "tokenizer_file"})
CHUNK = 1 << 20


def file_digest(path: Path | str) -> str:
    """Return SHA-256 of a file's bytes, read a megabyte at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as data:
        while block := data.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def model_digest(folder: Path | str) -> str:
    """Return SHA-256 over a model folder's safetensors weights, tokenizer, chat template and settings.

    Raises:
        ModelMissingError: no such folder, or no safetensors weights in it.
        EngineError: a settings file is no JSON object.
    """
    folder = Path(folder)
    weights = weight_files(folder)
    if not weights:
        raise ModelMissingError(
            f"no model in {str(folder)!r}: a folder with config.json, *.safetensors and a tokenizer was expected; "
            "check `engine.model` in params.yaml, or make or fetch the model first (`dvc pull`, `git lfs pull`)"
        )
    parts = {name: file_digest(folder / name) for name in weights}
    parts |= {name: file_digest(folder / name) for name in TEXT_FILES if (folder / name).is_file()}
    parts |= {name: _settings_digest(folder / name) for name in CONFIG_FILES if (folder / name).is_file()}
    return digest_of(parts)


def weight_files(folder: Path) -> list[str]:
    """Return names of a model's safetensors files, sorted; an adapter's weights beside them are not the model's."""
    found = (path for path in folder.glob("*.safetensors") if path.name != ADAPTER_WEIGHTS and path.is_file())
    return sorted(path.name for path in found)


def extra_files(folder: Path) -> list[str]:
    """Return names of the files that a library may read and that are not in `model_digest`, sorted."""
    named = (
        path.relative_to(folder).as_posix() for kind in EXTRA_FILES for path in folder.glob(kind) if path.is_file()
    )
    return sorted({*named} - {*TEXT_FILES, *CONFIG_FILES})


def extra_digest(folder: Path | str) -> str:
    """Return SHA-256 over `extra_files`; "" where there are none."""
    folder = Path(folder)
    names = extra_files(folder)
    return digest_of({name: file_digest(folder / name) for name in names}) if names else ""


def adapter_digest(folder: Path | str) -> str:
    """Return SHA-256 of an adapter folder's `adapter_model.safetensors`.

    Raises:
        AdapterMissingError: there is no such file.
    """
    weights = Path(folder) / ADAPTER_WEIGHTS
    if not weights.is_file():
        raise AdapterMissingError(
            f"no adapter in {str(folder)!r}: {ADAPTER_WEIGHTS} was expected; "
            "train one (`dvc repro train`) or `dvc pull`"
        )
    return file_digest(weights)


def read_settings(path: Path) -> dict[str, Any]:
    """Return a settings file's JSON object. Raises ValueError saying what it is instead."""
    if path.stat().st_size > LARGEST_SETTINGS:
        raise ValueError(f"it is larger than {LARGEST_SETTINGS >> 20} MiB")
    try:
        settings = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(settings, dict):
        raise ValueError("it is no JSON object")
    return settings


def _settings_digest(path: Path) -> str:
    try:
        settings = read_settings(path)
        return digest_of({key: value for key, value in settings.items() if key not in VOLATILE_KEYS})
    except ValueError as error:
        raise EngineError(f"{path} cannot be read ({error}); fetch the model again") from error
