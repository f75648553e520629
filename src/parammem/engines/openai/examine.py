"""A handful of short questions to a server, and what it can do by its answers; for `parammem doctor --server`.

The questions go the same way as a run's, so what is said here is what a run does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from parammem.core.words import count
from parammem.engines.base import Request, chat
from parammem.engines.openai.account import Account, Most, Terms, counted
from parammem.engines.openai.capabilities import LENGTH, NEW_LENGTH, Capabilities, FieldRefused, listed
from parammem.engines.openai.engine import models
from parammem.engines.openai.http_client import IncompleteResponse, NotJson, json_of, printable
from parammem.engines.openai.replies import read_completions
from parammem.engines.openai.server import Server, ServerCall, Unusable
from parammem.errors import ConfigError, EngineError, RequestFailed

SYSTEM, QUESTION = "Answer with a few words.", "Write whichever words come to mind."
TOKENS = 64
"""Of each answer, at most."""
SEED = 7
ENDS = "the run ends"


@dataclass(frozen=True)
class Trait:
    """One thing that a server can do, or not."""

    name: str
    found: str
    does: str
    """What the engine does about it."""


@dataclass(frozen=True)
class Examination:
    """What was found, and what it cost."""

    server: str
    model: str
    traits: tuple[Trait, ...]
    sent: int
    """Requests for text."""
    answers: int
    """Of these, answers that a server may charge."""
    prompt_tokens: int
    completion_tokens: int

    @property
    def usable(self) -> bool:
        """Whether a run would get texts."""
        return not any(trait.does.startswith(ENDS) for trait in self.traits)


@dataclass
class _Chart:
    """What is known in the middle of an examination."""

    server: Server
    model: str
    found: Capabilities
    traits: list[Trait] = field(default_factory=list)

    def note(self, name: str, found: str, does: str) -> None:
        self.traits.append(Trait(name, printable(found), does))

    async def ask(self, needs: tuple[str, ...] = (), system: bool = False, **fields: Any) -> dict[str, Any]:
        """Return the answer to the question, as plain data. Raises FieldRefused, RequestFailed, EngineError."""
        messages = [{"role": "system", "content": SYSTEM}] if system else []
        body = {"model": self.model, "messages": [*messages, {"role": "user", "content": QUESTION}], LENGTH: TOKENS}
        body |= {"temperature": 1.0, **fields}
        most = Most(300, TOKENS * fields.get("n", 1))
        call = ServerCall("/chat/completions", body, "probe", self.model, most, needs=frozenset(needs))
        return await self.server.post(call, lambda payload: payload if isinstance(payload, dict) else {})

    def texts(self, payload: dict[str, Any]) -> list[str]:
        """Return the texts of an answer. Raises Unusable, RequestFailed."""
        request = Request(messages=chat(QUESTION), temperature=1.0, max_tokens=TOKENS)
        return [completion.text for completion in read_completions(payload, request, 2)]


def examine(server: Server, model: str = "") -> Examination:
    """Ask a server what it can do.

    Args:
        model: the name to ask for; "": the first one that the server lists.

    Raises:
        ConfigError: no model is named, and the server lists none.
        EngineError: it does not answer, or does not answer any question.
    """
    return server.start(_examine(server, model)).result()


async def _examine(server: Server, model: str) -> Examination:
    names = [card["id"] for card in await models(server)]
    if not model and not names:
        raise ConfigError(f"the server {server.base_url} lists no models; name one: --model NAME")
    model = model or names[0]
    chart = _Chart(server, model, server.capabilities(model))
    among = "among them" if listed(model, names) else "not among them"
    known = f"{count(len(names), 'model')}, {model!r} {among}" if names else "none that can be read"
    chart.note("model list", known, "it is only a help")
    first = await chart.ask(system=True, seed=SEED)
    _note_answer(chart, first)
    for look in (_look_at_greedy, _look_at_seed, _look_at_draws, _look_at_logprobs, _look_at_length, _look_at_stream):
        try:
            await look(chart, first)
        except (RequestFailed, Unusable) as error:
            chart.note(look.__name__.removeprefix("_look_at_"), f"not known: {str(error)[:160]}", "found out in a run")
    spent = server.account.total()
    return Examination(
        server.base_url,
        model,
        tuple(chart.traits),
        server.sent,
        sum(one.requests for one in spent),
        sum(one.prompt_tokens for one in spent),
        sum(one.completion_tokens for one in spent),
    )


def _note_answer(chart: _Chart, payload: dict[str, Any]) -> None:
    """Note what the first answer shows."""
    named = payload.get("model")
    shown = named if isinstance(named, str) and named else "no name"
    try:
        chart.found.answered = False  # as for the first answer of a run
        chart.found.check_name(named)
        chart.note("model name", shown, "the name must stay" if chart.found.answers_as else "taken")
    except EngineError as error:
        chart.note("model name", shown, f"{ENDS}: {error}")
    try:
        said = chart.texts(payload)[0]
        chart.note("text", repr(said[:40]), "kept")
    except (Unusable, RequestFailed) as error:
        chart.note("text", f"none: {error}", "such a request fails alone")
    choice = payload["choices"][0] if isinstance(payload.get("choices"), list) and payload["choices"] else {}
    message = choice.get("message") if isinstance(choice, dict) else None
    message = message if isinstance(message, dict) else {}
    content = message.get("content")
    beside = any(message.get(key) for key in ("reasoning_content", "reasoning", "thinking"))
    inside = isinstance(content, str) and "</think" in content
    where = "beside the text" if beside else "in the text" if inside else "none seen"
    chart.note("thinking", where, "left out of the text; its tokens count" if beside or inside else "nothing")
    usage = payload.get("usage")
    whole = counted(usage, "prompt_tokens") is not None and counted(usage, "completion_tokens") is not None
    chart.note("usage", "counted" if whole else "not counted", "booked" if whole else "booked at its bound")
    _note_fields(chart)


def _note_fields(chart: _Chart) -> None:
    refused = chart.found.refused
    merged = "its words stand before the user's"
    chart.note("system role", *(("refused", merged) if "system" in refused else ("taken", "sent")))
    own = "left out: all texts are written at the server's own"
    chart.note("temperature", *(("refused", own) if "temperature" in refused else ("taken", "sent")))


async def _look_at_greedy(chart: _Chart, _: dict[str, Any]) -> None:
    if "temperature" in chart.found.refused:
        return
    await chart.ask(temperature=0.0)
    low = chart.found.coldest
    chart.note("temperature 0", *(("refused", f"greedy texts are asked for at {low:g}") if low else ("taken", "sent")))


async def _look_at_seed(chart: _Chart, first: dict[str, Any]) -> None:
    if "seed" in chart.found.refused:
        chart.note("seed", "refused", "left out; the cache keeps what came first")
        return
    again = await chart.ask(system=True, seed=SEED)
    same = chart.texts(first) == chart.texts(again)
    chart.note("seed", "repeats its text" if same else "does not repeat its text",
               "texts follow from it" if same else "sent; the cache keeps what came first")  # fmt: skip


async def _look_at_draws(chart: _Chart, _: dict[str, Any]) -> None:
    alone = "each draw is a request of its own"
    try:
        payload = await chart.ask(needs=("n",), n=2, seed=SEED)
    except FieldRefused:
        chart.note("n", "refused", alone)
        return
    both = chart.texts(payload)
    if len(both) < 2 or both[0] == both[1]:
        chart.note("n", "ignored" if len(both) < 2 else "gives copies", alone)
        return
    second = chart.texts(await chart.ask(seed=SEED + 1))[0]
    if second == both[1]:
        chart.note("n", "taken, draw i has the seed plus i", "all draws of a request are asked for at once")
    elif any(trait.name == "seed" and trait.found == "repeats its text" for trait in chart.traits):
        chart.note("n", "taken, but seeded otherwise", alone)
    else:
        chart.note("n", "taken", "all draws of a request are asked for at once")


async def _look_at_logprobs(chart: _Chart, _: dict[str, Any]) -> None:
    try:
        payload = await chart.ask(needs=("logprobs", "top_logprobs"), logprobs=True, top_logprobs=5)
    except FieldRefused:
        chart.note("logprobs", "refused", "adapters cannot be checked on it, and are refused")
        return
    choice = payload["choices"][0] if isinstance(payload.get("choices"), list) and payload["choices"] else {}
    given = isinstance(choice, dict) and bool(choice.get("logprobs"))
    chart.note("logprobs", "given" if given else "not given",
               "adapters can be checked" if given else "adapters cannot be checked on it, and are refused")  # fmt: skip


async def _look_at_length(chart: _Chart, _: dict[str, Any]) -> None:
    if chart.found.length != LENGTH:
        chart.note(LENGTH, "refused", f"{NEW_LENGTH} is sent")
        return
    chart.note(LENGTH, "taken", "sent")
    status = await _status(chart, {NEW_LENGTH: TOKENS})
    chart.note(NEW_LENGTH, "taken too" if status[0] == 200 else f"answered {status[0]}", "not used")


async def _look_at_stream(chart: _Chart, _: dict[str, Any]) -> None:
    status, events = await _status(chart, {chart.found.length: TOKENS, "stream": True})
    chart.note("streaming", "yes" if status == 200 and events else f"no (answered {status})", "not used")


async def _status(chart: _Chart, fields: dict[str, Any]) -> tuple[int, bool]:
    """Return status of an answer to the question with these fields, and whether it came in events. It is booked."""
    plain = {"model": chart.model, "messages": [{"role": "user", "content": QUESTION}], "temperature": 1.0}
    body = chart.found.body(plain) | fields
    try:
        answer = await chart.server.once("POST", "/chat/completions", body)
    except IncompleteResponse as error:
        raise RequestFailed(str(error)) from None
    if answer.status == 200:
        try:
            payload = json_of(answer)
        except NotJson:
            payload = {}
        usage = payload.get("usage") if isinstance(payload, dict) else None
        price = chart.server.account.terms.price(chart.model)
        await chart.server.account.charge("probe", chart.model, price, usage, Most(300, TOKENS))
    return answer.status, answer.data.lstrip().startswith(b"data:")


def examined(url: str, model: str, key_env: str, timeout_seconds: float = 60.0) -> Examination:
    """Examine a model at a URL, return what was found.

    Raises:
        ConfigError: the URL is none, the key is not set, or no model is named or listed.
        EngineError: it does not answer; with what to look at.
    """
    from parammem.engines.openai.server import ServerSettings

    settings = ServerSettings(url, key_env, "--key-env", concurrency=1, timeout_seconds=timeout_seconds, retries=1)
    try:
        return examine(Server(settings, Account(Terms())), model)
    except EngineError as error:
        raise type(error)(f"{error}{_hint(str(error), url)}") from error


def _hint(words: str, url: str) -> str:
    """Return what to look at, where the words alone do not say it."""
    if "WRONG_VERSION_NUMBER" in words or "record layer failure" in words:
        return f"; the server speaks plain http: try {url.replace('https://', 'http://', 1)}"
    if "CERTIFICATE" in words or "certificate" in words:
        return "; its certificate is not trusted here: set SSL_CERT_FILE to its authority's file"
    if "ConnectError" in words or "ConnectTimeout" in words or "no whole answer" in words:
        return "; is it started, and are host and port right?"
    return ""
