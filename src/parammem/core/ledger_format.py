"""The form of a ledger's file: one line of JSON per event, in exactly the bytes that `Event.line` gives.

The registry and the audit walk the chain by code of their own; what counts as a line they ask here, so that no line is
an event for one of them and nothing for the other.
"""

from __future__ import annotations

from functools import lru_cache

from pydantic import ValidationError

from parammem.core.event import Event, Fact, Ingested
from parammem.core.record import digest_of


def split_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """Split a ledger's bytes at `\\n` and nowhere else. Returns the lines without it, and what stands after the last:
    empty, or what a crash cut short."""
    *lines, rest = data.split(b"\n")
    return lines, rest


@lru_cache(maxsize=1 << 14)
def read_event(line: bytes) -> Event:
    """Parse one line, given without its newline.

    A line that differs in one byte from what the ledger writes for the same event is no line of it: a key twice, `1`
    for `1.0`, NaN, a carriage return, a byte order mark, an escape that is not needed.

    Raises:
        ValueError: the line is not valid; says why.
    """
    if not line.strip():
        raise ValueError("not an event: an empty line")
    try:
        event = Event.model_validate_json(line)
        written = event.line().encode()
    except ValidationError as error:
        raise ValueError(f"not an event: {error.errors(include_url=False)[0]['msg']}") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, half a surrogate pair
        raise ValueError(f"not an event: {error}") from None
    if written != line:
        place = next((n for n, pair in enumerate(zip(written, line, strict=False)) if pair[0] != pair[1]), len(written))
        raise ValueError(f"not written as the ledger writes it, from byte {place + 1} of the line on")
    if b"NaN" in line or b"Infinity" in line:
        _refuse_no_numbers(event)
    return event


def fits_digest(event: Event) -> bool:
    """Return whether an event's digest is that of its other fields."""
    return event.digest == event.expected_digest


def finished(rest: bytes, last: Event | None, start: str) -> Event | None:
    """Return the event that stands after the last newline, if it is whole and follows `last`: only its newline was
    lost.

    None: nothing stands there, or only a part of an event, which counts as never written.

    Args:
        start: the predecessor of a first event.
    """
    try:
        event = read_event(rest)
    except ValueError:
        return None
    number, previous = (last.number + 1, last.digest) if last else (1, start)
    return event if event.number == number and event.previous == previous and fits_digest(event) else None


def identity(fact: Fact) -> str:
    """Return what makes a fact the same fact when it is signed off once more: all of it; of an ingested source what
    came of it and not what the file was called."""
    if isinstance(fact, Ingested):
        return digest_of(["ingest", fact.source, fact.batch, fact.fresh])
    return digest_of(fact.model_dump(mode="json"))


def _refuse_no_numbers(event: Event) -> None:
    """Raise ValueError if a number of the event is NaN or infinite; in a text these words are allowed."""
    waiting: list[object] = [event.model_dump(mode="python")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            raise ValueError("not an event: NaN and Infinity are no numbers of JSON")
