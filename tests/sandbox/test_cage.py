"""A candidate is never sent to a child that has not said that it is locked down."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from parammem.sandbox import Limits
from parammem.sandbox.inner import child, zygote
from parammem.sandbox.inner.child import lock_down
from parammem.sandbox.inner.conversation import Conversation


class _Link:
    """A connection to no zygote: the test plays the child at the other end of the channel."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.jobs, self._keep = os.pipe()
        self.control = self
        self.ahead = False
        self.sent: list[bytes] = []

    def child(self, order: bytes, deadline: float) -> list[int]:
        return [self.ours.detach(), os.memfd_create("stdout")]

    def send(self, word: bytes) -> None:
        self.sent.append(word)

    def says(self, milliseconds: int) -> bool:
        return True

    def ended(self, deadline: float) -> tuple[str, int, float]:
        return "", 0, 0.0

    def close(self) -> None:
        self.theirs.close()
        os.close(self.jobs)
        os.close(self._keep)


def heard(said: bytes, stays: bool, ahead: bool = False) -> tuple[bytes, list[Any]]:
    """What a child that says this is sent, and the outcome of a call of it."""
    line = _Link()
    line.ahead = ahead
    try:
        line.theirs.sendall(said)
        if not stays:
            line.theirs.shutdown(socket.SHUT_WR)
        with Conversation(line, Limits().model_dump()) as talk:  # pyright: ignore[reportArgumentType]
            talk.load("def f(): return 'the candidate'", "f")
            line.theirs.setblocking(False)
            try:
                sent = line.theirs.recv(1000)
            except BlockingIOError:
                sent = b""
            line.theirs.shutdown(socket.SHUT_RDWR)
            row = talk.listen() or talk.last_row()
        return sent, row
    finally:
        line.close()


def test_a_child_that_is_locked_down_gets_the_candidate():
    sent, _ = heard(child.LOCKED, stays=True)
    assert b"the candidate" in sent


@pytest.mark.parametrize("stays", [True, False])
def test_a_child_that_could_not_be_locked_down_gets_nothing_and_says_why(stays: bool):
    sent, row = heard(child.refused(OSError("no Landlock")), stays)
    assert sent == b""
    assert (row[0], row[3]) == ("refused", "OSError: no Landlock")


def test_a_child_that_dies_before_it_is_locked_down_gets_nothing():
    sent, row = heard(b"", stays=False)
    assert sent == b""
    assert row[0] == "refused"
    assert "died" in row[3]


def test_a_child_forked_ahead_that_was_killed_meanwhile_ends_the_worker(monkeypatch: pytest.MonkeyPatch):
    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit, match="3"):
        heard(b"", stays=False, ahead=True)


@pytest.mark.parametrize(
    ("held", "lacking"),
    [(0x1FFFFFFFFFF, []), (0xE0, []), (0x1FFFFFFFF7F, ["CAP_SETUID"]), (0, ["CAP_KILL", "CAP_SETGID", "CAP_SETUID"])],
)
def test_root_is_told_by_name_what_it_lacks_to_become_another_user(held: int, lacking: list[str]):
    assert zygote.lacking_of(held) == lacking


def test_the_first_step_that_fails_ends_the_locking_down():
    done: list[int] = []
    steps = [(done.append, (1,), "one"), (len, ("failed",), "two"), (done.append, (3,), "three")]
    with pytest.raises(OSError, match="two refused"):
        lock_down(steps, None)  # pyright: ignore[reportArgumentType]
    assert done == [1]
