"""Compare champion and challenger in a process of its own; the evidence goes to a file.

python -m parammem.improve.contest_command --domain code --challenger DIR [--champion DIR] --out FILE
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parammem.config import load_params
from parammem.core.jsonl import write_text
from parammem.engines.progress import progress_shown
from parammem.errors import ParamMemError
from parammem.stages.contest import compare


def main() -> int:
    """Run what `contest_in_process` asks for, return the exit code. Errors are one line, and have an exit code of their
    own."""
    parser = argparse.ArgumentParser(prog="python -m parammem.improve.contest_command")
    parser.add_argument("--domain", required=True)
    parser.add_argument("--challenger", type=Path, required=True)
    parser.add_argument("--champion", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        with progress_shown(f"contest {given.domain}"):
            evidence = compare(load_params(), Path(), given.domain, given.champion, given.challenger)
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_text(given.out, evidence.model_dump_json(indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
