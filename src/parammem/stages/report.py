"""report: what the domains found, put together: metrics, plots, one offline page, a table for the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from parammem.checkout.places import MUTATION, REPORTS, STUDY, UPTAKE, VARIANTS, Places
from parammem.config import Params
from parammem.core import Record, read_jsonl
from parammem.core.adapter import CARD, read_card
from parammem.core.jsonl import iter_jsonl
from parammem.embeddings import embed
from parammem.engines.folders import named_model
from parammem.evaluation import diversity
from parammem.evaluation.benchmarks import Benchmarks, read_benchmarks
from parammem.evaluation.inputs import LossPoint, Made, ReportInputs, Work
from parammem.evaluation.methods import method_tasks, over_methods
from parammem.evaluation.report import build_report, write_report
from parammem.evaluation.runs import AdviceDraws, OpenTask, Point, Run
from parammem.evaluation.uptake import read_uptake

R = TypeVar("R", bound=Record)


def run(params: Params, root: Path = Path(".")) -> None:
    """Write reports/metrics.json, report.html, table.txt and plots/."""
    write_report(build_report(gather(params, root)), root / REPORTS)


def gather(params: Params, root: Path) -> ReportInputs:
    """Read everything the report is built from out of the outs of the stages."""
    places = [Places(root, domain) for domain in params.domains]
    draws = _all(places, "draws.jsonl", AdviceDraws)
    measured, clusters = _diversity(draws, params.agent.reflector_temperature)
    facts = [json.loads((p.evaluation / "facts.json").read_text(encoding="utf-8")) for p in places]
    study, variants = (_json(root / place) for place in (STUDY, VARIANTS))
    if params.benchmarks.sources:  # both are about worlds of pocket tasks
        study = variants = None
    runs = _all(places, "runs.jsonl", Run)
    return ReportInputs(
        protocol=params.evaluate.protocol,
        sandbox_level=params.sandbox.level,
        model=named_model(params.engine.model, root),
        world=params.tasks.world,
        rho=params.tasks.rho,
        iterations=params.agent.iterations,
        seeds={"collect": params.collect.seed, "train": params.train.seed, "evaluate": params.evaluate.seed},
        reflector_temperature=params.agent.reflector_temperature,
        runs=tuple(runs),
        curve_runs=tuple(_all(places, "curve_runs.jsonl", Run)),
        protocol_runs=tuple(_all(places, "other_protocols.jsonl", Run)),
        draws=tuple(draws),
        open_tasks=tuple(_all(places, "open_tasks.jsonl", OpenTask)),
        diversity=tuple(measured),
        clusters=tuple(clusters),
        over_methods=tuple(over_methods(method_tasks(runs, embed), params.evaluate.bootstrap, params.evaluate.seed)),
        losses=tuple(point for p in places for point in _losses(p, params)),
        work=tuple(_work(places)),
        sizes=_merged(fact["sizes"] for fact in facts),
        overlaps=_merged(fact["overlaps"] for fact in facts),
        benchmarks=tuple(found for p in places if (found := _benchmarks(p, params))),
        uptake=tuple(u for p in places if (u := read_uptake(root / UPTAKE / f"{p.domain}.json"))),
        made=tuple(found for found in map(_made, places) if found),
        mutation=_json(root / MUTATION),
        variants=tuple(map(Point.model_validate, variants or ())),
        notes=tuple(
            f"{p.domain}: {fact['outcomes']}" for p, fact in zip(places, facts, strict=True) if "outcomes" in fact
        ),
        study=study,
        bootstrap=params.evaluate.bootstrap,
        seed=params.evaluate.seed,
    )


def _all(places: Sequence[Places], name: str, kind: type[R]) -> list[R]:
    return [record for p in places for record in read_jsonl(p.evaluation / name, kind)]


def _diversity(
    draws: Sequence[AdviceDraws], temperature: float
) -> tuple[list[diversity.TaskDiversity], list[diversity.Clusters]]:
    """Measure the diversity of advice per task, and over all draws of each domain's trained and untrained reflector
    (paper, Figure 4)."""
    shown = [d for d in draws if d.reflector in ("trained", "untrained")]
    vectors = embed([text for d in shown for text in d.texts])
    measured, place, groups = [], 0, {}
    for one in shown:
        part = vectors[place : place + len(one.texts)]
        place += len(one.texts)
        measured.append(diversity.measure(one, part))
        if one.temperature == temperature and one.slice == "eval":
            groups.setdefault((one.domain, one.reflector), []).append(part)
    clusters = [
        diversity.clusters(np.concatenate(parts)).model_copy(
            update={"domain": domain, "reflector": reflector, "temperature": temperature}
        )
        for (domain, reflector), parts in groups.items()
    ]
    return measured, clusters


def _losses(places: Places, params: Params) -> list[LossPoint]:
    folders = {"trained": places.reflector} | {name: places.control(name) for name in params.train.controls}
    points = []
    for adapter, folder in folders.items():
        with (folder / "losses.csv").open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                for column, held_out in (("loss", False), ("held_out_loss", True)):
                    if row[column]:
                        points.append(
                            LossPoint(
                                domain=places.domain,
                                adapter=adapter,
                                step=int(row["step"]),
                                loss=float(row[column]),
                                held_out=held_out,
                            )
                        )
    return points


def _work(places: Sequence[Places]) -> list[Work]:
    files = [p.work(stage) for stage in ("collect", "evaluate") for p in places]
    return [work for file in files if file.is_file() for work in iter_jsonl(file, Work)]


def _benchmarks(places: Places, params: Params) -> Benchmarks | None:
    """Return where the domain's real tasks came from; None for pocket tasks."""
    facts = _json(places.tasks("sources").with_suffix(".json")) if params.benchmarks.sources else None
    return read_benchmarks(places.domain, facts, params.benchmarks.seed) if facts else None


def _made(places: Places) -> Made | None:
    """Return what the domain's reflector was made of; None if its card or the validation report is not there."""
    report = _json(places.validation)
    if report is None or not (places.reflector / CARD).is_file():
        return None
    card = read_card(places.reflector)
    named = {key: getattr(card, key) for key in ("domain", "data_digest", "rows", "base_model", "base_digest")}
    kept, quarantined = len(report["kept"]), len(report["quarantined"])
    ruled = {"suite_digest": report["suite_digest"], "passed": report["passed"]}
    return Made(**named, **ruled, adapter=card.digest, kept=kept, quarantined=quarantined)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _merged(parts: Any) -> dict[str, int]:
    return {key: value for part in parts for key, value in part.items()}
