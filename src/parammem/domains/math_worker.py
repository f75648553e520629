"""The process in which math-verify works: lines of JSON in, a line of JSON out. `MathGrader` starts it, and kills it
when an answer takes too long. Run as `python -m parammem.domains.math_worker`."""

from __future__ import annotations

import json
import logging
import sys

MEMORY_BYTES = 4 * 2**30
"""Address space; a tower of powers must not take the machine's memory."""


def equal(gold: str, answer: str) -> bool:
    """Whether math-verify takes the two LaTeX answers for the same. Raises whatever it raises."""
    from math_verify import LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    pair = [parse(f"${text}$", config, parsing_timeout=None) for text in (gold, answer)]  # pyright: ignore
    return all(pair) and bool(verify(pair[0], pair[1], timeout_seconds=None))


def main() -> None:
    """Serve until stdin closes. The first line out says that the worker is ready."""
    import math_verify  # noqa: F401  the second it takes belongs to no answer

    logging.disable(logging.CRITICAL)
    _limit_memory()
    equal("1", "1")  # builds the parser's tables
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"equal": equal(request["gold"], request["answer"]), "why": ""}
        except Exception as error:
            reply = {"equal": False, "why": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(reply), flush=True)


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        return


if __name__ == "__main__":
    main()
