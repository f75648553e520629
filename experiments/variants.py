"""variants: labels, sample efficiency, self-teaching and weak-to-strong in small, on the tasks of the default run.

It stands beside the pipeline, as the study does: `python -m experiments.variants` after `dvc repro`; it can be
stopped and goes on. The report shows reports/variants.json where it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.kept_results import of_one_model
from parammem.checkout.places import Places
from parammem.config import Params, parse_params, read_mapping
from parammem.core import read_jsonl
from parammem.core.jsonl import write_text
from parammem.core.words import count
from parammem.evaluation.diversity import measure, summarise
from parammem.evaluation.metrics import advice_accuracy
from parammem.evaluation.runs import AdviceDraws, Point, Run
from parammem.overlays import laid_over
from parammem.stages import collect, evaluate, train, validate

PLAN = Path("variants.yaml")
SHARED = (
    *("data/tasks/{domain}", "data/keys/{domain}", "data/experience", "data/fresh", "data/recalled.txt"),
    *("dvc.lock", ".cache/written/tasks-{domain}.json"),  # what vouches for the tests
)
"""What every variant takes from the default run. Adapters it makes itself."""
ROWS = "data/validated/{domain}.jsonl"
"""And this, unless it labels its own."""


def run(plan_file: Path = PLAN, root: Path = Path(".")) -> list[Point]:
    """Write reports/variants.json. A finished variant lies in reports/variants/ and is not run again; delete it there
    when the code or the rows have changed. A variant whose model is not there is left out.

    Raises:
        ConfigError: a variant does not fit params.yaml, or what is finished was made with another model.
    """
    plan = read_mapping(plan_file)
    base = read_mapping(root / "params.yaml")
    default = parse_params(base, "params.yaml")
    of_one_model(root / "reports" / "variants", root / default.engine.model)
    found: list[Point] = []
    for experiment, domain, x, setting, params in list(_jobs(plan, base)):
        kept = root / "reports" / "variants" / f"{experiment}-{domain}-{x:g}.jsonl"
        wanted = [params.engine.model, params.reflector.base]
        if not kept.is_file() and all((root / model).is_dir() for model in wanted if model):
            place = root / ".cache" / "variants" / f"{experiment}-{domain}-{x:g}"
            relabels = params.collect != default.collect or params.validate_ != default.validate_
            _link(root, place, [one.format(domain=domain) for one in (SHARED if relabels else (*SHARED, ROWS))], params)
            if relabels:
                collect.run(params, domain, place)
                validate.run(params, domain, place)
            train.run(params, domain, place)
            evaluate.run(params, domain, place)
            points = points_of(experiment, domain, x, Places(place, domain).evaluation, setting)
            write_text(kept, "".join(point.line() + "\n" for point in points))
        if kept.is_file():
            found += read_jsonl(kept, Point)
    text = json.dumps([point.model_dump(mode="json") for point in found], indent=1)
    write_text(root / "reports" / "variants.json", text + "\n")
    return found


def _jobs(plan: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[tuple[str, str, float, str, Params]]:
    """Yield every variant in every domain, each checked before the first one runs."""
    for experiment, settings in plan["variants"].items():
        for domain in base["domains"]:
            for setting in settings:
                raw = laid_over(base, {"domains": [domain]})
                for layer in (plan["shared"], {k: v for k, v in setting.items() if isinstance(v, dict)}):
                    raw = laid_over(raw, layer)
                yield experiment, domain, float(setting["x"]), setting.get("setting", ""), parse_params(raw, str(PLAN))


def _link(root: Path, place: Path, links: list[str], params: Params) -> None:
    """A folder with parts of the default run and folders for rows, adapters and reports of its own.

    The completion cache is one for all: most of what the arms without a trained reflector say is said in each variant.
    """
    links = [*links, *(f"models/{one.name}" for one in (root / "models").iterdir() if (one / "config.json").is_file())]
    if params.engine.cache:
        (root / params.engine.cache).mkdir(parents=True, exist_ok=True)
        links.append(params.engine.cache)
    for link in links:
        (place / link).parent.mkdir(parents=True, exist_ok=True)
        if (root / link).exists() and not (place / link).exists():
            (place / link).symlink_to((root / link).resolve())


def points_of(experiment: str, domain: str, x: float, folder: Path, setting: str = "") -> list[Point]:
    """Return the arms of one variant. A round of self-teaching is the same arm at another x."""
    runs = [run for run in read_jsonl(folder / "runs.jsonl", Run) if run.slice == "eval"]
    draws = [d for d in read_jsonl(folder / "draws.jsonl", AdviceDraws) if d.slice == "eval"]
    untrained = {run.task_id: run.passed for run in runs if run.arm == "paramagent.untrained"}
    points = []
    for arm in dict.fromkeys(run.arm for run in runs):
        mine = [run for run in runs if run.arm == arm]
        name, _, reflector = arm.partition(".")
        reflector = reflector or ("trained" if name == "paramagent" else "")
        said = [d for d in draws if d.reflector == reflector] if reflector else []
        accuracy, diversity = advice_accuracy(said), summarise(measure(d) for d in said)
        earlier = reflector.startswith("round-")
        pairs = [(run.passed, untrained[run.task_id]) for run in mine if run.task_id in untrained]
        paired = name == "paramagent" and reflector != "untrained" and bool(pairs)
        points.append(
            Point(
                experiment=experiment,
                domain=domain,
                x=float(reflector.removeprefix("round-")) if earlier else x,
                arm=name if earlier else arm,
                passed=sum(run.passed for run in mine),
                tasks=len(mine),
                protocol=mine[0].protocol,
                advice_accuracy=accuracy.value if accuracy else None,
                among_claimed=accuracy.among_claimed if accuracy else None,
                distinct=diversity.distinct if diversity else None,
                setting=setting,
                won=sum(a and not b for a, b in pairs) if paired else None,
                lost=sum(b and not a for a, b in pairs) if paired else None,
            )
        )
    return points


if __name__ == "__main__":
    print(f"{count(len(run()), 'point')} in reports/variants.json")
