"""What we add to the statement of a benchmark's problem, and the statement without it.

Every task of a benchmark shares these sentences, so they tell nothing about which task a text comes from: looked at for
overlap, they would make unrelated tasks of one benchmark near-duplicates of each other.
"""

from __future__ import annotations

import re

PASS_TEST = "The function must pass this test:"
COMPLETE = "Complete this code:"
WRITE = "Write a Python function `{name}`."
READS = "Write a whole program that reads standard input and prints its answer."

_ADDED = re.compile(
    "^(?:" + "|".join(map(re.escape, (PASS_TEST, COMPLETE, READS))) + r"|Write a Python function `[^`\n]{1,200}`\.)$",
    re.MULTILINE,
)
_FENCED = re.compile(r"```python\n(.*)\n```", re.DOTALL)


def unadded(task_text: str) -> str:
    """Return the text of a task without our sentences; its tests and its starter code, which are the benchmark's,
    stay."""
    return _ADDED.sub("", task_text)


def stated(task_text: str) -> str:
    """Return the statement of a problem alone, in the benchmark's own words: without our sentences, and without the
    tests and the starter code below them, which unrelated tasks may share."""
    found = _ADDED.search(task_text)
    text = task_text[: found.start()].strip() if found else task_text.strip()
    fenced = _FENCED.fullmatch(text)
    return (fenced[1] if fenced else text) or task_text
