"""Readers of the formats that agents write: one file each, parsed rows in, runs out. Nothing is guessed or stored here.

`FORMATS` is the registry: a new format is a module with a `Format` in it, and a line here.
"""

from __future__ import annotations

from parammem.experience.formats import (
    atif,
    claude_code,
    codex,
    inspect_log,
    langfuse,
    langsmith,
    openai,
    otel,
    reflexion,
    swe_agent,
)  # fmt: skip
from parammem.experience.formats.base import Format, Row

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (otel, atif, swe_agent, inspect_log, codex, langsmith, langfuse, claude_code, openai, reflexion)
}
"""By name, in the order in which a row is held against them: those with the most telling keys first."""


def format_of(row: Row) -> Format | None:
    """Return the format that a row is of; None if it is of none."""
    return next((one for one in FORMATS.values() if one.fits(row)), None)
