"""What a commit asks to be installed: a project of its own by pyproject.toml, a repository that `parammem init` made by
requirements.txt, which names this package."""

from __future__ import annotations

import importlib.metadata
import shutil
import tomllib
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from parammem import errors

PACKAGE = "parammem"


class AskedFor(NamedTuple):
    """What goes into an environment."""

    wanted: list[str]
    """Requirements, as pip takes them."""
    scripts: dict[str, str]
    """Command → `module:function`, of the package whose sources are not installed by pip."""
    copied: str
    """Version of this package, if it is copied from the environment that is here; else empty."""


def asked_for(tree: Path) -> AskedFor | None:
    """Return what a tree asks for: by its pyproject.toml, the extra `pipeline` included, or else by its
    requirements.txt; None: it has neither."""
    project, listed = tree / "pyproject.toml", tree / "requirements.txt"
    if project.is_file():  # its sources are the tree's, by PYTHONPATH
        asked = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        wanted = [*asked.get("dependencies", []), *asked.get("optional-dependencies", {}).get("pipeline", [])]
        return AskedFor(wanted, asked.get("scripts", {}), "")
    if listed.is_file():
        lines = (line.partition("#")[0].strip() for line in listed.read_text(encoding="utf-8").splitlines())
        return _listed([line for line in lines if line])
    return None


def _listed(lines: list[str]) -> AskedFor:
    """Return the lines, with what this package needs in place of itself where they name the version that runs: it need
    not be on any index."""
    wanted, scripts, copied = list[str](), dict[str, str](), ""
    for line in lines:
        asked = _parsed(line)
        if asked is not None and canonicalize_name(asked.name) == PACKAGE and _is_here(asked):
            about = importlib.metadata.distribution(PACKAGE)
            wanted += _needs(about.requires or [], asked.extras)
            scripts = {one.name: one.value for one in about.entry_points if one.group == "console_scripts"}
            copied = about.version
        else:
            wanted += line.split() if line.startswith("-") else [line]
    return AskedFor(wanted, scripts, copied)


def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:  # an option of pip's, such as -e PATH
        return None


def _is_here(asked: Requirement) -> bool:
    try:
        return asked.url is None and asked.specifier.contains(importlib.metadata.version(PACKAGE), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def _needs(requires: list[str], extras: set[str]) -> list[str]:
    """Return the requirements of the package itself and of these extras of it. An extra may name another one of the
    package."""
    found = list[str]()
    for one in map(Requirement, requires):
        if one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        if canonicalize_name(one.name) == PACKAGE:
            found += _needs(requires, set(one.extras) - extras)
        else:
            one.marker = None
            found.append(str(one))
    return list(dict.fromkeys(found))


def copy_package(site: Path) -> None:
    """Copy this package, as it runs, into an environment's packages."""
    about = importlib.metadata.distribution(PACKAGE)
    sources = Path(errors.__file__).parent
    shutil.copytree(sources, site / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    info = site / f"{PACKAGE}-{about.version}.dist-info"
    info.mkdir(exist_ok=True)
    # A source tree that was built in place has its metadata under the other name.
    for name, other in (("METADATA", "PKG-INFO"), ("entry_points.txt", "entry_points.txt")):
        if text := about.read_text(name) or about.read_text(other):
            (info / name).write_text(text, encoding="utf-8")
