"""Make a repository for a domain of a user's own. It needs the installed package and no sources of this project."""

from __future__ import annotations

import json
import re
import shutil
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from parammem import __version__
from parammem.checkout import dvc
from parammem.checkout.git import commit, git, require_identity
from parammem.checkout.places import BATCHES, BENCHMARK_ROWS, FRESH, INBOX, MODELS, RECALLED, TASKS_IN, UPTAKE
from parammem.config import load_params
from parammem.core.domain_names import checked_name
from parammem.core.jsonl import write_text
from parammem.engines.folders import named_model
from parammem.errors import ConfigError, DataError, LedgerError
from parammem.registry.merge import install
from parammem.templates.pins import constraints

FILES = {
    "README.md": "README.md.j2",
    "params.yaml": "params.yaml.j2",
    "dvc.yaml": "dvc.yaml.j2",
    "prefect.yaml": "prefect.yaml.j2",
    "flows.py": "flows.py.j2",
    "requirements.txt": "requirements.txt.j2",
    ".gitignore": "gitignore.j2",
    ".gitattributes": "gitattributes.j2",
    ".dvcignore": "dvcignore.j2",
    RECALLED.as_posix(): "recalled.txt.j2",
}
"""File of the new repository → its template in this package."""
EMPTY = (BENCHMARK_ROWS, BATCHES, FRESH, INBOX, TASKS_IN, UPTAKE)
"""Folders that stages and commands look into, empty at first."""
SETTINGS = "[core]\n    analytics = false\n    autostage = false\n    check_update = false\n"
PIN = f"{MODELS}/qwen2.5-0.5b-instruct.json"
DEFAULT_MODEL = {"hub": "Qwen/Qwen2.5-0.5B-Instruct", "revision": "7ae557604adf67be50417f59c2c2f167def9a775"}
"""The model where none is named: a pin, which the first run fetches."""
UNPLAIN = re.compile(r"[^A-Za-z0-9._-]+")
SHOWN = 5


class MadeRepository(NamedTuple):
    """What was made."""

    folder: Path
    committed: str
    """Name of the first commit. Empty: git has no user name to sign it with."""


def make_repository(folder: Path, domain: str, kind: str, model: Path | None = None) -> MadeRepository:
    """Make a repository in an empty or missing folder. What was written is taken away again where that fails.

    Args:
        model: a Hugging Face folder, which a link in models/ leads to, or a pin, which is copied; None: DEFAULT_MODEL.

    Raises:
        ConfigError: the domain's name, or the model, is none.
        DataError: the folder has something in it, or git or DVC refuses.
    """
    try:
        checked_name(domain)
    except ValueError as error:
        raise ConfigError(f"{domain!r}: {error}; give the name with --domain") from None
    pin = _pin(model)
    named = f"{MODELS}/{_plain(model.resolve().name)}" if model else PIN
    there = folder.exists()
    _refuse_full(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if pin:
            write_text(folder / named, pin)
        elif model:
            (folder / named).parent.mkdir()
            (folder / named).symlink_to(model.resolve())
        _write_files(folder, {"domain": domain, "kind": kind, "model": named, "version": __version__})
        load_params(folder / "params.yaml")
        return MadeRepository(folder, _under_git(folder, domain))
    except BaseException:
        _take_away(folder, there)
        raise


def _plain(name: str) -> str:
    """Return a file's name as it may stand in YAML as it is."""
    return UNPLAIN.sub("-", name).strip("-.") or "model"


def _pin(model: Path | None) -> str:
    """Return the text of the pin that names the model; empty: the model is a folder. Raises ConfigError: it is none."""
    if model is None:
        return json.dumps(DEFAULT_MODEL) + "\n"
    if (model / "config.json").is_file():
        return ""
    if model.is_file():
        named_model(str(model))  # raises ConfigError: it is no pin
        return model.read_text(encoding="utf-8")
    raise ConfigError(
        f"--model: {str(model)!r} is no model; give a Hugging Face folder, which has a config.json, or a pin: a JSON "
        f"file like {json.dumps(DEFAULT_MODEL)}"
    )


def _refuse_full(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{str(folder)!r} is a file; name a folder that is empty or not there yet")
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise DataError(
            f"{str(folder)!r} is not empty: it has {', '.join(found[:SHOWN])}{more}; name a folder that is empty or "
            "not there yet"
        )


def _write_files(folder: Path, values: dict[str, str]) -> None:
    import jinja2

    texts = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = resources.files("parammem.templates")
    for name, template in FILES.items():
        text = templates.joinpath(template).read_text(encoding="utf-8")
        write_text(folder / name, texts.from_string(text).render(values))
    write_text(folder / "constraints.txt", constraints())
    for name in EMPTY:
        write_text(folder / name / ".gitkeep", "")


def _under_git(folder: Path, domain: str) -> str:
    """Put the folder under git and DVC. Returns the first commit's name; empty: git has no user name."""
    git(folder, "init", "--quiet")
    code, tail = dvc.run(folder, "init", "--quiet")
    if code:
        raise DataError(f"`dvc init` failed in {str(folder)!r}:\n{dvc.last_lines(tail, 20)}")
    write_text(folder / ".dvc" / "config", SETTINGS)
    install(folder)
    try:
        require_identity(folder)
    except LedgerError:
        return ""
    return commit(folder, ["."], f"A repository for the domain {domain}, made by parammem init")


def _take_away(folder: Path, there: bool) -> None:
    """Remove what was made in a folder that was empty, and the folder where it was not there."""
    if not there:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
