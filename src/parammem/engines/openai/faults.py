"""What an error of a server means for this request, for the others, and for the run: one table.

A rule is looked for from the top; the first one whose statuses and words fit decides. The same table serves errors
with an HTTP status of their own and those that come inside an answer with status 200. Words are looked for in the
error's own sentences only, never in a prompt that a server sends back with them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

WORDS_READ = 4000
"""Characters of an error's sentences that are looked at."""
IGNORED = frozenset({"input", "body", "ctx", "url", "prompt", "messages", "choices", "usage", "model", "id"})
"""Keys of an error under which a server may send our own request back, or which say nothing of the error."""
UNSAID = 200
"""Stands for the status of an error that came inside a good answer and has no code."""


class Kind(Enum):
    """Who is concerned by a failure."""

    AGAIN = "asked again, up to `retries` times, after a random wait that doubles; Retry-After is kept"
    ONCE_MORE = "asked once more; the same again: this request has failed"
    REQUEST = "this request has failed"
    FIELD = "the field is left out or renamed, for all requests of this model, and the request is sent again"
    MISSING = "ends the run: the server has no such model or path"
    RUN = "ends the run"


@dataclass(frozen=True)
class FaultRule:
    """One line of the table."""

    what: str
    """For documents and messages."""
    kind: Kind
    statuses: tuple[range, ...]
    words: str = ""
    """A regular expression, linear in the text; empty: any."""
    remedy: str = ""

    def fits(self, status: int, words: str) -> bool:
        return any(status in some for some in self.statuses) and (not self.words or bool(_compiled(self.words, words)))


def _compiled(pattern: str, words: str) -> re.Match[str] | None:
    return re.search(pattern, words, re.IGNORECASE)


def _only(*statuses: int) -> tuple[range, ...]:
    return tuple(range(status, status + 1) for status in statuses)


REFUSALS = _only(400, 402, 403, 422, 429, UNSAID)
WRONG = _only(400, 413, 422, 500, UNSAID)
ANY_4XX, ANY_5XX = (range(400, 500),), (range(500, 1000),)
TOKENS = "engine.max_new_tokens (engine.max_advice_tokens for advice)"

RULES = (
    FaultRule("no money", Kind.RUN, _only(402), remedy="see to the account, and run again: what was answered is kept"),
    FaultRule(
        "no money",
        Kind.RUN,
        REFUSALS,
        r"insufficient[ _](quota|balance|credit|fund)|exceeded your current quota|credit balance is too low|"
        r"billing_(not_active|hard_limit)|account_deactivated|payment required|out of credits|arrearage",
        "see to the account, and run again: what was answered is kept",
    ),
    FaultRule(
        "moderation",
        Kind.REQUEST,
        _only(400, 403, 422, 451, UNSAID),
        r"content[ _](filter|policy|management)|moderation|flagged|responsible ?ai|data_inspection|prohibited_content|"
        r"inappropriate content|sensitive|policy_violation|usage polic|safety (system|filter|setting|polic)|jailbreak",
        "the server withheld the text; this task cannot be answered by it",
    ),
    FaultRule(
        "more tokens asked for than the model can write",
        Kind.RUN,
        WRONG,
        r"supports at most \d{1,9} completion tokens|valid range of max_tokens|maximum value for .?max_tokens",
        f"lower {TOKENS}",
    ),
    FaultRule(
        "prompt and answer exceed the context",
        Kind.REQUEST,
        WRONG,
        r"context[ _](length|window|size)|maximum (context|input|prompt|sequence)|prompt is too long|too many tokens|"
        r"reduce the (length|number)|exceeds? the (context|available)|max_new_tokens.{0,9} must be <=|max_model_len",
        f"this task is too long for the model; a smaller {TOKENS} leaves more room",
    ),
    FaultRule("the prompt is too large", Kind.REQUEST, _only(413)),
    FaultRule("the key is wrong", Kind.RUN, _only(401), remedy="key"),
    FaultRule(
        "the key is wrong",
        Kind.RUN,
        _only(400, 403, UNSAID),
        r"(invalid|incorrect|missing)[ _]api[ _]?key|api[ _]?key (is )?(not valid|invalid|missing)|invalid_api_key",
        "key",
    ),
    FaultRule(
        "a field of the request is refused", Kind.FIELD, _only(400, 422, UNSAID)
    ),  # only where `refused_field` finds one
    FaultRule(
        "no such model",
        Kind.MISSING,
        _only(400, 404, 422, UNSAID),
        r"model_not_found|invalid[ _]model|not a valid model|no endpoints found|unknown model|"
        r"model.{0,80}(does not exist|not exist|not found|decommissioned|not available)",
        "check engine.model and engine.server.base_url",
    ),
    FaultRule(
        "no such model or path", Kind.MISSING, _only(404), remedy="check engine.model and engine.server.base_url"
    ),
    FaultRule("forbidden", Kind.RUN, _only(403), remedy="key"),
    FaultRule(
        "no such method here, or a redirect",
        Kind.RUN,
        (*_only(405, 501), range(300, 400)),
        remedy="check engine.server.base_url: it ends where /chat/completions begins, mostly in /v1",
    ),
    FaultRule("busy, or broken for the moment", Kind.AGAIN, (*_only(408, 409, 425, 429, 498, 499), *ANY_5XX)),
    FaultRule(
        "busy, said inside an answer",
        Kind.AGAIN,
        _only(UNSAID),
        r"rate.?limit|too many requests|overload|over capacity|exhausted|try again|temporar|unavailable|busy|"
        r"timed? ?out",
    ),
    FaultRule("refused", Kind.REQUEST, ANY_4XX),
    FaultRule("an error inside an answer", Kind.ONCE_MORE, _only(UNSAID)),
)


@dataclass(frozen=True)
class ServerFault:
    """An error, sorted."""

    kind: Kind
    words: str
    """What the server said."""
    remedy: str = ""
    field: str = ""
    """Of kind FIELD: which one."""


def sorted_fault(status: int, payload: Any, text: str, fields: Collection[str] = ()) -> ServerFault:
    """Return what an error means.

    Args:
        status: of HTTP, or the code inside an answer, or UNSAID.
        payload: the error as plain data, None where it is none.
        text: the beginning of the error as it came.
        fields: names of what was sent, of which one may be refused.
    """
    words = sentences(payload) if payload is not None else text
    if status in (400, 422, UNSAID) and STREAM not in fields and _compiled(STREAM_ONLY, words):
        return ServerFault(Kind.FIELD, words or text, field=STREAM)
    for rule in RULES:
        if not rule.fits(status, words):
            continue
        if rule.kind is not Kind.FIELD:
            return ServerFault(rule.kind, words or text, rule.remedy)
        field = refused_field(fields, payload, words)
        if field:
            return ServerFault(Kind.FIELD, words or text, field=field)
    return ServerFault(Kind.REQUEST, words or text)


def sentences(payload: Any, depth: int = 8) -> str:
    """Return the strings and numbers of an error, our own request left out, up to WORDS_READ characters."""
    if depth < 0 or payload is None:
        return ""
    if isinstance(payload, dict):
        some = [(str(k), v) for k, v in list(payload.items())[:50] if k not in IGNORED]
        found = [f"{key}: {said}" for key, value in some if (said := sentences(value, depth - 1))]
    elif isinstance(payload, list):
        found = [sentences(value, depth - 1) for value in payload[:50]]
    else:
        found = [str(payload)[:WORDS_READ]] if isinstance(payload, str | float) or is_count(payload) else []
    return "; ".join(one for one in found if one)[:WORDS_READ]


def is_count(value: Any) -> bool:
    """Return whether a value is an int that can be written (Python refuses thousands of digits)."""
    return isinstance(value, int) and abs(value) < 10**18


def error_in(payload: Any) -> tuple[int, Any] | None:
    """Return (code, error) of an answer that holds an error in place of a text, or inside its first choice; None: it
    does not.

    The code is UNSAID where there is none that reads like an HTTP status.
    """
    if not isinstance(payload, dict):
        return None
    choices = payload.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    error = payload.get("error") or (first.get("error") if isinstance(first, dict) else None)
    if not error and not choices:  # MiniMax; FastAPI; FastChat
        base = payload.get("base_resp")
        if isinstance(base, dict) and base.get("status_code"):
            error = base
        elif payload.get("detail") or payload.get("object") == "error":
            error = payload
    if not error:
        return None
    return code_of(error), error


def code_of(error: Any) -> int:
    """Return the HTTP status that an error names as its code; UNSAID: none."""
    for key in ("code", "status", "status_code", "http_status"):
        value = error.get(key) if isinstance(error, dict) else None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return UNSAID


STREAM = "stream"
STREAM_ONLY = (
    r"only supports? (the )?stream|stream(ing)?['\"`]? (mode )?(must|is required|should) be|non-?stream\w{0,4} .{0,40}"
    r"not (supported|allowed)|stream(ing)? (mode )?is required|(set|enable) (the )?stream"
)
"""What a server says that answers in events alone: the one field that is missing and not refused."""
REFUSING = (
    r"support|unrecogni[sz]ed|unknown|unexpected|permit|allow|forbid|extra|invalid|must|at most|only|deprecat|can ?not|"
    r"can't|accept|implement|available|enabled|illegal|exceed|too (many|long)|larger|greater|not valid|strictly"
)
PATTERNS = {
    "n": r"['\"`]n['\"`]|\bn ?(>|<|=)|\bn (must|should|is|larger|greater)|(parameter|argument|field):? n\b|"
    r"supplied: n\b|best_of|(multiple|number of|several) (choices|completions|candidates|generations)|candidate_?count|"
    r"\(?'?body'?, 'n'",
    "stop": r"['\"`]stop['\"`]|\bstop (is|must|param|array|sequences?)|(parameter|argument|field):? stop\b|"
    r"stop_sequences|supplied: stop\b|stop: ",
    "max_tokens": r"(?<!new_)\bmax_tokens\b",
    "system": r"system (role|message|prompt|instruction)s?.{0,30}not|['\"`]system['\"`] (with|role)|does not support "
    r"['\"`]system['\"`]|roles must alternate|developer instruction is not enabled|only user and assistant roles",
}
"""How messages name a field, where its bare name would say too little."""


def refused_field(fields: Collection[str], payload: Any, words: str) -> str:
    """Return which of the fields that were sent an error refuses; "" if it names none."""
    named = set(_named(payload))
    for field in fields:
        if field in named:
            return field
    if not _compiled(REFUSING, words):
        return ""
    return next((f for f in fields if _compiled(PATTERNS.get(f, rf"\b{re.escape(f)}\b"), words)), "")


def _named(payload: Any, depth: int = 6) -> list[str]:
    """Return what an error calls its parameter: `param` of OpenAI, the last part of `loc` of FastAPI."""
    if depth < 0:
        return []
    if isinstance(payload, list):
        return [name for value in payload[:50] for name in _named(value, depth - 1)]
    if not isinstance(payload, dict):
        return []
    param, place = payload.get("param"), payload.get("loc")
    own = [param] if isinstance(param, str) else []
    own += [place[-1]] if isinstance(place, list) and place and isinstance(place[-1], str) else []
    return own + [name for key, value in payload.items() if key not in IGNORED for name in _named(value, depth - 1)]
