"""The paper's statistic in the study's worlds: over methods, how unlike their reflections are, against their score.

    python -m experiments.study_methods [--processes N] [--finished]

A cell of the study keeps verdicts and no texts, so each of its worlds at the highest ρ is run once more, with the
methods that reflect and without controls. A finished cell lies in reports/study_methods/ and is not run again. Written:
reports/study_methods.json, from all worlds; with --finished nothing is run, and only worlds that are finished in every
domain are in it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from experiments.kept_results import of_one_model
from experiments.study import STAGES, cell_params, link_models
from parammem.checkout.places import Places
from parammem.config import parse_params, read_mapping
from parammem.core import read_jsonl
from parammem.core.jsonl import write_text
from parammem.evaluation.methods import LEAST, MethodTask, method_tasks
from parammem.evaluation.runs import Run
from parammem.evaluation.statistics import resamples
from parammem.overlays import laid_over

KEPT = "reports/study_methods"
MEASURES = ("distance", "distinct")
ONLY = {
    "train": {"controls": []},
    "evaluate": {
        "methods": ["reflexion", "dot", "dot_bank", "retrieved", "paramagent", "paramagent_plus"],
        "advice_draws": 1,
        "temperatures": [],
    },
}
"""Laid over the study's params: the methods that reflect, and nothing that only controls need."""
Job = tuple[dict[str, Any], str, Path]
"""Params of a cell, its domain, and the folder of the project."""


def run(plan_file: Path = Path("study.yaml"), root: Path = Path("."), processes: int = 1) -> list[dict[str, Any]]:
    """Write reports/study_methods.json from the cells, each made unless it is kept; returns its correlations.

    Raises:
        ConfigError: the plan does not fit params.yaml, or what is finished was made with another model.
    """
    from tqdm import tqdm

    base, jobs = _jobs(plan_file, root)
    for params, _, _ in jobs:
        parse_params(params, str(plan_file))  # every mistake shows before the first cell is made
    of_one_model(root / KEPT, root / base["engine"]["model"])
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = list(tqdm(pool.map(run_cell, jobs), total=len(jobs), desc="worlds"))
    return write(found, root)


def finished(plan_file: Path = Path("study.yaml"), root: Path = Path(".")) -> list[dict[str, Any]]:
    """Write reports/study_methods.json from the worlds that are finished in every domain; returns its correlations."""
    base, jobs = _jobs(plan_file, root)
    cells = [json.loads(file.read_text(encoding="utf-8")) for file in map(_kept, jobs) if file.is_file()]
    domains = {world: {c["domain"] for c in cells if c["world"] == world} for world in {c["world"] for c in cells}}
    return write([cell for cell in cells if domains[cell["world"]] >= set(base["domains"])], root)


def _jobs(plan_file: Path, root: Path) -> tuple[dict[str, Any], list[Job]]:
    """Return params.yaml, and a job for each world in each domain."""
    plan, base = read_mapping(plan_file), read_mapping(root / "params.yaml")
    rho = max(plan["rhos"])
    jobs: list[Job] = []
    for world in plan["worlds"]:
        for domain in base["domains"]:
            raw = laid_over(cell_params(base, plan, world, rho, domain), ONLY)
            jobs.append((raw, domain, root.resolve()))
    return base, jobs


def _kept(job: Job) -> Path:
    raw, domain, root = job
    return root / KEPT / f"{raw['tasks']['world']}-{raw['tasks']['rho']}-{domain}.json"


def write(cells: Sequence[Mapping[str, Any]], root: Path) -> list[dict[str, Any]]:
    """Write reports/study_methods.json: what was found in each cell, and the correlations over methods."""
    whole = {"cells": list(cells), "correlations": correlations(cells)}
    write_text(root / f"{KEPT}.json", json.dumps(whole, indent=1) + "\n")
    return whole["correlations"]


def run_cell(job: Job) -> dict[str, Any]:
    """Run one world in one domain in a folder of its own. Returns what is kept of each method; see `method_values`."""
    raw, domain, root = job
    result = _kept(job)
    if result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))
    from parammem.embeddings import embed

    params = parse_params(raw)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    place = root / ".cache" / "study_methods" / f"{params.tasks.world}-{params.tasks.rho}"
    link_models(root, place)
    os.chdir(place)
    for stage in STAGES:
        stage.run(params, domain)
    rows = method_tasks(read_jsonl(Places(place, domain).evaluation / "runs.jsonl", Run), embed)
    entry = {"world": params.tasks.world, "rho": params.tasks.rho, "domain": domain, "methods": method_values(rows)}
    write_text(result, json.dumps(entry, sort_keys=True) + "\n")
    return entry


def method_values(rows: Sequence[MethodTask]) -> dict[str, dict[str, Any]]:
    """Return for each method its tasks and how many passed; for each measure the tasks on which it had two reflections
    or more, and the measure's sum over them."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault(row.arm, {"tasks": 0, "passed": 0, **{m: {"tasks": 0, "sum": 0.0} for m in MEASURES}})
        one["tasks"] += 1
        one["passed"] += int(row.passed)
        for measure in MEASURES:
            if (value := getattr(row, measure)) is not None:
                one[measure]["tasks"] += 1
                one[measure]["sum"] = round(one[measure]["sum"] + value, 6)
    return found


def correlations(cells: Sequence[Mapping[str, Any]], draws: int = 2000, seed: int = 0) -> list[dict[str, Any]]:
    """Return for each domain, measure, and set of methods (with and without ParamAgent's) Pearson's coefficient over
    methods, a method's values taken over all worlds together, with a 95% bootstrap interval over worlds; beside it the
    mean of the coefficients of single worlds."""
    found = []
    for domain in dict.fromkeys(cell["domain"] for cell in cells):
        mine = [cell["methods"] for cell in cells if cell["domain"] == domain]
        for measure in MEASURES:
            for parametric in (True, False):
                arms = [a for a in mine[0] if parametric or not a.startswith("paramagent")]
                unlike, score = _values(mine, arms, measure)
                picks = np.concatenate(list(resamples(len(mine), draws, seed)))
                every = [_pearson(unlike[pick], score[pick]) for pick in picks]
                alone = [r for n in range(len(mine)) if (r := _pearson(unlike[[n]], score[[n]])) is not None]
                low, high = _interval(every)
                found.append(
                    {
                        "domain": domain,
                        "measure": measure,
                        "parametric": parametric,
                        "methods": arms,
                        "pearson": _pearson(unlike, score),
                        "low": low,
                        "high": high,
                        "mean_of_worlds": round(float(np.mean(alone)), 6) if alone else None,
                        "worlds": len(alone),
                        "tasks_with_two": int(unlike[..., 0].sum()),
                    }
                )
    return found


def _values(cells: Sequence[Mapping[str, Any]], arms: Sequence[str], measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Return [worlds, methods, 2] twice: tasks and sum of the measure, tasks and how many passed."""
    unlike = [[[c[a][measure]["tasks"], c[a][measure]["sum"]] for a in arms] for c in cells]
    score = [[[c[a]["tasks"], c[a]["passed"]] for a in arms] for c in cells]
    return np.array(unlike, dtype=float), np.array(score, dtype=float)


def _pearson(unlike: np.ndarray, score: np.ndarray) -> float | None:
    """Return the coefficient over methods of worlds taken together. None: a side is constant, or too few methods had
    two reflections on a task."""
    two, unlike_sum = unlike[..., 0].sum(0), unlike[..., 1].sum(0)
    known = two > 0
    if known.sum() < LEAST:
        return None
    x = unlike_sum[known] / two[known]
    y = (score[..., 1].sum(0) / score[..., 0].sum(0))[known]
    if np.ptp(x) < 1e-9 or np.ptp(y) < 1e-9:
        return None
    return round(float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1)), 6)


def _interval(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    kept = [one for one in values if one is not None]
    if not kept:
        return None, None
    low, high = np.quantile(kept, [0.025, 0.975])
    return round(float(low), 6), round(float(high), 6)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the correlations as a Markdown table."""
    lines = ["| domain | measure | methods | Pearson (95% interval) | mean of single worlds | tasks with two |"]
    lines.append("|---|---|---|---:|---:|---:|")
    for one in found:
        if one["pearson"] is None:
            value = "–"
        else:
            value = f"{one['pearson']:+.2f} ({one['low']:+.2f} … {one['high']:+.2f})"
        alone = "–" if one["mean_of_worlds"] is None else f"{one['mean_of_worlds']:+.2f} ({one['worlds']} worlds)"
        among = f"{len(one['methods'])}" + ("" if one["parametric"] else ", no ParamAgent")
        lines.append(f"| {one['domain']} | {one['measure']} | {among} | {value} | {alone} | {one['tasks_with_two']} |")
    return "\n".join(lines).replace("-", "−").replace("|−−−", "|---").replace("−−−:", "---:")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m experiments.study_methods", description="Methods in many worlds.")
    parser.add_argument("--processes", type=int, default=1, help="worlds at a time")
    parser.add_argument("--finished", action="store_true", help="run nothing; write what the finished worlds say")
    given = parser.parse_args()
    print(table(finished() if given.finished else run(processes=given.processes)))
