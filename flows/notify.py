"""Messages to people: what a turn did, or that it failed, by Apprise (Slack, mail, webhooks and some hundred others).

`improve.notify` in params.yaml names environment variables; each holds an address as Apprise writes it, such as
`slack://TokenA/TokenB/TokenC`, `mailtos://user:password@host?to=ops@example.org` or `jsons://host/hook`. Addresses hold
secrets, so they stand in the environment and never in git, a log or a message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flows.show import CHECK_FAILED, PROMOTED, REFUSED, ROLLED_BACK, News
from parammem.config import load_params
from parammem.core.escape import shown
from parammem.errors import ParamMemError

TITLES = {
    PROMOTED: "promoted",
    REFUSED: "refused",
    CHECK_FAILED: "the nightly check failed",
    ROLLED_BACK: "rolled back",
}
MOST = 1500
"""Characters of a message."""


def tell_news(root: Path, news: Sequence[News], say: Callable[[str], None]) -> None:
    """Send a message for each piece of news to every address that params name."""
    for one in news:
        about = one.payload
        lines = [str(about.get("headline", "")), *(str(reason) for reason in about.get("reasons", ()))]
        lines += [f"reason: {about['reason']}"] if "reason" in about else []
        lines += [f"commit {about['commit']}"] if about.get("commit") else []
        send(root, f"ParamMem, {one.domain}: {TITLES[one.event]}", "\n".join(filter(None, lines)), say)


def send(root: Path, title: str, body: str, say: Callable[[str], None]) -> int:
    """Send one message to every address. What cannot be sent is said, and stops nothing.

    Returns:
        How many addresses took it.
    """
    return sum(_sent(name, title, body, say) for name in _names(root, say))


def tell_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Send that a run failed or crashed. A hook of Prefect's, for on_failure and on_crashed."""
    root = Path(flow_run.parameters.get("root") or ".")
    why = shown(" ".join(str(state.message or state.name).split()), MOST)
    body = f"{why}\nrun {flow_run.name!r}; nothing is lost, see its log"
    send(root, f"ParamMem, {flow.name}: the run failed", body, print)


def _names(root: Path, say: Callable[[str], None]) -> tuple[str, ...]:
    try:
        return load_params(root / "params.yaml").improve.notify
    except (ParamMemError, OSError) as error:
        say(f"no message could be sent: {error}")
        return ()


def _sent(name: str, title: str, body: str, say: Callable[[str], None]) -> bool:
    address = os.environ.get(name, "")
    if not address:
        say(f"improve.notify names {name}, which this process's environment does not hold; no message went there")
        return False
    import apprise

    teller = apprise.Apprise()
    if not teller.add(address):
        say(f"{name} holds no address that Apprise can use; see `apprise --help` for their forms")
        return False
    text = "\n".join(shown(line, MOST) for line in body.splitlines())[:MOST]
    if teller.notify(body=text, title=shown(title, MOST), body_format=apprise.NotifyFormat.TEXT):
        return True
    say(f"the message could not be sent to the address in {name}")
    return False
