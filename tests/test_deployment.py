"""Facts about Dockerfile, compose.yaml and the units of docs/operate.md: what they name exists.

No daemon builds or runs them here.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml

from parammem import cli
from parammem.engines.openai.vllm import RANKS
from parammem.live_params import ServiceParams
from parammem.service.app import Service
from tests.service.proxies import params_with

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")
HERE = "127.0.0.1"


def filled(text: str) -> str:
    """With the defaults of its variables."""
    return VARIABLE.sub(lambda found: found[2] or "", text)


def instructions() -> list[tuple[str, str]]:
    """(instruction, its words) of the Dockerfile."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def checked_url(service: dict) -> str:
    (url,) = re.findall(r"'(http[^']*)'", service["healthcheck"]["test"][-1])
    return url


def takes(words: list[str]) -> bool:
    """Whether the command line takes these words."""
    command = typer.main.get_command(cli.app)
    assert words[0] == "parammem"
    sub = command.commands[words[1]]  # pyright: ignore[reportAttributeAccessIssue]
    return bool(sub.make_context(words[1], words[2:]))


def test_the_commands_exist(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert takes(SERVICES["service"]["command"])
    assert takes(json.loads(dict(instructions())["CMD"]))
    python, flag, module = SERVICES["worker"]["command"]
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module)


@pytest.mark.integration
def test_prefect_takes_its_command():
    *words, _port = SERVICES["prefect"]["command"][1:]
    helped = subprocess.run([sys.executable, "-m", "prefect", *words[:2], "--help"], capture_output=True, text=True)
    assert helped.returncode == 0
    assert all(word in helped.stdout for word in words if word.startswith("--"))


def test_what_is_published_is_published_on_this_machine_alone_and_is_what_listens_and_is_checked():
    for name, service in SERVICES.items():
        words = [part for word in service["command"] for part in word.split("=")]
        port = words[words.index("--port") + 1] if "--port" in words else None
        for published in service.get("ports", ()):
            assert published == f"{HERE}:{port}:{port}", name
        if "healthcheck" in service:
            assert urlsplit(checked_url(service)).netloc == f"{HERE}:{port}", name
    assert f"{HERE}:{ServiceParams().port}:{ServiceParams().port}" in SERVICES["service"]["ports"]
    assert "ports" not in SERVICES["vllm"]


def test_the_paths_that_are_checked_are_routes_that_need_no_token(tmp_path):
    from starlette.testclient import TestClient

    service = Service(tmp_path, params_with(), token="a-token-of-the-service")
    try:
        path = urlsplit(checked_url(SERVICES["service"])).path
        assert TestClient(service.app).get(path).status_code == 200
    finally:
        service.book.close()
        service.advisor.close()
    assert urlsplit(checked_url(SERVICES["prefect"])).path in (ROOT / "flows" / "prefect_server.py").read_text()


def test_volumes_are_declared_and_the_repository_is_in_the_same_place_everywhere():
    used = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    named = {mount.split(":")[0] for mount in used if not mount.startswith("$")}
    assert named == set(COMPOSE["volumes"])
    repositories = {filled(mount).removesuffix(":ro") for mount in used if mount.startswith("$")}
    assert repositories == {".:/repo"}
    assert {service["working_dir"] for service in SERVICES.values() if "working_dir" in service} == {"/repo"}
    assert (
        f"PREFECT_API_URL: http://prefect:{SERVICES['prefect']['command'][-1]}/api"
        in (ROOT / "compose.yaml").read_text()
    )


def test_nothing_runs_as_root_and_no_secret_has_a_default():
    for name, service in SERVICES.items():
        assert filled(service["user"]) == "1000:1000", name
    users = [words for instruction, words in instructions() if instruction == "USER"]
    assert users == ["1000:1000"] * sum(instruction == "FROM" for instruction, _ in instructions())
    text = (ROOT / "compose.yaml").read_text()
    assert re.findall(r"PARAMMEM_TOKEN: (\S+)", text)[0].startswith("${PARAMMEM_TOKEN:?")
    assert "PARAMMEM_TOKEN:-" not in text


def test_the_image_is_built_of_the_package_index_alone():
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"apt|curl|wget|git clone|https?://|^ADD|syntax=", text, re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installs = [shlex.split(part) for kind, words in instructions() if kind == "RUN" for part in words.split("&&")
                if "pip install" in part]  # fmt: skip
    for words in installs:
        wanted = words[words.index("install") + 1 :]
        for word in wanted:
            if extra := re.fullmatch(r"\.\[(\w+)\]", word):
                assert extra[1] in project["project"]["optional-dependencies"]
        if "--group" in wanted:
            assert wanted[wanted.index("--group") + 1] in project["dependency-groups"]
    assert len(installs) == 3


def test_the_context_holds_what_is_copied_and_neither_data_nor_secrets():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    copied = {word for kind, words in instructions() if kind == "COPY" for word in words.split()[:-1]}
    assert copied <= let_in
    assert all((ROOT / name).exists() for name in copied)
    for secret in (".env", ".git", ".parammem", "data", "ledger", "models", ".dvc"):
        assert not any(fnmatch.fnmatch(secret, name) for name in let_in)


def test_vllm_is_started_so_that_adapters_can_be_loaded_while_it_runs():
    words = dict(word.removeprefix("--").partition("=")[::2] for word in SERVICES["vllm"]["command"])
    assert int(words["max-lora-rank"]) in RANKS
    assert {"enable-lora", "generation-config", "max-loras"} <= set(words)
    environment = " ".join(words for kind, words in instructions() if kind == "ENV")
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in environment
    assert SERVICES["vllm"]["profiles"] == ["gpu"]


def test_the_units_of_systemd_start_what_exists(monkeypatch):
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "operate.md").read_text()
    started = [shlex.split(line) for line in re.findall(r"^ExecStart=(.*)$", page, re.M)]
    assert len(started) == 2
    for program, *words in started:
        if program.endswith("/parammem"):
            assert takes(["parammem", *words])
        else:
            assert importlib.util.find_spec(words[1])
