"""Which draws are written together: chunks that follow from the requests alone.

The sums of a model, and so its texts, depend on what else is in its batch. Chunks do not depend on what the cache
holds: after a kill an engine gets the same chunks again, and writes the same texts to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from parammem.core.record import digest_of
from parammem.engines.base import Request
from parammem.engines.sampling import messages_digest

KEY = "completion-1"


@dataclass(frozen=True)
class Draw:
    """One text that a request asks for."""

    key: str
    """Digest of everything the text follows from: the engine's digest, messages, temperature, max_tokens, stop, seed
    and the number of the draw (without it ten diverse draws would collapse into one)."""
    request: Request
    number: int
    group: tuple[int, str, str]
    """Length and digest of the prompt, and what all draws of its request share. Equal lengths make good batches."""


def draws_of(digest: str, request: Request) -> list[Draw]:
    """Return the draws of a request, in order; `digest` is the engine's."""
    chat = messages_digest(request)
    settings = [request.temperature, request.max_tokens, list(request.stop), request.seed]
    base = digest_of([KEY, digest, chat, *settings])
    group = sum(len(message.content) for message in request.messages), chat, base
    numbers = range(request.first_draw, request.first_draw + request.n)
    return [Draw(digest_of(f"{base}:{number}"), request, number, group) for number in numbers]


def chunks_of(draws: Iterable[Draw], size: int) -> Iterator[list[Draw]]:
    """Yield the distinct draws in chunks of at most `size`, in an order that follows from the draws alone."""
    distinct = sorted({draw.key: draw for draw in draws}.values(), key=lambda draw: (draw.group, draw.number))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


def asked_together(draws: Sequence[Draw]) -> list[tuple[Request, list[str]]]:
    """Return requests for these draws, each with the keys of its draws: those with consecutive numbers share one."""
    runs: list[list[Draw]] = []
    for draw in draws:
        last = runs[-1][-1] if runs else None
        if last and last.group == draw.group and last.number + 1 == draw.number:
            runs[-1].append(draw)
        else:
            runs.append([draw])
    return [
        (run[0].request.model_copy(update={"first_draw": run[0].number, "n": len(run)}), [draw.key for draw in run])
        for run in runs
    ]
