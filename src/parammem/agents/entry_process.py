"""The process in which a Python entry point of the user's runs: `python -m parammem.agents.entry_process MODULE:NAME`.

One JSON object on standard input, the function's dictionary as JSON on standard output. What the function prints goes
to standard error, so that it cannot be mistaken for the answer.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys


def main() -> None:
    """Call the entry point that the command line names, once."""
    module, _, name = sys.argv[1].partition(":")
    sys.path.insert(0, os.getcwd())
    given = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        answer = found(given)  # type: ignore[operator]
    text = json.dumps(answer, allow_nan=False)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
