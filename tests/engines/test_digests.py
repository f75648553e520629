"""Digests change with what a model writes, and with nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from parammem.engines.digests import adapter_digest, file_digest, model_digest
from parammem.errors import AdapterMissingError, ModelMissingError


@pytest.fixture
def copy(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "copy")


def edit_json(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_copy_has_the_same_digest(tiny_model, copy):
    assert model_digest(copy) == model_digest(tiny_model)


def test_library_version_and_other_files_do_not_count(tiny_model, copy):
    edit_json(copy / "config.json", transformers_version="0.0.1")
    (copy / "README.md").write_text("hello")
    assert model_digest(copy) == model_digest(tiny_model)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_weights_tokenizer_and_template_count(tiny_model, copy, name):
    data = bytearray((copy / name).read_bytes())
    data[-3] ^= 1
    (copy / name).write_bytes(data)
    assert model_digest(copy) != model_digest(tiny_model)


def test_settings_count(tiny_model, copy):
    edit_json(copy / "config.json", rms_norm_eps=0.1)
    assert model_digest(copy) != model_digest(tiny_model)


def test_an_adapter_beside_the_weights_does_not_count(tiny_model, tiny_adapter, copy):
    shutil.copy(tiny_adapter / "adapter_model.safetensors", copy)
    assert model_digest(copy) == model_digest(tiny_model)


def test_adapter_digest_is_the_sha256_of_its_weights(tiny_adapter):
    data = (tiny_adapter / "adapter_model.safetensors").read_bytes()
    assert adapter_digest(tiny_adapter) == hashlib.sha256(data).hexdigest()


def test_large_files_are_hashed_in_pieces(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(data)
    assert file_digest(tmp_path / "large") == hashlib.sha256(data).hexdigest()


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(ModelMissingError, match="none"):
        model_digest(tmp_path / "none")
    with pytest.raises(AdapterMissingError, match="none"):
        adapter_digest(tmp_path / "none")
