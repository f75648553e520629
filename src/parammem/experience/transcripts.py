"""A chat transcript as a task with its attempts, or the rule by which it cannot be mapped without loss.

Attempts are answers that were handed over. A message that calls a tool, a question back and a courtesy are none, and
neither are the examples of a few-shot prompt. Steps are not kept: they are left out where an answer stands beside them,
and a transcript whose answer was handed over by a tool call is refused.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from parammem.core.python_source import parse_python

TEXT = ("text", "input_text", "output_text")
LEFT_OUT = ("refusal", "reasoning", "thinking", "redacted_thinking", "summary_text")
STEPS = ("tool_use", "tool_result", "tool_call", "tool_call_response", "function_call", "function_call_output")
IGNORED = ("system", "developer")
TURNS, LOOKED_AT = 100, 5000
"""Turns of a user that are told apart, and characters of one that are looked at: this is no work for long texts."""
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


class Unmapped(Exception):
    """A transcript that cannot be mapped: the rule's name, and why in words without any value of it."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule, self.detail = rule, detail


class Chat(NamedTuple):
    """What a transcript says."""

    task: str
    tries: list[str]
    feedback: list[str]
    """What its user said to each."""


class _Said(NamedTuple):
    """A message with text of a user or an assistant."""

    user: bool
    text: str


def read_chat(messages: Any, domain: str) -> Chat:
    """Return the task, the answers and what was said to them. Raises Unmapped."""
    said, steps = _messages(messages)
    if not any(one.user for one in said):
        raise Unmapped("not-a-record", "messages: no user message with text")
    answers = _answers(said, domain, steps)
    blocks = _blocks(said, answers)
    if len(blocks) > TURNS:
        raise Unmapped("several-turns", f"messages: {len(blocks)} turns of a user; {_SPLIT}")
    asked, tries = blocks[0][0], [answer for _, answer in blocks if answer]
    between = [text for text, answer in blocks[1:] if answer]
    last = next((text for text, answer in reversed(blocks[1:]) if not answer), "")
    first = 0  # which question the last attempts answer
    for number, text in enumerate(between, 1):
        if _is_alike(asked, text):
            if first != number - 1:
                raise Unmapped("several-turns", f"messages: question {number + 1} comes after feedback; {_SPLIT}")
            first, asked = number, text
        elif not _is_feedback(text):
            raise Unmapped("several-turns", f"messages: user turn {number + 1} asks for something else; {_SPLIT}")
    feedback = [*between[first:], last]
    return Chat(asked, tries[first:], feedback[: len(tries) - first])


_SPLIT = "give each task a row of its own, with its outcome"


def _messages(messages: Any) -> tuple[list[_Said], bool]:
    """Return the messages of users and assistants that have text, and whether tools were called."""
    if isinstance(messages, str):  # some data sets keep them as JSON text
        try:
            messages = json.loads(messages)
        except (ValueError, RecursionError):
            raise Unmapped("not-a-record", "messages: neither a list nor JSON text of one") from None
    if not isinstance(messages, list):
        raise Unmapped("not-a-record", "messages: not a list")
    said, steps = [], False
    for message in messages:
        if not isinstance(message, dict):
            raise Unmapped("not-a-record", "messages: one is not an object")
        role = message.get("role")
        if role in IGNORED:
            continue
        if role not in ("user", "assistant", "tool", "function"):
            raise Unmapped("not-a-record", "messages: a role is none of system, developer, user, assistant, tool")
        text, step = _content(message.get("content"))
        step = step or role in ("tool", "function") or bool(message.get("tool_calls") or message.get("function_call"))
        steps |= step
        if text and (role == "user" or not step) and role not in ("tool", "function"):
            said.append(_Said(role == "user", text))
    return said, steps


def _content(content: Any) -> tuple[str, bool]:
    """Return the text of a message's content, and whether it holds a tool call or its result."""
    if content is None or isinstance(content, str):
        return _plain(content or ""), False
    if not isinstance(content, list):
        raise Unmapped("not-a-record", "messages: content is neither text nor a list of parts")
    texts, step = [], False
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        text = part if isinstance(part, str) else part.get("text") if kind in TEXT else None
        if isinstance(text, str):
            texts.append(text)
        elif kind in STEPS:
            step = True
        elif kind not in LEFT_OUT:
            raise Unmapped("not-text", "messages: a part is no text (a picture, a sound, a file)")
    return _plain("\n".join(texts)), step


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _answers(said: Sequence[_Said], domain: str, steps: bool) -> set[int]:
    """Return places of the messages in which an answer is handed over."""
    begun = next(place for place, one in enumerate(said) if one.user)
    told = [place for place, one in enumerate(said) if place > begun and not one.user]
    if domain == "code":
        programs = {place for place in told if holds_program(said[place].text)}
        if programs:
            return programs
    found = {place for place in told if not _is_aside(said, place)}
    if steps and (domain == "code" or not found):
        raise Unmapped(
            "tool-calls", "messages: the answer was handed over by a tool call, and runs have no steps yet; "
            "give the answer as the text of an assistant message"
        )  # fmt: skip
    return found


def holds_program(text: str) -> bool:
    """Return whether a message holds Python: a fenced block, or nothing but a program."""
    if _FENCE.search(text):
        return True
    tree = parse_python(text)
    body = tree.body if tree is not None else []
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in body)


def _is_aside(said: Sequence[_Said], place: int) -> bool:
    """Return whether an assistant's message is a question back or a courtesy."""
    text = said[place].text
    if _SAID.search(text):
        return False
    before = said[place - 1]
    thanked = before.user and place > 1 and _is_short(before.text, 15) and _THANKS.search(before.text)
    if thanked and not (_COMPLAINT.search(before.text) or before.text.endswith("?")):
        return True
    return _is_question(text) or bool(_is_short(text, 25) and _COURTESY.search(text))


def _is_question(text: str) -> bool:
    return text.endswith("?") and not _SAID.search(text)


def _is_short(text: str, words: int) -> bool:
    return len(text) < 20 * words and len(text.split()) <= words


def _blocks(said: Sequence[_Said], answers: set[int]) -> list[tuple[str, str]]:
    """Return what was asked and the answer to it, in turn; the last one may have no answer. Questions back and what was
    said to them belong to what is asked; of several answers in a row the last one stands."""
    return list(_in_turn(said, answers)) or [("", "")]


def _in_turn(said: Sequence[_Said], answers: set[int]) -> Iterator[tuple[str, str]]:
    asked: list[str] = []
    answer = question = ""
    for place, one in enumerate(said):
        if place in answers:
            answer = one.text
        elif not one.user:
            question = one.text if not answer and asked and _is_question(one.text) else ""
        else:
            if answer:
                yield "\n\n".join(asked), answer
                asked, answer = [], ""
            asked += [question, one.text] if question else [one.text]
            question = ""
    if asked:
        yield "\n\n".join(asked), answer


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
