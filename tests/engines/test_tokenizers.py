"""A tokenizer of a stranger's: refused by name where it costs too much, an EngineError where it fails or hangs."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from parammem.engines import tokenizing
from parammem.engines.base import Request, chat
from parammem.engines.hf import HfEngine
from parammem.engines.loading import load_tokenizer
from parammem.engines.tokenizer_files import check_tokenizer, check_tokenizer_json, check_tokenizer_settings
from parammem.engines.vetting import vet_model
from parammem.errors import DataError, EngineError
from parammem.training.encoding import encode
from parammem.training.prepare import load_base
from tests.memory import memory_bound

TOKEN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
A = {"Sequence": {"id": "A", "type_id": 0}}


def steps(*listed: Any, name: str = "normalizers") -> dict[str, Any]:
    return {"type": "Sequence", name: list(listed)}


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replace(content: str, **pattern: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def table(*texts: bytes) -> dict[str, Any]:
    data = struct.pack("<I", 4) + b"\0" * 4 + b"\0".join([*texts, b""])
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(data).decode()}


def template(single: list[Any], **tokens: Any) -> dict[str, Any]:
    return {"type": "TemplateProcessing", "single": single, "pair": [A], "special_tokens": tokens}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "one character becomes a billion": ({"normalizer": steps(*[replace("a" * 200, String="a")] * 4)}, "times as long"),
    "a long text put in": ({"normalizer": replace("a" * 10_000_000, String="a")}, "a text of Replace"),
    "a text put in between all characters": ({"normalizer": steps(*[replace("a" * 99, Regex="")] * 2)}, "as long"),
    "doubled again and again": (
        {"pre_tokenizer": steps(*[{"type": "ByteLevel", "add_prefix_space": False}] * 20, name="pretokenizers")},
        "times as long"),
    "a long text before all": ({"normalizer": {"type": "Prepend", "prepend": "a" * 10_000_000}}, "normalizer.prepend"),
    "a table that puts in much": ({"normalizer": table(b"a" * 100_000)}, "puts in a text of 100,000 bytes"),
    "a table that is none": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}}, "cannot be read"),
    "a text repeated": ({"post_processor": template([A] * 9)}, "repeats a text"),
    "a million tokens around a text": ({"post_processor": template([{}] * 1000 + [A])}, "is no list of at most"),
    "a token that stands for a million": (
        {"post_processor": template([A], a={"id": "a", "ids": [0] * 1000, "tokens": ["a"]})}, "stands for more"),
    "a decoder that puts in much": (
        {"decoder": steps(*[replace("a" * 200, String="a")] * 3, name="decoders")}, "as long"),
    "a decoder with a pattern": ({"decoder": replace("x", Regex="(a|a)*$")}, "replaces by a regular expression"),
    "a decoder that cuts off too much": (
        {"decoder": {"type": "Strip", "content": "a", "start": 2**40, "stop": 0}}, "decoder.start is"),
    "pieces of no length": ({"pre_tokenizer": {"type": "FixedLength", "length": 0}}, "pieces of length 0"),
    "a pattern of a megabyte": ({"pre_tokenizer": split("a?" * 500_000)}, "no text of at most 4000"),
    "a pattern of no kind": ({"pre_tokenizer": split("a") | {"pattern": {"Glob": "*"}}}, "neither a String nor"),
    "a step of no known kind": ({"normalizer": {"type": "Explode"}}, "of the kind 'Explode'"),
    "a thousand steps": ({"normalizer": steps(*[steps(*[{"type": "NFC"}] * 50)] * 20)}, "it has 1"),
    "an added token of megabytes": (
        {"added_tokens": [{"id": 400, "content": "x" * 20_000_000, **TOKEN}]}, "a text of added_tokens"),
    "tokens by chance": ({"model": {"type": "BPE", "dropout": 0.5, "vocab": {}, "merges": []}}, "has a dropout"),
    "words without bound": (
        {"model": {"type": "WordPiece", "max_input_chars_per_word": 10**9, "vocab": {}}}, "max_input_chars_per_word"),
    "no model": ({"model": None}, "has no model"),
}  # fmt: skip
SETTINGS = {
    "a billion extra tokens": ({"tokenizer_class": "ByT5Tokenizer", "extra_ids": 10**9}, "extra_ids is 1e"),
    "another count of tokens": ({"num_madeup_words": 20_000}, "num_madeup_words"),
    "a number that is none": ({"offset": float("nan")}, "offset is nan"),
    "a million added tokens": ({"added_tokens_decoder": {str(n): {} for n in range(100_001)}}, "100,001 entries"),
}


@pytest.fixture
def model(tiny_model, tmp_path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def change(folder: Path, name: str = "tokenizer.json", /, **parts: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


def ask(model: Path, text: str = "Return the sum", tokens: int = 2) -> list[Any]:
    return HfEngine.load(model, device="cpu").complete(
        [Request(messages=chat(text), temperature=0.0, max_tokens=tokens)]
    )


@pytest.mark.parametrize("case", REFUSED)
def test_a_tokenizer_that_asks_for_too_much_is_refused_before_a_library_reads_it(model, case):
    parts, says = REFUSED[case]
    change(model, **parts)
    began = time.process_time()
    with memory_bound(), pytest.raises(EngineError, match=says) as caught:
        vet_model(model)
    assert time.process_time() - began < 5
    assert str(model) in str(caught.value)
    assert len(str(caught.value)) < 600
    with pytest.raises(EngineError, match=says):
        vet_model(model, served=True)


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_make_tokens_without_end_are_refused(model, case):
    parts, says = SETTINGS[case]
    change(model, "tokenizer_config.json", **parts)
    with pytest.raises(EngineError, match=says):
        vet_model(model)


@pytest.mark.parametrize("data", ["{", "[]", "null", '{"a":' * 100_000, '{"model": {}, "model": {}}', "\ud800", ""])
def test_what_is_no_tokenizer_is_refused(tmp_path, data):
    (tmp_path / "tokenizer.json").write_bytes(data.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"\w"):
        check_tokenizer_json(tmp_path / "tokenizer.json")


FAILS: dict[str, tuple[dict[str, Any], str]] = {
    "an exponential pattern": ({"pre_tokenizer": split("(a|a)*$")}, "cannot cut a text.*retry-limit"),
    "an exponential pattern to replace": ({"normalizer": replace("x", Regex="(a|a)*$")}, "cannot cut a text"),
    "a pattern that is none": ({"pre_tokenizer": split("(a")}, "could not be loaded"),
    "a table of nothing": ({"normalizer": table()}, "cannot cut a text"),
    "a word that is not known": (
        {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}, "added_tokens": []}, "the tokenizer in"),
    "numbers that the model has not": (
        {"model": {"type": "WordLevel", "vocab": {"?": 2**31}, "unk_token": "?"}}, "number 2147483648"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILS)
def test_a_failure_of_the_library_is_an_error_that_names_the_model(model, case):
    """Some of these are panics of Rust, which no `except Exception` catches."""
    parts, says = FAILS[case]
    change(model, **parts)
    with pytest.raises(EngineError, match=says) as caught:
        ask(model, "a" * 40 + "!")
    assert str(model) in str(caught.value)


@pytest.mark.parametrize("case", FAILS)
def test_training_tells_the_same(model, case):
    parts, says = FAILS[case]
    change(model, **parts)

    def encoded() -> None:
        tokenizer, base, _ = load_base(model, "float32")
        encode(tokenizer, chat("a" * 40 + "!"), "a", tokenizing.places_of(base))

    with pytest.raises(EngineError, match=says):
        encoded()


def test_a_pattern_of_quadratic_time_is_left_when_its_cpu_time_is_up(model, monkeypatch):
    """Whole it would take a hundred times as long."""
    change(model, pre_tokenizer=split("(?=a*b)a"))
    tokenizer = load_tokenizer(vet_model(model))
    monkeypatch.setattr(tokenizing, "CPU_SECONDS", 0.1)
    monkeypatch.setattr(tokenizing, "CPU_PER_CHARACTER", 1e-6)
    began = time.process_time()
    with pytest.raises(EngineError, match="took more than 0 s of CPU for 60,000 characters"):
        tokenizing.tokens_of(tokenizer, ["a" * 60_000], "m")
    assert time.process_time() - began < 5


def test_tokens_that_cannot_be_joined_are_an_error_that_names_the_model(model):
    with pytest.raises(EngineError, match="cannot join tokens"):
        tokenizing.text_of(load_tokenizer(vet_model(model)), [1 << 40], "m")


def test_an_interrupt_is_no_failure_of_a_tokenizer():
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tokenizing.tokens_of(interrupted, ["a"], "m")


def test_a_prompt_of_which_nothing_is_left_is_refused(model):
    change(model, normalizer=replace("", Regex="."), added_tokens=[])
    tokenizer, _, _ = load_base(model, "float32")
    tokenizer.chat_template = "{{ messages[0].content }}"
    with pytest.raises(DataError, match="makes no token of a prompt"):
        encode(tokenizer, chat("x"), "\n")


def test_padding_and_cutting_that_a_file_asks_for_are_not_done(model):
    plain = load_tokenizer(vet_model(model))
    change(
        model,
        padding={"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                 "pad_type_id": 0, "pad_token": "<|pad|>"},
        truncation={"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0},
    )  # fmt: skip
    tokenizer = load_tokenizer(vet_model(model))
    text = ["Return the sum"]
    assert tokenizing.tokens_of(tokenizer, text, "m") == tokenizing.tokens_of(plain, text, "m")


GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KNOWN: dict[str, dict[str, Any]] = {
    "gpt-2": {"pre_tokenizer": split(GPT_2)},
    "llama 2": {
        "normalizer": steps({"type": "Prepend", "prepend": "▁"}, replace("▁", String=" ")),
        "decoder": steps(
            replace(" ", String="▁"), {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}, name="decoders"),
        "post_processor": template(
            [{"SpecialToken": {"id": "<s>", "type_id": 0}}, A],
            **{"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}),
    },
    "llama 3": {
        "pre_tokenizer": steps(split(LLAMA_3), {"type": "ByteLevel", "use_regex": False}, name="pretokenizers")},
    "xlm-r": {
        "normalizer": steps(table("صلى الله عليه وسلم".encode()), replace(" ", Regex=" {2,}")),
        "pre_tokenizer": steps(
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, name="pretokenizers"),
    },
    "bert": {
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 250_000], "cls": ["[CLS]", 101]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {}},
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KNOWN)
def test_the_known_kinds_are_taken(kind):
    check_tokenizer(
        json.dumps({"model": {"type": "BPE", "dropout": None, "unk_id": 200_000, "vocab": {}}} | KNOWN[kind])
    )


def test_usual_settings_are_taken():
    check_tokenizer_settings(
        {"model_max_length": 10**30, "add_bos_token": True, "extra_ids": 100, "pad_token_id": 151_643, "eos_token": "x"}
    )
