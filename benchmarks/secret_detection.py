"""How many secrets does admission find, and how many real rows does it take for secrets?

    python -m benchmarks.secret_detection ../shared/data             # recall by form, false alarms by file
    python -m benchmarks.secret_detection ../shared/data --show      # and every row that was refused, with its kind

Recall: each form of `benchmarks/secret_samples.py`, 20 values of it, each alone and in the middle of a long row.
False alarms: every row of MBPP, HumanEval, APPS, MATH, GSM8K, HotpotQA and 2Wiki in the folder, whole, as admission
sees it. Which of those rows do hold an address or a number is for a person to say: --show prints them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.secret_samples import FORMS, sample
from parammem.validation.private import find_private

VALUES = 20
PADDING = "def add(a, b):\n    return a + b  # adds two numbers\n" * 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    found = recall(seed=0)
    missed = {name: share for name, share in found.items() if share < 1}
    print(
        f"recall: {sum(share == 1 for share in found.values())} of {len(found)} forms found in all of {VALUES} values"
    )
    for name, share in missed.items():
        print(f"  {name}: {share:.0%}")
    print(f"mean over forms: {sum(found.values()) / len(found):.4f}")
    alarms(options.data, options.show)


def recall(seed: int) -> dict[str, float]:
    """Form → share of its values that are found, each alone and inside a long row."""
    dice = random.Random(seed)
    found = {}
    for name in FORMS:
        texts = [sample(name, dice) for _ in range(VALUES)]
        hits = sum(bool(find_private(text)) and bool(find_private(f"{PADDING}{text}\n{PADDING}")) for text in texts)
        found[name] = hits / VALUES
    return found


def alarms(folder: Path, show: bool) -> None:
    rows, refused, kinds = Counter(), Counter(), Counter()
    for file, text in real_rows(folder):
        rows[file] += 1
        if found := find_private(text):
            refused[file] += 1
            kinds.update(found)
            if show:
                print(f"  {file} row {rows[file]}: {', '.join(found)}: {_where(text)}")
    for file, count in rows.items():
        print(f"{file}: {refused[file]} of {count} rows")
    total, bad = rows.total(), refused.total()
    print(f"all: {bad} of {total} rows refused, 1 in {total / bad if bad else total:.0f}; {dict(kinds)}")


def _where(text: str) -> str:
    """Return the first line, or the first 300 characters, that hold it."""
    return next((line[:300] for line in text.splitlines() if find_private(line)), text[:300])


def real_rows(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, row as text) of every benchmark row in the folder; each solution of an APPS problem is a row."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.name.endswith((".jsonl", ".jsonl.gz")):
            opened = gzip.open if file.suffix == ".gz" else open
            with opened(file, "rt", encoding="utf-8") as lines:
                yield from ((name, _text(json.loads(line))) for line in lines if line.strip())
        elif file.suffix == ".json":
            content = json.loads(file.read_text(encoding="utf-8"))
            yield from ((name, _text(row)) for row in (content if isinstance(content, list) else [content]))
        elif file.suffix == ".txt":
            yield name, file.read_text(encoding="utf-8")


def _text(value: Any) -> str:
    """Return every text in a nested value, a line each, as admission joins them."""
    if isinstance(value, dict):
        return "\n".join([*map(str, value), *map(_text, value.values())])
    return "\n".join(map(_text, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
