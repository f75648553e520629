"""Is HumanEval's own solution found in an answer, in whatever form a model gives it?

python -m benchmarks.code_answers ../shared/data/humaneval/HumanEval.jsonl.gz
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from parammem.benchmarks.item import Item
from parammem.benchmarks.sources import local_rows
from parammem.benchmarks.table import items_of
from parammem.domains import get_domain

BEHIND = (
    "Some tests:\n\n```python\nassert callable({entry})\nprint({entry})\n```\n\nRun it:\n\n```bash\npython solution.py"
    "\n```\n\nIt is linear in the length of its input."
)


def forms(item: Item, completion: str) -> Iterator[tuple[str, str]]:
    """Yield (form, answer): the solution as models write it."""
    block, entry = f"```python\n{item.key.gold}\n```", item.key.hidden["entry"]
    yield "bare completion", completion
    yield "bare completion without the spaces around it", completion.strip()
    yield "fenced whole function", block
    yield (
        "fenced in a chat with tests, a shell line and prose after it",
        f"Here:\n\n{block}\n\n{BEHIND.format(entry=entry)}",
    )
    yield "no fence, prose before and after", f"Here is the solution:\n\n{item.key.gold}\n\nIt does what was asked."


def counts(path: Path) -> dict[str, tuple[int, list[str]]]:
    """Return form → how many answers score 1, and the task ids of the others."""
    rows = local_rows(path)
    items, _ = items_of("humaneval", rows)
    solutions = {str(row["task_id"]).replace("HumanEval", "humaneval"): row["canonical_solution"] for row in rows}
    domain = get_domain("code", real=True, workers=2, wall_seconds=20.0, cpu_seconds=10.0, memory_mb=1024)
    answers: dict[str, list[tuple[Item, str]]] = {}
    for item in items:
        for form, text in forms(item, solutions[item.task.task_id]):
            answers.setdefault(form, []).append((item, text))
    found = {}
    for form, given in answers.items():
        scores = domain.judge.score(
            [(item.task, item.key, domain.prompts.parse(text, item.task)) for item, text in given]
        )
        failed = [i.task.task_id for (i, _), s in zip(given, scores, strict=True) if not getattr(s, "passed", False)]
        found[form] = (len(given) - len(failed), failed)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="HumanEval.jsonl.gz")
    for form, (passed, failed) in counts(parser.parse_args().path).items():
        print(f"{form}: {passed} of {passed + len(failed)} score 1{': not ' + ', '.join(failed) if failed else ''}")


if __name__ == "__main__":
    main()
