"""Facts about the project's structure: what the conventions promise, checked."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import pipeline
from parammem import config, errors
from parammem.overlays import laid_over

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(file for folder in ("src/parammem", "flows", "experiments") for file in (ROOT / folder).rglob("*.py"))
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "great_expectations",
    "wandb",
    "datasets",
    "sklearn",
    "matplotlib",
    "prefect",
    "ray",
)

LONGEST_FUNCTION = 60
LONGEST_FILE = 400


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))


def test_error_tree_draws_every_error_and_nothing_else():
    drawn = set(re.findall(r"─ (\w+)", str(errors.__doc__))) | {"ParamMemError"}
    members = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}
    assert drawn == members


def test_errors_derive_as_the_tree_draws_them():
    depth: dict[str, int] = {"ParamMemError": 0}
    above = ["ParamMemError"]
    for indent, name in re.findall(r"^([│ ]*)[├└]── (\w+)", str(errors.__doc__), flags=re.M):
        depth[name] = len(indent) // 4 + 1
        above = [*above[: depth[name]], name]
        assert getattr(errors, name).__base__.__name__ == above[depth[name] - 1]
    assert len(depth) > 5


def test_different_branches_have_different_exit_codes():
    codes = [kind.exit_code for kind in errors.ParamMemError.__subclasses__() if "exit_code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert 2 not in codes, "2 is typer's usage error"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_module_says_what_lives_here(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), f"{name_of(path)} opens without a docstring"


def test_every_package_says_what_lives_in_it():
    packages = sorted((ROOT / "src/parammem").rglob("__init__.py"))
    said = {name_of(file): ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "" for file in packages}
    assert [name for name, text in said.items() if len(re.findall(r"[.:](?:\s|$)", text)) < 2] == []


def test_no_module_imports_itself_round_about():
    import grimp
    import networkx

    graph = grimp.build_graph("parammem", exclude_type_checking_imports=True, cache_dir=None)
    arrows = ((module, other) for module in graph.modules for other in graph.find_modules_directly_imported_by(module))
    found = networkx.strongly_connected_components(networkx.DiGraph(arrows))
    assert [sorted(group) for group in found if len(group) > 1] == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    long = [node.name for node in functions(path) if (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION]
    assert not long, f"{name_of(path)}: longer than {LONGEST_FUNCTION} lines: {', '.join(long)}"


def test_no_thread_keeps_a_process_that_was_interrupted():
    """A thread that is no daemon is waited for at exit; one whose start was interrupted is stopped by nobody."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        made = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("Thread", "Timer")
        ]
        daemons = ast.unparse(tree).count("daemon=True") + ast.unparse(tree).count(".daemon = True")
        assert daemons >= len(made), f"{name_of(path)} starts a thread that is no daemon"


def test_importing_any_package_loads_no_heavy_library():
    program = f"""
import importlib, pkgutil, sys
import parammem
for found in pkgutil.walk_packages(parammem.__path__, "parammem."):
    elsewhere = (".sandbox.inner", ".integrations.")  # these run where the framework, or nothing, is installed
    if not found.name.endswith("__main__") and not any(name in found.name for name in elsewhere):
        importlib.import_module(found.name)
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_library_runs_without_the_experiments():
    """import-linter follows import statements; this finds names in strings too, as for importlib or `python -m`."""
    folders = [ROOT / "src", ROOT / "flows"]
    found = [
        file
        for folder in folders
        for file in folder.rglob("*.py")
        if re.search(r"\bexperiments\.[a-z]", file.read_text("utf-8"))
    ]
    assert found == []


def test_every_package_has_its_tests():
    packages = [path.parent for path in (*ROOT.glob("src/parammem/*/__init__.py"), ROOT / "experiments/__init__.py")]
    rooms = [package.name for package in packages if len(list(package.glob("*.py"))) > 1]
    missing = [room for room in rooms if not list((ROOT / "tests" / room).glob("test_*.py"))]
    assert missing == []


def test_readme_opens_with_commands_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = text.split("```sh\n")[1].split("```")[0]
    opened = re.findall(r"^make ([a-z-]+)", opening, flags=re.M)
    assert opened == ["repro", "test"]
    assert set(re.findall(r"`make ([a-z-]+)`", text)) | set(opened) <= make_targets()


def test_documents_link_to_what_exists():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            there = target.startswith("http") or (page.parent / target).exists()
            assert there, f"{name_of(page)} links to {target}, which does not exist"


def test_readme_file_tree_names_only_what_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"<!-- tree -->\n```\n(.*?)```", text, re.S)
    assert tree, "README.md has no file tree between <!-- tree --> and its closing fence"
    folder = [""]
    for line in tree[1].splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()  # pyright: ignore[reportOptionalMemberAccess]
        folder = [*folder[: len(indent) // 2 + 1], name]
        place = ROOT.joinpath(*folder[1:])
        assert place.exists(), f"README names {place.relative_to(ROOT)}, which does not exist"


def test_every_param_is_explained():
    listed = set(re.findall(r"^\| `([\w.]+)` \| \S", (ROOT / "docs/params.md").read_text(encoding="utf-8"), flags=re.M))
    keys = {"domains"}
    for section, field in config.Params.model_fields.items():
        if section != "domains":
            keys |= keys_of(field.alias or section, field.annotation)
    assert keys == listed


def keys_of(name: str, annotation: Any) -> set[str]:
    """Keys of a section, those of the sections in it included."""
    keys = set()
    for key, field in annotation.model_fields.items():
        full = f"{name}.{field.alias or key}"
        inner = config.inner_section(field.annotation)
        keys |= {full} | (keys_of(full, inner) if inner else set())
    return keys


def test_default_params_are_valid_and_name_every_key_that_has_no_default():
    params = config.load_params(ROOT / "params.yaml")
    assert set(yaml.safe_load((ROOT / "params.yaml").read_text())) == {
        field.alias or name for name, field in type(params).model_fields.items()
    }


def test_pipeline_has_every_stage_of_every_domain_in_order():
    order = list(pipeline.stages(ROOT))
    stages = ["tasks", "collect", "validate", "train", "evaluate"]
    for domain in config.load_params(ROOT / "params.yaml").domains:
        assert [name for name in order if name.endswith(f"@{domain}")] == [f"{stage}@{domain}" for stage in stages]
    assert order[-1] == "report"


def test_small_settings_of_ci_are_valid_params():
    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    override = yaml.safe_load((ROOT / ".ci/small.yaml").read_text())
    small = laid_over(base, override)
    assert config.parse_params(small).tasks.train == override["tasks"]["train"]
    assert base["tasks"]["train"] > small["tasks"]["train"]


def test_constraints_pin_every_dependency_within_its_bounds():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    wanted += [one for name in ("pipeline", "service") for one in project["project"]["optional-dependencies"][name]]
    lines = (ROOT / "constraints.txt").read_text().split()
    pins = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    for requirement in map(Requirement, wanted):
        if requirement.name == "parammem":  # an extra that brings another one
            continue
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"constraints.txt does not pin {requirement.name}"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} but pinned {version}"


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml", "Makefile", ".ci/run"])
def test_packages_come_from_the_index_that_pip_is_set_to(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"index-url|find-links|trusted-host|https?://", text)


def test_ci_is_executable_and_runs_the_readmes_test_command():
    run = ROOT / ".ci/run"
    assert os.access(run, os.X_OK)
    assert re.search(r"^make test$", run.read_text(), flags=re.M)
    assert re.search(r"^make check SKIP_UNIT=1$", run.read_text(), flags=re.M)
