"""Facts about params.yaml: every mistake is reported at once, with its key and the fix."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from parammem.config import load_params, parse_params
from parammem.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def raw() -> dict[str, Any]:
    return copy.deepcopy(DEFAULT)


def mistakes(raw: Any) -> list[str]:
    """The lines of the error, one for each mistake."""
    with pytest.raises(ConfigError) as caught:
        parse_params(raw)
    head, *lines = str(caught.value).splitlines()
    assert head == f"params.yaml has {len(lines)} {'mistake' if len(lines) == 1 else 'mistakes'}:"
    return [line.removeprefix("  - ") for line in lines]


def test_the_default_run_is_strict_in_protocol_and_sandbox():
    params = load_params(ROOT / "params.yaml")
    assert (params.evaluate.protocol, params.sandbox.level, params.agent.iterations) == ("strict", "strict", 5)
    assert (params.agent.first_temperature, params.agent.later_temperature) == (0.2, 1.0)


def test_unknown_keys_are_all_listed_at_once_with_the_nearest_known_one(raw):
    raw["train"]["learning_rte"] = 0.1
    raw["agent"]["iteration"] = 5
    raw["evalute"] = {}
    raw["validate"]["min_row"] = 1
    assert sorted(mistakes(raw)) == [
        "agent.iteration: unknown key; did you mean 'iterations'?",
        "evalute: unknown key; did you mean 'evaluate'?",
        "train.learning_rte: unknown key; did you mean 'learning_rate'?",
        "validate.min_row: unknown key; did you mean 'min_rows'?",
    ]


def test_an_unknown_key_that_is_near_to_nothing_gets_the_known_ones(raw):
    raw["tracking"]["qqqq"] = 1
    assert mistakes(raw) == ["tracking.qqqq: unknown key; known: mode, project"]


def test_mistakes_of_every_sort_are_reported_together(raw):
    del raw["tasks"]["rho"]
    del raw["sandbox"]
    raw["tasks"]["train"] = 0
    raw["engine"]["device"] = "tpu"
    raw["agent"]["examples"] = "two"
    raw["collect"]["parts"] = ["hindsight", "foresight"]
    found = {line.split(":")[0]: line for line in mistakes(raw)}
    assert set(found) == {"tasks.rho", "sandbox", "tasks.train", "engine.device", "agent.examples", "collect.parts.1"}
    assert found["tasks.rho"] == "tasks.rho: missing; add it"
    assert found["tasks.train"].endswith("(it is 0)")
    assert "'cpu'" in found["engine.device"]
    assert found["engine.device"].endswith("(it is 'tpu')")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("tasks", "rho", 1.1),
        ("tracking", "project", "team/agents"),
        ("tracking", "project", ""),
        ("tracking", "project", "x" * 129),
        ("tasks", "world", -1),
        ("agent", "iterations", 0),
        ("agent", "later_temperature", -0.1),
        ("sandbox", "level", "nofiles"),
        ("evaluate", "protocol", "lenient"),
        ("collect", "outcome", "gold"),
        ("train", "controls", ["untrained"]),
        ("validate", "near_duplicate", 0),
        ("engine", "batch", 0),
    ],
)
def test_values_out_of_range_are_refused_by_name(raw, section, key, value):
    raw[section][key] = value
    (line,) = mistakes(raw)
    assert line.startswith(f"{section}.{key}")


def test_an_unknown_domain_is_refused(raw):
    raw["domains"] = ["code", "poetry"]
    (line,) = mistakes(raw)
    assert line.startswith("domains: no kind of domain is called 'poetry'; say of which kind it is")


def test_params_cannot_be_changed_once_read(raw):
    params = parse_params(raw)
    with pytest.raises(ValueError, match="frozen"):
        params.agent.iterations = 10  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n"])
def test_a_file_that_holds_no_sections_is_a_config_error(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"params\.yaml has 1 mistake"):
        load_params(tmp_path / "params.yaml")


def test_broken_yaml_names_the_file_and_the_place(tmp_path):
    (tmp_path / "params.yaml").write_text("tasks: {world: 1\nengine: [")
    with pytest.raises(ConfigError, match=r"params\.yaml is not YAML: (.|\n)*line 2(.|\n)*mend it and run again"):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_get_one(tmp_path):
    with pytest.raises(ConfigError, match=r"no .*params\.yaml: run from the project's folder, or copy one"):
        load_params(tmp_path / "params.yaml")


def test_all_mistakes_about_a_server_are_named_at_once_and_no_key_is_shown(raw):
    raw["engine"] |= {"kind": "openai", "server": {
        "base_url": "https://here/v1/chat/completions",
        "other_urls": {"a": "here:8000", "b": "https://me:secret-1@there/v1", "c": "https://there/v1"},
        "other_keys": {"c": "sk-secret-2"},
        "api_key_env": "sk-secret-3",
        "timeout_seconds": float("inf"),
        "concurrency": 0,
        "budget_usd": 5.0,
        "prizes": {},
    }}  # fmt: skip
    found = mistakes(raw)
    assert "secret" not in str(found)
    assert {line.split(":")[0].removeprefix("engine.server.") for line in found} == {
        "base_url", "other_urls", "other_keys", "api_key_env", "timeout_seconds", "concurrency", "prices", "prizes",
    }  # fmt: skip
    assert "leave out '/chat/completions'" in str(found)
    raw["engine"]["server"] |= {"other_urls": {"b": "https://me:secret-1@there/v1", "c": "https://there/v1"}}
    assert "'b': a URL with a password" in str(mistakes(raw))
    raw["engine"]["server"]["other_urls"].pop("b")
    assert "'c': this is no name of an environment variable" in str(mistakes(raw))
    assert "secret" not in str(mistakes(raw))


NO_URLS = ["", "here:8000/v1", "ftp://here/v1", "http://", "http://here:99999/v1", "http://he re/v1", "http://a\n/v1"]
NO_URLS += ["http://here/v1?key=1", "https://here/v1/models/", "http://[::1/v1"]


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_base_url_of_a_server_is_a_mistake_with_its_fix(raw, url):
    raw["engine"] |= {"kind": "openai", "server": {"base_url": url}}
    (line,) = mistakes(raw)
    assert line.startswith("engine.server.base_url: ")


PAIRS = zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
BOMB = "a: &a [1, 1]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in PAIRS)


@pytest.mark.parametrize(
    "text",
    ["tasks: " + "9" * 5000, "tasks: 0x" + "f" * 9000, "tasks: " + ":".join(["59"] * 3000), "tasks: " + "[" * 5000,
     "tasks: " + "[" * 100 + "]" * 100, "tasks: 2024-13-45", "tasks: &x [*x]", "tasks: &x {a: *x}", BOMB, "? [1]\n: 2",
     "tasks: !!timestamp x", "tasks: !!bool x", "tasks: !!python/object/apply:os.system [x]", "a: \x00", "tasks: 'x"],
    ids=range(15),
)  # fmt: skip
def test_yaml_that_cannot_be_read_is_a_mistake_and_no_traceback(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"params\.yaml (is not YAML|has \d+ mistake)") as caught:
        load_params(path)
    assert len(str(caught.value)) < 4000


def test_anchors_that_people_write_are_read(tmp_path, raw):
    text = (ROOT / "params.yaml").read_text().replace("seed: 7", "seed: &seed 7").replace("seed: 13", "seed: *seed")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").pool.seed == 7
