"""Facts about dvc.yaml: nothing that can change a stage's outs is missing from its deps and params."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from types import CodeType, FrameType

import pytest
import yaml

from parammem.config import Params
from parammem.stages import collect, evaluate, report, tasks, train, validate
from tests.stages.arena import MODEL, Knowing, knowing_everywhere, make_model, write_params
from tests.stages.pipeline import (
    ROOT,
    SOURCE,
    STAGES,
    WatchedParams,
    covered,
    declared,
    files_opened,
    import_closure,
    statements,
)

DOMAIN = "code"


def test_plots_name_columns_and_templates_that_exist():
    """`dvc plots show` draws an empty picture, without an error, where a column is missing."""
    import csv

    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["plots"]
    assert plots
    for entry in plots:
        ((file, options),) = entry.items()
        with (ROOT / file).open(encoding="utf-8") as lines:
            header = next(csv.reader(lines))
        template = (ROOT / ".dvc" / "plots" / f"{options['template']}.json").read_text(encoding="utf-8")
        assert {options["x"], options["y"]} <= set(header), file
        assert {name for name in ("domain", "arm") if f'"field": "{name}"' in template} <= set(header)


MODULES = {"tasks": tasks, "collect": collect, "validate": validate, "train": train, "evaluate": evaluate}
FREE = (
    "src/parammem/__init__.py",  # empty
    "src/parammem/stages/__init__.py",  # empty
    "src/parammem/errors.py",  # words for people
    "src/parammem/config.py",  # checks params.yaml, which DVC watches key by key and which leaves no key to a default
    "src/parammem/overlays.py",  # reads params.yaml for it
    "src/parammem/sections.py",  # part of config.py
    "src/parammem/checkout/__init__.py",  # empty
    "src/parammem/checkout/places.py",  # the same paths stand in dvc.yaml; a test below compares them
)
"""Never a dep: they cannot change the bytes of an out."""
VALIDATING = tuple(
    f"validation/{name}.py"
    for name in "__init__ frame pages records rules secret_forms secret_values secrets shift suite validate".split()
)
SAMPLING = (
    "agents",
    *(f"engines/{name}.py" for name in "cached concurrent decode forward hf sampling store".split()),
    "engines/openai",
    "evaluation",
    "reflectors",
    "stages/common.py",
)
"""What train draws labels with between rounds of self-teaching; with one round, as in params.yaml, there are none."""
UNUSED = {
    "tasks": ("checkout/__init__.py", "engines", "sandbox", *VALIDATING),
    "collect": ("checkout/__init__.py", "evaluation", "reflectors"),
    "validate": ("engines", "sandbox"),
    "train": ("benchmarks/__init__.py", "engines/__init__.py", "sandbox", *VALIDATING, *SAMPLING),
    "evaluate": (
        "checkout/__init__.py",
        *(f"evaluation/{name}.py" for name in ("__init__", "benchmarks", "diversity", "inputs")),
    ),
    "report": ("engines/__init__.py",),
}
"""Stage → what it imports, by way of a neighbour, and does not use: a test below watches that none of it is called."""
UNWATCHED_PARAMS = {
    "validate": ("sandbox.",),  # opening the domain; no candidate is run
    "train": ("sandbox.",),
}
"""Stage → params that it passes on to something that it does not use."""


def exempt(stage: str) -> list[str]:
    return [*FREE, *(f"src/parammem/{name}" for name in UNUSED[stage])]


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_that_a_stage_imports_is_a_dep_of_it(stage):
    files = import_closure(f"parammem.stages.{stage}")
    assert f"src/parammem/stages/{stage}.py" in files
    deps = declared(stage, DOMAIN)["deps"]
    missing = sorted(file for file in files if not covered(file, [*deps, *exempt(stage)]))
    assert missing == [], f"dvc.yaml: {stage} imports these and does not name them in its deps"


@pytest.mark.parametrize("stage", STAGES)
def test_no_exemption_is_left_over(stage):
    files = import_closure(f"parammem.stages.{stage}")
    deps = [dep for dep in declared(stage, DOMAIN)["deps"] if dep.startswith("src/")]
    for name in exempt(stage):
        assert any(covered(file, [name]) for file in files), f"{stage} no longer imports {name}"
        assert not covered(name, deps), f"{stage} has {name} as a dep and as an exemption"
    for dep in deps:
        assert (ROOT / dep).exists(), f"{stage} depends on {dep}, which does not exist"
        assert any(covered(file, [dep]) for file in files), f"{stage} imports nothing of its dep {dep}"


def test_the_import_closure_follows_functions_and_stops_at_types():
    """What the tests above rest on: a lazy import is found, one for the type checker is not."""
    found = import_closure("parammem.stages.train")
    assert "src/parammem/training/selection.py" in found, "imported inside a function"
    assert "src/parammem/reflectors/base.py" in import_closure("parammem.agents.loop"), "imported at the top"
    tree = ast.parse("import parammem.core\nif TYPE_CHECKING:\n    import parammem.config\n")
    assert [n.names[0].name for n in statements(tree) if isinstance(n, ast.Import)] == ["parammem.core"]


def test_params_yaml_leaves_no_key_to_a_default():
    """DVC watches params.yaml and not config.py: a default there must decide nothing."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, field in Params.model_fields.items():
        if name != "domains":
            keys = {inner.alias or key for key, inner in field.annotation.model_fields.items()}  # pyright: ignore
            assert set(raw[field.alias or name]) == keys


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> dict[str, dict[str, set[str]]]:
    """Each stage run once on a small world, and what it opened, asked of params, and called."""
    root = tmp_path_factory.mktemp("watched")
    make_model(root)
    params = write_params(root, train={"select": 4, "max_steps": 2})
    watcher = _Calls()
    seen = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        knowing_everywhere(patch, params, DOMAIN)
        for stage in STAGES:
            noted = WatchedParams(params.model_copy(update={"domains": (DOMAIN,)}))
            with files_opened(root) as opened, watcher.watching() as called:
                report.run(noted) if stage == "report" else MODULES[stage].run(noted, DOMAIN)  # type: ignore[arg-type]
            seen[stage] = {
                "read": {name for name, how in opened.items() if how == "read"},
                "written": {name for name, how in opened.items() if how == "written"},
                "params": noted.read,
                "called": set(called),
            }
    return seen


class _Calls:
    """Functions of this project that are called, as path:name; module and class bodies are none. What the engine of
    these tests calls to know the answers is not the stage's doing."""

    def __init__(self) -> None:
        for module in sorted(SOURCE.glob("parammem/**/*.py")):
            name = ".".join(module.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
            if "inner" not in name and "__main__" not in name:
                importlib.import_module(name)
        self.called: set[str] = set()
        self.seen: set[CodeType] = set()
        self.answering = False

    def watching(self):
        from contextlib import contextmanager

        @contextmanager
        def watch():
            self.called, self.seen = set(), set()
            sys.settrace(self._note)
            try:
                yield self.called
            finally:
                sys.settrace(None)

        return watch()

    def _note(self, frame: FrameType, _event: str, _argument: object):
        """Hears of every call of every library, so it looks at each function once and at no line of any."""
        code = frame.f_code
        if self.answering or code in self.seen:
            return None
        if code is Knowing.complete.__code__:
            self.answering = True
            return self._until_answered
        self.seen.add(code)
        if code.co_filename.startswith(str(SOURCE)):
            self.called.add(f"{Path(code.co_filename).relative_to(ROOT).as_posix()}:{code.co_name}")
        return None

    def _until_answered(self, _frame: FrameType, event: str, _argument: object):
        self.answering = event != "return"
        return self._until_answered


@pytest.mark.integration
@pytest.mark.parametrize("stage", STAGES)
def test_stages_call_nothing_of_what_they_are_said_not_to_use(stage, watched):
    called = watched[stage]["called"]
    assert any(name.startswith(f"src/parammem/stages/{stage}.py:") for name in called)
    unused = [f"src/parammem/{name}" for name in UNUSED[stage]]
    for name in called:
        file, _, function = name.partition(":")
        assert not covered(file, unused) or function in ("__init__", "__post_init__"), f"{stage} calls {name}"


@pytest.mark.integration
@pytest.mark.parametrize("stage", STAGES)
def test_every_param_that_a_stage_asks_for_is_in_its_params(stage, watched):
    listed = declared(stage, DOMAIN)["params"]
    asked = {p for p in watched[stage]["params"] if not p.startswith(UNWATCHED_PARAMS.get(stage, ("\0",)))}
    missing = sorted(p for p in asked if not any(p == one or p.startswith(f"{one}.") for one in listed))
    assert missing == [], f"dvc.yaml: {stage} reads these params and does not list them"


@pytest.mark.integration
@pytest.mark.parametrize("stage", STAGES)
def test_files_that_a_stage_reads_and_writes_are_its_deps_and_outs(stage, watched):
    paths = {kind: [_filled(path) for path in found] for kind, found in declared(stage, DOMAIN).items()}
    outside = (".cache", "reports/data_docs")  # resumable work and pages for people: outside every stage's outs
    # Temporary files and folders beside an out carry a dot; files_opened also sees the names they are renamed to.
    written = {p for p in watched[stage]["written"] if not covered(p, list(outside)) and "/." not in p}
    read = {p for p in watched[stage]["read"] if not covered(p, list(outside)) and "/." not in p} - written
    assert written
    assert sorted(p for p in written if not covered(p, paths["outs"])) == []
    assert sorted(p for p in read if not covered(p, [*paths["deps"], *paths["outs"]])) == []


def _filled(path: str) -> str:
    return path.replace("${engine.model}", MODEL).replace("${collect.experience_dir}", "data/experience")


@pytest.mark.parametrize("name", ["study", "variants"])
def test_a_study_that_is_there_is_a_dep_of_the_report(name):
    """reports/study.json and reports/variants.json are read where they exist; DVC has no optional deps."""
    if not (ROOT / f"reports/{name}.json").is_file():
        pytest.skip(f"no reports/{name}.json yet")
    assert covered(f"reports/{name}.json", declared("report", DOMAIN)["deps"])


def test_the_pocket_models_name_every_file_that_their_recipe_follows_from():
    stages = yaml.safe_load((ROOT / "pocket/dvc.yaml").read_text(encoding="utf-8"))["stages"]
    files = import_closure("parammem.pocket.pretrain") | import_closure("parammem.pocket.scores")
    decisive = [f for f in files if "/pocket/" in f or f.endswith(("conventions.py", "wording.py"))]
    for stage in stages.values():
        deps = [dep.removeprefix("../") for dep in stage["deps"]]
        assert sorted(f for f in decisive if not covered(f, deps) and not f.endswith("__init__.py")) == []
        assert all((ROOT / dep).exists() for dep in deps)
