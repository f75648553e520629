"""A run of an agent in use, without its texts: which arm it was assigned to, what it was advised by, how it ended.

The service writes one line for each run that has ended, a turn of `improve` enters the file into the ledger, and the
live gate decides by it. Arms are assigned at random with recorded shares, so they can be compared.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from parammem.core.outcome import Outcome
from parammem.core.record import Extended

LiveArm = Literal["holdout", "champion", "challenger"]
LIVE_ARMS: tuple[LiveArm, ...] = ("holdout", "champion", "challenger")


class LiveRun(Extended):
    """One run that has ended: the line of data/live/<digest>.jsonl."""

    LATER = ("stratum", "advice", "no_advice", "retry", "tokens")

    run_id: str
    domain: str
    number: int = Field(ge=1)
    """In the order in which the domain's runs were assigned, from 1, without gaps."""
    arm: LiveArm
    shares: dict[LiveArm, float]
    """Arm → probability with which a run was assigned to it then; arms that there were not are left out."""
    adapter: str
    """Digest of the arm's adapter; empty: the arm gives no advice (holdout, or there is no champion)."""
    task: str
    """`Task.content` of the task: a digest. Retries of a task have the same."""
    retry: int = 0
    """How many runs of the same task there were before this one."""
    stratum: str = ""
    """Group of tasks that this one belongs to, for the guard on the mix of tasks; empty: there are no groups."""
    advice: str = ""
    """Digest of the advice that the run was given; empty: none was."""
    no_advice: str = ""
    """Why an arm that gives advice gave none: late, failed, …; the run stays in its arm all the same."""
    started: str
    """UTC, ISO 8601."""
    ended: str
    outcome: Outcome | None
    """None: nobody said how it ended within the time that a run has."""
    tokens: int = 0
    """Prompt and completion tokens of the run's calls, as upstream counted them; 0: not known."""


def assigned_arm(domain: str, run_id: str, shares: Mapping[LiveArm, float], secret: bytes) -> LiveArm:
    """Return the arm of a run: a keyed hash of its id, so that nobody without the secret can choose it.

    Args:
        shares: arm → probability; together 1.
        secret: of this repository's service (registry/live_secret.py).
    """
    hashed = hmac.new(secret, f"{domain}\n{run_id}".encode(), hashlib.sha256).digest()
    at = int.from_bytes(hashed[:8], "big") / 2**64
    present: list[LiveArm] = [arm for arm in LIVE_ARMS if shares.get(arm, 0.0) > 0]
    for arm in present:
        at -= shares[arm]
        if at < 0:
            return arm
    return present[-1]  # the shares' sum was below 1 by rounding
