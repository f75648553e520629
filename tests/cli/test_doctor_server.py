"""Facts about `parammem doctor --server`: what it finds at servers of the zoo, what it pays, and how it fails."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parammem.cli import app, doctor
from parammem.engines.openai import server as module
from parammem.errors import ConfigError, EngineError
from tests.engines.local_server import LocalServer
from tests.engines.stub import Stub, chat_answer
from tests.engines.zoo import ZOO
from tests.stages.commands import parammem


@pytest.fixture(autouse=True)
def quick_and_without_keys(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def examined(url: str, model: str = "m", *more: str) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    """Traits by name, and the whole report."""
    done = CliRunner().invoke(app, ["doctor", "--server", url, "--model", model, "--json", *more])
    assert done.exit_code == 0, done.output + str(done.exception)
    report = json.loads(done.stdout)
    assert report["sent"] <= 20, "questions, those included that are sent again without a refused field"
    return {trait["name"]: (trait["found"], trait["does"]) for trait in report["traits"]}, report


def test_a_server_like_vllm_can_do_everything_and_the_count_is_right():
    with LocalServer() as local:
        traits, report = examined(local.url, "")
        assert report["model"] == "base"
        assert report["sent"] == len(local.chats)
        assert report["answers"] == sum(asked.answered for asked in local.chats)
        assert report["completion_tokens"] == sum(asked.usage["completion_tokens"] for asked in local.chats)
    assert traits["n"] == ("taken, draw i has the seed plus i", "all draws of a request are asked for at once")
    assert traits["seed"][0] == "repeats its text"
    assert traits["system role"][0] == traits["temperature"][0] == traits["max_tokens"][0] == "taken"
    assert traits["usage"] == ("counted", "booked")
    assert traits["model list"][0] == "1 model, 'base' among them"
    assert traits["logprobs"][0] == "given"


@pytest.mark.parametrize(
    ("seeds", "found"),
    [("n-ignored", "ignored"), ("apart", "taken, but seeded otherwise"), ("ignored", "taken")],
)
def test_how_draws_are_seeded_is_seen(seeds, found):
    with LocalServer(seeds=seeds) as local:
        traits, _ = examined(local.url, "base")
    assert traits["n"][0] == found
    assert ("do all draws" in traits["n"][1]) is False
    assert (traits["seed"][0] == "repeats its text") is (seeds != "ignored")


def specimen(server: str, words: str):
    (found,) = [one for one in ZOO if one.server == server and words in one.answers]
    return found


@pytest.mark.parametrize(
    ("server", "words", "trait", "found"),
    [
        ("OpenAI o-series, GPT-5", "max_tokens", "max_tokens", "refused"),
        ("OpenAI o-series, GPT-5", "temperature", "temperature", "refused"),
        ("OpenAI o1-mini", "system", "system role", "refused"),
        ("Mistral", "seed", "seed", "refused"),
        ("Groq", "at most 1", "n", "refused"),
        ("TGI", "temperature 0", "temperature 0", "refused"),
        ("Triton", "no usage", "usage", "not counted"),
        ("DeepSeek", "thinking", "thinking", "beside the text"),
        ("vLLM without a reasoning parser", "think", "thinking", "in the text"),
        ("OpenAI", "for `gpt-4o`", "model name", "gpt-4o-2024-08-06"),
        ("OpenAI", "refusal", "text", "none: the server withheld"),
        ("a gateway", "events", "text", "'Anna'"),
        ("Together", "plain list", "model list", "1 model, 'm' among them"),
    ],
)
def test_what_servers_refuse_is_found_and_what_the_engine_does(server, words, trait, found):
    kind = specimen(server, words)
    with Stub(kind.reply, kind.models) as stub:
        traits, report = examined(stub.url, kind.model)
        assert traits[trait][0].startswith(found)
        assert traits[trait][1]
        assert report["sent"] == len(stub.posts)


def test_the_table_names_everything_and_the_cost():
    with Stub(lambda _: (200, chat_answer())) as stub:
        done = CliRunner().invoke(app, ["doctor", "--server", stub.url, "--model", "m"])
    assert done.exit_code == 0
    for name in ("n ", "seed", "max_tokens", "max_completion_tokens", "logprobs", "system role", "usage", "model list",
                 "streaming", "no key is sent"):  # fmt: skip
        assert name in done.output
    assert f"{len(stub.posts)} requests, " in done.output


def failed(*arguments: str) -> EngineError | ConfigError:
    done = CliRunner().invoke(app, ["doctor", "--server", *arguments])
    assert isinstance(done.exception, EngineError | ConfigError), done.output
    return done.exception


@pytest.mark.parametrize(
    ("reply", "says", "code"),
    [
        ((401, {"error": {"message": "no key"}}), "--key-env gives none", 5),
        ((200, b"<!doctype html>"), "web page", 5),
        ((402, {"error": {"message": "Insufficient Balance"}}), "see to the account", 5),
        ((404, {"error": {"message": "no model"}}), "check engine.model", 5),
        ((301, b"", {"Location": "https://127.0.0.1/"}), "redirect to", 5),
        ((200, b"{"), "not JSON", 5),
        ((503, b"busy"), "status 503", 5),
    ],
)
def test_a_server_that_gives_no_text_is_an_error_that_says_why(reply, says, code):
    with Stub(lambda _: reply) as stub:
        error = failed(stub.url, "--model", "m")
        assert len(stub.posts) <= 2
    assert says in str(error)
    assert error.exit_code == code


def test_a_server_that_answers_for_another_model_is_examined_and_the_remedy_said():
    with Stub(lambda _: (200, chat_answer(model="gpt-4o-2024-08-06"))) as stub:
        done = CliRunner().invoke(app, ["doctor", "--server", stub.url, "--model", "my-own"])
    assert done.exit_code == 1
    assert "the run ends: the answer is from model" in done.output
    assert 'engine.server.aliases: {"my-own": "gpt-4o-2024-08-06"}' in done.output


def test_what_cannot_be_reached_says_what_to_look_at(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "is it started" in str(failed(f"http://127.0.0.1:{port}/v1", "--model", "m"))
    assert "is no URL" in str(failed("127.0.0.1:8000/v1"))
    with Stub(lambda _: (200, chat_answer())) as stub:
        assert "try http://127" in str(failed(stub.url.replace("http:", "https:"), "--model", "m"))
        assert "--model NAME" in str(failed(stub.url))


def test_a_certificate_that_is_not_trusted_says_so(tmp_path):
    import ssl
    import threading

    names = "/CN=127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", names, "-days", "1"]
    made = subprocess.run([*command, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], capture_output=True)
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                raw, _ = listener.accept()
                with raw:
                    try:
                        context.wrap_socket(raw, server_side=True).close()
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        error = failed(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", "--model", "m")
    assert "SSL_CERT_FILE" in str(error)


def test_the_key_is_sent_where_it_belongs_and_never_printed(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sesame-1")
    monkeypatch.setenv("MY_KEY", "sesame-2")
    for more, key, variable in (([], "sesame-1", "OPENAI_API_KEY"), (["--key-env", "MY_KEY"], "sesame-2", "MY_KEY")):
        with LocalServer(key=key) as local:
            done = CliRunner().invoke(app, ["doctor", "--server", local.url, "--model", "base", *more])
            assert done.exit_code == 0
            assert f"the key comes from {variable}" in done.output
            assert "sesame" not in done.output
    with LocalServer(key="other") as local:
        error = failed(local.url, "--model", "base")
    assert "OPENAI_API_KEY" in str(error)
    assert "sesame" not in str(error)


def test_the_usual_key_crosses_no_network_in_the_clear_and_params_name_another(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    missing = tmp_path / "params.yaml"
    assert doctor.key_for("http://10.0.0.1:8000/v1", missing) == ""
    assert doctor.key_for("https://api.example.org/v1", missing) == "OPENAI_API_KEY"
    root = Path(__file__).resolve().parents[2]
    import yaml

    raw = yaml.safe_load((root / "params.yaml").read_text())
    raw["engine"] |= {"kind": "openai", "server": {
        "base_url": "https://here/v1", "api_key_env": "HERE", "other_urls": {"a": "https://there/v1"}}}  # fmt: skip
    missing.write_text(yaml.safe_dump(raw))
    assert doctor.key_for("https://here/v1/", missing) == "HERE"
    assert doctor.key_for("https://there/v1", missing) == ""


def test_options_of_a_server_without_one_are_wrong_usage():
    assert CliRunner().invoke(app, ["doctor", "--model", "m"]).exit_code == 2


def test_the_command_ends_with_the_code_of_its_error_and_one_line(tmp_path):
    done = parammem(tmp_path, "doctor", "--server", "ftp://127.0.0.1/v1")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert "Traceback" not in done.stderr


def test_doctor_asks_for_a_model_that_is_not_listed_before_it_says_that_it_is_missing():
    from tests.engines.test_openai_keys import params_of

    with Stub(lambda _: (200, chat_answer()), (200, {"data": [{"id": "other"}]})) as stub:
        assert doctor.model(params_of({"base_url": stub.url}, "m")).ready
    with Stub(lambda _: (404, {"error": "no model"}), (200, {"data": [{"id": "other"}]})) as stub:
        found = doctor.model(params_of({"base_url": stub.url}, "m"))
    assert not found.ready
    assert "the server lists 'other'" in found.detail
