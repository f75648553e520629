"""Only text that a stage of this project wrote runs outside the child; a type says which that is."""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle

import pytest
from pydantic import ValidationError

from parammem import sandbox
from parammem.core import Task
from parammem.errors import SandboxError
from parammem.sandbox import Pool, ProgramCheck, TrustedTests, trust_spec, trust_tests
from tests.test_house import ROOT

TRUSTED = trust_tests("assert f() == 1", origin="data/keys/code/eval.jsonl")
SOURCE = "def f(): return 1"
SPEC = {"entry": "f", "stub": "x = 1\n", "checks": [{"name": "t", "tests": "assert f() == 1"}, {"name": "c"}]}


def test_a_plain_string_is_refused_as_trusted_tests():
    with pytest.raises(TypeError, match="TrustedTests, not str"):
        sandbox.check_program(SOURCE, "f", "assert f() == 1")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="TrustedTests, not str"):
        sandbox.check_program(SOURCE, "f", TRUSTED, preamble="import os")  # pyright: ignore[reportArgumentType]
    assert sandbox.check_program(SOURCE, "f", TRUSTED).passed


@pytest.mark.parametrize("tests", ["assert f() == 1", {"text": "assert f() == 1", "origin": "data/keys/x"}, None])
def test_no_record_is_made_of_untrusted_tests(tests: object):
    with pytest.raises(ValidationError):
        ProgramCheck(source=SOURCE, entry="f", tests=tests)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValidationError):
        ProgramCheck.model_validate_json('{"source": "", "entry": "f", "tests": "assert f() == 1"}')


def test_a_record_made_around_its_validation_is_refused_before_it_is_sent():
    around = [
        ProgramCheck.model_construct(source=SOURCE, entry="f", tests="import os", preamble=None),
        ProgramCheck(source=SOURCE, entry="f", tests=TRUSTED).model_copy(update={"preamble": "import os"}),
    ]
    for check in around:
        with Pool(1) as pool, pytest.raises(SandboxError, match="TrustedTests"):
            pool.check([check])


def test_trusted_tests_are_made_in_one_way_only():
    for make in (
        lambda: TrustedTests("import os", "data/keys/code/eval.jsonl"),
        lambda: TrustedTests(text="import os", origin="x", seal=object()),
        lambda: dataclasses.replace(TRUSTED, text="import os"),
    ):
        with pytest.raises(TypeError, match="trust_tests"):
            make()
    with pytest.raises(dataclasses.FrozenInstanceError):
        TRUSTED.text = "import os"  # pyright: ignore[reportAttributeAccessIssue]
    assert pickle.loads(pickle.dumps(TRUSTED)) == copy.deepcopy(TRUSTED) == TRUSTED


@pytest.mark.parametrize(
    "origin",
    ["", " ", "data/fresh/a.jsonl", "data/keys/fresh/a.jsonl", "/r/data/experience/a.jsonl", "data/quarantine/a"],
)
def test_no_origin_of_strangers_is_trusted(origin: str):
    with pytest.raises(SandboxError):
        trust_tests("assert f() == 1", origin=origin)
    with pytest.raises(SandboxError):
        trust_tests(b"assert f() == 1", origin="data/keys/x")  # pyright: ignore[reportArgumentType]


def test_trust_does_not_survive_a_file():
    """In JSON trusted tests are their text, so the bytes of a stage's files stay what they were; read back, they are a
    plain string again."""
    plain = Task(task_id="t", domain="code", text="?", visible=SPEC)
    task = plain.model_copy(update={"visible": trust_spec(SPEC, origin="data/tasks/code/eval.jsonl")})
    assert isinstance(task.visible["checks"][0]["tests"], TrustedTests)
    assert isinstance(task.visible["stub"], TrustedTests)
    assert task.line() == plain.line()
    assert task.model_dump_json() == plain.model_dump_json()
    assert Task.model_validate_json(task.line()) == plain


def test_a_spec_without_test_programs_is_left_alone():
    spec = {"entry": "f", "stub": "x = 1\n", "checks": [{"name": "c", "call": "f()", "expected": "1"}]}
    assert trust_spec(spec, origin="x") == spec


def test_trust_is_given_in_few_named_places():
    """Whoever adds a place to this list has looked at where its text comes from."""
    found = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            name = node.func if isinstance(node, ast.Call) else None
            name = getattr(name, "id", getattr(name, "attr", ""))
            if name in ("trust_tests", "trust_spec", "TrustedTests"):
                found.add(str(file.relative_to(ROOT / "src" / "parammem")))
    assert found == {"benchmarks/item.py", "sandbox/humaneval.py", "sandbox/trusted.py", "stages/trusted.py"}
