"""Names and kinds of domains: a name is its user's choice and stands in file names, tags and tables; a kind says how a
domain words and judges its tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

KINDS = ("code", "math", "qa", "english", "open")
BUILT_IN = ("code", "math", "qa")
"""Kinds that judge by themselves; each is also the usual name of a domain of it."""
ENGLISH = "english"
"""The kind of a generated world for real pretrained models (docs/real-model.md). Only params that name it have it."""
USUAL_KINDS: Mapping[str, str] = {kind: kind for kind in BUILT_IN}
"""Name → kind of the domains when params name none of their own."""
RESERVED = {
    "all": "tables use it for all domains together",
    "fresh": "data/keys/fresh holds the keys of tasks that were kept for judging",
    "mutation": "reports/validation/mutation.json is a report of its own",
}
"""Names that no domain can have → why."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
FORM = "1 to 31 lower-case letters, digits and hyphens, the first one a letter or digit"


def checked_name(name: str) -> str:
    """Return a domain's name as it is. Raises ValueError: it is none that a domain can have."""
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:31].strip("-")
        fix = f"; write {near!r}" if near and near not in RESERVED else ""
        raise ValueError(f"a domain's name has {FORM}{fix}")
    if name in RESERVED:
        raise ValueError(f"no domain can be called {name!r}: {RESERVED[name]}; choose another name")
    return name


def check_distinct(names: Iterable[str]) -> None:
    """Raise ValueError if two names are the same, or differ in case only, so that some file systems mix them up."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(f"the domains {other!r} and {name!r} differ in case only; rename one of them")


def kind_of_name(name: str) -> str:
    """Return the kind of a domain without a stated kind: its name. Raises ValueError: that is no built-in kind."""
    if name not in (*BUILT_IN, ENGLISH):
        raise ValueError(
            f"no kind of domain is called {name!r}; say of which kind it is: `{name}: {{kind: open}}` under `domains` "
            f"(kinds: {', '.join(KINDS)})"
        )
    return name
