"""The trusted side of one pool member: takes jobs on stdin, has its zygote fork a child for each, and sends the
outcomes back on stdout. Test programs run here too (judge.py); the zygote was forked before any of them arrived."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from . import wire, zygote
from .conversation import Conversation, Row
from .judge import judge


def main(level: str, layered: bool) -> None:
    """Serve jobs until stdin ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        try:
            zygote.launch(theirs, level, layered)
        finally:
            os._exit(0)
    theirs.close()
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    zygote.silence()  # a test that prints must not write into the pipe
    _answer(answers, ours.recv(65536) or wire.encode({"ready": False, "why": "the zygote died at once"}))
    while header := jobs.read(4):
        job = wire.decode(jobs.read(wire.frame_size(header)), time.monotonic() + 60)
        _answer(answers, wire.encode(_serve(ours, jobs.fileno(), job)))


def _answer(answers: Any, payload: bytes) -> None:
    answers.write(wire.frame(payload))
    answers.flush()


def _serve(control: socket.socket, jobs: int, job: dict[str, Any]) -> Any:
    limits = job["limits"]
    if job["mode"] == "check":
        with Conversation(control, jobs, limits) as talk:
            verdict = judge(talk, job)
            if talk.overdrawn():
                verdict |= {"passed": False, "row": ["files", b"", b"", ""]}
            return {**verdict, "cpu": talk.end()["cpu"]}
    if job["mode"] == "program":
        return [_program(control, jobs, job, text) for text in job["inputs"]]
    with Conversation(control, jobs, limits) as talk:
        rows = _calls(talk, job)
        if talk.overdrawn():
            rows[-1] = ["files", b"", rows[-1][2], ""]
        return [[*row, talk.end()["cpu"]] for row in rows]


def _program(control: socket.socket, jobs: int, job: dict[str, Any], text: str) -> Row:
    with Conversation(control, jobs, job["limits"], text) as talk:
        row = talk.ask(wire.encode({"source": job["source"], "entry": "", "stdin": True}))
        row = row or talk.last_row(program=True)
        return [*(["files", b"", row[2], ""] if talk.overdrawn() else row), talk.end()["cpu"]]


def _calls(talk: Conversation, job: dict[str, Any]) -> list[Row]:
    wanted = len(job["calls"])
    loaded = talk.ask(wire.encode({"source": job["source"], "entry": job["entry"], "stdin": False}))
    if loaded is None or loaded[0] != "value":
        row = loaded or talk.last_row()
        return [row] + [[row[0], b"", b"", row[3]] for _ in range(wanted - 1)]
    rows: list[Row] = []
    for call in job["calls"]:
        row = talk.ask(call)
        rows.append(row or talk.last_row())
        if row is None or row[0] == "output":
            break
    rest = f"not run, because an earlier call ended the program: {rows[-1][3] or rows[-1][0]}"
    return rows + [[rows[-1][0], b"", b"", rest] for _ in range(wanted - len(rows))]
