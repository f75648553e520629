"""What goes into a request's head and what a server's head says: the key, how long to wait, whether it is near."""

from __future__ import annotations

import email.utils
import ipaddress
import os
import re
import time
from urllib.parse import urlsplit

from parammem.errors import ConfigError

SOON = re.compile(r"(?:try again|retry) (?:in|after) (\d{1,6}(?:\.\d{1,9})?) ?(ms|s|sec|m|min)?\b", re.IGNORECASE)
"""How servers say in words when to come back."""


def said_wait(words: str) -> float:
    """Return seconds that a server wants to be left alone, where it says so in its words. 0 if it does not."""
    found = SOON.search(words)
    if not found:
        return 0.0
    return float(found[1]) * {"ms": 0.001, "m": 60.0, "min": 60.0}.get((found[2] or "s").lower(), 1.0)


def api_key(variable: str, param: str) -> str:
    """Return the key from the environment. Raises ConfigError: the variable is named, by this param, but not set."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"{param}: the environment variable {variable!r} is not set; set it to the server's key, or name none for "
            "a server that wants none"
        )
    return key


def retry_after(milliseconds: str | None, header: str | None) -> float:
    """Return seconds that a server wants to be left alone: Retry-After in seconds or as a date. 0 if it does not
    say."""
    for value, unit in ((milliseconds, 0.001), (header, 1.0)):
        try:
            if value is not None:
                return max(0.0, float(value) * unit)
        except ValueError:
            continue
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header or "").timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def is_local(url: str) -> bool:
    """Return whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
