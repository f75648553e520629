"""What a module reaches, and which edits change a digest."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from parammem.checkout.source_digests import UNCOUNTED, Sources, changed_sources, read_source
from parammem.errors import DataError
from parammem.stages import code_digests as stage

ROOT = Path(__file__).parents[2]
SOURCE = '"""Doc."""\nLIMIT = 3  # why\n\n\ndef double(x):\n    """Twice."""\n    return 2 * x\n'


def digest(text: str) -> str:
    return read_source(text.encode(), "parammem").digest


@pytest.mark.parametrize(
    "edit",
    [("Doc.", "Other."), ("# why", "# because"), ('    """Twice."""\n', ""), ("\n\n\n", "\n"), ("2 * x", "(2 * x)"),
     ("LIMIT = 3", 'LIMIT = 0x3\n"""How many."""'), ("return", "pass\n    return")],
)  # fmt: skip
def test_what_does_not_run_changes_no_digest(edit):
    assert edit[0] in SOURCE
    assert digest(SOURCE.replace(*edit)) == digest(SOURCE)


@pytest.mark.parametrize(
    "edit", [("3", "4"), ("3", "3.0"), ("3", "'3'"), ("2 * x", "x * 2"), ("double", "twice"), ("(x)", "(x=None)")]
)
def test_what_runs_changes_the_digest(edit):
    assert edit[0] in SOURCE
    assert digest(SOURCE.replace(*edit)) != digest(SOURCE)


def test_docstrings_count_where_a_module_uses_them():
    assert digest(SOURCE + "print(__doc__)") != digest(SOURCE.replace("Doc.", "Other.") + "print(__doc__)")


def test_constants_that_python_takes_for_equal_differ():
    assert len({digest(f"x = {value}") for value in ("0", "0.0", "-0.0", "False", "None", "''", "b''", "0j")}) == 8


def project(root: Path) -> Path:
    """A package whose stage imports at the top, in a function and for types, starts a module and reads a file."""
    files = {
        "__init__": "", "errors": "x = 1", "unused": "x = 1",
        "stages/__init__": "", "low/__init__": "x = 1", "low/deep": "from . import beside", "low/beside": "x = 1",
        "stages/collect": "from typing import TYPE_CHECKING\nimport parammem.top\nfrom parammem import errors\n"
        "if TYPE_CHECKING:\n    import parammem.unused\n"
        "def run():\n    from parammem.low.deep import x\n    return ['-m', 'parammem.worker']",
        "top": "x = 1", "worker": "x = 1", "data/__init__": "", "data/other": "x = 1",
        "data/reader": "from pathlib import Path\nPath(__file__).parent / 'page.html'",
    }  # fmt: skip
    for name, text in files.items():
        file = root / "src/parammem" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    (root / "src/parammem/data/page.html").write_text("<p>")
    return root / "src"


def test_reached_is_what_can_be_imported_started_or_read(tmp_path):
    source = project(tmp_path)
    found = Sources(source).reachable("parammem.stages.collect")
    named = "low/__init__ low/beside low/deep stages/__init__ stages/collect top worker".split()
    assert [*found] == [f"parammem/{name}.py" for name in named]
    (source / "parammem/worker.py").write_text("import parammem.data.reader\n")
    more = Sources(source).reachable("parammem.stages.collect")
    added = {f"parammem/data/{name}" for name in ("__init__.py", "other.py", "page.html", "reader.py")}
    assert set(changed_sources(found, more)) == added | {"parammem/worker.py"}


def test_a_changed_constant_changes_what_reaches_it_and_nothing_else(tmp_path):
    source = project(tmp_path)
    before = Sources(source).reachable("parammem.stages.collect")
    for name in ("unused", "errors", "data/other"):
        (source / f"parammem/{name}.py").write_text("x = 2\n")
    assert Sources(source).reachable("parammem.stages.collect") == before
    (source / "parammem/low/beside.py").write_text("x = 2\n")
    assert changed_sources(before, Sources(source).reachable("parammem.stages.collect")) == ["parammem/low/beside.py"]


def test_a_source_that_is_no_python_and_a_module_that_is_not_there_are_named(tmp_path):
    source = project(tmp_path)
    (source / "parammem/top.py").write_text("x = \n")
    with pytest.raises(DataError, match=r"top\.py is no Python"):
        Sources(source).reachable("parammem.stages.collect")
    with pytest.raises(DataError, match=r"no module parammem\.gone"):
        Sources(source).reachable("parammem.gone")


def test_the_stage_writes_only_what_changed_and_names_it(tmp_path, monkeypatch):
    source = project(tmp_path)
    monkeypatch.setattr(stage, "STAGES", ("collect",))
    assert stage.run(tmp_path) == ["collect: reaches 7 sources"]
    file = tmp_path / "reports/code/collect.json"
    wrote, left = file.stat().st_ino, file.with_name(".collect.json.x")
    left.write_text("half")
    (source / "parammem/top.py").write_text('"""Of no matter."""\nx = 1\n')
    assert stage.run(tmp_path) == []
    assert (file.stat().st_ino, left.exists()) == (wrote, False)
    (source / "parammem/top.py").write_text("x = 2\n")
    assert stage.run(tmp_path) == ["collect: 1 source changed: src/parammem/top.py"]


def test_a_gate_or_an_experiment_is_reached_by_no_stage_and_every_stage_by_its_own():
    sources = Sources(ROOT / "src")
    for name in stage.STAGES:
        found = sources.reachable(f"parammem.stages.{name}")
        assert f"parammem/stages/{name}.py" in found
        assert not [path for path in found if path.startswith(("parammem/gate/", "parammem/improve/", "parammem/cli/"))]
    train, evaluate = (sources.reachable(f"parammem.stages.{name}") for name in ("train", "evaluate"))
    assert "parammem/training/selection.py" in train, "imported inside a function"
    assert {"parammem/domains/math_worker.py", "parammem/sandbox/inner/__main__.py"} <= set(evaluate), "started"
    assert "parammem/domains/prompts/code/actor.txt" in evaluate, "read"
    assert "parammem/evaluation/page.html.j2" in sources.reachable("parammem.stages.report")


def test_no_source_gets_at_code_or_files_in_a_way_that_is_not_followed():
    """The package's two late exports, importlib.resources and importlib.import_module of a made-up name."""
    allowed = {
        "src/parammem/__init__.py",
        "src/parammem/sandbox/inner/judge.py",  # the candidate's own
        "src/parammem/agents/entry_process.py",  # the user's agent or judge
        "src/parammem/service/spans.py",  # an exporter of OpenTelemetry, if there is one; no stage reaches it
    }
    for file in sorted((ROOT / "src").rglob("*.py")):
        where = file.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "parammem":
                assert not {"ParamMem", "report"} & {alias.name for alias in node.names}, where
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [getattr(node, "module", ""), *(alias.name for alias in node.names)]
                assert not {"importlib.resources", "pkgutil", "runpy"} & set(names), where
            if "import_module" in (getattr(node, "id", ""), getattr(node, "attr", "")):
                assert where in allowed


def test_uncounted_modules_are_there():
    sources = ROOT / "src"
    for name in UNCOUNTED:
        base = sources.joinpath(*name.split("."))
        assert base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()
