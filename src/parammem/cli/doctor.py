"""`parammem doctor`: what is ready on this machine, what is missing, and how to mend it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from parammem.cli.doctor_inputs import Inspection, inputs
from parammem.cli.options import PARAMS, ParamsFile
from parammem.cli.say import say
from parammem.config import Params, load_params
from parammem.core.words import count
from parammem.errors import ConfigError, ParamMemError

USUAL_KEY = "OPENAI_API_KEY"
PROFILES = Path("profiles")


def doctor(
    params: ParamsFile = PARAMS,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    profiles: Annotated[
        bool, typer.Option("--profiles", help="Of each profile instead: are its models and its rows here?")
    ] = False,
    server: Annotated[
        str, typer.Option(help="Examine this OpenAI-compatible server instead, e.g. http://127.0.0.1:8000/v1.")
    ] = "",
    model: Annotated[str, typer.Option(help="With --server: which of its models; its first one by default.")] = "",
    key_env: Annotated[
        str,
        typer.Option(
            help="With --server: environment variable with its key. By default that of params.yaml, where it names "
            "this server, else OPENAI_API_KEY, where that is set."
        ),
    ] = "",
) -> None:
    """Say what is ready and what is missing, with the fix. Exit code 1 when something is missing.

    With --profiles: whether models and rows of each profile are here; --params profiles/NAME.yaml says the fixes.

    With --server: ask a server a handful of short questions, and say what it can do and what the engine does about it.
    Exit code 5 when it does not answer or gives no text, 1 when a run would end at its answers.
    """
    if server:
        report, usable = server_report(server, model, key_env or key_for(server, params), as_json)
        say(report)
        if not usable:
            raise typer.Exit(1)
        return
    if model or key_env:
        raise typer.BadParameter("--model and --key-env need --server")
    if profiles:
        found_of = {path.stem: list(inputs(load_params(path))) for path in sorted(PROFILES.glob("*.yaml"))}
        say(profiles_json(found_of) if as_json else "\n".join(map(profile_lines, found_of, found_of.values())))
        return
    found = list(look(params))
    say(as_json_text(found) if as_json else "\n".join(map(line, found)))
    if not all(finding.ready for finding in found):
        raise typer.Exit(1)


def look(path: Path) -> Iterator[Inspection]:
    """Yield all findings, cheap ones first."""
    yield python()
    yield command("git", "install git; DVC and lineage need it")
    yield command("dvc", "run `make setup`, and put .venv/bin on PATH: `source .venv/bin/activate`")
    yield project(Path())
    yield disk(Path())
    try:
        params = load_params(path)
    except ConfigError as error:
        fix = f"mend {path}" if path.is_file() else "change to the folder of your clone"
        yield Inspection("params", False, str(error), fix)
        return
    yield Inspection("params", True, f"{path}: domains {', '.join(params.domains)}")
    yield from inputs(params)
    yield from map(guarded, (torch_device, lambda: sandbox(params)))


def python() -> Inspection:
    version = ".".join(map(str, sys.version_info[:3]))
    return Inspection(
        "python", sys.version_info >= (3, 11), f"{version} at {sys.executable}", "use Python 3.11 or newer"
    )


def command(name: str, fix: str) -> Inspection:
    """Check that this program is on PATH and that it runs."""
    where = shutil.which(name)
    if where is None:
        return Inspection(name, False, "not on PATH", fix)
    ran = subprocess.run([where, "--version"], capture_output=True, text=True)
    return Inspection(name, ran.returncode == 0, (ran.stdout or ran.stderr).strip() or where, fix)


def project(root: Path) -> Inspection:
    """Check that the folder is under DVC and has a pipeline."""
    missing = [name for name in (".dvc", "dvc.yaml") if not (root / name).exists()]
    detail = f"no {' and no '.join(missing)} in {root.resolve()}" if missing else f"pipeline in {root.resolve()}"
    return Inspection("project", not missing, detail, "change to the folder of your clone")


def disk(root: Path) -> Inspection:
    free = shutil.disk_usage(root).free / 2**30
    return Inspection("disk", free > 1, f"{free:.1f} GiB free", "free at least 1 GiB")


def key_for(url: str, path: Path) -> str:
    """Return the environment variable with a server's key: the one that params name for it, else the usual one, where
    it is set and the key does not cross a network in the clear."""
    from parammem.engines.openai.headers import is_local

    try:
        named = load_params(path).engine.server
    except ConfigError:
        named = None
    if named is not None:
        keys = {named.base_url.rstrip("/"): named.api_key_env}
        keys |= {place.rstrip("/"): named.other_keys.get(name, "") for name, place in named.other_urls.items()}
        if url.rstrip("/") in keys:
            return keys[url.rstrip("/")]
    safe = url.startswith("https://") or is_local(url)
    return USUAL_KEY if safe and os.environ.get(USUAL_KEY, "").strip() else ""


def server_report(url: str, model: str, key_env: str, as_json: bool) -> tuple[str, bool]:
    """Return what a server can do, as a table or as JSON, and whether a run would get texts. Raises as `examined`."""
    import json

    from parammem.engines.openai.examine import examined

    found = examined(url, model, key_env)
    if as_json:
        return json.dumps({**asdict(found), "usable": found.usable, "key_env": key_env}, indent=2), found.usable
    key = f"the key comes from {key_env}" if key_env else "no key is sent"
    widths = [max(len(t.name) for t in found.traits) + 2, min(44, max(len(t.found) for t in found.traits) + 2)]
    lines = [f"{t.name:<{widths[0]}}{t.found:<{widths[1]}}→ {t.does}" for t in found.traits]
    asked = f"{count(found.sent, 'request')}, {count(found.answers, 'answer')}"
    cost = f"{asked}: tokens read {found.prompt_tokens}, written {found.completion_tokens}"
    return "\n".join([f"{found.model} at {found.server}; {key}", *lines, cost]), found.usable


def torch_device() -> Inspection:
    import torch

    device = (
        torch.cuda.get_device_name(0)
        if torch.cuda.is_available()
        else f"cpu, {count(torch.get_num_threads(), 'thread')}"
    )
    return Inspection("torch", True, f"{torch.__version__} on {device}")


def sandbox(params: Params) -> Inspection:
    """Check that a harmless program runs in the sandbox at the level that params ask for."""
    from parammem.sandbox import Call, run

    level = params.sandbox.level
    outcome = run("def f(x):\n    return x + 1\n", "f", [Call(args=[1])], level=level)[0]
    if level == "none":
        return Inspection("sandbox", True, "level none: model output runs with all your rights")
    ran = outcome.value == 2
    detail = "a harmless program ran" if ran else f"a harmless program ended with {outcome.kind}: {outcome.error}"
    return Inspection("sandbox", ran, f"level {level}: {detail}", "run `parammem sandbox doctor`")


def guarded(check: Callable[[], Inspection]) -> Inspection:
    """Return what a check finds, also where the check itself cannot run."""
    try:
        return check()
    except ImportError as error:
        return Inspection("packages", False, str(error), "run `make setup`")
    except ParamMemError as error:
        return Inspection("sandbox", False, str(error), "run `parammem sandbox doctor`")


def line(finding: Inspection) -> str:
    mark = "ready  " if finding.ready else "MISSING"
    fix = "" if finding.ready else f"\n{'':18}fix: {finding.fix}"
    return f"{mark}  {finding.what:<8} {finding.detail}{fix}"


def as_json_text(found: list[Inspection]) -> str:
    import json

    return json.dumps([finding._asdict() for finding in found], indent=2)


def profile_lines(name: str, found: list[Inspection]) -> str:
    """Return lines that say whether a profile is ready, and what of it is not here."""
    missing = [f"{'':26}   {finding.what:<8} {finding.detail}" for finding in found if not finding.ready]
    return "\n".join([f"{name:26} {'not ' if missing else ''}ready", *missing])


def profiles_json(found: dict[str, list[Inspection]]) -> str:
    import json

    return json.dumps({name: [one._asdict() for one in findings] for name, findings in found.items()}, indent=2)
