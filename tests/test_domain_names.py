"""Facts about domains by params: which names and kinds there may be, and that a name of one's own goes everywhere."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from parammem.cli import app
from parammem.config import kinds_in, parse_params
from parammem.core import AnswerKey, Task, read_jsonl
from parammem.domains import get_domain
from parammem.errors import ConfigError
from parammem.evaluation.runs import slice_of
from parammem.experience.formats.base import Unreadable
from parammem.stages import tasks
from parammem.stages.opening import open_domain
from tests.experience.rows import line, read_line, row

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def with_domains(domains: Any, **more: Any) -> dict[str, Any]:
    return copy.deepcopy(DEFAULT) | {"domains": domains} | more


def mistake(domains: Any, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_params(with_domains(domains, **more))
    return str(caught.value)


def test_a_list_and_a_mapping_of_the_same_domains_are_the_same_params():
    listed = parse_params(with_domains(["code", "math"]))
    mapped = parse_params(with_domains({"code": {"kind": "code"}, "math": {"kind": "math"}}))
    assert listed == mapped == parse_params(listed.model_dump(mode="json", by_alias=True))
    assert list(listed.domains) == ["code", "math"]


@pytest.mark.parametrize(
    ("domains", "said"),
    [
        (["code", "Support"], "write 'support'"),
        ({"a/b": {"kind": "open"}}, "domains.a/b: a domain's name has 1 to 31 lower-case letters"),
        ({"../up": {"kind": "open"}}, "write 'up'"),
        ({"": {"kind": "open"}}, "1 to 31"),
        ({"x" * 32: {"kind": "open"}}, "1 to 31"),
        ({"Sales": {"kind": "open"}, "sales": {"kind": "open"}}, "'Sales' and 'sales' differ in case only"),
        (["code", "code"], "the domain 'code' is there twice"),
        (["support"], "`support: {kind: open}`"),
        ({"fresh": {"kind": "open"}}, "data/keys/fresh"),
        ({"mutation": {"kind": "code"}}, "a report of its own"),
        ({"support": {"kind": "opn"}}, "domains.support.kind"),
        ({"support": {"kind": "open", "agnt": 1}}, "did you mean 'agent'?"),
        ({"support": {"kind": "open", "agent": {"comand": ["x"]}}}, "did you mean 'command'?"),
        ({"support": {"kind": "open", "agent": {}}}, "exactly one of command, url and entry; it has none"),
        ({"support": {"kind": "open", "agent": {"entry": "no entry"}}}, "`package.module:function`"),
        ({"shop": {"kind": "math", "passes_at": 0.5}}, "passes_at: only a domain of kind open has this"),
        ([], "at least one domain"),
        ({"support": "open"}, "write `support: {kind: …}`"),
        ({True: {"kind": "open"}}, "put it in quotation marks"),
        ({"support": {"kind": "open", "agent": {"command": "python agent.py"}}}, "[python, agent.py]"),
        ("code", "give a list of names, or a mapping"),
    ],
)
def test_a_name_or_kind_that_cannot_be_is_refused_with_the_fix(domains, said):
    assert said in mistake(domains)


def test_other_sections_name_domains_that_there_are():
    assert "experience.domain: no domain is called 'suport'; there are support" in mistake(
        {"support": {"kind": "open"}}, experience={"domain": "suport"}
    )
    source = {"domain": "maths", "split": "eval", "benchmark": "math"}
    assert "benchmarks.sources.0.domain: no domain is called 'maths'" in mistake(
        ["math"], benchmarks={"sources": [source]}
    )


def test_a_domain_keeps_its_name_and_works_as_its_kind():
    params = parse_params(with_domains({"shop": {"kind": "math"}}))
    for domain in (open_domain(params, "shop"), get_domain("shop", kind="math", real=True)):
        assert (domain.name, domain.kind) == ("shop", "math")
    with pytest.raises(ConfigError, match="no domain 'poetry' in params"):
        open_domain(params, "poetry")


def test_tasks_of_a_domain_with_a_name_of_its_own_are_those_of_its_kind(tmp_path):
    """The questions, checks and answers are the kind's; names and ids are the domain's."""
    small = DEFAULT["tasks"] | {"train": 4, "bank": 2, "eval": 3, "unseen": 2}
    for folder, domains in (("a", ["math"]), ("b", {"x-unseen-y": {"kind": "math"}})):
        params = parse_params(with_domains(domains, tasks=small))
        tasks.run(params, next(iter(params.domains)), tmp_path / folder)
    for split in ("train", "eval", "unseen"):
        usual = read_jsonl(tmp_path / f"a/data/tasks/math/{split}.jsonl", Task)
        named = read_jsonl(tmp_path / f"b/data/tasks/x-unseen-y/{split}.jsonl", Task)
        keys = read_jsonl(tmp_path / f"b/data/keys/x-unseen-y/{split}.jsonl", AnswerKey)
        assert [(t.text, t.visible) for t in usual] == [(t.text, t.visible) for t in named]
        assert {t.domain for t in named} == {k.domain for k in keys} == {"x-unseen-y"}
        assert [t.task_id for t in named] == [k.task_id for k in keys]
        assert {slice_of(t.domain, t.task_id) for t in named} == {"unseen" if split == "unseen" else "eval"}


def test_logs_come_in_for_a_domain_of_any_name_and_are_read_by_its_kind():
    chat = b'{"messages": [{"role": "user", "content": "Close ticket 7"}, {"role": "assistant", "content": "Done."}], '
    data = chat + b'"outcome": true, "domain": "support"}'
    found, _, _ = read_line(data, kinds={"support": "open"})
    assert (found.task.domain, found.trajectory.attempts[0].candidate) == ("support", "Done.")
    with pytest.raises(Unreadable, match="`domain` is none of code, math, qa"):
        read_line(data)


def test_rows_of_ours_are_admitted_by_the_names_of_params(tmp_path):
    from tests.experience.rows import store

    asked = store(tmp_path).admission
    assert not asked.judge([(row(1), None)])[0]
    other = row(1).model_copy(update={"task": row(1).task.model_copy(update={"domain": "shop"})})
    assert "unknown-domain" in [one.rule for one in asked.judge([(other, None)])[0]]
    assert read_line(line(row(1)).encode())[0] == row(1)


def test_commands_take_the_first_domain_of_params_and_refuse_what_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = yaml.safe_dump(with_domains({"support": {"kind": "open"}}))
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert kinds_in("params.yaml") == {"support": "open"}
    done = CliRunner().invoke(app, ["registry", "history", "--domain", "suport"])
    assert done.exit_code == 2
    assert "'suport' is no domain of params.yaml" in " ".join(done.output.replace("│", " ").split())
    asked = CliRunner().invoke(app, ["reflect", "-n", "1", "params.yaml"])
    assert "models/reflectors/support" in f"{asked.output}{asked.exception}"


@pytest.mark.parametrize("command", ["probe", "uptake", "gate"])
def test_a_mistake_under_domains_is_said_before_any_domain_is_looked_for(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    text = yaml.safe_dump(with_domains({"support": {"kind": "opn"}}))
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, [command, "--domain", "support"])
    assert "domains.support.kind" in str(done.exception)
    assert "is no domain of" not in done.output
