"""study: the whole pipeline in many worlds at several strengths of regularity. `make study` runs it; it can be stopped.

It stands beside the pipeline, not in dvc.yaml: its hours are spent once, and reports/study.json is committed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from experiments.kept_results import of_one_model
from parammem.checkout.places import Places
from parammem.config import Params, parse_params, read_mapping
from parammem.core import read_jsonl
from parammem.core.jsonl import write_text
from parammem.core.words import count
from parammem.evaluation.metrics import advice_accuracy
from parammem.evaluation.runs import AdviceDraws, Run
from parammem.overlays import laid_over
from parammem.stages import collect, evaluate, tasks, train, validate

STAGES = (tasks, collect, validate, train, evaluate)


def run(plan_file: Path = Path("study.yaml"), root: Path = Path(".")) -> None:
    """Write reports/study.json. A finished cell (world, rho, domain) lies in reports/study/ and is not run again;
    delete it there when the code or the plan has changed.

    Raises:
        ConfigError: the plan does not fit params.yaml, or what is finished was made with another model.
    """
    from tqdm import tqdm

    plan = read_mapping(plan_file)
    base = read_mapping(root / "params.yaml")
    cells = [(w, rho, domain) for w in plan["worlds"] for rho in reversed(plan["rhos"]) for domain in base["domains"]]
    folder = (root / ".cache" / "study").resolve()
    jobs = [(cell, cell_params(base, plan, *cell), folder, root.resolve()) for cell in cells]
    for *_, params, _, _ in jobs:
        parse_params(params, str(plan_file))  # every mistake shows before the first hour is spent
    of_one_model(root / "reports" / "study", root / base["engine"]["model"])
    with ProcessPoolExecutor(plan["processes"], mp_context=get_context("spawn")) as pool:
        found = list(tqdm(pool.map(run_cell, jobs), total=len(jobs), desc="study"))
    write_study(found, plan, base, root)


def summarise_finished(plan_file: Path = Path("study.yaml"), root: Path = Path(".")) -> int:
    """Write reports/study.json from the worlds of which every cell is finished; how many worlds these are."""
    plan = read_mapping(plan_file)
    base = read_mapping(root / "params.yaml")
    whole = []
    for world in plan["worlds"]:
        files = [cell_file(root, world, rho, domain) for rho in plan["rhos"] for domain in base["domains"]]
        if all(file.is_file() for file in files):
            whole.append([json.loads(file.read_text(encoding="utf-8")) for file in files])
    if whole:
        write_study([cell for world in whole for cell in world], plan, base, root)
    return len(whole)


def cell_file(root: Path, world: int, rho: float, domain: str) -> Path:
    """Return where the result of a finished cell is kept."""
    return root / "reports" / "study" / f"{world}-{rho}-{domain}.json"


def cell_params(
    base: Mapping[str, Any], plan: Mapping[str, Any], world: int, rho: float, domain: str
) -> dict[str, Any]:
    """Return params.yaml with the study's settings and the cell's world over it."""
    whole = laid_over(base, plan["params"])
    return laid_over(whole, {"tasks": {"world": world, "rho": rho}, "domains": [domain]})


def run_cell(job: tuple[tuple[int, float, str], dict[str, Any], Path, Path]) -> dict[str, Any]:
    """Run one world at one strength in one domain: the stages in a folder of its own. The result is kept."""
    (world, rho, domain), raw, folder, root = job
    place = folder / f"{world}-{rho}"
    result = cell_file(root, world, rho, domain)
    if result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    params = parse_params(raw)
    link_models(root, place)
    os.chdir(place)
    for stage in STAGES:
        stage.run(params, domain)
    entry = summarise(params, domain)
    write_text(result, json.dumps(entry, sort_keys=True) + "\n")
    return entry


def summarise(params: Params, domain: str, root: Path = Path(".")) -> dict[str, Any]:
    """Return what study.json says of a cell: counts, one digit per task, and advice accuracy on seen and unseen
    kinds."""
    folder = Places(root, domain).evaluation
    runs = read_jsonl(folder / "runs.jsonl", Run)
    draws = read_jsonl(folder / "draws.jsonl", AdviceDraws)
    return {
        "world": params.tasks.world,
        "rho": params.tasks.rho,
        "domain": domain,
        **_by_arm([r for r in runs if r.slice == "eval"]),
        "unseen": _by_arm([r for r in runs if r.slice == "unseen"]),
        "advice_accuracy": _accuracy(draws, "eval"),
        "advice_accuracy_unseen": _accuracy(draws, "unseen"),
        "rows": sum(1 for _ in Places(root, domain).validated.open(encoding="utf-8")),
    }


def _by_arm(runs: list[Run]) -> dict[str, Any]:
    vectors: dict[str, str] = {}
    for one in runs:
        vectors[one.arm] = vectors.get(one.arm, "") + str(int(one.passed))
    arms = {arm: {"passed": digits.count("1"), "tasks": len(digits)} for arm, digits in vectors.items()}
    return {"arms": arms, "vectors": vectors}


def _accuracy(draws: list[AdviceDraws], part: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in dict.fromkeys(d.reflector for d in draws):
        accuracy = advice_accuracy([d for d in draws if d.slice == part and d.reflector == name])
        if accuracy is not None:
            found[name] = round(accuracy.value, 4)
    return found


def write_study(found: list[dict[str, Any]], plan: Mapping[str, Any], base: Mapping[str, Any], root: Path) -> None:
    """reports/study.json, and its table and picture for README and docs."""
    from experiments.study_tables import study_json, study_table
    from parammem.evaluation.study import study_figure

    seeds = [base["collect"]["seed"], base["train"]["seed"], base["evaluate"]["seed"]]
    whole = study_json(found, protocol=base["evaluate"]["protocol"], seeds=seeds)
    write_text(root / "reports" / "study.json", json.dumps(whole, indent=1) + "\n")
    write_text(root / "docs" / "study.md", _page(plan, len({cell["world"] for cell in found}), study_table(found)))
    write_text(root / "docs" / "study.svg", str(study_figure(found)))


def _page(plan: Mapping[str, Any], worlds: int, table: str) -> str:
    return (
        "# The study\n\n"
        f"Written by `make study`: {count(worlds, 'world')} at ρ = {', '.join(map(str, plan['rhos']))}; settings "
        "in `study.yaml`, numbers in `reports/study.json`.\n\n![differences](study.svg)\n\n" + table + "\n"
    )


def link_models(root: Path, place: Path) -> None:
    """Make a folder in which the stages find the models of the project."""
    place.mkdir(parents=True, exist_ok=True)
    models = place / "models"
    models.mkdir(exist_ok=True)
    for folder in (root / "models").iterdir():
        if (folder / "config.json").is_file() and not (models / folder.name).exists():
            (models / folder.name).symlink_to(folder)


if __name__ == "__main__":
    import sys

    if sys.argv[1:] == ["--finished"]:
        print(count(summarise_finished(), "finished world"))
    else:
        run()
