"""A conversation as one task and one attempt with its steps, or the rule by which it cannot be mapped without loss.

The task is what the user said before the agent began. The attempt's steps are all that came after, to the submission:
the last thing that the agent handed over, by a tool that submits, or as text. A question back and a courtesy are no
submission, and the examples of a few-shot prompt are neither attempts nor steps.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from parammem.core import GivenAdvice, Step, ToolCall
from parammem.core.advice import without_advice
from parammem.core.python_source import parse_python
from parammem.experience.formats.base import Unreadable
from parammem.experience.formats.turns import ChatTurn

SUBMITS = re.compile(
    r"(?:.*[_.-])?(?:submit|submission|final_?answer|answer|finish|complete|attempt_completion|done|respond|"
    r"final_?(?:response|result)|structured_?output)(?:[_-]?(?:task|final|solution|answer|code|result))*",
    re.IGNORECASE,
)
"""Names of tools that hand an answer over."""
LONGEST_NAME = 200
"""Characters of a tool's name that are looked at: matching takes quadratic time."""
HANDED = (
    "answer", "submission", "code", "solution", "final_answer", "result", "output", "patch", "response", "message",
    "content", "text",
)  # fmt: skip
"""Arguments of such a tool that hold the answer, the likeliest first."""
TURNS, LOOKED_AT = 100, 5000
"""Turns of a user that are compared, and characters of one that are looked at: comparing takes quadratic time."""
SIMILAR = 0.55
"""Share of words that two questions of one few-shot prompt have in common, at least."""

_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"\w+|[^\w\s]")
_FENCE = re.compile(r"(?:```|~~~)[^\n]*\n")
_SAID = re.compile(r"\\boxed|####|\banswer\s*(?:is\b|:)|```|~~~", re.IGNORECASE)
_THANKS = re.compile(
    r"\b(?:thanks?|thank you|thx|cheers|perfect|great|awesome|nice|works|correct|exactly|looks good|well done)\b",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"\b(?:(?:you(?:'|\u2019| a)re)(?: very| most)? welcome|welcome|glad|happy to|no problem|my pleasure|any ?time|"
    r"good luck|have a (?:nice|great|good)|let me know|feel free|don(?:'|\u2019)t mention it|you bet|"
    r"anything else|hope (?:this|that|it) helps|enjoy|bye|cheers)\b",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"[^\w\s]\s{1,4}(?:would you like|would it help|is there anything|anything else|can i (?:help|assist)|"
    r"(?:do you )?(?:want|need) (?:any|more|further|additional))\b[^.!?\n]*\?$",
    re.IGNORECASE,
)
"""An offer of more help behind an answer: the answer is no question back."""
_COMPLAINT = re.compile(
    r"\b(?:error|exception|traceback|fail\w*|wrong|incorrect|not (?:right|correct|true|quite|what)|fix|try again|retry|"
    r"once more|bugs?|buggy|still|broken|crash\w*|mistakes?|nope|misses|missing|mismatch|assertionerror)\b",
    re.IGNORECASE,
)
_REPORT = re.compile(
    r"\b(?:gives?|gave|got|returns?|returned|prints?|printed|instead|should be|should have|but|output|expected)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\s*(?:now|next|also|then|and|please|write|make|add|implement|create|give me|can you|could you|would you|what|how|"
    r"why|which|who|when|where|explain|continue|go on)\b",
    re.IGNORECASE,
)


class Chat(NamedTuple):
    """What a conversation says."""

    task: str
    submission: str | None
    """None: nothing was handed over."""
    steps: tuple[Step, ...]
    feedback: str
    """What its user said to the submission."""
    advice: tuple[GivenAdvice, ...]


class _Said(NamedTuple):
    """A message with text of a user or an assistant."""

    user: bool
    text: str
    place: int
    """Of its turn."""
    calls: bool
    """Whether it calls a tool: then it is no answer."""


def read_chat(turns: Sequence[ChatTurn], kind: str) -> Chat:
    """Return the task, the submission and the steps of a conversation. Raises Unreadable.

    Args:
        kind: of the domain. Kinds code, math and qa want one answer to one question; others take every conversation.
    """
    turns, advice = _without_advice(turns)
    said = [
        _Said(turn.role == "user", turn.text, place, bool(turn.calls))
        for place, turn in enumerate(turns)
        if turn.text and turn.role in ("user", "assistant")
    ]
    begun = next((place for place, turn in enumerate(turns) if turn.role == "assistant"), len(turns))
    if not any(one.user and one.place < begun for one in said):
        begun = next((one.place for one in said if one.user), -1) + 1
    if not begun or not any(one.user for one in said):
        raise Unreadable("not-a-record", "messages: no user message with text")
    stepped = any(turn.calls or turn.results for turn in turns)
    if stepped or kind == "open":
        return _agent_run(turns, said, begun, kind, advice)
    return _answered(turns, said, kind, advice)


def _without_advice(turns: Sequence[ChatTurn]) -> tuple[list[ChatTurn], tuple[GivenAdvice, ...]]:
    """Return the turns without blocks of advice, and each piece of advice once."""
    found: dict[tuple[str, int | None], GivenAdvice] = {}
    left = []
    for turn in turns:
        text, advice = without_advice(turn.text) if turn.role != "assistant" else (turn.text, ())
        for one in advice:
            found.setdefault((one.digest, one.draw), one)
        left.append(turn._replace(text=text) if advice else turn)
    return left, tuple(found.values())


def _agent_run(
    turns: Sequence[ChatTurn], said: Sequence[_Said], begun: int, kind: str, advice: tuple[GivenAdvice, ...]
) -> Chat:
    """Return the chat of a run with tools, or of an open domain: one attempt, whatever its user says meanwhile."""
    task, begun = _asked(turns, said, begun, kind)
    place, text = _handed_over(turns, said, begun, kind)
    end = len(turns) if place is None else place + 1
    steps = tuple(step for turn in turns[begun:end] for step in turn.steps())
    after = next((one.text for one in said if one.user and one.place >= end), "")
    return Chat(task, text, steps, after if place is not None else "", advice)


def _asked(turns: Sequence[ChatTurn], said: Sequence[_Said], begun: int, kind: str) -> tuple[str, int]:
    """Return the task's text, and the turn with which the attempt begins: a question back belongs to the task."""
    asked = [one.text for one in said if one.user and one.place < begun]
    later = [one for one in said if one.place >= begun] if kind != "open" else []
    place = 0
    while (place := next((at for at in range(place, len(later)) if not later[at].user), len(later))) + 1 < len(later):
        back, reply = later[place], later[place + 1]
        if back.calls or not _is_question(back.text) or not reply.user:
            break
        if any(turn.calls for turn in turns[begun : reply.place]):
            break
        asked += [back.text, reply.text]
        begun, place = reply.place + 1, place + 2
    return "\n\n".join(asked), begun


def _handed_over(
    turns: Sequence[ChatTurn], said: Sequence[_Said], begun: int, kind: str
) -> tuple[int | None, str | None]:
    """Return the turn of the submission, and its text."""
    calls = [(place, call) for place, turn in enumerate(turns) if place >= begun for call in turn.calls]
    submit = next(
        ((place, call) for place, call in reversed(calls) if SUBMITS.fullmatch(call.name[:LONGEST_NAME])), None
    )
    answers = [one for one in said if one.place >= begun and not one.user and not one.calls]
    if kind == "code":
        answers = [one for one in answers if holds_program(one.text)]
    else:
        places, first = {one.place: place for place, one in enumerate(said)}, _first_said(said)
        answers = [one for one in answers if not _is_aside(said, places[one.place], first)]
    last = answers[-1] if answers else None
    if submit and not (last and last.place > submit[0] and (kind == "code" or _SAID.search(last.text))):
        place, call = submit
        before = [one.text for one in said if begun <= one.place <= place and not one.user]
        if call.arguments or (kind == "open" and not before):
            return place, _argument(call) if call.arguments else _as_text(call)
        if kind == "open":
            return place, before[-1]
    if last:
        return last.place, last.text
    if kind == "open":
        return (calls[-1][0], _as_text(calls[-1][1])) if calls else (None, None)
    if not calls:
        return None, None
    raise Unreadable(
        "tool-calls", "messages: nothing that was handed over can be judged as an answer of this domain; give it as "
        "the text of an assistant message or as the argument of a tool named submit, or take a domain of kind open"
    )  # fmt: skip


def _argument(call: ToolCall) -> str:
    """Return what a tool that submits was given: its likeliest argument, or all of them."""
    if isinstance(call.arguments, str):
        return call.arguments
    texts = {name: value for name, value in call.arguments.items() if isinstance(value, str | int | float)}
    found = next((texts[name] for name in HANDED if name in texts), None)
    if found is None and len(texts) == 1:
        found = next(iter(texts.values()))
    return str(found) if found is not None else json.dumps(call.arguments, ensure_ascii=False)


def _as_text(call: ToolCall) -> str:
    given = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return f"{call.name}({given})"


def _answered(turns: Sequence[ChatTurn], said: Sequence[_Said], kind: str, advice: tuple[GivenAdvice, ...]) -> Chat:
    """Return the chat of a conversation without tools, about one question of kind code, math or qa."""
    answers = _answers(said, kind)
    blocks = _blocks(said, answers)
    if len(blocks) > TURNS:
        raise Unreadable("several-turns", f"messages: {len(blocks)} turns of a user; {_SPLIT}")
    asked, tries = blocks[0][0], [answer for _, answer, _ in blocks if answer]
    between = [text for text, answer, _ in blocks[1:] if answer]
    last = next((text for text, answer, _ in reversed(blocks[1:]) if not answer), "")
    first = 0  # which question the last answers are to
    for number, text in enumerate(between, 1):
        if _is_alike(asked, text):
            if first != number - 1:
                raise Unreadable("several-turns", f"messages: question {number + 1} comes after feedback; {_SPLIT}")
            first, asked = number, text
        elif not _is_feedback(text):
            raise Unreadable("several-turns", f"messages: user turn {number + 1} asks for something else; {_SPLIT}")
    left = tries[first:]
    if not left:
        return Chat(asked, None, (), last, advice)
    start = [begun for _, answer, begun in blocks if answer][first]
    final = max(said[place].place for place in answers)
    steps = [step for turn in turns[start : final + 1] for step in turn.steps()]
    return Chat(asked, left[-1], tuple(steps) if len(steps) > 1 else (), last, advice)


_SPLIT = "give each task a row of its own, with its outcome"


def _answers(said: Sequence[_Said], kind: str) -> set[int]:
    """Return the places of the messages in which an answer is handed over."""
    begun = next(place for place, one in enumerate(said) if one.user)
    told = [place for place, one in enumerate(said) if place > begun and not one.user]
    if kind == "code":
        programs = {place for place in told if holds_program(said[place].text)}
        if programs:
            return programs
    first = _first_said(said)
    return {place for place in told if not _is_aside(said, place, first)}


def holds_program(text: str) -> bool:
    """Return whether a message holds Python: a fenced block, or nothing but a program."""
    if _FENCE.search(text):
        return True
    tree = parse_python(text)
    body = tree.body if tree is not None else []
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in body)


def _first_said(said: Sequence[_Said]) -> int:
    """Return the place of the assistant's first message."""
    return next((place for place, one in enumerate(said) if not one.user), len(said))


def _is_aside(said: Sequence[_Said], place: int, first: int) -> bool:
    """Return whether an assistant's message is a question back or a courtesy.

    Args:
        first: place of the first message of the assistant, which is no courtesy.
    """
    text = said[place].text
    if _SAID.search(text):
        return False
    before = said[place - 1]
    thanked = before.user and place > 1 and _is_short(before.text, 15) and _THANKS.search(before.text)
    if thanked and not (_COMPLAINT.search(before.text) or before.text.endswith("?")):
        return True
    return _is_question(text) or bool(place > first and _is_short(text, 25) and _COURTESY.search(text))


def _is_question(text: str) -> bool:
    return text.endswith("?") and not _SAID.search(text) and not _OFFER.search(text[-400:])


def _is_short(text: str, words: int) -> bool:
    return len(text) < 20 * words and len(text.split()) <= words


def _blocks(said: Sequence[_Said], answers: set[int]) -> list[tuple[str, str, int]]:
    """Return what was asked, the answer to it and the turn with which the answer begins; the last one may have no
    answer. Questions back and their answers belong to what is asked; of several answers in a row the last one
    stands."""
    return list(_in_turn(said, answers)) or [("", "", 0)]


def _in_turn(said: Sequence[_Said], answers: set[int]) -> Iterator[tuple[str, str, int]]:
    asked: list[str] = []
    answer = question = ""
    begun = 0
    for place, one in enumerate(said):
        if place in answers:
            begun = begun if answer else one.place
            answer = one.text
        elif not one.user:
            question = one.text if not answer and asked and _is_question(one.text) else ""
        else:
            if answer:
                yield "\n\n".join(asked), answer, begun
                asked, answer = [], ""
            asked += [question, one.text] if question else [one.text]
            question = ""
    if asked:
        yield "\n\n".join(asked), answer, begun


def _is_alike(before: str, text: str) -> bool:
    """Return whether two questions are of one form, as the examples of a prompt are."""
    left, right = (_WORD.findall(_DIGITS.sub("0", one[:LOOKED_AT].casefold()))[:100] for one in (before, text))
    return SequenceMatcher(None, left, right, autojunk=False).ratio() >= SIMILAR


def _is_feedback(text: str) -> bool:
    """Return whether a user's turn is about the answer before it."""
    text = text[:LOOKED_AT]
    if _COMPLAINT.search(text):
        return True
    return not _ASKS.match(text) and _REPORT.search(text) is not None
