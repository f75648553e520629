"""Any text judged as an evaluation would judge it: what was read out of it, by which rule, and whether it is right.

Rows are {text, gold} or {text, row}, row being in a benchmark's own format. For people who ask why something was judged
wrong. A row that cannot be judged is refused by name, and the others go on.
"""

from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from parammem.benchmarks.item import Item, Missing
from parammem.benchmarks.table import BENCHMARKS, get_benchmark
from parammem.core import AnswerKey, Task
from parammem.core.python_source import parse_python
from parammem.core.record import Record
from parammem.domains import Domain, Prompts
from parammem.domains.answers import Equality, Reading
from parammem.domains.real_math import RealMathJudge, RealMathPrompts
from parammem.domains.real_qa import RealQaJudge, RealQaPrompts
from parammem.domains.wording import short
from parammem.errors import ConfigError, DataError

TEXT_FIELDS = ("text", "program")
GOLD_FIELDS = ("gold", "want")
SHOWN = 200
"""Characters of a value that a detail shows."""


class Graded(Record):
    """What became of one row."""

    row: int
    """Its place in the file, from 1: the line, or the member of a JSON array."""
    verdict: Literal["right", "wrong", "refused"]
    read: str = ""
    """What was read out of the text."""
    read_by: str = ""
    """The rule that found it."""
    judged_by: str = ""
    """The rule that compared it."""
    expected: str = ""
    """The gold answer."""
    detail: str = ""
    """Of tests, what the first that failed says."""
    reason: str = ""
    """Why the row was refused."""


@dataclass(frozen=True)
class _Asked:
    """One row that can be judged."""

    number: int
    text: str
    gold: str | None
    item: Item | None
    verbatim: bool
    """The text is the program itself, with nothing around it."""


def grade(path: Path, domain: Domain, benchmark: str = "") -> list[Graded]:
    """Judge every row of a file, in its order.

    Args:
        path: JSON lines or a JSON array, perhaps with gzip.
        domain: a domain of real benchmarks.
        benchmark: whose format the `row` fields have; "" if each row names its own in a field `benchmark`.

    Raises:
        ConfigError: there is no such benchmark, or it is of another domain.
        DataError: the file cannot be read, or is empty.
    """
    if benchmark and get_benchmark(benchmark).domain != domain.name:
        fitting = ", ".join(name for name, one in BENCHMARKS.items() if one.domain == domain.name)
        raise ConfigError(f"benchmark {benchmark!r} is not of domain {domain.name}; of that domain are {fitting}")
    asked: list[_Asked] = []
    done: dict[int, Graded] = {}
    for number, row in _rows(path):
        try:
            asked.append(_asked(number, row, domain.name, benchmark))
        except Missing as error:
            done[number] = Graded(row=number, verdict="refused", reason=str(error))
    if not asked and not done:
        raise DataError(f"{path} holds no row; give lines of {{text, gold}} or {{text, row}}")
    for one in _judged(domain, asked):
        done[one.row] = one
    return [done[number] for number in sorted(done)]


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each row with its number; of a line that is no JSON the error, for the row's own refusal."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (OSError, EOFError) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}; give a JSONL file") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip().startswith(b"["):
        try:
            listed = json.loads(data)
        except ValueError as error:
            raise DataError(f"{path}: not JSON: {error}; give JSON lines or one JSON array") from None
        yield from enumerate(listed, 1)
        return
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line.strip(b"\x1e\0 \t\r").removesuffix(b","))
            except (ValueError, RecursionError) as error:
                yield number, error


def _asked(number: int, row: Any, domain: str, benchmark: str) -> _Asked:
    """Return one row, checked. Raises Missing, saying what is wrong with it."""
    if isinstance(row, Exception):
        raise Missing(f"not JSON: {row}")
    if not isinstance(row, dict):
        raise Missing(f"a {type(row).__name__} is no row; give {{text, gold}} or {{text, row}}")
    named = next((name for name in TEXT_FIELDS if name in row), None)
    if named is None or not isinstance(row[named], str):
        raise Missing("no field 'text' that holds text")
    text = row[named]
    if "row" in row:
        item = _item(number, row["row"], str(benchmark or row.get("benchmark", "")), domain)
        return _Asked(number, text, None, item, named == "program")
    gold = next((row[name] for name in GOLD_FIELDS if name in row), None)
    if isinstance(gold, bool) or not isinstance(gold, str | int | float):
        raise Missing("no field 'gold' that holds text or a number, and no field 'row'")
    if domain == "code" and _tree(str(gold)) is None:
        raise Missing("its gold is no Python program")
    if not str(gold).strip():
        raise Missing("its gold is empty")
    return _Asked(number, text, str(gold), None, named == "program")


def _item(number: int, row: Any, benchmark: str, domain: str) -> Item:
    if benchmark not in BENCHMARKS:
        told = f"no benchmark {benchmark!r}" if benchmark else "its row is of no named benchmark"
        raise Missing(f"{told}; give --benchmark, one of {', '.join(BENCHMARKS)}")
    if BENCHMARKS[benchmark].domain != domain:
        raise Missing(f"benchmark {benchmark!r} is of domain {BENCHMARKS[benchmark].domain}, not {domain}")
    if not isinstance(row, dict):
        raise Missing("its field 'row' holds no object")
    try:
        return BENCHMARKS[benchmark].reader(row, number)
    except Exception as error:  # a loader gets any shape of data here; one row's fault is one refusal
        raise Missing(f"no row of {benchmark}: {type(error).__name__}: {short(str(error), SHOWN)}") from error


def _judged(domain: Domain, asked: Sequence[_Asked]) -> Iterator[Graded]:
    prompts, judge = domain.prompts, domain.judge
    if isinstance(prompts, RealMathPrompts | RealQaPrompts) and isinstance(judge, RealMathJudge | RealQaJudge):
        for one in asked:
            hidden = one.item.key.hidden if one.item else {"answer": one.gold or ""}
            found = judge.compare(hidden, prompts.parse(one.text))
            yield _answered(one.number, prompts.read(one.text), found, str(hidden["answer"]))
        return
    yield from (_same_tree(prompts, one) for one in asked if one.item is None)
    yield from _run(domain, [one for one in asked if one.item is not None])


def _answered(number: int, read: Reading, found: Equality, expected: str) -> Graded:
    return Graded(
        row=number,
        verdict="right" if found.equal else "wrong",
        read=read.answer,
        read_by=read.rule,
        judged_by=found.by,
        expected=expected,
    )


def _program(prompts: Prompts, one: _Asked) -> tuple[str, str]:
    """Return the program in a text, and the rule that found it."""
    if one.verbatim and _tree(one.text) is not None:
        return one.text, "the whole text, a program"
    return prompts.parse(one.text, one.item.task if one.item else None), "the program in the text"


def _same_tree(prompts: Prompts, one: _Asked) -> Graded:
    """Return a program against another one, as syntax trees: layout and comments aside."""
    program, rule = _program(prompts, one)
    found = _tree(program)
    right = found is not None and found == _tree(one.gold or "")
    return Graded(
        row=one.number,
        verdict="right" if right else "wrong",
        read=program,
        read_by=rule,
        judged_by="the same syntax tree" if found is not None else "what was read is no Python program",
        expected=one.gold or "",
    )


def _tree(source: str) -> str | None:
    tree = parse_python(source)
    try:
        return None if tree is None else ast.dump(tree)
    except (MemoryError, RecursionError):
        return None


def _run(domain: Domain, asked: Sequence[_Asked]) -> Iterator[Graded]:
    """Grade programs by running the hidden tests of their benchmark's rows in the sandbox."""
    pairs: list[tuple[_Asked, str, str]] = []
    for one in asked:
        program, rule = _program(domain.prompts, one)
        if program.isascii() or _is_utf8(program):
            pairs.append((one, program, rule))
        else:
            yield Graded(row=one.number, verdict="wrong", read=program, read_by=rule,
                         judged_by="half a surrogate pair is in no program")  # fmt: skip
    items: list[tuple[Task, AnswerKey, str]] = [(o.item.task, o.item.key, p) for o, p, _ in pairs if o.item]
    for (one, program, rule), score in zip(pairs, domain.judge.score(items) if items else [], strict=True):
        if isinstance(score, Exception):
            reason = f"cannot be judged: {type(score).__name__}: {short(str(score), SHOWN)}"
            yield Graded(row=one.number, verdict="refused", read=program, read_by=rule, reason=reason)
            continue
        yield Graded(
            row=one.number,
            verdict="right" if score.passed else "wrong",
            read=program,
            read_by=rule,
            judged_by="the hidden tests of the row, in the sandbox",
            detail=score.detail,
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
