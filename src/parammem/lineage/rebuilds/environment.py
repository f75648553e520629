"""The environment that an adapter was recorded with, beside the one that is here; and the recorded one made anew.

Recorded are: the packages that the commit's constraints.txt pins; the device and the threads of its recipe; and, where
the ledger has its training, Python, torch's build, the system and the kind of processor.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from parammem.checkout.git import file_at
from parammem.checkout.places import AUDIT
from parammem.checkout.processes import run_guarded
from parammem.core import Adapter
from parammem.core.event import Trained
from parammem.core.record import digest_of
from parammem.errors import LineageMissingError
from parammem.lineage.rebuilds.requirements import asked_for, copy_package
from parammem.registry.environment import describe

PLACE = AUDIT / "environments"
MACHINE = ("system", "cpu", "device", "threads")
MADE = "parammem-made"
"""In an environment's folder: it is whole."""


def pins_of(repo: Path, commit: str) -> dict[str, str]:
    """Return package → version that constraints.txt pinned in a commit."""
    text = (file_at(repo, commit, "constraints.txt") or b"").decode("utf-8", "replace")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, flags=re.M))


def differences(repo: Path, commit: str, adapter: Adapter, event: Trained | None) -> dict[str, tuple[str, str]]:
    """Return what differs between then and now: name → (recorded, here). Of what was not recorded nothing is said."""
    found = package_differences(pins_of(repo, commit))
    here = describe()
    for name, recorded in (event.environment if event else {}).items():
        if here.get(name, "") != recorded:
            found[name] = (recorded, here.get(name, "unknown"))
    device = str(adapter.recipe.get("device", "cpu"))
    if device.startswith("cuda") and not _has_cuda():
        found["device"] = (device, "cpu")
    threads = adapter.recipe.get("threads")
    if isinstance(threads, int) and threads > (os.cpu_count() or threads):
        found["threads"] = (str(threads), f"{os.cpu_count()} processors")  # still set to so many: slower, same bits
    return found


def package_differences(pins: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return packages whose version here is not the pinned one. One that is not here is a tool that this machine needs
    not."""
    found = {}
    for name, pinned in pins.items():
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if here.partition("+")[0] != pinned.partition("+")[0]:
            found[name] = (pinned, here)
    return found


def still_different(
    found: dict[str, tuple[str, str]], python: Path, pins: dict[str, str]
) -> dict[str, tuple[str, str]]:
    """Return what differs from the record in a recreated environment, asked of its own Python."""
    ask = "import importlib.metadata as m, json, platform; print(json.dumps([platform.python_implementation() + ' ' + "
    ask += "platform.python_version(), {d.metadata['Name']: d.version for d in m.distributions()}]))"
    text = subprocess.run([str(python), "-I", "-c", ask], capture_output=True, text=True, check=True).stdout
    version, installed = json.loads(text)
    there = {_plain(name): value for name, value in installed.items()}
    left = {name: pair for name, pair in found.items() if name in MACHINE}
    for name, pinned in pins.items():
        here = there.get(_plain(name), pinned)
        if here.partition("+")[0] != pinned.partition("+")[0]:
            left[name] = (pinned, here)
    for name, here in {"python": version, "torch": there.get("torch", "")}.items():
        if name in found and found[name][0].partition("+")[0] != here.partition("+")[0]:
            left[name] = (found[name][0], here)
    return left


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def recreate(repo: Path, tree: Path, event: Trained | None, say: Callable[[str], None]) -> Path:
    """Return a virtual environment with what the tree asks for, at the versions of its constraints.txt.

    Made with pip from whatever index pip is set up for; kept below `.cache/audit/environments`, by its contents, and
    used again.

    Returns:
        Its Python.

    Raises:
        LineageMissingError: the recorded Python is not on this machine, or pip failed; with its last lines.
    """
    constraints, asked = tree / "constraints.txt", asked_for(tree)
    if not constraints.is_file() or asked is None:
        raise LineageMissingError(
            "the recorded commit has no constraints.txt, or neither pyproject.toml nor requirements.txt: nothing to "
            "recreate from"
        )
    interpreter = _interpreter(event)
    name = digest_of([constraints.read_text(encoding="utf-8"), asked.wanted, asked.copied, str(interpreter)])[:16]
    place = repo / PLACE / name
    python = place / "bin" / "python"
    if not (place / MADE).is_file():
        shutil.rmtree(place, ignore_errors=True)
        _run([str(interpreter), "-m", "venv", str(place)], say)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if asked.wanted:
            _run([*pip, "--constraint", str(constraints), *asked.wanted], say)
        if asked.copied:
            copy_package(next((place / "lib").glob("python*/site-packages")))
        for script, target in asked.scripts.items():
            module, _, function = target.partition(":")
            text = f"#!{python}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
            (place / "bin" / script).write_text(text, encoding="utf-8")
            (place / "bin" / script).chmod(0o755)
        (place / MADE).touch()
    return python


def _interpreter(event: Trained | None) -> Path:
    """Return an interpreter of the recorded Python's minor version; this one where none was recorded."""
    recorded = re.search(r"(?<!\d)(\d{1,4})\.(\d{1,4})(?!\d)", (event.environment if event else {}).get("python", ""))
    if recorded is None or tuple(map(int, recorded.groups())) == sys.version_info[:2]:
        return Path(sys.executable)
    name = f"python{recorded[0]}"
    found = shutil.which(name)
    if found is None:
        raise LineageMissingError(
            f"it was trained with Python {recorded[0]}, which is not on this machine; install {name}"
        )
    return Path(found)


def _run(command: list[str], say: Callable[[str], None]) -> None:
    say(" ".join(command[:6]) + (" …" if len(command) > 6 else ""))
    code, lines = run_guarded(command, Path.cwd(), lambda _: None, dict(os.environ))
    if code:
        tail = "\n".join(f"    {line}" for line in lines[-20:])
        raise LineageMissingError(f"the recorded environment cannot be recreated. Last lines of the command:\n{tail}")


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
