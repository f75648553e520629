"""HumanEval-format problems (task_id, prompt, entry_point, canonical_solution, test) and their test programs."""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from parammem.core.record import Record
from parammem.errors import DataError, RecordError
from parammem.sandbox.records import Check
from parammem.sandbox.trusted import trust_tests


class Problem(Record):
    """One row of a HumanEval-format file (Chen et al. 2021, arXiv:2107.03374). Other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    def program(self, completion: str) -> str:
        """Prompt and completion as one source text.

        Where the completion is indented unlike the prompt's docstring (MBPP's is), the docstring is left out.
        """
        whole = self.prompt + completion
        if _compiles(whole):
            return whole
        bare = _without_docstring(self.prompt) + completion
        return bare if _compiles(bare) else whole

    def check(self, completion: str, origin: str) -> Check:
        """The test program for a completion of the prompt. The prompt's helpers are known to the tests.

        origin: the file that the problem comes from, which whoever calls this trusts as a program.
        """
        return Check(
            source=self.program(completion),
            entry=self.entry_point.strip(),
            tests=trust_tests(self.test, origin=origin),
            preamble=trust_tests(self.prompt, origin=origin) if _compiles(self.prompt) else None,
        )


def read_problems(path: Path | str) -> list[Problem]:
    """The problems of a .jsonl or .jsonl.gz file.

    Raises:
        DataError: there is no such file.
        RecordError: a line is no such problem.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}; give a HumanEval-format .jsonl or .jsonl.gz file")
    opener = gzip.open if path.suffix == ".gz" else open
    problems = []
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                problems.append(Problem.model_validate(json.loads(line)))
            except (ValidationError, ValueError) as error:
                raise RecordError(
                    f"{path}:{number}: not a HumanEval-format problem: {str(error)[:300]}; "
                    "it needs task_id, prompt, entry_point, canonical_solution and test"
                ) from None
    return problems


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _without_docstring(prompt: str) -> str:
    """The prompt up to its last function's docstring."""
    if not _compiles(prompt):
        return prompt
    last = ast.parse(prompt).body[-1]
    if not isinstance(last, ast.FunctionDef) or ast.get_docstring(last) is None:
        return prompt
    return "".join(prompt.splitlines(keepends=True)[: last.body[0].lineno - 1])
