"""Which group of tasks is a run of? For the live gate, which compares arms within groups and watches their mix.

The first of these that says something, all of them known before the run has an arm:
1. what the client calls the group: the header `x-parammem-stratum`, or `stratum` in `metadata`;
2. the model that the agent asks for: by far the most of what tells runs of one domain apart without reading them;
3. the agent that says its name in `metadata`.
A domain's runs are never mixed with another's, so the domain is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STRATUM = "x-parammem-stratum"
LONGEST = 200


def stratum_of(named: str, metadata: Mapping[str, Any], model: Any = None) -> str:
    """Return the name of a run's group of tasks; empty: nothing says it.

    Args:
        named: the header's value; empty: there is none.
        model: as the first call of the run names it.
    """
    found = named or _text(metadata.get("stratum"))
    if found:
        return found[:LONGEST]
    for kind, value in (("model", model), ("model", metadata.get("model")), ("agent", metadata.get("agent"))):
        if text := _text(value):
            return f"{kind}:{text}"[:LONGEST]
    return ""


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
