"""The trusted side of one pool member: takes jobs on stdin, has its zygote fork a child for each, and sends the
outcomes back on stdout. Test programs run here too (judge.py); the zygote was forked before any of them arrived."""

from __future__ import annotations

import _socket
import marshal
import os
from typing import Any

from . import wire, zygote
from .conversation import Conversation, Row
from .preload import import_modules
from .zygote_link import ZygoteLink

_VALUES = 8
"""All calls of a run may return this many times what one may: their values are held until the last has come."""


def main(control: _socket.socket, site: str = "") -> None:
    """Serve jobs until stdin ends. `control`: the channel to the zygote; `site`: where tests find numpy, or ""."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    zygote.silence()  # a test that prints must not write into the pipe
    hello = control.recv(65536) or marshal.dumps({"ready": False, "why": "the zygote died at once"}, 2)
    if site:
        import_modules(["numpy"], site)
    answers.write(wire.frame(hello))
    answers.flush()
    link = ZygoteLink(control, jobs.fileno())
    while header := jobs.read(4):
        for message in marshal.loads(jobs.read(wire.frame_size(header))):
            answers.write(wire.frame(marshal.dumps(_serve(link, marshal.loads(message)), 2)))
        answers.flush()


def _serve(link: ZygoteLink, job: dict[str, Any]) -> Any:
    if job["mode"] == "check":
        from .judge import judge  # after the fork: children need none of it

        return judge(lambda: Conversation(link, job["limits"]), job)
    if job["mode"] == "program":
        return [_program(link, job, text) for text in job["inputs"]]
    with Conversation(link, job["limits"]) as talk:
        rows = _calls(talk, job)
        spoilt = talk.spoilt()
        if spoilt and rows[-1][0] != spoilt:
            rows[-1] = [spoilt, b"", rows[-1][2], ""]
        return [[*row, talk.cpu] for row in rows]


def _program(link: ZygoteLink, job: dict[str, Any], text: str) -> Row:
    with Conversation(link, job["limits"], text) as talk:
        talk.load(job["source"], "")
        row = talk.listen() or talk.last_row(program=True)
        spoilt = talk.spoilt()
        return [*([spoilt, b"", row[2], ""] if spoilt else row), talk.cpu]


def _calls(talk: Conversation, job: dict[str, Any]) -> list[Row]:
    """Send all calls at once and return their rows; the child takes them one after the other and answers each before
    the next."""
    wanted = len(job["calls"])
    talk.load(job["source"], job["entry"])
    talk.call(job["calls"], last=True)
    loaded = talk.listen()
    if loaded is None or loaded[0] != "value":
        row = loaded or talk.last_row()
        return [row] + [[row[0], b"", b"", row[3]] for _ in range(wanted - 1)]
    rows: list[Row] = []
    left = job["limits"]["value_bytes"] * _VALUES
    for _ in range(wanted):
        row = talk.listen()
        left -= len(row[1]) if row else 0
        if row and left < 0:
            row = [
                "output",
                b"",
                row[2],
                f"its calls returned more than {job['limits']['value_bytes'] * _VALUES} bytes",
            ]
        rows.append(row or talk.last_row())
        if row is None or row[0] == "output":
            break
    rest = f"not run, because an earlier call ended the program: {rows[-1][3] or rows[-1][0]}"
    return rows + [[rows[-1][0], b"", b"", rest] for _ in range(wanted - len(rows))]
