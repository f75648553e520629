"""A key goes to the server it was given for and to no other."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from parammem.cli import doctor_inputs
from parammem.config import Params, load_params, parse_params
from parammem.engines.openai.account import Terms
from parammem.engines.openai.server import ServerSettings
from parammem.engines.openai.servers import Servers, settings_of
from parammem.errors import ConfigError, EngineError
from tests.engines.local_server import LocalServer
from tests.engines.test_openai_server import ask, short_waits  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
OPENAI = "https://api.openai.com/v1"


def params_of(server: dict[str, Any], model: str = "base") -> Params:
    raw = copy.deepcopy(DEFAULT)
    raw["engine"] |= {"kind": "openai", "model": model, "server": server}
    return parse_params(raw)


def keys_seen(local: LocalServer) -> set[str | None]:
    return {asked.headers.get("authorization") for asked in local.log}


@pytest.fixture(autouse=True)
def keys(monkeypatch) -> None:
    monkeypatch.setenv("HERE_KEY", "sesame")
    monkeypatch.setenv("TEACHER_KEY", "open")
    monkeypatch.delenv("NO_KEY", raising=False)


def test_the_key_of_base_url_is_sent_nowhere_else(tmp_path):
    with LocalServer(models=["small"], key="sesame") as one, LocalServer(models=["large", "bare"]) as two:
        servers = Servers(ServerSettings(one.url, "HERE_KEY"), Terms(), tmp_path, {"bare": two.url})
        for name in ("small", "bare"):
            assert servers.open(name).complete([ask("Anna")])
        assert (keys_seen(one), keys_seen(two)) == ({"Bearer sesame"}, {None})


def test_a_model_elsewhere_has_a_key_of_its_own(tmp_path):
    with LocalServer(models=["small"]) as one, LocalServer(models=["large"], key="open") as two:
        servers = Servers(ServerSettings(one.url), Terms(), tmp_path, {"large": two.url}, {"large": "TEACHER_KEY"})
        for name in ("small", "large"):
            assert servers.open(name).complete([ask("Anna")])
        assert (keys_seen(one), keys_seen(two)) == ({None}, {"Bearer open"})


def test_embedders_elsewhere_have_theirs_too(tmp_path):
    with LocalServer(models=["vectors"], key="open") as two:
        here = ServerSettings("http://127.0.0.1:1/v1", "HERE_KEY")
        servers = Servers(here, Terms(), tmp_path, {"vectors": two.url}, {"vectors": "TEACHER_KEY"})
        assert len(servers.embedder("vectors")(["Anna"])) == 1
        assert keys_seen(two) == {"Bearer open"}


def test_a_wrong_or_missing_key_is_named_with_its_place_in_params(tmp_path):
    with LocalServer(models=["large"], key="other") as two:
        here = ServerSettings("http://127.0.0.1:1/v1", "HERE_KEY", retries=0)
        for named, said in (({"large": "TEACHER_KEY"}, "TEACHER_KEY"), ({}, r"engine\.server\.other_keys gives none")):
            with pytest.raises(EngineError, match=said):
                Servers(here, Terms(), tmp_path, {"large": two.url}, named).open("large")
        with pytest.raises(ConfigError, match=r"engine\.server\.other_keys.*'NO_KEY' is not set"):
            Servers(here, Terms(), tmp_path, {"large": two.url}, {"large": "NO_KEY"}).open("large")


def test_models_of_one_server_share_its_places_when_they_share_its_key():
    here = ServerSettings("http://127.0.0.1:1/v1", "HERE_KEY")
    elsewhere = {"a": OPENAI, "b": OPENAI, "c": OPENAI, "d": "http://127.0.0.1:1/v1/"}
    named = {"a": "TEACHER_KEY", "b": "TEACHER_KEY"}
    a, b, c, d, e = [settings_of(name, here, elsewhere, named) for name in "abcde"]
    assert a == b != c
    assert (a.api_key_env, c.api_key_env) == ("TEACHER_KEY", "")
    assert d == e == here, "base_url under another spelling"


def test_a_key_for_a_model_without_a_url_is_a_mistake_with_its_fix():
    server = {"base_url": "http://127.0.0.1:1/v1", "other_urls": {"gpt-4o-mini": OPENAI}}
    found = params_of({**server, "other_keys": {"gpt-4o-mini": "TEACHER_KEY"}}).engine.server
    assert found is not None
    assert found.other_keys == {"gpt-4o-mini": "TEACHER_KEY"}
    with pytest.raises(ConfigError) as caught:
        params_of({**server, "other_keys": {"gpt-4o": "TEACHER_KEY"}})
    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith("  - engine.server.other_keys: ")
    assert "no URL in other_urls for 'gpt-4o'; add it there, or take the key out" in line


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_send_the_teacher_s_key_to_the_teacher_alone(path):
    server = load_params(path).engine.server
    if server is None:
        return
    here = ServerSettings(server.base_url, server.api_key_env)
    for name in ("meta-llama/Llama-3.1-8B-Instruct", *server.other_urls):
        settings = settings_of(name, here, server.other_urls, server.other_keys)
        assert settings.api_key_env == ("OPENAI_API_KEY" if settings.base_url == OPENAI else "")


def test_doctor_looks_for_every_model_where_it_is_and_with_its_key():
    with LocalServer(models=["base"]) as one, LocalServer(models=["large", "base"], key="open") as two:
        server = {"base_url": one.url, "other_urls": {"large": two.url}, "other_keys": {"large": "TEACHER_KEY"}}
        params = params_of(server)
        assert [f.ready for f in (doctor_inputs.model(params), *doctor_inputs.other_models(params))] == [True, True]
        assert (keys_seen(one), keys_seen(two)) == ({None}, {"Bearer open"})
        (teacher,) = doctor_inputs.other_models(params_of({**server, "other_keys": {"large": "NO_KEY"}}))
        assert not teacher.ready
        assert "'NO_KEY' is not set" in teacher.detail
        moved = params_of({**server, "other_urls": {"base": two.url}, "other_keys": {"base": "TEACHER_KEY"}})
        found = doctor_inputs.model(moved)
        assert (found.ready, found.detail) == (True, f"base at {two.url}")
        assert list(doctor_inputs.other_models(moved)) == []
    assert list(doctor_inputs.other_models(load_params(ROOT / "params.yaml"))) == []
