"""An engine whose replies are written beforehand: for tests of everything above the engines."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from parammem.core.record import digest_of
from parammem.core.words import count
from parammem.engines.base import Completion, Request
from parammem.errors import EngineError

Script = Callable[[Request, int], str]
Replies = Script | Mapping[str, str] | Sequence[str]


class ScriptedEngine:
    """Replies from a function of (request, draw number), a dict, or a list.

    A dict is looked up by the content of the last message; a list is given out in the order of the draws asked for.
    A word is a token: usage counts words, `max_tokens` cuts them, and the text ends before the first stop string.
    `calls` counts calls of `complete`, `draws` the completions written, `requests` keeps what was asked.
    """

    def __init__(self, replies: Replies, name: str = "scripted") -> None:
        self._script = _script(replies)
        self.digest = digest_of(["scripted", name])
        self.calls = 0
        self.draws = 0
        self.requests: list[Request] = []

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Return for each request its completions, in order.

        Raises:
            EngineError: the script has no reply left, or none for this request.
        """
        self.calls += 1
        self.requests.extend(requests)
        return [[self._draw(r, d) for d in range(r.first_draw, r.first_draw + r.n)] for r in requests]

    def _draw(self, request: Request, draw: int) -> Completion:
        self.draws += 1
        prompt = sum(len(message.content.split()) for message in request.messages)
        text = self._script(request, draw)
        whole = len(text.split())
        cut = _first_words(text, request.max_tokens)
        ends = [cut.index(stop) for stop in request.stop if stop in cut]
        if ends:
            cut = cut[: min(ends)]
        return Completion(
            text=cut,
            finish="stop" if ends or whole <= request.max_tokens else "length",
            prompt_tokens=prompt,
            completion_tokens=len(cut.split()),
        )


def _first_words(text: str, limit: int) -> str:
    """Return the text up to the end of its `limit`-th word, spaces kept."""
    words = text.split()
    if len(words) <= limit:
        return text
    end = 0
    for word in words[:limit]:
        end = text.index(word, end) + len(word)
    return text[:end]


def _script(replies: Replies) -> Script:
    if callable(replies):
        return replies
    if isinstance(replies, Mapping):
        return lambda request, draw: _look_up(replies, request)
    place = itertools.count()
    return lambda request, draw: _next_reply(replies, next(place))


def _look_up(replies: Mapping[str, str], request: Request) -> str:
    question = request.messages[-1].content
    if question not in replies:
        raise EngineError(f"the script has no reply to {question[:200]!r}; add one to the dict")
    return replies[question]


def _next_reply(replies: Sequence[str], place: int) -> str:
    if place >= len(replies):
        known = count(len(replies), "reply", "replies")
        raise EngineError(f"the script has {known} and draw {place + 1} was asked for; add replies")
    return replies[place]
