"""Which extra of this package brings a library that is not installed. The bare package holds records and the client."""

from __future__ import annotations

EXTRAS = {"ray": "ray", "gguf": "gguf"} | dict.fromkeys(("starlette", "uvicorn", "mcp", "prometheus_client"), "service")
"""Library → its extra, where that is not `pipeline`."""


def install_command(library: str = "") -> str:
    """Return the pip command that brings a library, by its name or the name of a module in it; empty: the pipeline."""
    return f'pip install "parammem[{EXTRAS.get(library.partition(".")[0], "pipeline")}]"'
