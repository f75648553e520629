"""Which text of a model's answer is the program: `program_in`, for everybody who asks.

What the task needs decides, not which block came last: the function or class that it names, a body that completes its
stub, or a program that reads and prints. Of several versions the last that Python can read counts. What it uses and
other blocks define (a helper, an import) is put before it. Tests, examples of use, output and prose are not it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parammem.domains.code_blocks import (
    FENCE,
    Block,
    fenced_blocks,
    has_prompts,
    inline_code,
    loosely_fenced_blocks,
    outside_fences,
    parsed,
    plain,
    without_prompts,
)
from parammem.domains.code_carriers import code_in_json, marked_code, with_fences, without_tokens
from parammem.domains.code_copied import copied_code
from parammem.domains.code_parts import Part, needed, part_of, plain_parts
from parammem.domains.code_thinking import code_without_thinking
from parammem.sandbox.humaneval import body_in

LONGEST = 120_000
"""Characters of an answer that are looked into; the last ones. Token limits of today's models come to less."""
_CUT = 6
"""Statements at the end of a block that was cut off that are left out at most, to find what is whole."""
_TAGS = re.compile(
    r"</?(?:answer|final_answer|solution|code|pre|python|program|response|output|parameter|function|tool_call)\b[^>\n]{0,80}>"
    r"|\[/?(?:PYTHON|BEGIN|DONE|CODE|SOLUTION|ANSWER)\]|<\|[^|>\n]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|<!\[CDATA\[|\]\]>"
)
_TAGGED = re.compile(r"\s*\[(?:BEGIN|CODE|PYTHON|SOLUTION|ANSWER)\]")
"""A tag that Python would take for a list."""
_ANSWER = re.compile(r"^[ \t]*<(answer|final_answer|solution)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Need:
    """What a task needs of an answer."""

    entry: str | None = None
    """The function or method that its tests call; "": it is run as a program; None: not known."""
    stub: str = ""
    """The head of the function, which an answer may complete."""

    @classmethod
    def of(cls, spec: Mapping[str, Any] | None) -> Need:
        """Return what `Task.visible` says; domains/real_code.py has its form."""
        entry, stub = (spec or {}).get("entry"), (spec or {}).get("stub")
        return cls(entry if isinstance(entry, str) else None, stub if isinstance(stub, str) else "")


_LANGUAGE_LINE = re.compile(r"\A\s*+(?:python3?|py3?)[ \t]*\n", re.IGNORECASE)
"""The name of the language as a line of its own, where a chat lost the fence that it stood behind."""


def program_in(text: str, spec: Mapping[str, Any] | None = None) -> str:
    """Return the program in what a model wrote. Never raises: what cannot be read so becomes a program that fails.

    Args:
        spec: `Task.visible` of the task, if it is at hand.
    """
    need = Need.of(spec)
    said, unfinished = code_without_thinking(text[-LONGEST:].replace("\r\n", "\n").replace("\r", "\n"))
    said = with_fences(without_tokens(said))
    if not FENCE.search(said):
        said = _LANGUAGE_LINE.sub("", said)
    for place in (*reversed([found[2] for found in _ANSWER.finditer(said)]), said):
        found = _solution(place, need)
        if found is not None:
            return found
    # Cut off while it thought: then what it had so far is all there is.
    found = _solution(unfinished, need) if unfinished else None
    return found if found is not None else _whatever(said or unfinished)


def _solution(text: str, need: Need) -> str | None:
    """Return the program that does what the task needs; None if there is none."""
    whole = (_TAGS.sub("", text) if _TAGGED.match(text) else text).strip("\n")
    if not FENCE.search(text):
        body = body_in(need.stub, whole) if need.stub else None
        if body is not None and not _defines_by_words(whole, need.entry or ""):
            return body
        part = part_of(whole)
        if part and (need.entry is None or _chosen([part], need)):
            return whole
    blocks = fenced_blocks(text)
    own = [block for block in blocks if block.language in ("python", "unnamed")]
    sources: tuple[Callable[[], list[Part]], ...] = (
        lambda: _parts([block for block in own if not block.rejected]),
        lambda: _parts(own),
        lambda: _parts(copied_code(blocks, text)),
        lambda: _parts([b for b in loosely_fenced_blocks(text) if b.language in ("python", "unnamed")]),
        lambda: [part for block in own if not parsed(block.code) for part in _lonely(plain_parts(block.code))],
        lambda: _parts(code_in_json(text)),
        lambda: _plain(text),
        lambda: _parts(marked_code(text)),
        lambda: _parts([*blocks, *inline_code(text)]),
    )
    for source in sources:
        found = _chosen(source(), need)
        if found is not None:
            return found
    return _unreadable(own, need) or (_body(own, text, need.stub) if need.stub else None)


def _parts(blocks: Sequence[Block]) -> list[Part]:
    return [part for block in blocks for part in _part(block)]


def _part(block: Block) -> list[Part]:
    """Return the block as a part. Of one that was cut off, what is whole."""
    code = plain(block.code)
    part = part_of(code, block.closed)
    if part is None and not block.closed:
        lines = code.split("\n")
        starts = [n for n, line in enumerate(lines) if line and line[0] not in " \t)]}"]
        shorter = (part_of("\n".join(lines[:n]).strip("\n"), closed=False) for n in reversed(starts[-_CUT:]))
        part = next((found for found in shorter if found), None)
    return [part] if part else []


def _lonely(parts: list[Part]) -> list[Part]:
    """Return the parts, if only one of them defines or reads anything: a program with words before or behind it, and
    not one with an error in its middle."""
    telling = [part for part in parts if part.functions or part.reads]
    return parts if len(telling) == 1 else []


def _plain(text: str) -> list[Part]:
    """Return Python outside of any fence."""
    bare = _TAGS.sub("\n", "\n".join(outside_fences(text)))
    typed = part_of(without_prompts(bare)) if has_prompts(bare) else None
    indented = re.findall(r"(?:^(?: {2}|\t).*\n?|^\n)+", bare, re.MULTILINE)
    parts = [typed] if typed else plain_parts(bare)
    if not any(part.functions or part.is_program for part in parts):
        parts += _parts([Block(block.strip("\n"), "unnamed") for block in indented if block.strip()])
    return parts


def _chosen(parts: Sequence[Part], need: Need) -> str | None:
    """Return the program among these parts, with what it needs of the others."""
    if need.entry is None:
        return _guessed(parts)
    if not need.entry:
        return _last_program(parts)
    fitting = [part for part in parts if _defines(part, need.entry)]
    return _joined(fitting[-1], parts) if fitting else None


def _defines(part: Part, entry: str) -> bool:
    name, _, method = entry.partition(".")
    return name in part.defined or (
        "Solution" in part.defined and re.search(rf"\bdef\s+{re.escape(method or name)}\b", part.code) is not None
    )


def _guessed(parts: Sequence[Part]) -> str | None:
    """Return the program where no task says what it needs: one that reads and prints, else the last function or class
    that no other one uses, else what prints."""
    program = next((part for part in reversed(parts) if part.is_program), None)
    if program is not None:
        return _joined(program, parts)
    defining = [part for part in parts if part.functions and not part.is_test]
    versions = [
        part for place, part in enumerate(defining) if not _is_helper(part, defining[:place] + defining[place + 1 :])
    ]
    if versions or defining:
        return _joined((versions or defining)[-1], parts)
    return _last_program(parts)


def _is_helper(part: Part, others: Sequence[Part]) -> bool:
    """Return whether another part needs what this one defines."""
    return any(part.functions & other.missing for other in others)


def _last_program(parts: Sequence[Part]) -> str | None:
    """Return the last that reads and prints when it is run, together with what it needs; else the last that prints."""
    joined = [(part, part_of(_joined(part, parts))) for part in parts]
    for fits in (
        lambda part, whole: part.is_program,
        lambda part, whole: part.runs and whole is not None and whole.is_program,
        lambda part, whole: part.runs and part.prints and not any(p.functions for p in parts),
        lambda part, whole: part.reads and part.prints,
        lambda part, whole: part.runs and part.prints,
    ):
        found = [whole.code for part, whole in joined if whole is not None and fits(part, whole)]
        if found:
            return found[-1]
    return None


def _joined(base: Part, parts: Sequence[Part]) -> str:
    """Return the part with those others that give a meaning to names that it uses: its helpers, before it."""
    taken: list[Part] = [base]
    codes = {id(base): base.code}
    missing = _wanted(base)
    have = set(base.bound)
    while missing:
        name = missing.pop()
        giving = [p for p in parts if id(p) not in codes and name in p.given and not p.is_test]
        if not giving:
            continue
        helper = giving[-1]
        whole = not (helper.functions & have) and not helper.runs
        codes[id(helper)] = helper.code if whole else needed(helper, frozenset({name}))
        taken.append(helper)
        have |= helper.bound
        missing |= _wanted(helper) if whole else set()
        missing -= have
    if len(taken) == 1:
        return base.code
    order = {id(part): place for place, part in enumerate(parts)}
    helpers = sorted((part for part in taken if part is not base), key=lambda part: order[id(part)])
    return "\n\n\n".join([*(codes[id(part)].strip("\n") for part in helpers), base.code])


def _wanted(part: Part) -> set[str]:
    """Return the names that others may have to give a part; `input` and `print` too, which a line before it may set
    anew."""
    return set(part.missing) | ({"input", "print"} & part.used - part.bound)


def _unreadable(blocks: Sequence[Block], need: Need) -> str | None:
    """Return the last block that by its words is the solution, though Python cannot read it."""
    fitting = [
        block.code for block in blocks if _looks_right(block.code, need) and not (need.stub and parsed(block.code))
    ]
    return fitting[-1] if fitting else None


def _looks_right(code: str, need: Need) -> bool:
    if need.entry:
        return _defines_by_words(code, need.entry)
    reads = r"input\(|sys\.stdin|open\(0"
    pattern = reads if need.entry == "" else rf"^[ \t]*+(?:def|class)\s|{reads}"
    return re.search(pattern, code, re.MULTILINE) is not None


def _defines_by_words(code: str, entry: str) -> bool:
    line = rf"^[ \t]*+(?:async[ \t]+)?(?:def|class)[ \t]+{re.escape(entry)}\b"
    return bool(entry) and re.search(line, code, re.MULTILINE) is not None


def _body(blocks: Sequence[Block], text: str, stub: str) -> str | None:
    """Return the body of the stub's function: the last block that completes it, or the lines that the text begins
    with."""
    bodies = [body for block in blocks if (body := body_in(stub, block.code)) is not None]
    ending = [body for body in bodies if re.search(r"\b(?:return|yield|raise)\b", body)]
    if ending or bodies:
        return (ending or bodies)[-1]
    lines = text.strip("\n").split("\n")
    margins = [n for n in range(1, len(lines)) if _at_margin(lines[n])]
    for end in (len(lines), *reversed(margins[:_CUT])):
        body = "\n".join(lines[:end]).rstrip()
        if body and (moved := body_in(stub, body)) is not None:
            return moved
    return None


def _at_margin(line: str) -> bool:
    return bool(line.strip()) and line[0] not in " \t"


def _whatever(text: str) -> str:
    """Return, where nothing is a solution, the last block that may be code, else everything."""
    blocks = fenced_blocks(text)
    own = [block.code for block in blocks if block.language in ("python", "unnamed")]
    return (own or [block.code for block in blocks] or [text.strip("\n")])[-1]
