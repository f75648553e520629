"""How often would math-verify alone, `parse` of the whole text and `verify`, be right? For docs/benchmarks.md.

python -m benchmarks.math_verify_alone
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from tests.domains.math_kinds import KINDS

PUBLIC = Path("tests/domains/public/math.jsonl")


def judged(gold: str, text: str) -> bool | None:
    """Return its verdict; None where it fails."""
    from math_verify import parse, verify

    try:
        pair = [parse(one, parsing_timeout=None) for one in (f"${gold}$", text)]  # pyright: ignore[reportArgumentType]
        return bool(verify(pair[0], pair[1], timeout_seconds=None))
    except Exception:
        return None


def main() -> None:
    logging.disable(logging.CRITICAL)
    rows = [json.loads(line) for line in PUBLIC.read_text(encoding="utf-8").splitlines()]
    right = sum(judged(row["gold"], row["text"]) is row["right"] for row in rows)
    print(f"public cases: {right} of {len(rows)} judged rightly")
    pairs = [pair for kind in KINDS.values() for pair in kind if "9^{9" not in pair[1]]  # which would never end
    right = sum(judged(gold, f"So it is $\\boxed{{{answer}}}$.") is told for gold, answer, told in pairs)
    print(f"kinds of tests/domains/math_kinds.py: {right} of {len(pairs)} judged rightly")


if __name__ == "__main__":
    main()
