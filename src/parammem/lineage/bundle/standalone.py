"""`verify.py` of a bundle: the modules that verify, joined into one script that needs only Python."""

from __future__ import annotations

from pathlib import Path

from parammem.lineage.bundle import counted_runs, reading, signature, verifier


def script() -> bytes:
    """Return the source of `verify.py`. The verifier's docstring comes first: it says how to use it."""
    texts = [
        Path(str(module.__file__)).read_text(encoding="utf-8")
        for module in (verifier, signature, reading, counted_runs)
    ]
    (doc, last), *others = (_parts(text) for text in texts)
    return "\n\n".join([doc, *(code for _, code in others), last]).encode()


def _parts(text: str) -> tuple[str, str]:
    """Return (docstring, code without imports of ours) of a module."""
    doc, code = text.split('"""\n', 1)
    lines = (line for line in code.splitlines() if not line.startswith("from parammem."))
    return f'{doc}"""\n', "\n".join(lines).strip("\n") + "\n"
