"""Facts about dvc.yaml: nothing that can change a stage's outs is missing from its deps and params."""

from __future__ import annotations

import pytest
import yaml

from parammem.checkout.source_digests import Sources, read_source
from parammem.config import Params
from parammem.domain_params import DomainParams
from parammem.lineage.past.recorded_code import DIGESTS, SOURCES
from parammem.stages import code_digests, collect, evaluate, report, tasks, train, validate
from tests.stages.arena import MODEL, knowing_everywhere, make_model, write_params
from tests.stages.pipeline import (
    ROOT,
    SOURCE,
    STAGES,
    WatchedParams,
    covered,
    declared,
    files_opened,
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
UNWATCHED_PARAMS = {
    "validate": ("sandbox.",),  # opening the domain; no candidate is run
    "train": ("sandbox.",),
}
"""Stage → params that it passes on to something that it does not use."""


def test_each_stage_depends_on_the_digests_of_its_own_code():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(stages) == {"code", "mutation", *code_digests.STAGES}
    assert stages["code"]["deps"] == [SOURCES]
    assert [*stages["code"]["outs"][0]] == [DIGESTS]
    for stage in code_digests.STAGES:
        deps = declared(stage, DOMAIN)["deps"]
        assert [dep for dep in deps if dep.startswith(("src", DIGESTS))] == [f"{DIGESTS}/{stage}.json"]


def test_the_mutation_stage_reaches_nothing_of_the_package_that_validate_does_not():
    """It lives outside the package and depends on the digests of `validate`."""
    deps = declared("mutation", DOMAIN)["deps"]
    assert deps == [f"{DIGESTS}/validate.json", "experiments/mutation"]
    sources = Sources(SOURCE)
    of_validate = sources.reachable("parammem.stages.validate")
    for file in (ROOT / "experiments/mutation").glob("[!_]*.py"):  # not __main__, which only says what went wrong
        for name in read_source(file.read_bytes(), "experiments.mutation").names:
            if name.startswith("parammem.") and SOURCE.joinpath(*name.split(".")).with_suffix(".py").is_file():
                assert set(sources.reachable(name)) <= set(of_validate), f"{file.name} imports {name}"
            assert not name.startswith("experiments.") or name.startswith("experiments.mutation"), name


def test_dvc_yaml_fits_on_a_screen():
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) < 80


def test_params_yaml_leaves_no_key_to_a_default():
    """DVC watches params.yaml and not config.py: a default there must decide nothing."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, field in Params.model_fields.items():
        if name != "domains":
            keys = {inner.alias or key for key, inner in field.annotation.model_fields.items()}  # pyright: ignore
            assert set(raw[field.alias or name]) == keys


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> dict[str, dict[str, set[str]]]:
    """Each stage run once on a small world, and what it opened and asked of params."""
    root = tmp_path_factory.mktemp("watched")
    make_model(root)
    params = write_params(root, train={"select": 4, "max_steps": 2})
    seen = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        knowing_everywhere(patch, params, DOMAIN)
        for stage in STAGES:
            noted = WatchedParams(params.model_copy(update={"domains": {DOMAIN: DomainParams(kind=DOMAIN)}}))
            with files_opened(root) as opened:
                report.run(noted) if stage == "report" else MODULES[stage].run(noted, DOMAIN)  # type: ignore[arg-type]
            seen[stage] = {
                "read": {name for name, how in opened.items() if how == "read"},
                "written": {name for name, how in opened.items() if how == "written"},
                "params": noted.read,
            }
    return seen


@pytest.mark.integration
@pytest.mark.parametrize("stage", STAGES)
def test_every_param_that_a_stage_asks_for_is_in_its_params(stage, watched):
    listed = declared(stage, DOMAIN)["params"]
    unwatched = (*UNWATCHED_PARAMS.get(stage, ()), "domains")  # the stage `code` writes kinds into the digests' file
    asked = {p for p in watched[stage]["params"] if not p.startswith(unwatched)}
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
    sources = Sources(SOURCE)
    reached = {**sources.reachable("parammem.pocket.pretrain"), **sources.reachable("parammem.pocket.scores")}
    files = [f"src/{path}" for path in reached]
    decisive = [f for f in files if "/pocket/" in f or f.endswith(("conventions.py", "wording.py"))]
    for stage in stages.values():
        deps = [dep.removeprefix("../") for dep in stage["deps"]]
        assert sorted(f for f in decisive if not covered(f, deps) and not f.endswith("__init__.py")) == []
        assert all((ROOT / dep).exists() for dep in deps)
