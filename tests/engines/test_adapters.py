"""An adapter is its weights and its settings: other settings, other kinds and broken files are refused by name."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parammem.engines.adapters import read_card, safetensors_header, settings_digest
from parammem.engines.base import Request, chat
from parammem.engines.digests import adapter_digest, model_digest
from parammem.engines.hf import HfEngine
from parammem.engines.lora import Lora
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.openai.vllm import open_adapter, serve_command
from parammem.errors import AdapterError, AdapterMismatchError, AdapterMissingError, ModelMissingError, ParamMemError
from parammem.reflectors.parametric import ParamMem
from parammem.training.prepare import load_base
from tests.engines.conftest import write_card
from tests.engines.stub import Stub
from tests.memory import memory_bound
from tests.tiny import make_tiny_model

ASK = [Request(messages=chat("Return the sum"), temperature=0.0, max_tokens=8)]
RECIPE = {"rank": 4, "alpha": 16, "dropout": 0.0, "target_modules": ["q_proj", "v_proj", "gate_proj", "down_proj"]}


@pytest.fixture
def adapter(tiny_adapter, tmp_path) -> Path:
    return shutil.copytree(tiny_adapter, tmp_path / "adapter")


def edit(folder: Path, **changed: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def card(folder: Path, **changed: Any) -> None:
    path = folder / "adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def second_form(folder: Path, **changed: Any) -> None:
    found = json.loads((folder / "adapter_config.json").read_text())
    card(folder, form=2, settings_digest=settings_digest(found), **changed)


CHANGES: dict[str, dict[str, Any]] = {
    "another scale": {"lora_alpha": -640},
    "fewer modules": {"target_modules": ["q_proj"]},
    "all modules": {"target_modules": "all-linear"},
    "another way to scale": {"use_rslora": True},
    "another kind of LoRA": {"use_dora": True},
    "another scale for one": {"alpha_pattern": {"q_proj": 640}},
    "only one layer": {"layers_to_transform": [0]},
    "transposed": {"fan_in_fan_out": True},
    "modules left out": {"exclude_modules": ["v_proj"]},
}


@pytest.mark.parametrize("case", CHANGES)
@pytest.mark.parametrize("form", [1, 2])
def test_settings_that_the_card_does_not_vouch_for_are_refused(tiny_model, adapter, case, form):
    """By the digest on the card, or, where the card is older, by its recipe."""
    if form == 2:
        second_form(adapter)
    else:
        card(adapter, recipe=RECIPE)
    before = HfEngine.load(tiny_model, adapter, device="cpu").complete(ASK)
    assert before
    edit(adapter, **CHANGES[case])
    with pytest.raises(AdapterMismatchError, match="is not what the adapter was trained with"):
        HfEngine.load(tiny_model, adapter)


def test_settings_of_a_card_that_says_nothing_are_in_the_engines_digest(tiny_model, adapter):
    first = HfEngine.load(tiny_model, adapter).digest
    edit(adapter, lora_alpha=32)
    assert HfEngine.load(tiny_model, adapter).digest != first


def test_where_the_adapter_lies_and_who_wrote_it_are_no_settings(tiny_model, adapter):
    second_form(adapter)
    first = HfEngine.load(tiny_model, adapter).digest
    edit(adapter, base_model_name_or_path="/elsewhere", revision="x", peft_version="0.1", inference_mode=False)
    assert HfEngine.load(tiny_model, adapter).digest == first


def test_a_card_names_the_further_files_of_its_base(tiny_model, adapter, tmp_path):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    second_form(adapter)
    HfEngine.load(base, adapter)
    (base / "added_tokens.json").write_text("{}")
    with pytest.raises(AdapterMismatchError, match="files beside the weights"):
        HfEngine.load(base, adapter)


def save(folder: Path, tensors: dict[str, Any], base: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    write_card(folder, model_digest(base), adapter_digest(folder))


def load(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def fewer_tensors(folder: Path, base: Path) -> None:
    tensors = load(folder)
    del tensors[sorted(tensors)[0]]
    save(folder, tensors, base)


def more_tensors(folder: Path, base: Path) -> None:
    tensors = load(folder)
    more = next(iter(tensors.values())).clone()
    save(folder, tensors | {"base_model.model.model.layers.9.q_proj.lora_A.weight": more}, base)


def base_weights(folder: Path, base: Path) -> None:
    """Weights of the base itself in an adapter's file."""
    import torch

    save(folder, load(folder) | {"base_model.model.model.norm.weight": torch.zeros(32)}, base)


def bytes_of(data: bytes) -> Callable[[Path, Path], None]:
    def change(folder: Path, base: Path) -> None:
        (folder / "adapter_model.safetensors").write_bytes(data)
        write_card(folder, model_digest(base), adapter_digest(folder))

    return change


def cut(folder: Path, base: Path) -> None:
    bytes_of((folder / "adapter_model.safetensors").read_bytes()[:-100])(folder, base)


def with_settings(**changed: Any) -> Callable[[Path, Path], None]:
    return lambda folder, base: edit(folder, **changed)


def of_text(name: str, data: bytes) -> Callable[[Path, Path], None]:
    def change(folder: Path, base: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def pointer(folder: Path, base: Path) -> None:
    bytes_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")(folder, base)


def pipe(name: str) -> Callable[[Path, Path], None]:
    def change(folder: Path, base: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


def pickled(folder: Path, base: Path) -> None:
    import torch

    torch.save(load(folder), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


BROKEN: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "kind of PEFT": (with_settings(peft_type="LOHA"), "kind 'LOHA'"),
    "prompt tuning": (with_settings(peft_type="PROMPT_TUNING"), "only LoRA"),
    "unknown kind": (with_settings(peft_type="NONE_SUCH"), "only LoRA"),
    "no kind": (with_settings(peft_type=None), "only LoRA"),
    "a kind that is a list": (with_settings(peft_type=["LORA"]), "only LoRA"),
    "PiSSA": (with_settings(init_lora_weights="pissa"), "init_lora_weights"),
    "LoftQ": (with_settings(init_lora_weights="loftq", loftq_config={"loftq_bits": 4}), "loftq_config"),
    "megatron": (with_settings(megatron_config={"a": 1}, megatron_core="os"), "megatron_config"),
    "layers doubled": (with_settings(layer_replication=[[0, 2], [0, 2]]), "layer_replication"),
    "tokens": (with_settings(trainable_token_indices=[1, 2]), "trainable_token_indices"),
    "activated LoRA": (with_settings(alora_invocation_tokens=[1]), "alora_invocation_tokens"),
    "biases": (with_settings(bias="all"), "bias"),
    "parameters": (with_settings(target_parameters=["x"]), "target_parameters"),
    "a setting of the future": (with_settings(brand_new={"on": True}), "brand_new"),
    "another task": (with_settings(task_type="SEQ_CLS"), "task_type"),
    "a pattern for modules": (with_settings(target_modules="(a+)+b"), "target_modules"),
    "a pattern among modules": (with_settings(target_modules=["(a+)+$"]), "target_modules"),
    "a pattern for ranks": (with_settings(rank_pattern={"(a+)+$": 4}), "rank_pattern"),
    "a pattern for layers": (with_settings(layers_pattern="(a+)+$"), "layers_pattern"),
    "no modules": (with_settings(target_modules=None), "target_modules"),
    "modules that are not there": (with_settings(target_modules=["none"]), "does not fit its base"),
    "rank of a billion": (with_settings(r=10**9), "has r"),
    "rank that the weights lack": (with_settings(r=90_000), "have rank"),
    "rank of another": (with_settings(r=8), "have rank"),
    "rank that is text": (with_settings(r="4"), "has r"),
    "rank that is true": (with_settings(r=True), "has r"),
    "scale that is no number": (with_settings(lora_alpha=float("nan")), "lora_alpha"),
    "scale beyond all": (with_settings(lora_alpha=1e300), "lora_alpha"),
    "modules to save that are not saved": (with_settings(modules_to_save=["lm_head"]), "does not fit its base"),
    "fewer modules than weights": (with_settings(target_modules=["q_proj"]), "name different modules"),
    "DoRA without its weights": (with_settings(use_dora=True), "name different modules"),
    "fewer weights": (fewer_tensors, "name different modules"),
    "more weights": (more_tensors, "name different modules"),
    "weights of the base": (base_weights, "name different modules|does not fit"),
    "weights cut short": (cut, "no whole safetensors"),
    "weights that are nothing": (bytes_of(b""), "no whole safetensors"),
    "weights that are noise": (bytes_of(bytes(range(256)) * 40), "no whole safetensors"),
    "a header that lies": (bytes_of((1 << 60).to_bytes(8, "little") + b"{}"), "no whole safetensors"),
    "a header nested deeply": (bytes_of((60_000).to_bytes(8, "little") + b"[" * 60_000), "no whole safetensors"),
    "a header of numbers": (bytes_of((3).to_bytes(8, "little") + b"[1]"), "no whole safetensors"),
    "a pointer": (pointer, "git-lfs pointer"),
    "a pipe for weights": (pipe("adapter_model.safetensors"), "no adapter in"),
    "a pipe for the card": (pipe("adapter.json"), "no adapter.json"),
    "a pipe for the settings": (pipe("adapter_config.json"), "no adapter_config.json"),
    "a pickle": (pickled, "no adapter in"),
    "settings that are no JSON": (of_text("adapter_config.json", b"{"), "cannot be read"),
    "settings that are a list": (of_text("adapter_config.json", b"[]"), "cannot be read"),
    "settings nested deeply": (of_text("adapter_config.json", b"[" * 100_000), "cannot be read"),
    "settings that are noise": (of_text("adapter_config.json", b"\xff\x00\xfe"), "cannot be read"),
    "a card that is no JSON": (of_text("adapter.json", b"{"), "no adapter's card"),
    "a card that is noise": (of_text("adapter.json", b"\xff\xfe"), "no adapter's card"),
    "a card nested deeply": (of_text("adapter.json", b"[" * 100_000), "no adapter's card"),
    "a card of another form": (of_text("adapter.json", b'{"domain": "code"}'), "no adapter's card"),
    "a card of 2 MB": (of_text("adapter.json", b" " * (2 << 20)), "no adapter's card"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_adapter_that_cannot_be_loaded_is_refused_by_name(tiny_model, adapter, case):
    change, says = BROKEN[case]
    change(adapter, tiny_model)
    began = time.process_time()
    with pytest.raises(AdapterError, match=says):
        HfEngine.load(tiny_model, adapter, device="cpu").complete(ASK)
    with pytest.raises(AdapterError):
        ParamMem.load(adapter, base_model=tiny_model, device="cpu").reflect("Return the sum", n=1)
    assert time.process_time() - began < 10


SERVED = ("kind of PEFT", "prompt tuning", "unknown kind", "no kind", "a kind that is a list", "megatron", "a pointer",
          "a setting of the future", "a pattern for modules", "settings that are no JSON", "a card that is noise",
          "a pipe for the card")  # fmt: skip
"""Of BROKEN, what does not need the weights' insides, which a server reads itself."""


@pytest.mark.parametrize("case", SERVED)
def test_what_is_refused_here_is_not_given_to_vllm_either(tiny_model, adapter, case):
    """In the same words, by the command that starts vLLM and before anything is asked of a server that runs."""
    change, says = BROKEN[case]
    change(adapter, tiny_model)
    with pytest.raises(AdapterError, match=says):
        serve_command(tiny_model, "base", adapter, 512, "http://127.0.0.1:8000/v1")
    with Stub(lambda asked: (200, {})) as stub:
        with pytest.raises(AdapterError, match=says):
            open_adapter(Server(ServerSettings(stub.url), Account(Terms())), "base", adapter, tiny_model)
        assert stub.log == []


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_base_that_is_a_pointer_is_refused_in_the_same_words_everywhere(tiny_model, adapter, name, tmp_path):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    (base / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with Stub(lambda asked: (200, {})) as stub:
        server = Server(ServerSettings(stub.url), Account(Terms()))
        for opened in (
            lambda: HfEngine.load(base, device="cpu").complete(ASK),
            lambda: load_base(base, "float32"),
            lambda: open_model(server, "base", base),
            lambda: open_adapter(server, "base", adapter, base),
            lambda: serve_command(base, "base", adapter, 512, stub.url),
        ):
            with pytest.raises(ModelMissingError, match="git-lfs pointer"):
                opened()


def test_an_adapter_of_another_shape_is_refused(adapter, tmp_path):
    """Its card says that it belongs to this base, and its weights do not fit it."""
    other = make_tiny_model(tmp_path / "other", hidden=64)
    write_card(adapter, model_digest(other), adapter_digest(adapter))
    with pytest.raises(AdapterMismatchError, match="does not fit its base"):
        HfEngine.load(other, adapter, device="cpu").complete(ASK)


def trained(base: Path, folder: Path, **wanted: Any) -> Path:
    """A random adapter of any kind of LoRA, its card beside it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], **wanted}, task_type="CAUSAL_LM"
    )
    torch.manual_seed(3)
    tuned = get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if weight.requires_grad and "magnitude" not in name:
                weight.normal_(0.0, 0.2)
    tuned.save_pretrained(str(folder), save_embedding_layers=False)
    write_card(folder, model_digest(base), adapter_digest(folder))
    return folder


def untie(base: Path) -> None:
    """Give the output a matrix of its own."""
    import torch
    from transformers import AutoModelForCausalLM

    settings_of = json.loads((base / "config.json").read_text()) | {"tie_word_embeddings": False}
    untied = AutoModelForCausalLM.from_pretrained(str(base), tie_word_embeddings=False)
    untied.lm_head.weight = torch.nn.Parameter(untied.model.embed_tokens.weight.detach().clone())
    untied.save_pretrained(base)
    (base / "config.json").write_text(json.dumps(settings_of))


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "all linear": {"target_modules": "all-linear"},
    "rank-stabilised": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "ranks by module": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "modules saved whole": {"modules_to_save": ["lm_head"]},
    "one layer": {"layers_to_transform": [1]},
    "embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
    "left out": {"target_modules": "all-linear", "exclude_modules": ["o_proj"]},
}


@pytest.mark.parametrize("case", KINDS)
def test_a_kind_of_lora_that_is_loaded_gives_what_peft_gives(tmp_path, case):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from tests.tiny import load_model

    base = make_tiny_model(tmp_path / "base", dtype="float32")
    if case in ("modules saved whole", "embeddings"):
        untie(base)
    folder = trained(base, tmp_path / "adapter", **KINDS[case])
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    plain = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    with torch.no_grad():
        bare = plain(ids).logits
        wanted = PeftModel.from_pretrained(plain, str(folder)).eval()(ids).logits
        ours = load_model(base, folder, "cpu")(ids).logits
    assert (bare - wanted).abs().max() > 1e-3
    assert (ours - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize(
    "wanted", [{"target_modules": ["embed_tokens", "q_proj"]}, {"modules_to_save": ["embed_tokens"]}]
)
def test_an_adapter_on_a_matrix_that_is_input_and_output_is_refused(tmp_path, wanted):
    """Merged, it would change the output too, which PEFT does not."""
    base = make_tiny_model(tmp_path / "base")
    folder = trained(base, tmp_path / "adapter", **wanted)
    with pytest.raises(AdapterError, match="both input and output"):
        HfEngine.load(base, folder, device="cpu").complete(ASK)


def test_an_adapter_that_was_exchanged_between_hashing_and_loading_is_refused(tiny_model, adapter):
    engine = HfEngine.load(tiny_model, adapter, device="cpu")
    edit(adapter, lora_alpha=32)
    with pytest.raises(AdapterMismatchError):
        engine.complete(ASK)


def test_a_card_of_the_first_form_is_read_as_before(adapter):
    assert read_card(adapter).form == 1
    assert "settings_digest" not in json.loads((adapter / "adapter.json").read_text()) or read_card(adapter)


def test_the_header_of_weights_is_read_as_the_library_reads_it(adapter):
    shapes = {name: list(tensor.shape) for name, tensor in load(adapter).items()}
    assert safetensors_header(adapter / "adapter_model.safetensors") == shapes


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_to_an_adapter_folder_is_refused_or_loaded_in_bounded_time(tiny_model, tiny_adapter, tmp_path, data):
    """Bytes changed anywhere, or a setting set to anything: our error or an adapter, and no file is touched."""
    place = tmp_path / "fuzzed"
    shutil.rmtree(place, ignore_errors=True)
    folder = shutil.copytree(tiny_adapter, place / "adapter")
    if data.draw(st.booleans()):
        names = st.sampled_from([*Lora.model_fields, "peft_type", "bias", "task_type", "megatron_config", "x"])
        value = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=6,
        )
        edit(folder, **data.draw(st.dictionaries(names, value, min_size=1, max_size=3)))
    else:
        path = folder / data.draw(st.sampled_from(["adapter.json", "adapter_config.json", "adapter_model.safetensors"]))
        old = path.read_bytes()
        start, gone = data.draw(st.integers(0, min(len(old), 4000))), data.draw(st.integers(0, 8))
        path.write_bytes(old[:start] + data.draw(st.binary(max_size=8)) + old[start + gone :])
        if path.name == "adapter_model.safetensors" and data.draw(st.booleans()):
            write_card(folder, model_digest(tiny_model), adapter_digest(folder))
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    began = time.process_time()
    with memory_bound(), suppress(ParamMemError):
        HfEngine.load(tiny_model, folder, device="cpu").complete(ASK)
    assert time.process_time() - began < 5
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_a_missing_adapter_is_still_a_missing_adapter(tiny_model, tmp_path):
    with pytest.raises(AdapterMissingError, match=r"adapter_model\.safetensors"):
        HfEngine.load(tiny_model, tmp_path / "none")
