"""What params need beside the code, and whether it is here: weights or a server of each model, rows of benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parammem.config import Params
from parammem.domain_params import SourceParams
from parammem.errors import ParamMemError
from parammem.sections import ServerParams


class Inspection(NamedTuple):
    """One thing that was looked at."""

    what: str
    ready: bool
    detail: str
    fix: str = ""
    """What to do when it is not ready."""


def inputs(params: Params, root: Path = Path(".")) -> Iterator[Inspection]:
    """Check everything that a run with these params reads and does not make; yield the findings."""
    yield model(params)
    yield from other_models(params)
    yield from weights(params)
    yield from rows(params, root)


def model(params: Params) -> Inspection:
    """Check that the base model is in its folder or the hub's cache, or that a server has it."""
    from parammem.engines.folders import hub_parts, named_model

    name = named_model(params.engine.model)
    if params.engine.kind == "openai" and params.engine.server is not None:
        return served(hub_parts(name)[0], params.engine.server)
    return _weights_of(params.engine.model, "model")


def other_models(params: Params) -> Iterator[Inspection]:
    """Check that the models with a URL of their own, such as the teacher, answer and that their keys are set."""
    from parammem.engines.folders import hub_parts, named_model

    server = params.engine.server
    if params.engine.kind == "openai" and server is not None:
        base = hub_parts(named_model(params.engine.model))[0]
        yield from (served(name, server) for name in server.other_urls if name != base)


def served(name: str, server: ServerParams) -> Inspection:
    """Check that the server that should have this model answers, and that it has the model."""
    from parammem.engines.openai.account import Account, Terms
    from parammem.engines.openai.engine import PROBE, open_model
    from parammem.engines.openai.server import Server, ServerSettings
    from parammem.engines.openai.servers import settings_of

    here = ServerSettings(server.base_url, server.api_key_env, timeout_seconds=10, retries=0)
    settings = settings_of(name, here, server.other_urls, server.other_keys)
    try:
        place = Server(settings, Account(Terms()))
        engine = open_model(place, name)
        if place.capabilities(name).others:  # many lists are not whole: one short question tells
            engine.complete([PROBE])
    except ParamMemError as error:
        return Inspection("model", False, str(error), "start the server (docs/serving.md), or mend engine.server")
    return Inspection("model", True, f"{name} at {settings.base_url}")


def weights(params: Params) -> Iterator[Inspection]:
    """Check that the weights that training needs are here, also where a server has the agent's model."""
    base = params.reflector.base or params.engine.model
    if params.engine.kind == "openai" or base != params.engine.model:
        yield _weights_of(base, "weights")


def _weights_of(model: str, what: str) -> Inspection:
    from parammem.engines.folders import hub_parts, named_model

    folder = Path(model)
    if (folder / "config.json").is_file():
        return Inspection(what, True, str(folder))
    if not folder.is_file():
        fix = "check out the whole repository, or `make pocket` trains it; `make real` makes and uses models/smollm2"
        if len(folder.parts) == 2 and folder.parts[0] != "models":
            fix = f"DVC watches engine.model: `parammem profile pin {model}` writes a file that names it and its commit"
        return Inspection(what, False, f"no model folder {str(folder)!r}", fix)
    name, revision = hub_parts(named_model(model))
    here = _snapshot("models", name, revision)
    if here is not None and any(here.glob("*.safetensors")):
        return Inspection(what, True, f"{name}@{revision}, pinned by {folder}; its weights are here")
    fetched = f"where the hub can be reached they are fetched when first needed, or now: {_download(name, revision)}"
    return Inspection(what, False, f"{name}, pinned by {folder}: its weights are not here", fetched)


def rows(params: Params, root: Path) -> Iterator[Inspection]:
    """Check that the benchmark rows that params name are here."""
    from parammem.checkout.places import BENCHMARK_ROWS

    for place, source in {_place(source): source for source in params.benchmarks.sources}.items():
        if source.path:
            found = (root / BENCHMARK_ROWS / source.path).exists()
            fix = "put it there; docs/benchmarks.md says where it is from (`make real` puts mbpp.jsonl where it works)"
            yield Inspection("data", found, f"{place}{'' if found else ': not here'}", fix)
            continue
        name, _, revision = place.partition("@")
        found = Path(name).exists() or _snapshot("datasets", name, revision) is not None
        fix = (
            "where the hub can be reached they are fetched when first needed, or now: "
            f"{_download(name, revision)} --repo-type dataset"
        )
        yield Inspection("data", found, f"{place} of the hub{'' if found else ': its rows are not here'}", fix)


def _place(source: SourceParams) -> str:
    """Return the file of a source, or the data set of the hub with its commit."""
    from parammem.benchmarks.table import get_benchmark
    from parammem.checkout.places import BENCHMARK_ROWS

    if source.path:
        return f"{BENCHMARK_ROWS}/{source.path}"
    hub = source.hub or get_benchmark(source.benchmark).hub
    return f"{hub}@{source.revision}" if source.revision else hub


def _snapshot(kind: str, name: str, revision: str) -> Path | None:
    """Return where the hub's cache has a model or data set at a commit (at any, where none is named)."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    return next((path for path in folder.glob(revision or "*") if path.is_dir()), None)


def _download(name: str, revision: str) -> str:
    return f"hf download {name}" + (f" --revision {revision}" if revision else "")
