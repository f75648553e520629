"""Entries in the log of an imagined team, from notes in plain English; judged part by part, as the team writes them.

Task.visible: {"checks": [{"name", "place", "expected"}, …]}: what some parts of the entry must be. AnswerKey.hidden:
{"answer": the whole entry}. Every prompt shows a few solved examples as earlier turns of the chat, since a small
pretrained model learns from them what is asked; each word that an entry may have is in them equally often, so they say
nothing of the team's rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.core import AnswerKey, Attempt, Feedback, Outcome, Reflection, Score, Task
from parammem.domains.base import Example
from parammem.domains.house_rules import claims_in
from parammem.domains.prose import filled
from parammem.domains.wording import CheckResult, each, short, template
from parammem.engines.base import Message

STYLE = "english"
TURN = "\n---\n"
"""Between the turns of a prompt's file: the user's and the assistant's in turn, the user's last."""
ENTRY = "Entry:"


class EnglishPrompts:
    """The prompts of tasks whose candidates are entries of one line, their parts divided by semicolons."""

    def actor(self, task: Task, advice: Sequence[Reflection], examples: Sequence[Example]) -> tuple[Message, ...]:
        own = [piece.text for piece in advice if piece.source == "self"]
        other = [piece.text for piece in advice if piece.source != "self"]
        solved = "".join(f"{seen.text}\n{ENTRY} {attempt.candidate}\n\n" for seen, attempt in examples)
        rules = "".join(f"Rules: {' '.join(text.split())}\n" for text in (*own, *other) if text.strip())
        return _turns("actor", {"examples": solved, "task": task.text, "rules": rules})

    def reflect(
        self, task: Task, attempts: Sequence[Attempt], earlier: Sequence[Reflection], diverse: bool
    ) -> tuple[Message, ...]:
        last = attempts[-1]
        words = {"task": task.text, "attempt": last.candidate, "feedback": last.feedback.text}
        if not diverse:
            return _turns("reflect", words)
        noted = "".join(f"Noted before: {' '.join(piece.text.split())}\n" for piece in earlier)
        return _turns("reflect_diverse", words | {"earlier": noted})

    def advise(self, task_text: str) -> tuple[Message, ...]:
        return _turns("advise", {"task": task_text})

    def hindsight(self, task: Task, attempt: Attempt) -> tuple[Message, ...]:
        return _turns("hindsight", {"task": task.text, "attempt": attempt.candidate})

    def failure(self, task: Task, attempt: Attempt, outcome: Outcome) -> tuple[Message, ...]:
        """Return the prompt of a reflection on one attempt: its checks say which part is wrong."""
        return self.reflect(task, [attempt], [], diverse=False)

    def contrast(self, task: Task, attempt: Attempt, other: Task, success: Attempt) -> tuple[Message, ...]:
        words = {"task": task.text, "attempt": attempt.candidate, "success": success.candidate}
        return _turns("contrast", words)

    def parse(self, text: str, task: Task | None = None) -> str:
        """Return the first line that says something, without a label, quotation marks or a full stop around it."""
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")
        return line.removeprefix(ENTRY).strip(" .\"'“”")

    def hypotheses(self, advice: str) -> frozenset[str]:
        return claims_in(advice)


class EnglishJudge:
    """Judges entries part by part."""

    def check(self, items: Sequence[tuple[Task, str]]) -> list[Feedback | Exception]:
        return each(lambda item: _feedback(item[0].visible, item[1]), items)

    def score(self, items: Sequence[tuple[Task, AnswerKey, str]]) -> list[Score | Exception]:
        return each(lambda item: _score(item[0].task_id, item[1].hidden["answer"], item[2]), items)


def parts_of(entry: str) -> list[str]:
    """Return the parts of an entry, in lower case and with single spaces."""
    return [" ".join(part.lower().split()) for part in entry.split(";")]


def _turns(name: str, words: dict[str, str]) -> tuple[Message, ...]:
    """Return a prompt of several turns; only the last one has places to fill in."""
    *shown, last = template(STYLE, name).strip().split(TURN)
    turns = [
        Message(role="assistant" if place % 2 else "user", content=text.strip()) for place, text in enumerate(shown)
    ]
    system = Message(role="system", content=template(STYLE, "system").strip())
    return (system, *turns, Message(role="user", content=filled(last, words).strip()))


def _feedback(spec: dict[str, Any], candidate: str) -> Feedback:
    found = [_judge(check, parts_of(candidate)) for check in spec.get("checks", [])]
    text = "; ".join(f"{one.name} {'is right' if one.ok else f'should be {one.expected}'}" for one in found)
    return Feedback(passed=all(one.ok for one in found) if found else None, text=text)


def _judge(check: dict[str, Any], parts: Sequence[str]) -> CheckResult:
    got = parts[check["place"]] if check["place"] < len(parts) else ""
    return CheckResult(
        check["name"], ok=got == check["expected"].lower(), expected=check["expected"], got=short(got, 40)
    )


def _score(task_id: str, answer: str, candidate: str) -> Score:
    passed = parts_of(candidate) == parts_of(answer)
    detail = "" if passed else f"entry expected {answer} got {short(candidate, 60)}"
    return Score(task_id=task_id, passed=passed, value=float(passed), detail=detail)
