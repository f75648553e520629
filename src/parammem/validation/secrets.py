"""Finds secrets in text: keys, tokens, passwords, private keys, mail addresses. It says which kinds, never what.

The one detector of the project: `validate` asks it about training rows, admission about what comes from outside.
Forms that are told by themselves stand in `secret_forms`; here is what needs a look at its surroundings. RE2 finds
every candidate in time linear in the text, and each candidate is judged on at most a few hundred characters.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from parammem.validation import secret_values as values
from parammem.validation.secret_forms import FORMS

NAMED = "something like a secret"
MAIL = "mail address"
TOO_MANY = "more than can be checked"
_JUDGED = re.compile(r"\bassert\s(?:not\s)?(?:is|has|meets|valid|strong|weak|strength|score)\w{0,40}\(\s?$")
"""Before a password in the test of a function that judges passwords: `assert is_strong(password=`. It is an example."""
MOST = 50_000
"""Candidates of one pattern that are judged in a text, in about half a second; the rest is not called clean."""

_PASSWORD = (
    r"password|passwort|passwd|passphrase|passcode|pwd|(?:\b|_)(?:pass|pw|psk)|contrase[ñn]a|mot de passe|senha"
    r"|wachtwoord|has[łl]o|пароль|密码|密碼|パスワード|비밀번호"
)
_KEY = (
    r"token|secret|credentials?|\bauth|(?:api|access|secret|private|account|encryption|signing|master|subscription"
    r"|shared|auth|license|storage|session|client|app|application|service|deploy|admin)[ _-]?key(?:[ _-]?id)?"
    r"|webhook[ _-]?(?:url|secret)|connection[ _-]?string|phpsessid|jsessionid|asp\.net_sessionid|connect\.sid"
    r"|csrftoken|xsrf-token|laravel_session"
)
_SIGN = r"\s{0,4}(?:\x{ff1a}|:\s?[A-Za-z_][\w\[\]|.]{0,30}\s?=|:=|=>|={1,3}|:|,|>|\bvalue\s?=)\s{0,4}"
_QUOTED = r"(?:[rRbBuU]{0,2}(\\*[\"'`]{1,3})([^\"'`\n]{4,300}))"
_BARE = r"([^\s\"'`<>,;(){}\[\]\\&]{6,300})"

_PATTERNS = {
    # Groups: a password's name, a key's name, what closes the name, the sign, the quotes, a quoted or a bare value.
    "named": rf"(?i)(?:({_PASSWORD})|({_KEY}))\d{{0,2}}([\"'`\]]{{0,4}})({_SIGN})(?:{_QUOTED}|{_BARE})",
    "flag": rf"(?i)\s--?[\w-]*(?:{_PASSWORD}|{_KEY})[ =]\s*[\"']?{_BARE}",
    "prose": (
        rf"(?i)\b(?:(password|passphrase|passcode|passwort|pwd|pw)|({_KEY}))s?(?:'s)?\b[^\n.!?;]{{0,60}}?"
        r"\b(?:is|are|was|be|to|as|use|called)\b[ :]{1,3}(?:(?:now|still|currently|simply|just|set to)[ :]{1,2})?"
        r"([\"'`]?)([^\s\"'`<>]{6,100})"
    ),
    "beside": r"(?i)\b(?:password|passphrase|passcode|passwd|pwd|pw)\s+([\"'`]?)([^\s\"'`<>]{6,100})",
    "before": r"(?i)([^\s\"'`<>]{6,100})[\"'`]?\s+as\s+(?:(?:the|your|a|its)\s+)?(?:password|passphrase|passcode)\b",
    "mine": (
        r"(?i)\b(?:my|our)\s+(?:[\w-]+\s+){0,4}(?:password|passphrase|passcode|pw)\s+(?:is|was)\s+[\"'`]?"
        r"([^\s\"'`<>]{6,100})"
    ),
    "pair": (
        r"(?i)\b(?:login|log in|logon|credentials?|creds)\b[^\n]{0,30}?[\s:=]([\w.@+-]{2,60})\s?[:/]\s?"
        r"([^\s\"'`<>/]{6,60})"
    ),
    "header": (
        r"(?i)\bauthorization[\"'\\\]]{0,4}\s{0,3}[:=,]\s{0,3}[\"'\\]{0,4}(?:([a-z][\w-]{2,20})\s{1,3})?"
        r"([^\s\"'\\,]{8,300})"
    ),
    "scheme": r"\b([Bb]earer|BEARER|[Bb]asic|BASIC)\s{1,3}([A-Za-z0-9._~+/-]{8,300}={0,2})",
    "cookie": r"(?i)\bcookies?[\"'\\\]]{0,4}\s{0,3}[:=]\s{0,3}[\"'\\]{0,4}([^\n\"']{8,600})",
    "address": r"(?i)\b[a-z][a-z0-9+.-]{1,30}://([^\s/:@\"']{0,100}):([^\s/@\"']{1,200})@",
    "account": r"(?i)\b[a-z][a-z0-9+.-]{1,30}://([a-z0-9_-]{20,200})@",
    "command": (
        r"(?:\bcurl\b[^\n]{0,200}\s(?:-u|--user)[ =]?[\"']?[^\s:\"']{1,60}:|\bmysql\w*\b[^\n]{0,120}\s-p"
        r"|\bsshpass\s+-p\s*[\"']?|\bredis-cli\b[^\n]{0,120}\s-a\s+[\"']?|\bzip\b[^\n]{0,80}\s-P\s*[\"']?"
        r"|\bdocker\s+login\b[^\n]{0,120}\s(?:-p|--password)[ =][\"']?|\bopenssl\s+enc\b[^\n]{0,120}\s-k\s+[\"']?"
        r"|\bssh-keygen\b[^\n]{0,120}\s-N\s*[\"']?|\bSecureString\s+[\"']|\.password\(\s*[\"']"
        r"|\blogin\s+\S{1,60}\s+password\s+|(?i:\bidentified\s+by\s+[\"']))"
        r"([^\s\"'-][^\s\"']{4,100})"
    ),
    "words": (
        r"(?i)\b(?:seed|mnemonic|recovery)\s+(?:phrase|words?)\b\W{1,6}(?:is\W{1,3})?"
        r"(?:[a-z]{3,8}[ ,]{1,2}){11,23}[a-z]{3,8}"
    ),
    "hex": r"\b[0-9a-f]{40}\b",
    "key": r"(?i)\bkey[\"'\\]{0,3}\s{0,3}[:=]\s{0,3}[\"'\\]{0,3}([A-Za-z0-9+/_-]{32,200})",
    "long": r"[A-Za-z0-9+/_-]{32,}={0,2}",
}
_ADDRESS = (
    r"[A-Za-z0-9_.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}"  # mail; its parts are judged afterwards
)


def find_secrets(text: str) -> tuple[str, ...]:
    """Return kinds of secrets in the text, sorted; empty if none."""
    data = _plain(text)
    found = {_kinds()[place] for place in _forms().Match(data) or ()}
    if not found:
        found |= next((kinds for name in _PATTERNS if (kinds := _judged(name, data))), set())
    if b"@" in data and any(values.is_mail(*_around(match, data)) for match in _compiled(_ADDRESS).finditer(data)):
        found.add(MAIL)
    return tuple(sorted(found))


def holds_secret(text: str) -> bool:
    """Return true if the text seems to hold a secret or a mail address."""
    return bool(find_secrets(text))


def _plain(text: str) -> bytes:
    """Return the text as RE2 reads it, with the escapes of JSON inside JSON undone, so that quotes and lines are
    seen."""
    data = text.encode("utf-8", "replace")
    if b"\\" in data:
        for _ in range(4):  # JSON in JSON in a log: deeper nesting is not seen
            data = data.replace(b'\\"', b'"').replace(b"\\'", b"'").replace(b"\\/", b"/")
        for escaped, mark in (
            (b"\\n", b"\n"),
            (b"\\r", b"\n"),
            (b"\\t", b"\t"),
            (b"\\u0026", b"&"),
            (b"\\u003d", b"="),
        ):
            data = data.replace(escaped, mark)
    return data


def _judged(name: str, data: bytes) -> set[str]:
    judge = _JUDGES[name]
    for count, match in enumerate(_compiled(_PATTERNS[name]).finditer(data)):
        if judge(match, data):
            return {NAMED}
        if count == MOST:
            return {TOO_MANY}
    return set()


def _around(match: Any, data: bytes) -> tuple[str, str, str]:
    """Return what a match holds, and the 80 characters before and after it."""
    start, end = match.span()
    return (
        match.group().decode("utf-8", "replace"),
        data[max(0, start - 80) : start].decode("utf-8", "replace"),
        data[end : end + 80].decode("utf-8", "replace"),
    )


def _groups(match: Any) -> Iterator[str]:
    return ((group or b"").decode("utf-8", "replace") for group in match.groups())


def _is_named(match: Any, data: bytes) -> bool:
    password, key, closing, sign, quotes, quoted, bare = _groups(match)
    sign = sign if sign.strip() == "=" else sign.strip()
    if key and bare and not values.is_key(bare.rstrip(".:!?")):  # asked first: most candidates end here
        return False
    _, before, after = _around(match, data)
    if sign == "," and not (closing and quotes and after.lstrip("\"'`").startswith(")")):  # define('NAME', 'value')
        return False
    name = password or key
    line = before.rpartition("\n")[2]
    if quotes:
        if password and sign == "=" and _JUDGED.search(line):
            return False
        return values.is_password(quoted, name, True) if password else values.is_key(quoted)
    called = line.count("(") > line.count(")")
    if values.is_code(bare, name, called, after):
        return False
    if password:
        tight = sign == "=" and not called
        return values.is_password(bare, name, False) or (tight and values.is_word(bare))
    return True


def _is_flag(match: Any, data: bytes) -> bool:
    (value,) = _groups(match)
    return values.is_password(value, "password", False)


def _is_prose(match: Any, data: bytes) -> bool:
    password, _, quote, value = _groups(match)
    if password:
        return values.is_told(value, bool(quote))
    return values.is_key(value.rstrip(".,;:!?)"))


def _is_beside(match: Any, data: bytes) -> bool:
    quote, value = _groups(match)
    return values.is_told(value, bool(quote))


def _is_before(match: Any, data: bytes) -> bool:
    (value,) = _groups(match)
    return values.is_told(value, False)


def _is_mine(match: Any, data: bytes) -> bool:
    (value,) = _groups(match)
    return values.is_word(value.rstrip(".,;:!?)"), shortest=6) or values.is_told(value, True)


def _is_pair(match: Any, data: bytes) -> bool:
    _, value = _groups(match)
    return values.is_told(value, False) and sum(not mark.isalpha() for mark in value) >= 2


def _is_header(match: Any, data: bytes) -> bool:
    scheme, value = _groups(match)
    return values.is_key(value) or (scheme.lower() == "basic" and _is_basic(value))


def _is_scheme(match: Any, data: bytes) -> bool:
    scheme, value = _groups(match)
    if scheme.lower() == "basic":
        return _is_basic(value)
    return len(value) >= 16 and values.is_key(value)


def _is_basic(value: str) -> bool:
    """Return whether a value is base64 of `name:password`."""
    try:
        name, colon, password = b64decode(value + "=" * (-len(value) % 4), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return bool(colon) and (name + password).isascii() and len(password) > 2


def _is_cookie(match: Any, data: bytes) -> bool:
    (pairs,) = _groups(match)
    found = (pair.partition("=")[2].strip() for pair in pairs.split(";"))
    return any(values.is_key(value.split(" ")[0]) for value in found if value)


def _is_address(match: Any, data: bytes) -> bool:
    _, password = _groups(match)
    return not values.is_placeholder(password)


def _is_account(match: Any, data: bytes) -> bool:
    (value,) = _groups(match)
    return values.is_key(value) and sum(map(str.isdigit, value)) >= 3


def _is_command(match: Any, data: bytes) -> bool:
    (value,) = _groups(match)
    return not values.is_placeholder(value)


def _is_hex(match: Any, data: bytes) -> bool:
    run, before, after = _around(match, data)
    return not run.isdecimal() and values.is_wandb(before, after)  # 40 random hex digits hold a letter


def _is_long(match: Any, data: bytes) -> bool:
    run, before, _ = _around(match, data)
    return values.is_random(run, before)


def _is_key(match: Any, data: bytes) -> bool:
    (value,) = _groups(match)
    return values.is_key(value) and len(set(value)) > 8


_JUDGES: dict[str, Callable[[Any, bytes], bool]] = {
    "named": _is_named,
    "flag": _is_flag,
    "prose": _is_prose,
    "beside": _is_beside,
    "before": _is_before,
    "mine": _is_mine,
    "pair": _is_pair,
    "header": _is_header,
    "scheme": _is_scheme,
    "cookie": _is_cookie,
    "address": _is_address,
    "account": _is_account,
    "command": _is_command,
    "words": lambda match, data: True,
    "hex": _is_hex,
    "key": _is_key,
    "long": _is_long,
}


@cache
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.max_mem = 64 << 20
    return re2.compile(pattern.encode(), options)


@cache
def _kinds() -> tuple[str, ...]:
    return tuple(kind for kind, patterns in FORMS.items() for _ in patterns)


@cache
def _forms() -> Any:
    """Return all forms as one automaton: a text is read once, however many forms there are."""
    import re2

    options = re2.Options()
    options.max_mem = 256 << 20
    forms = re2.Set.SearchSet(options)
    for patterns in FORMS.values():
        for pattern in patterns:
            forms.Add(pattern)
    forms.Compile()
    return forms
