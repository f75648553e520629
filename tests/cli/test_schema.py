"""Facts about `parammem schema`, `--version`, the text of a row, and warnings of libraries."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.cli import quiet
from parammem.cli.schema import described, examples, records
from parammem.core.notice import Notice
from parammem.experience.preview import preview
from parammem.experience.source_files import Source
from parammem.lineage.rows import trace
from tests.experience.rows import read_line, store
from tests.experience.test_ingest import SECRETS


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli.app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", examples())
def test_an_example_is_a_valid_record(name):
    (line,) = run("schema", name, "--example").splitlines()
    records()[name].model_validate_json(line)
    assert set(json.loads(line)) <= set(described(records()[name])["properties"])


def test_the_example_of_a_row_is_taken_in(tmp_path):
    line = run("schema", "experience", "--example")
    (tmp_path / "row.jsonl").write_text(line)
    (one,) = preview(Source.of(tmp_path / "row.jsonl"), store(tmp_path), None)
    assert one.becomes != "refused", one.details
    keyed = json.loads(line) | {"key": examples()["answer-key"]}
    assert read_line(json.dumps(keyed).encode())[1] is not None


@pytest.mark.parametrize("name", records())
def test_a_schema_says_what_each_record_and_field_is(name):
    shown = json.loads(run("schema", name))
    assert shown["properties"]
    assert shown["description"]
    if name == "experience":
        assert shown["properties"]["outcome"]["description"].startswith("Whether it turned out right")
        assert shown["$defs"]["Task"]["properties"]["text"]["description"] == "The question, as it is put to the actor."


def test_the_schema_of_params_takes_the_project_s_own_and_refuses_a_wrong_key(repo_root):
    import jsonschema
    import yaml

    shown = json.loads(run("schema", "params"))
    params = yaml.safe_load((repo_root / "params.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(params, shown)
    assert shown["$defs"]["AgentParams"]["properties"]["max_failed_share"]["description"].startswith("A stage fails")
    params["agent"]["iteratoins"] = 3
    with pytest.raises(jsonschema.ValidationError, match="iteratoins"):
        jsonschema.validate(params, shown)
    refused = CliRunner().invoke(cli.app, ["schema", "params", "--example"])
    assert refused.exit_code == 2
    assert "params.yaml is one" in refused.output


def test_records_are_listed_and_a_wrong_name_is_a_usage_error():
    assert [line.split()[0] for line in run("schema").splitlines()] == list(records())
    assert CliRunner().invoke(cli.app, ["schema", "nothing"]).exit_code == 2
    assert CliRunner().invoke(cli.app, ["schema", "event", "--example"]).exit_code == 2


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert run("--version") == f"parammem {version('parammem')}\n"


@pytest.mark.parametrize("kind", SECRETS)
def test_a_text_with_what_ingestion_keeps_out_is_not_shown(kind):
    assert trace._showable("multiply, do not add") == "multiply, do not add"
    assert trace._showable(None) is None
    said = trace._showable(f"I noted {SECRETS[kind]} for you")
    assert said == f"(not shown: it holds {kind})"


PROGRAM = """
import logging, sys, warnings
from parammem import cli
from parammem.core.notice import Notice
def app():
    warnings.warn("of a library", FutureWarning)
    logging.getLogger("transformers.modeling").warning("of a library")
    warnings.warn("of ours", Notice)
cli.app = app
cli.main()
"""


@pytest.mark.parametrize(("arguments", "library"), [([], False), (["--debug"], True)])
def test_warnings_of_libraries_are_shown_with_debug_alone(arguments, library):
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert ("of a library" in done.stderr) is library
    assert "of ours" in done.stderr


def test_our_own_warnings_are_one_line_for_people(capsys, monkeypatch):
    monkeypatch.setattr(quiet, "LIBRARIES", ())
    monkeypatch.setattr(quiet, "VERBOSITY", {})
    with warnings.catch_warnings():
        quiet.quiet_libraries()
        warnings.warn("checkpoint a\x1b[2J", Notice, stacklevel=1)
    assert capsys.readouterr().err == "note: checkpoint a\\u001b[2J\n"
