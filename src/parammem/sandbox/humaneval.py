"""HumanEval-format problems (task_id, prompt, entry_point, canonical_solution, test) and their test programs."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from parammem.core.jsonl import iter_values
from parammem.core.python_source import parse_python, statements
from parammem.core.record import Record
from parammem.errors import DataError, RecordError
from parammem.sandbox.jobs import ProgramCheck
from parammem.sandbox.trusted import trust_tests


class HumanEvalProblem(Record):
    """One row of a HumanEval-format file (Chen et al. 2021, arXiv:2107.03374). Other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    def program(self, completion: str) -> str:
        """Return prompt and completion as one source text.

        Where the completion is indented unlike the prompt's docstring (MBPP's is), the docstring is left out. Nothing
        else is mended: a body at the left margin is no body, as in the official harness.
        """
        for head in (self.prompt, _without_docstring(self.prompt)):
            if _compiles(head + completion):
                return head + completion
        return self.prompt + completion

    def check(self, completion: str, origin: str) -> ProgramCheck:
        """Return the test program for a completion of the prompt. The prompt's helpers are known to the tests.

        origin: the file that the problem comes from, which whoever calls this trusts as a program.
        """
        return ProgramCheck(
            source=self.program(completion),
            entry=self.entry_point.strip(),
            tests=trust_tests(self.test, origin=origin),
            preamble=trust_tests(self.prompt, origin=origin) if _compiles(self.prompt) else None,
        )


def read_problems(path: Path | str) -> list[HumanEvalProblem]:
    """Return the problems of a .jsonl or .jsonl.gz file.

    Raises:
        DataError: there is no such file.
        RecordError: a line is no such problem.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}; give a HumanEval-format .jsonl or .jsonl.gz file")
    problems = []
    for number, value in iter_values(path):
        try:
            problems.append(HumanEvalProblem.model_validate(value))
        except ValidationError as error:
            raise RecordError(
                f"{path}:{number}: not a HumanEval-format problem: {str(error)[:300]}; "
                "it needs task_id, prompt, entry_point, canonical_solution and test"
            ) from None
    return problems


def body_in(prompt: str, text: str) -> str | None:
    """Return the text as a body of the prompt's function; None if it is none.

    A body whose first line or all of it lost its indentation gets it back: chats do that to what a model wrote.
    """
    depth = _depth(prompt)
    for head in dict.fromkeys((prompt, _without_docstring(prompt))):
        for moved in (text, depth + text, textwrap.indent(text, depth)):
            if _is_whole(head, moved):
                return moved
    return None


def _compiles(source: str) -> bool:
    return parse_python(source) is not None


def _depth(prompt: str) -> str:
    """Return the indentation of the prompt's last function."""
    tree = parse_python(prompt)
    last = tree.body[-1] if tree and tree.body else None
    first = last.body[0].col_offset if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef) else 4
    return " " * first


def _is_whole(head: str, body: str) -> bool:
    """Return whether head and body are a program whose function does something, and that returns from no place outside
    of one."""
    tree = parse_python(head + body)
    if tree is None or not body.strip():
        return False
    after = head.count("\n") + 1
    grown = [node for node in tree.body if node.lineno <= after <= (node.end_lineno or 0) and hasattr(node, "body")]
    return bool(grown) and not any(isinstance(node, ast.Return) for node in statements(tree.body))


def _without_docstring(prompt: str) -> str:
    """Return the prompt up to its last function's docstring."""
    tree = parse_python(prompt)
    last = tree.body[-1] if tree and tree.body else None
    if not isinstance(last, ast.FunctionDef) or ast.get_docstring(last) is None:
        return prompt
    return "".join(prompt.splitlines(keepends=True)[: last.body[0].lineno - 1])
