"""Answers of models by kind, each with the program that a reader sees in it; some with what the task needs.

`TOTAL` is the solution unless a row says otherwise.
"""

# ruff: noqa: E501 (tables of inputs)
from __future__ import annotations

from typing import Any, NamedTuple

TOTAL = "def total(xs):\n    return sum(xs)"
WRONG = "def total(xs):\n    return 0"
READS = "n = int(input())\nprint(n // 2)"
STUB = {"entry": "total", "stub": 'def total(xs):\n    """Add up.\n\n    >>> total([1])\n    1\n    """\n'}
NAMED = {"entry": "total"}
PROGRAM = {"entry": ""}


class Answer(NamedTuple):
    text: str
    want: str = TOTAL
    spec: dict[str, Any] | None = None


def fenced(code: str, info: str = "python", mark: str = "```") -> str:
    return f"{mark}{info}\n{code}\n{mark}"


def indented(text: str, by: str) -> str:
    return "\n".join(by + line if line else line for line in text.split("\n"))


DOCSTRING = 'def total(xs):\n    """Add up.\n\n    ```python\n    total([1, 2])\n    ```\n    """\n    return sum(xs)'
TWO_SPACES = 'def total(xs):\n  """Add up.\n\n  ```\n  total([1, 2])\n  ```\n  """\n  return sum(xs)'
TEMPLATE = 'PAGE = """\n```python\n{code}\n```\n"""\n\n\ndef total(xs):\n    return PAGE.format(code=sum(xs))'
HELPER = "def double(x):\n    return 2 * x"
USES = "def total(xs):\n    return sum(double(x) for x in xs)"
BOTH = f"{HELPER}\n\n\n{USES}"
METHOD = "class Solution:\n    def total(self, xs):\n        return sum(xs)"
MAIN = "def main():\n    n = int(input())\n    print(n // 2)"
SHOWN = ">>> def total(xs):\n...     return sum(xs)\n...\n>>> total([1, 2])\n3"

ANSWERS: dict[str, list[Answer]] = {
    "info string": [
        Answer(fenced(TOTAL, info))
        for info in (
            "python",
            "Python",
            "PYTHON",
            "py",
            "py3",
            "python3",
            "Python3.11",
            "ipython",
            " python",
            "{python}",
            "{.python}",
            "{.python .numberLines startFrom=1}",
            'python title="total.py"',
            "python:src/total.py",
            "python {1,3}",
            "total.py",
            "src/total.py",
            "python linenums",
            "python-repl",
            "",
            "solution",
            "python,ignore",
        )
    ],
    "fence": [
        Answer(fenced(TOTAL, mark="~~~")),
        Answer(fenced(TOTAL, mark="````")),
        Answer(fenced(TOTAL, mark="~~~~~")),
        Answer(f"```python\n{TOTAL}\n`````\nDone."),
        Answer(f"```python\r\n{TOTAL}\r\n```\r\nDone.".replace("\n", "\r\n").replace("\r\r", "\r")),
        Answer(f"Here:\n```python\n{TOTAL}```\nIt adds."),
        Answer(f"Here it is: ```python\n{TOTAL}\n```\nIt adds."),
        Answer("```python def total(xs): return sum(xs)```", "def total(xs): return sum(xs)"),
        Answer("Use `total = lambda xs: sum(xs)` for this.", "total = lambda xs: sum(xs)"),
        Answer("```python def total(xs):\n    return sum(xs)\n```"),
        Answer(f"``` python\n{TOTAL}\n```\n\n~~~text\nclass Adds numbers\n~~~"),
        Answer(f"```python\n\n\n{TOTAL}\n\n\n```"),
        Answer(f"```python\n{indented(TOTAL, '    ')}\n```"),
    ],
    "list or quotation": [
        Answer(f"1. Write:\n\n{indented(fenced(TOTAL), '   ')}\n\n2. Call it."),
        Answer(f"1. Write:\n{indented(fenced(TOTAL), '    ')}\n2. Call it."),
        Answer(f"- Write:\n\n{indented(fenced(TOTAL), '        ')}\n- Call it."),
        Answer(f"* {fenced(TOTAL)[:9]}\n{indented(TOTAL, '  ')}\n  ```\n* Call it."),
        Answer(f"10. Deep:\n    - deeper:\n\n{indented(fenced(TOTAL), '          ')}\n"),
        Answer(f"1. Write:\n   ```python\n{TOTAL}\n   ```\n2. Call it."),
        Answer(indented(fenced(TOTAL), "> ")),
        Answer(f"> Quote:\n>\n{indented(fenced(TOTAL), '> ')}\n\nDone."),
        Answer(f"> 1. Quote:\n>\n{indented(fenced(TOTAL), '>    ')}"),
        Answer(f"The function:\n{indented(fenced(TOTAL), '    ')}\nDone."),
        Answer(indented(fenced(TOTAL), "\t")),
    ],
    "fence in the program": [
        Answer(fenced(DOCSTRING), DOCSTRING),
        Answer(fenced(TWO_SPACES), TWO_SPACES),
        Answer(fenced(TEMPLATE) + "\n\nThat is all.", TEMPLATE),
        Answer(fenced(TEMPLATE) + "\n\nCall it:\n\n" + fenced("total([1])"), TEMPLATE),
        Answer(fenced(TEMPLATE, mark="````"), TEMPLATE),
        Answer(fenced(TEMPLATE, mark="~~~"), TEMPLATE),
        Answer(
            fenced('def total(xs):\n    return "```" + str(xs) + "```"'),
            'def total(xs):\n    return "```" + str(xs) + "```"',
        ),
        Answer(fenced(f"# Solution\n\n{fenced(TOTAL)}\n\nDone.", "markdown", "````")),
        Answer(fenced(f"# Solution\n\n{fenced(TOTAL)}\n\nDone.", "markdown")),
        Answer(fenced(fenced(TOTAL), "")),
        Answer(fenced("def total(xs):\n    # no ``` here\n    return sum(xs)"), "def total(xs):\n    return sum(xs)"),
    ],
    "thinking": [
        Answer(f"<think>\nMaybe\n{fenced(WRONG)}\nno.\n</think>\n\n{fenced(TOTAL)}"),
        Answer(
            f"<think>\nMaybe\n{fenced(TOTAL)}\nyes.\n</think>\n{fenced(TOTAL)}\n<think>or\n{fenced(WRONG)}\n</think>"
        ),
        Answer(f"<thinking>\n```python\n{WRONG}\n</thinking>\n{TOTAL}"),
        Answer(f"<|begin_of_thought|>{WRONG}<|end_of_thought|>\n\n{TOTAL}"),
        Answer(f"[THINK]\n{WRONG}\n[/THINK]\n{fenced(TOTAL)}"),
        Answer(f"◁think▷\n{WRONG}\n◁/think▷{fenced(TOTAL)}"),
        Answer(
            f"<|channel|>analysis<|message|>{WRONG}<|end|><|start|>assistant<|channel|>final<|message|>{fenced(TOTAL)}"
        ),
        Answer(f"Maybe\n{fenced(WRONG)}\nno.\n</think>\n\n{fenced(TOTAL)}"),
        Answer(f"{TOTAL}\n\nLet me see.\n\n{WRONG}\n</think>\n{fenced(TOTAL)}"),
        Answer(f"<think>Add them.</think>\n{TOTAL}"),
        Answer(f"<think>\nAdd them.\n\n{fenced(TOTAL)}\n"),
        Answer(f"<think>\n<think>{WRONG}</think>\n{fenced(WRONG)}</think>\n{TOTAL}"),
        Answer(
            fenced('def total(s):\n    return s.split("</think>")[-1]'),
            'def total(s):\n    return s.split("</think>")[-1]',
        ),
        Answer(
            fenced('TAG = """\n<think>\n"""\n\n\ndef total(s):\n    return TAG + s'),
            'TAG = """\n<think>\n"""\n\n\ndef total(s):\n    return TAG + s',
        ),
    ],
    "cut off": [
        Answer(f"```python\n{TOTAL}"),
        Answer(f"Here:\n\n~~~py\n{TOTAL}\n\n"),
        Answer(f"```python\n{TOTAL}\n\n\nprint(total([1, 2"),
        Answer(f"{fenced(TOTAL)}\n\nA shorter one:\n\n```python\ndef total(xs):\n    return su(", spec=NAMED),
        Answer(f"```python\n{HELPER}\n\n\n{USES}\n\n\nif __name__ == '__main__':\n    print(tot(", BOTH, NAMED),
        Answer(f"1. So:\n\n   ```python\n{indented(TOTAL, '   ')}"),
        Answer(f"{fenced(TOTAL)}\n\nOutput:\n```\n3"),
    ],
    "no fence": [
        Answer(f"Here is the solution:\n\n{TOTAL}\n\nIt adds all numbers."),
        Answer(f"Sure!\n{TOTAL}\nComplexity: O(n)\nO(n)\nDone"),
        Answer(f"# Solution\n\n{BOTH}\n\nNote: this doubles.\nIt is linear.", BOTH),
        Answer(
            f"We import math.\n\nfrom math import fsum\n\n\n@staticmethod\n{TOTAL}\n\nelse nothing",
            f"from math import fsum\n\n\n@staticmethod\n{TOTAL}",
        ),
        Answer(f"Code:\n\n{indented(TOTAL, '    ')}\n\nIt adds."),
        Answer(f"The program:\n\n{READS}\n\nIt halves n.", READS, PROGRAM),
        Answer(f"<answer>{TOTAL}</answer>"),
        Answer(f"[PYTHON]\n{TOTAL}\n[/PYTHON]\nDone."),
        Answer(f"Table first:\nSIZES = [\n1,\n2,\n]\n\n{TOTAL}\n\nThat is it.", f"SIZES = [\n1,\n2,\n]\n\n{TOTAL}"),
        Answer(f"{TOTAL}\n\nUsage:\n```python\ntotal([1])\n```"),
        Answer(
            'Text:\n\nPAGE = """\nIt adds\nnumbers.\n"""\n\n\ndef total(xs):\n    return PAGE\n\nSo it does.',
            'PAGE = """\nIt adds\nnumbers.\n"""\n\n\ndef total(xs):\n    return PAGE',
        ),
        Answer(f"{TOTAL}<|im_end|>"),
        Answer(
            f"import sys\n\nif len(sys.argv) > 1:\n    x = 1\nelse:\n    x = 2\n{TOTAL}\n",
            f"import sys\n\nif len(sys.argv) > 1:\n    x = 1\nelse:\n    x = 2\n{TOTAL}",
        ),
    ],
    "prompts": [
        Answer(SHOWN),
        Answer(fenced(SHOWN)),
        Answer(fenced(SHOWN, "pycon")),
        Answer(fenced("In [1]: def total(xs):\n   ...:     return sum(xs)\n   ...:\n\nIn [2]: total([1])\nOut[2]: 1")),
        Answer(f"In the shell:\n\n{SHOWN}\n\nSo it works."),
        Answer(fenced(f"{TOTAL}\n\n>>> total([1, 2])\n3")),
        Answer(f"{fenced(TOTAL)}\n\n{fenced('>>> total([1, 2])' + chr(10) + '3')}"),
        Answer(
            fenced(">>> import math\n>>> def total(xs):\n...     return math.fsum(xs)\n>>> total([1])\n1.0"),
            "import math\ndef total(xs):\n    return math.fsum(xs)",
        ),
    ],
    "several parts": [
        Answer(f"A helper:\n{fenced(HELPER)}\nThe function:\n{fenced(USES)}", BOTH),
        Answer(f"{fenced(HELPER)}\n{fenced(USES)}\nTest:\n{fenced('assert total([1]) == 2')}", BOTH, NAMED),
        Answer(
            f"{fenced('import math')}\n{fenced('def total(xs):' + chr(10) + '    return math.fsum(xs)')}",
            "import math\n\n\ndef total(xs):\n    return math.fsum(xs)",
            NAMED,
        ),
        Answer(f"The function:\n{fenced(USES)}\nwith its helper:\n{fenced(HELPER)}", BOTH, NAMED),
        Answer(f"{fenced(USES)}\nwith\n{fenced(HELPER)}", BOTH),
        Answer(f"{fenced(MAIN)}\nand at the end:\n{fenced('main()')}", f"{MAIN}\n\n\nmain()", PROGRAM),
        Answer(
            f"A helper first:\n{fenced('def half(n):' + chr(10) + '    return n // 2')}\nAll:\n{fenced(READS)}", READS
        ),
        Answer(
            f"{fenced('LIMIT = 10')}\n{fenced('def total(xs):' + chr(10) + '    return min(LIMIT, sum(xs))')}",
            "LIMIT = 10\n\n\ndef total(xs):\n    return min(LIMIT, sum(xs))",
            NAMED,
        ),
        Answer(f"{HELPER}\n\nNow the function.\n\n{USES}\n\nDone.", BOTH, NAMED),
    ],
    "versions": [
        Answer(f"{fenced(WRONG)}\nThat is wrong. Corrected:\n{fenced(TOTAL)}", spec=NAMED),
        Answer(f"{fenced(WRONG)}\nCorrected:\n{fenced(TOTAL)}\nUse:\n{fenced('print(total([1]))')}"),
        Answer(f"{fenced(HELPER + chr(10) * 3 + WRONG)}\nCorrected:\n{fenced(USES)}", BOTH, NAMED),
        Answer(
            f"{fenced(TOTAL)}\nOnly the head changes:\n{fenced('def total(xs):' + chr(10) + '    ...')}", spec=NAMED
        ),
        Answer(f"{fenced(TOTAL)}\nNot so:\n{fenced('def total(xs)' + chr(10) + '    return sum xs')}", spec=NAMED),
        Answer(f"{fenced('n = int(input())' + chr(10) + 'print(n)')}\nBetter:\n{fenced(READS)}", READS, PROGRAM),
        Answer(f"Skeleton:\n{fenced('def total(xs):' + chr(10) + '    pass')}\nFilled in:\n{fenced(TOTAL)}"),
    ],
    "other block last": [
        Answer(f"{fenced(TOTAL)}\nRun it:\n{fenced(last, info)}")
        for last, info in (
            ("python3 total.py", "bash"),
            ("$ python total.py\n3", ""),
            ("3", ""),
            ("3", "output"),
            ("def means define", "text"),
            ("-def total(xs):\n+def total(xs, k):", "diff"),
            ('{"total": 3}', "json"),
            ("int total(int x) {}", "c"),
            ("total([1, 2])", "python"),
            ("print(total([1, 2]))", "python"),
            ("assert total([1, 2]) == 3", "python"),
            ("Traceback (most recent call last):\nValueError", ""),
            ("pip install numpy", ""),
            ("[1, 2]", "python"),
            (
                "import unittest\n\n\nclass TestTotal(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(total([1]), 1)",
                "python",
            ),
            ("def test_total():\n    assert total([1]) == 1", "python"),
            ("xs = [1, 2]\nprint(total(xs))", "python"),
            ("function total(xs)", "pseudocode"),
            ("import pytest\n\nassert total([]) == 0", "python"),
        )
    ],
    "what the task needs": [
        Answer(f"{fenced(TOTAL)}\nAlso:\n{fenced(HELPER)}", spec=NAMED),
        Answer(f"{fenced(METHOD)}\nTry:\n{fenced('print(Solution().total([1]))')}", METHOD, NAMED),
        Answer(
            f"{fenced(READS)}\nAs a function:\n{fenced('def half(n):' + chr(10) + '    return n // 2')}", READS, PROGRAM
        ),
        Answer(f"{fenced(READS)}\nFor example:\n{fenced('print(7 // 2)')}", READS, PROGRAM),
        Answer(fenced("    return sum(xs)"), "    return sum(xs)", STUB),
        Answer(fenced("return sum(xs)"), "return sum(xs)", STUB),
        Answer("    return sum(xs)\n", "    return sum(xs)", STUB),
        Answer("return sum(xs)", "return sum(xs)", STUB),
        Answer("    return sum(xs)\n\nThis adds.\n", "    return sum(xs)", STUB),
        Answer("total = sum\n", "total = sum", NAMED),
        Answer(
            f"{fenced('from functools import reduce' + chr(10) + TOTAL)}\n{fenced(HELPER)}\n{fenced('total = None', 'text')}",
            f"from functools import reduce\n{TOTAL}",
            STUB,
        ),
        Answer(f"<answer>\n{fenced(TOTAL)}\n</answer>\n\n{fenced(WRONG)}", spec=NAMED),
    ],
}
