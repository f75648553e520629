"""Facts about adapters on a vLLM server: named by their digest, on the right base, and seen to have an effect."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from parammem.engines.digests import adapter_digest, model_digest
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.openai.vllm import (
    CANARIES,
    CanaryToken,
    adapter_name,
    distance,
    model_length,
    open_adapter,
    rank_for,
    serve_command,
)
from parammem.errors import AdapterError, AdapterMismatchError, AdapterMissingError, ConfigError
from tests.engines.conftest import write_card
from tests.engines.local_server import LocalServer
from tests.engines.test_openai_server import ask, short_waits  # noqa: F401
from tests.stages.commands import parammem


def make_adapter(folder: Path, weights: bytes = b"one", base: str = "0" * 64, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 32, "base_model_name_or_path": "base", **config}))
    write_card(folder, base, adapter_digest(folder))
    return folder


@pytest.fixture
def adapter(tmp_path) -> Path:
    return make_adapter(tmp_path / "adapter")


def server_of(local: LocalServer, account: Account | None = None) -> Server:
    return Server(ServerSettings(local.url, concurrency=4, retries=1), account or Account(Terms()))


def loads(local: LocalServer) -> list[dict[str, Any]]:
    return [asked.body for asked in local.log if asked.path.endswith("load_lora_adapter")]


def test_an_adapter_is_loaded_under_a_name_with_its_whole_digest_and_asked_by_it(adapter):
    with LocalServer() as local:
        engine = open_adapter(server_of(local), "base", adapter)
        name = f"code-{adapter_digest(adapter)}"
        assert loads(local) == [{"lora_name": name, "lora_path": str(adapter)}]
        engine.complete([ask("Anna")])
        assert local.chats[-1].body["model"] == name


def test_an_adapter_that_is_there_is_not_loaded_again(adapter):
    with LocalServer() as local:
        for _ in range(3):
            open_adapter(server_of(local), "base", adapter)
        assert len(loads(local)) == 1


def test_other_weights_in_the_same_folder_get_another_name_and_digest(adapter):
    with LocalServer() as local:
        first = open_adapter(server_of(local), "base", adapter)
        second = open_adapter(server_of(local), "base", make_adapter(adapter, b"two"))
        assert len({first.model, second.model}) == len({first.digest, second.digest}) == 2
        said = [engine.complete([ask("Anna")])[0][0].text for engine in (first, second)]
    assert said[0] != said[1]


def test_digests_of_base_and_adapter_differ(adapter):
    with LocalServer() as local:
        server = server_of(local)
        assert open_adapter(server, "base", adapter).digest != open_model(server, "base").digest


def test_the_canary_sings_before_an_evaluation_may_start(adapter):
    with LocalServer(adapters="ignore") as local, pytest.raises(AdapterError, match="as for its base"):
        open_adapter(server_of(local), "base", adapter)


def test_the_canary_asks_base_and_adapter_and_is_booked_as_such(adapter):
    account = Account(Terms())
    with LocalServer() as local:
        open_adapter(server_of(local, account), "base", adapter)
        assert {asked.body["model"] for asked in local.chats} == {"base", adapter_name("code", adapter_digest(adapter))}
    assert {spent.role for spent in account.total()} == {"canary"}


def test_an_adapter_on_another_base_is_refused(adapter):
    with LocalServer(models=["other", "base"]) as local, pytest.raises(AdapterError, match=r"on 'other'.*'base'"):
        open_adapter(server_of(local), "base", adapter)


def test_a_server_that_loads_nothing_while_it_runs_says_what_to_start(adapter):
    with LocalServer(adapters="refuse") as local, pytest.raises(AdapterError, match="parammem serve reflector"):
        open_adapter(server_of(local), "base", adapter)


def test_an_adapter_for_other_weights_of_the_base_is_refused(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"base")
    fitting = make_adapter(tmp_path / "fitting", base=model_digest(base))
    with LocalServer() as local:
        assert open_adapter(server_of(local), "base", fitting, base)
        with pytest.raises(AdapterMismatchError):
            open_adapter(server_of(local), "base", make_adapter(tmp_path / "alien"), base)
        with pytest.raises(AdapterMissingError):
            open_adapter(server_of(local), "base", tmp_path)


def test_an_adapter_for_another_commit_of_a_pinned_base_is_refused(adapter):
    mine, other = "a" * 40, "b" * 40
    card = json.loads((adapter / "adapter.json").read_text())
    (adapter / "adapter.json").write_text(json.dumps(card | {"base_model": f"someone/tiny@{mine}"}))
    with LocalServer(models=["someone/tiny"]) as local:
        server = server_of(local)
        assert open_adapter(server, "someone/tiny", adapter, revision=mine).model == f"code-{adapter_digest(adapter)}"
        with pytest.raises(AdapterMismatchError, match=other):
            open_adapter(server, "someone/tiny", adapter, revision=other)
        digests = {open_model(server, "someone/tiny", revision=commit).digest for commit in ("", mine, other)}
    assert len(digests) == 3


def test_arguments_of_vllm_s_own_come_last(adapter):
    command = serve_command("/m", "base", adapter, 1024, "http://0.0.0.0:9000/v1", further=["--enforce-eager"])
    assert command.arguments[-1] == "--enforce-eager"
    assert command.shell().endswith("--enforce-eager")


def test_distance_is_of_the_log_probabilities_until_a_token_differs():
    a, b, c = CanaryToken("a", -0.5), CanaryToken("b", -1.0), CanaryToken("c", -0.1)
    assert distance([a, b, c], [a, b, c]) == 0
    assert distance([a, b, c], [a, CanaryToken("b", -1.25), c]) == pytest.approx(0.25)
    assert distance([a, b, c], [a, CanaryToken("x", -1.0), CanaryToken("y", -9.0)]) == 1.0
    assert distance([a, b, c], [a, b]) == 1.0


def test_another_token_counts_by_how_much_likelier_it_was():
    near, nearly = CanaryToken("b", -0.70, {"b": -0.70, "x": -0.71}), CanaryToken("x", -0.70, {"x": -0.70, "b": -0.71})
    assert distance([near], [nearly]) == pytest.approx(0.01)
    sure = CanaryToken("x", -0.01, {"x": -0.01, "b": -6.0})
    assert distance([near], [sure]) == pytest.approx(5.99)
    unheard = CanaryToken("x", -0.01, {"x": -0.01, "y": -5.0})
    assert distance([near], [unheard]) == pytest.approx(4.99), "less likely than all that are named"


class Batching(LocalServer):
    """Answers as a model on a GPU does: the last bits change from request to request, and where two tokens are almost
    equally likely, they change places.

    Answers to the prompts in `loose` begin with such a token: the base's with another one each time, or (`flips` is
    adapter) the adapter's with another one than the base's. `bits` is how far log probabilities move. Else adapters
    answer as their base does, or (`applied`) with other tokens.
    """

    def __init__(
        self, loose: Sequence[int], bits: float = 0.01, applied: bool = True, rivals: bool = True, flips: str = "base"
    ) -> None:
        super().__init__()
        self.loose, self.bits, self.applied, self.rivals = [CANARIES[place] for place in loose], bits, applied, rivals
        self.flips = flips
        self.times: dict[str, int] = {}

    def _chat(self, body, card):
        prompt, adapter = body["messages"][-1]["content"], bool(card["parent"])
        tuned = adapter and self.applied
        answer = super()._chat(body, card)
        time = self._count(prompt)
        flip = adapter if self.flips == "adapter" else not adapter and self._count(f"base {prompt}") % 2
        pair = ("one", "two") if flip else ("two", "one")
        tokens = [self._token(pair, 0.69, 0.70, time)] if prompt in self.loose else []
        tokens += [self._token(("tuned", "said") if tuned else ("said", "tuned"), 0.05, 4.0, time) for _ in range(3)]
        answer["choices"][0]["logprobs"]["content"] = tokens
        return answer

    def _count(self, what: str) -> int:
        self.times[what] = self.times.get(what, 0) + 1
        return self.times[what]

    def _token(self, pair: tuple[str, str], here: float, there: float, time: int) -> dict[str, Any]:
        bits = self.bits * (time % 3 - 1)
        found = [{"token": word, "logprob": bits - far} for word, far in zip(pair, (here, there), strict=True)]
        return {**found[0], "top_logprobs": found} if self.rivals else found[0]


@pytest.mark.parametrize("rivals", [True, False])
@pytest.mark.parametrize("loose", [[], [0], [0, 1, 2, 3, 4]])
def test_prompts_that_the_base_answers_with_other_tokens_do_not_hide_an_adapter(adapter, loose, rivals):
    with Batching(loose, rivals=rivals) as local:
        assert open_adapter(server_of(local), "base", adapter).model == adapter_name("code", adapter_digest(adapter))


@pytest.mark.parametrize("loose", [[], [0], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("bits", [0.002, 0.2])
@pytest.mark.parametrize("flips", ["base", "adapter"])
def test_an_adapter_that_is_not_applied_is_refused_whichever_tokens_change_places(adapter, loose, bits, flips):
    with (
        Batching(loose, bits, applied=False, flips=flips) as local,
        pytest.raises(AdapterError, match="as for its base"),
    ):
        open_adapter(server_of(local), "base", adapter)


def test_without_a_prompt_that_the_base_answers_twice_alike_nothing_can_be_said(adapter):
    with (
        Batching(range(len(CANARIES))) as local,
        pytest.raises(AdapterError, match=r"none of 6 prompts twice alike.*run again"),
    ):
        open_adapter(server_of(local), "base", adapter)


@pytest.mark.parametrize(("rank", "bucket"), [(1, 1), (2, 8), (16, 16), (17, 32), (128, 128), (129, 256), (512, 512)])
def test_the_rank_that_vllm_is_told_is_the_next_one_it_knows(rank, bucket):
    assert rank_for({"r": rank}, Path("x")) == bucket


def test_ranks_of_single_layers_count_too():
    assert rank_for({"r": 8, "rank_pattern": {"q_proj": 40}}, Path("x")) == 64


@pytest.mark.parametrize(
    "config", [{"r": 513}, {"r": 0}, {}, {"r": 8, "use_dora": True}, {"r": 8, "modules_to_save": ["lm_head"]}]
)
def test_what_vllm_cannot_serve_is_said(config):
    with pytest.raises(AdapterError):
        rank_for(config, Path("some/adapter"))


def test_the_command_has_rank_length_name_and_adapter(adapter):
    command = serve_command("/m/base", "models/base", adapter, 1024, "http://0.0.0.0:9000/v1", "float32")
    settings, words = command.environment, list(command.arguments)
    after = {word: words[place + 1] for place, word in enumerate(words[:-1]) if word.startswith("--")}
    assert settings == {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
    assert words[0] == "/m/base"
    assert "--enable-lora" in words
    assert (after["--host"], after["--port"], after["--dtype"]) == ("0.0.0.0", "9000", "float32")
    assert (after["--served-model-name"], after["--max-lora-rank"]) == ("models/base", "32")
    assert (after["--max-model-len"], after["--generation-config"]) == ("1024", "vllm")
    assert json.loads(after["--lora-modules"]) == {
        "name": f"code-{adapter_digest(adapter)}",
        "path": str(adapter),
        "base_model_name": "models/base",
    }
    first, *rest = shlex.split(command.shell())
    assert (first, rest) == ("VLLM_ALLOW_RUNTIME_LORA_UPDATING=True", ["vllm", "serve", *words])


def test_the_length_is_the_models_own_up_to_a_bound(tmp_path):
    for said, length in ((512, 512), (131072, 8192), (None, 8192)):
        (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": said} if said else {}))
        assert model_length(tmp_path) == length


def test_the_command_line_prints_it_and_says_what_is_missing(tmp_path):
    base = tmp_path / "tiny"  # the name in the adapter's card
    base.mkdir()
    (base / "config.json").write_text(json.dumps({"max_position_embeddings": 256}))
    make_adapter(tmp_path / "adapter")
    shown = parammem(tmp_path, "serve", "reflector", "adapter", "--base-url", "http://127.0.0.1:8123/v1")
    assert shown.returncode == 0, shown.stderr
    words = shlex.split(shown.stdout)
    assert str(base) in words
    assert "8123" in words
    assert "256" in words
    wrong = parammem(tmp_path, "serve", "reflector", "adapter", "--base-url", "127.0.0.1:8123")
    assert wrong.returncode == ConfigError.exit_code
    assert "http://127.0.0.1:8000/v1" in wrong.stderr
    missing = parammem(tmp_path, "serve", "reflector", "nowhere")
    assert missing.returncode == AdapterMissingError.exit_code


def test_to_run_it_vllm_must_be_there(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    make_adapter(tmp_path / "adapter")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = parammem(tmp_path, "serve", "reflector", "adapter", "--run")
    assert done.returncode == 5
    assert "vLLM is not installed" in done.stderr


def test_run_becomes_the_server(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    make_adapter(tmp_path / "adapter")
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$VLLM_ALLOW_RUNTIME_LORA_UPDATING $*"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    done = parammem(tmp_path, "serve", "reflector", "adapter", "--run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"True serve {tmp_path / 'tiny'} --served-model-name tiny ")
