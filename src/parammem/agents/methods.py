"""The methods, as compositions. Shared: the loop, the stop rule, the submission rule, the number of actor calls."""

from __future__ import annotations

from typing import Literal

from parammem.core.record import Record
from parammem.errors import ConfigError


class Method(Record):
    """What a method adds to attempting a task again and again."""

    name: str
    tries: Literal["one", "all"] = "all"
    """one: a single attempt; all: as many as the protocol allows."""
    reflects: Literal["no", "plain", "diverse"] = "no"
    """Episodic memory: whether a failed attempt is reflected on, and whether earlier reflections are to be avoided."""
    advisor: Literal["none", "parametric", "retrieved"] = "none"
    """Advice from elsewhere before each attempt: sampled from ParamMem, or a training row's text."""
    bank: bool = False
    """Cross-sample memory: whether similar solved tasks are shown."""


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(name="base", tries="one"),
        Method(name="resample"),
        Method(name="reflexion", reflects="plain"),
        Method(name="dot", reflects="diverse"),
        Method(name="dot_bank", reflects="diverse", bank=True),
        Method(name="retrieved", reflects="plain", advisor="retrieved"),
        Method(name="paramagent", reflects="plain", advisor="parametric"),
        Method(name="paramagent_plus", reflects="plain", advisor="parametric", bank=True),
    )
}
"""Reflexion: Shinn et al. 2023; DoT and DoT-bank: Lingam et al. 2025; ParamAgent: arXiv 2602.23320."""


def get_method(name: str) -> Method:
    """Return the method of this name. Raises ConfigError, naming the methods there are."""
    if name not in METHODS:
        raise ConfigError(f"no method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]
