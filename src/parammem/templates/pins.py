"""constraints.txt of a new repository: the versions that are installed here of what this package requires."""

from __future__ import annotations

import importlib.metadata
import re

HEAD = "# What this repository was made with: `pip install -r requirements.txt -c constraints.txt`.\n"
NAME = re.compile(r"[A-Za-z0-9._-]+")


def constraints(package: str = "parammem") -> str:
    """Return a line `name==version` for each installed distribution that a package requires.

    Directly or not, optional ones too.
    """
    found: dict[str, str] = {}
    waiting = [package]
    while waiting:
        for name in map(_name, _required(waiting.pop())):
            version = _version(name)
            if version and name not in found:
                found[name] = version
                waiting.append(name)
    return HEAD + "".join(f"{name}=={version}\n" for name, version in sorted(found.items()) if name != package)


def _required(package: str) -> list[str]:
    try:
        return importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:  # sources without an installed package
        return []


def _name(requirement: str) -> str:
    found = NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _version(name: str) -> str:
    """Return a package's version without what a builder appended, such as +cpu. Empty: it is not installed."""
    try:
        return importlib.metadata.version(name).partition("+")[0] if name else ""
    except importlib.metadata.PackageNotFoundError:
        return ""
