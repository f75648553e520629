"""What is loaded from a model folder is what was hashed, or the folder is refused by name; its code is never run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from parammem.engines.base import Request, chat
from parammem.engines.digests import extra_digest, model_digest
from parammem.engines.hf import HfEngine
from parammem.engines.loading import _check_size, load_causal_model, load_tokenizer
from parammem.engines.vetting import vet_model, view
from parammem.errors import EngineError, ModelMissingError, ParamMemError
from parammem.training.prepare import load_base
from tests.tiny import load_model, make_tiny_model

ASK = [Request(messages=chat("Return the sum"), temperature=0.0, max_tokens=4)]


@pytest.fixture
def model(tiny_model, tmp_path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def edit(path: Path, **settings) -> None:
    path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | settings))


def shard(folder: Path, **weight_map: str) -> None:
    """The same weights in two files and a list of them."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, inside in parts.items():
        save_file({name: weights[name] for name in inside}, folder / file, {"format": "pt"})
    (folder / "model.safetensors").unlink()
    listed = {name: file for file, inside in parts.items() for name in inside} | weight_map
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))


def outward(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
    shard(folder, **{"model.norm.weight": "../outside.safetensors"})


def absolute(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
    shard(folder, **{"model.norm.weight": str(folder.parent / "outside.safetensors")})


def decoy(folder: Path) -> None:
    """A pickle is loaded where there is no model.safetensors; another safetensors file is what gets hashed."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "decoy.safetensors")


class Runs:
    """A pickle that writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def bad_pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(folder.parent / "ran")))
    (folder / "model.safetensors").rename(folder / "decoy.safetensors")


def code(name: str, value) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "own.py").write_text(f"open({str(folder.parent / 'ran')!r}, 'w')\n")
        edit(folder / name, auto_map=value)

    return change


def cut(name: str, keep: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return change


def pointer(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234\n"
        (folder / name).write_text(text)

    return change


def write(name: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def without_type(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    del settings["model_type"]
    (folder / "config.json").write_text(json.dumps(settings))


def fewer_weights(folder: Path) -> None:
    """The library would draw the missing ones at random."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def index_of(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        shard(folder)
        (folder / "model.safetensors.index.json").write_text(text)

    return change


def pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "index outward": (outward, "lists weights that are no"),
    "index to an absolute place": (absolute, "lists weights that are no"),
    "a pickle beside a decoy": (decoy, "would not be read from its"),
    "a pickle that runs": (bad_pickle, "would not be read from its"),
    "only a pickle": (lambda f: (decoy(f), (f / "decoy.safetensors").unlink()), "no model in"),
    "weights in another folder by name": (
        lambda f: edit(f / "config.json", transformers_weights="sub/model.safetensors"), "would not be read from"),
    "an adapter's file for weights": (
        lambda f: (shutil.copy(f / "model.safetensors", f / "adapter_model.safetensors"),
                   edit(f / "config.json", transformers_weights="adapter_model.safetensors")), "would not be read"),
    "code for the model": (code("config.json", {"AutoModelForCausalLM": "own.Model"}), "names Python code"),
    "code for the config": (code("config.json", {"AutoConfig": "own.Config"}), "names Python code"),
    "code for the tokenizer": (code("tokenizer_config.json", {"AutoTokenizer": ["own.T"]}), "names Python code"),
    "code of another repository": (code("config.json", {"AutoConfig": "a/b--own.Config"}), "names Python code"),
    "another config by version": (
        lambda f: (shutil.copy(f / "config.json", f / "config.4.0.0.json"),
                   edit(f / "config.json", configuration_files=["config.4.0.0.json"])), "names other files"),
    "another tokenizer by version": (
        lambda f: (shutil.copy(f / "tokenizer.json", f / "tokenizer.4.0.json"),
                   edit(f / "tokenizer_config.json", fast_tokenizer_files=["tokenizer.4.0.json"])), "other files"),
    "weights that are a pointer": (pointer("model.safetensors"), "git-lfs pointer"),
    "a tokenizer that is a pointer": (pointer("tokenizer.json"), "git-lfs pointer"),
    "a config that is a pointer": (pointer("config.json"), "git-lfs pointer|cannot be read"),
    "weights that are a pipe": (pipe, "no model in"),
    "no config": (without("config.json"), "no config.json"),
    "a config without model_type": (without_type, "lacks model_type"),
    "a config of an unknown type": (lambda f: edit(f / "config.json", model_type="none-such"), "could not be loaded"),
    "a config that is a list": (write("config.json", b"[]"), "cannot be read"),
    "a config that is no JSON": (write("config.json", b"{"), "cannot be read"),
    "a config that is no text": (write("config.json", b"\xff\xfe\x00"), "cannot be read"),
    "a config nested deeply": (write("config.json", b'{"a":' * 100_000), "cannot be read"),
    "a config with a huge number": (write("config.json", b'{"a": ' + b"9" * 5000 + b"}"), "cannot be read"),
    "weights cut in the middle": (cut("model.safetensors", 0.5), "could not be loaded"),
    "weights cut in the header": (cut("model.safetensors", 0.01), "could not be loaded"),
    "weights that are noise": (write("model.safetensors", os.urandom(5000)), "could not be loaded"),
    "no weights in the file": (write("model.safetensors", b""), "could not be loaded"),
    "weights that are missing": (fewer_weights, "lack 1 tensor "),
    "a vocabulary of a billion": (lambda f: edit(f / "config.json", vocab_size=10**9), "asks for 32,.* numbers"),
    "layers of a hundred million": (
        lambda f: edit(f / "config.json", intermediate_size=10**8), "asks for .* numbers, and the weights are"),
    "a million layers": (lambda f: edit(f / "config.json", num_hidden_layers=10**6), "asks for 1,000,000 layers"),
    "a million experts": (
        lambda f: edit(f / "config.json", model_type="mixtral", num_local_experts=10**6), "of 1,000,000 experts"),
    "weights of another shape": (lambda f: edit(f / "config.json", hidden_size=64), "could not be loaded"),
    "no tokenizer": (lambda f: [one.unlink() for one in f.glob("tokenizer*.json")], "the tokenizer in"),
    "a tokenizer that is no JSON": (write("tokenizer.json", b"{"), "the tokenizer in"),
    "a tokenizer that is another's": (write("tokenizer.json", b'{"model": {}}'), "the tokenizer in"),
    "an index that is no JSON": (index_of("{"), "no list of weights"),
    "an index without a map": (index_of("{}"), "no list of weights"),
    "an index with a list": (index_of('{"weight_map": []}'), "no list of weights"),
    "an index of files that are not there": (index_of('{"weight_map": {"a": "model-9.safetensors"}}'), "lists weights"),
    "an index with too few files": (index_of('{"metadata": {}, "weight_map": {"a": "model-1.safetensors"}}'), "lack"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_is_not_what_was_hashed_is_refused_by_engine_and_training_alike(model, case, monkeypatch):
    def asked(*_):
        raise AssertionError("somebody asks on stdin")

    monkeypatch.setattr("builtins.input", asked)
    change, says = REFUSED[case]
    change(model)
    with pytest.raises(EngineError, match=says):
        HfEngine.load(model, device="cpu").complete(ASK)
    with pytest.raises(EngineError, match=says):
        load_base(model, "float32")
    assert not (model.parent / "ran").exists()


def test_weights_in_several_files_are_loaded_and_give_the_same_text(model, tiny_model):
    before = HfEngine.load(tiny_model, device="cpu").complete(ASK)
    shard(model)
    assert HfEngine.load(model, device="cpu").complete(ASK) == before


def test_an_engine_is_named_by_every_file_that_is_read(model):
    first = HfEngine.load(model).digest
    assert extra_digest(model) == ""
    primary = model_digest(model)
    (model / "added_tokens.json").write_text('{"<x>": 400}')
    second = HfEngine.load(model).digest
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates/other.jinja").write_text("x")
    third = HfEngine.load(model).digest
    assert len({first, second, third}) == 3
    assert model_digest(model) == primary


def test_models_that_have_no_such_files_keep_the_digest_of_their_engine(tiny_model):
    from parammem.core.record import digest_of

    assert HfEngine.load(tiny_model).digest == digest_of(["hf", "decode-1", model_digest(tiny_model), "", "float32"])


@pytest.mark.parametrize("name", ["pocket-1m", "pocket-250k", "pocket-4m"])
def test_pocket_models_keep_their_digests(repo_root, name):
    """As ledgers, dvc.lock and the committed reports name them."""
    known = {
        "pocket-1m": "d7658c825565b5710d6e745b6a459ba32abfbace34526da364f654d208f56cb4",
        "pocket-250k": "dd3075110685ea71e4fbe82960c74c72f7362f7d5438ec261a3cc0da47fb6f6c",
        "pocket-4m": "22cb06656645fef199aa5c95c020911bb183be3df085d0ae782f5e6bc26deee2",
    }
    vetted = vet_model(repo_root / "models" / name)
    assert (vetted.digest, vetted.extra) == (known[name], "")


def test_libraries_see_the_hashed_files_alone(model):
    for name in ("own.py", "pytorch_model.bin", "adapter_config.json", "generation.py"):
        (model / name).write_text("{}")
    with view(vet_model(model)) as place:
        seen = {path.name for path in place.iterdir()}
    assert seen == {"chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
                    "tokenizer.json", "tokenizer_config.json"}  # fmt: skip
    assert not place.exists()


def test_an_adapter_beside_the_weights_is_not_loaded(model, tiny_adapter, tiny_model):
    """transformers would load it, and take the base from wherever its config says."""
    before = HfEngine.load(tiny_model, device="cpu").complete(ASK)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tiny_adapter / name, model)
    assert HfEngine.load(model, device="cpu").complete(ASK) == before


def test_a_model_that_was_exchanged_between_hashing_and_loading_is_refused(model, tmp_path):
    engine = HfEngine.load(model, device="cpu")
    other = make_tiny_model(tmp_path / "other", seed=7)
    shutil.copy(other / "model.safetensors", model / "model.safetensors")
    with pytest.raises(EngineError, match="was changed after it was hashed"):
        engine.complete(ASK)


def test_a_model_that_was_only_touched_is_loaded(model):
    engine = HfEngine.load(model, device="cpu")
    os.utime(model / "model.safetensors")
    assert engine.complete(ASK)


def test_a_snapshot_of_links_is_loaded(tiny_model, tmp_path):
    """The hub's cache holds links to blobs."""
    (tmp_path / "blobs").mkdir()
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(tiny_model.iterdir())):
        shutil.copy(path, tmp_path / "blobs" / str(number))
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(number))
    assert model_digest(snapshot) == model_digest(tiny_model)
    assert load_model(snapshot, None, "cpu") is not None


def test_a_tokenizer_file_named_in_settings_is_not_read(model, tmp_path):
    from tests.tiny import make_tiny_tokenizer

    make_tiny_tokenizer(["zzz zzz zzz"], 300).save_pretrained(tmp_path / "evil")
    before = load_tokenizer(vet_model(model))("Return the sum")["input_ids"]
    edit(model / "tokenizer_config.json", tokenizer_file=str(tmp_path / "evil/tokenizer.json"))
    assert load_tokenizer(vet_model(model))("Return the sum")["input_ids"] == before


def test_errors_name_the_folder_and_not_the_view_of_it(model):
    (model / "tokenizer.json").write_text("{")
    with pytest.raises(ParamMemError) as caught:
        load_tokenizer(vet_model(model))
    assert str(model) in str(caught.value)
    assert "parammem-model-" not in str(caught.value)


def test_a_missing_model_is_still_a_missing_model(tmp_path):
    with pytest.raises(ModelMissingError):
        vet_model(tmp_path)
    with pytest.raises(ModelMissingError):
        load_base(tmp_path, "float32")


def test_a_loaded_model_and_tokenizer_bear_the_folders_name(model):
    vetted = vet_model(model)
    assert load_tokenizer(vetted).name_or_path == str(model)
    assert load_causal_model(vetted, "float32").config._name_or_path == str(model)


def test_looking_at_the_size_draws_no_random_numbers(model):
    import torch

    torch.manual_seed(1)
    before = torch.get_rng_state()
    _check_size(vet_model(model), model)
    assert torch.equal(torch.get_rng_state(), before)
