"""One GGUF file → an ordinary Hugging Face model folder. Needs the package `gguf` (pip install "parammem[gguf]").

transformers reads the weights and most of the tokenizer. What it leaves out is put right here: how text is cut before
the byte pairs are joined (it takes the same way for all models, and numbers then become other tokens than in training),
a post-processor that no such model has, and what it notes about the quantised file, which the folder no longer is.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

from parammem.engines.digests import model_digest
from parammem.engines.gguf_header import MAGIC, GgufHeader, read_header
from parammem.engines.loading import ANYHOW, first_line, is_failure, load_tokenizer, numbers_of
from parammem.engines.vetting import vet_model
from parammem.errors import ConfigError, EngineError, ModelMissingError, ParamMemError

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
CUTS: dict[str, dict[str, Any]] = {
    "gpt-2": BYTES,
    "smollm": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]},
}
"""How text is cut, by the name that a GGUF file gives it (tokenizer.ggml.pre)."""
CONTROL = 3
"""Type of a token that is never made from text."""


def from_gguf(file: Path, out: Path, dtype: str = "bfloat16", digest: str = "") -> str:
    """Write the folder `out`, whole or not at all, and return its digest (`model_digest`).

    Args:
        dtype: of the weights in the folder.
        digest: what the folder's digest must be; "": any.

    Raises:
        ConfigError: `out` is taken, or the digest is another.
        ModelMissingError: there is no such file.
        EngineError: it is no GGUF file, the package gguf is missing, or its tokenizer is of a kind that is not known.
    """
    _check_places(file, out)
    header = _read_header(file)
    facts = _read_facts(file)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _convert(file, header, partial, dtype)
        _mend_tokenizer(partial, facts)
        made = _checked(partial, facts)
        if digest and made != digest:
            raise ConfigError(
                f"the model made of {file} has the digest {made}, and --digest says {digest}: it is another file, or "
                "another version of transformers or gguf made it; look which, before you use it"
            )
        partial.chmod(0o755)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


def _check_places(file: Path, out: Path) -> None:
    if not file.is_file():
        raise ModelMissingError(f"no file {str(file)!r}; give a .gguf file")
    with file.open("rb") as data:
        if data.read(len(MAGIC)) != MAGIC:
            raise EngineError(f"{file} is no GGUF file; give one that begins with {MAGIC.decode()!r}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already; name a new folder")
    if importlib.util.find_spec("gguf") is None:
        raise EngineError('the package gguf is not installed; run `pip install "parammem[gguf]"`')


def _read_header(file: Path) -> GgufHeader:
    try:
        return read_header(file)
    except (ValueError, struct.error) as error:
        raise EngineError(f"{file} cannot be read ({error}); fetch it again") from error


def _read_facts(file: Path) -> dict[str, Any]:
    """Return the tokenizer's settings in the file. Raises EngineError."""
    from gguf import GGUFReader

    try:
        fields = GGUFReader(str(file)).fields
        facts = {key.removeprefix("tokenizer."): field.contents() for key, field in fields.items() if "token" in key}
    except Exception as error:  # the reader raises whatever the broken bytes lead it to
        raise EngineError(f"{file} cannot be read ({first_line(error)}); fetch it again") from error
    kind, cut = facts.get("ggml.model"), facts.get("ggml.pre")
    if kind != "gpt2" or cut not in CUTS:
        raise EngineError(
            f"{file} has a tokenizer of the kind {kind!r}, {cut!r}, and only gpt2 with {' or '.join(CUTS)} is known: "
            "another way to cut text would silently give other tokens; use the model's own folder from the hub"
        )
    return facts


def _convert(file: Path, header: GgufHeader, out: Path, dtype: str) -> None:
    """Write weights, settings, tokenizer and chat template, as transformers reads them from the file."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(prefix="parammem-gguf-") as place:
        (Path(place) / "model.gguf").symlink_to(file.resolve())  # nothing else beside the file is read
        try:
            config = AutoConfig.from_pretrained(
                place, gguf_file="model.gguf", local_files_only=True, trust_remote_code=False
            )
            asked = numbers_of(config)
            if asked > header.numbers + ANYHOW:  # a library fills what is missing with numbers drawn at random
                raise ValueError(f"its settings ask for {asked:,} numbers, and it holds {header.numbers:,}")
            found: Any = AutoModelForCausalLM.from_pretrained(
                place,
                gguf_file="model.gguf",
                dtype=torch.float32,  # in which it is unpacked
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            tokenizer: Any = AutoTokenizer.from_pretrained(
                place, gguf_file="model.gguf", local_files_only=True, trust_remote_code=False
            )
        except BaseException as error:  # as above, and panics of the tokenizer's Rust part
            if not is_failure(error):
                raise
            raise EngineError(f"{file} cannot be converted ({first_line(error)}); fetch it again") from error
    model, said = found
    if said["missing_keys"]:
        raise EngineError(f"{file} lacks the weights {sorted(said['missing_keys'])[:3]}; fetch it again")
    for name in ("quantization_config", "_model_name_or_path"):
        if hasattr(model.config, name):
            delattr(model.config, name)
    model.hf_quantizer, model.is_quantized = None, False
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.to(getattr(torch, dtype)).save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)


def _mend_tokenizer(out: Path, facts: dict[str, Any]) -> None:
    path = out / "tokenizer.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    found["pre_tokenizer"], found["post_processor"] = CUTS[facts["ggml.pre"]], None
    # transformers gives a tokenizer without an unknown token one that the model has no place for.
    found["added_tokens"] = [token for token in found["added_tokens"] if token["id"] < len(facts["ggml.tokens"])]
    known = {token["content"] for token in found["added_tokens"]}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    for number, (token, kind) in enumerate(zip(facts["ggml.tokens"], facts["ggml.token_type"], strict=True)):
        if kind == CONTROL and token not in known:
            found["added_tokens"].append({"id": number, "content": token, **plain})
    found["added_tokens"].sort(key=lambda token: token["id"])
    path.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    settings = out / "tokenizer_config.json"
    said = json.loads(settings.read_text(encoding="utf-8"))
    strange = {key for key, value in said.items() if key.endswith("_token") and value not in facts["ggml.tokens"]}
    kept = {key: value for key, value in said.items() if key not in strange | {"is_local", "local_files_only"}}
    settings.write_text(json.dumps(kept, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _checked(out: Path, facts: dict[str, Any]) -> str:
    """Return the folder's digest, once it is seen to load and to have every token in its place. Raises EngineError."""
    try:
        tokenizer = load_tokenizer(vet_model(out))
    except ParamMemError as error:
        raise EngineError(f"the folder that was made cannot be loaded: {error}") from error
    tokens, kinds = facts["ggml.tokens"], facts["ggml.token_type"]
    if tokenizer.convert_tokens_to_ids(tokens) != list(range(len(tokens))) or len(tokenizer) != len(tokens):
        raise EngineError("the tokenizer that was made numbers its tokens otherwise than the file")
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    split = [one for one in control if len(tokenizer(one, add_special_tokens=False)["input_ids"]) != 1]
    if split or not tokenizer.chat_template:
        raise EngineError(f"the tokenizer that was made has no chat template, or cuts control tokens: {split[:3]}")
    return model_digest(out)
