"""What is said of a run to people, on the page and in the terminal: its outcome, its advice, its first line."""

from __future__ import annotations

import json
import shlex
from typing import get_args

from parammem.core.outcome import Outcome
from parammem.core.step import Step
from parammem.service.run_records import RunView, Verdict
from parammem.service.run_rows import verdict_of

ARM_GIVES_NONE = "none (holdout)"
NO_CHAMPION = "none (no champion)"


VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def verdict(run: RunView) -> Verdict:
    """Return how a run ended, in a word."""
    if run.outcome is None:
        return "open" if run.state == "open" else "missing"
    return verdict_of(run.outcome)


def outcome_words(outcome: Outcome) -> str:
    """Return an outcome in words, such as `passed, value 0.8, by test`."""
    parts: list[str] = [verdict_of(outcome)]
    parts += [f"value {outcome.value:g}"] if outcome.value is not None else []
    parts += [f"by {outcome.source}"] if outcome.source else []
    return ", ".join(parts)


def end_words(run: RunView) -> str:
    """Return in words how a run ended."""
    return outcome_words(run.outcome) if run.outcome else verdict(run)


def advice_words(run: RunView) -> str:
    """Return in words whether a run got advice, and why not."""
    if run.advice:
        return "given" if run.advice.draw is None else f"given, draw {run.advice.draw}"
    if not run.advised:
        return "not yet"
    if run.why_not:
        return f"none ({run.why_not})"
    return ARM_GIVES_NONE if run.arm == "holdout" else NO_CHAMPION if not run.adapter else "none"


def counting_place(run: RunView) -> int:
    """Return which of a run's outcomes counts, from 0; -1: none does."""
    places = [place for place, word in enumerate(run.outcomes) if not word.late and word.outcome == run.outcome]
    return places[-1] if places else -1


def first_line(text: str, most: int = 300) -> str:
    """Return the beginning of a text as one line."""
    return " ".join(text[:most].split())


def arguments_text(step: Step) -> str:
    """Return the arguments of a step's tool call, one after the other; empty: it is no call, or one without any.

    Texts stand as they are, with their further lines indented; all other values as JSON.
    """
    given = step.call.arguments if step.call else {}
    if isinstance(given, str):
        return given
    return "\n".join(f"{name}: {_value(value)}" for name, value in given.items())


def when(instant: str) -> str:
    """Return a time of a record as people read it, to the second; UTC."""
    return instant[:19].replace("T", " ")


def command_word(text: str) -> str:
    """Return text as a word of a command that somebody may copy into a shell: it is that word and does nothing else."""
    return f"{'-- ' if text.startswith('-') else ''}{shlex.quote(text)}"


def audit_commands(run: RunView) -> list[tuple[str, str]]:
    """Return commands that say more of a run, each with what it says."""
    found = [
        (
            f"parammem audit answer {command_word(run.run_id)}",
            "which adapter advised it, and its commit, once `improve` has it",
        )
    ]
    author = run.advice.adapter if run.advice else run.adapter
    if author:
        found.append(
            (
                f"parammem audit show {command_word(author[:16])} --domain {command_word(run.domain)}",
                "which data made that adapter",
            )
        )
    return found


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\n", "\n  ")
