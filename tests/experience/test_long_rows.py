"""A row as long as rows may be (4 MiB), made to slow admission down, is admitted or refused within seconds."""

from __future__ import annotations

import json
import time

import pytest

from parammem.core import Task
from parammem.experience.admission import Admission
from parammem.experience.formats.base import Unreadable
from parammem.experience.source_files import LONGEST_LINE
from tests.experience.rows import read_line

SECONDS = 5.0
"""CPU seconds for one row."""
ADMISSION = Admission.against(
    [Task(task_id="e", domain="code", text="Write a function that adds all numbers in a list.")], 0.8
)
UNITS = {
    "mail": "a.",
    "at signs": "a@b.",
    "named values": "token=abcdefg ",
    "named values with digits": "token=abc1def2( ",
    "passwords": "password is ",
    "telephone numbers": "+99912345678 ",
    "card numbers": "4111111111111112 ",
    "accounts": "DE89 3704 0044 0532 0130 01 ",
    "social security numbers": "123-45-6789 ",
    "addresses": "://a:b",
    "web tokens": "eyJ",
    "model keys": "sk-",
    "long runs": "Aa1bB2cC3dD4eE5fF6gG7hH8iI9jJ0kK ",
    "hashes": "0123456789abcdef0123456789abcdef01234567 ",
    "fences": "```\n",
    "boxes": "\\boxed{",
    "backslashes": "\\",
    "quotes": '\\"',
    "brackets": "f(a[",
    "blank lines": "\n x",
    "words": "alpha beta ",
    "one word": "a",
    "minus signs": "-",
}


def row(unit: str, where: str) -> bytes:
    """A chat of nearly the greatest length; the long text is the task or the answer."""
    size = len(json.dumps(unit)) - 2
    text = unit * ((LONGEST_LINE - 1000) // size)
    said = (text, "def f(x): return x") if where == "task" else ("Write f, please.", text)
    messages = [{"role": role, "content": content} for role, content in zip(("user", "assistant"), said, strict=True)]
    return json.dumps({"messages": messages, "domain": "code", "outcome": True}).encode()


@pytest.mark.integration
@pytest.mark.parametrize("where", ["task", "answer"])
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_a_row_of_four_mebibytes_is_judged_within_seconds(unit, where):
    data = row(unit, where)
    assert LONGEST_LINE * 0.99 < len(data) <= LONGEST_LINE
    start = time.process_time()
    try:
        experience, key, _ = read_line(data)
        ADMISSION.judge([(experience, key)])
    except Unreadable:
        pass
    assert time.process_time() - start < SECONDS
