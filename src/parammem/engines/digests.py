"""Digests of models and adapters: what makes two folders the same model. Hashing streams, so memory stays flat.

What a model writes follows from its weights, its tokenizer, its chat template and the settings in its config files,
so all of these are in the digest; where the folder lies and which library version saved it are not.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from parammem.core.record import digest_of
from parammem.errors import AdapterMissingError, ModelMissingError

ADAPTER_WEIGHTS = "adapter_model.safetensors"
TEXT_FILES = ("chat_template.jinja", "merges.txt", "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
CONFIG_FILES = ("config.json", "generation_config.json", "special_tokens_map.json", "tokenizer_config.json")
VOLATILE_KEYS = frozenset({"_name_or_path", "name_or_path", "transformers_version", "is_local", "tokenizer_file"})
CHUNK = 1 << 20


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes, read a megabyte at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as data:
        while block := data.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def model_digest(folder: Path | str) -> str:
    """SHA-256 over a model folder's safetensors weights, tokenizer, chat template and settings.

    Raises:
        ModelMissingError: no such folder, or no safetensors weights in it.
    """
    folder = Path(folder)
    weights = sorted(p for p in folder.glob("*.safetensors") if p.name != ADAPTER_WEIGHTS)
    if not weights:
        raise ModelMissingError(
            f"no model in {str(folder)!r}: a folder with config.json, *.safetensors and a tokenizer was expected; "
            "check `engine.model` in params.yaml, or make or fetch the model first (`dvc pull`, `git lfs pull`)"
        )
    parts = {path.name: file_digest(path) for path in weights}
    parts |= {name: file_digest(folder / name) for name in TEXT_FILES if (folder / name).is_file()}
    parts |= {name: _settings_digest(folder / name) for name in CONFIG_FILES if (folder / name).is_file()}
    return digest_of(parts)


def adapter_digest(folder: Path | str) -> str:
    """SHA-256 of an adapter folder's `adapter_model.safetensors`.

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


def _settings_digest(path: Path) -> str:
    settings = json.loads(path.read_text(encoding="utf-8"))
    return digest_of({key: value for key, value in settings.items() if key not in VOLATILE_KEYS})
