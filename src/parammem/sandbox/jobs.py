"""What is asked of the sandbox (Job, Call, Limits) and what it answers (Outcome)."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, InstanceOf, SerializerFunctionWrapHandler, field_serializer

from parammem.core.record import Record
from parammem.sandbox.trusted import TrustedTests

Level = Literal["strict", "nofiles", "none"]
"""strict: Landlock + seccomp + rlimits. nofiles: no Landlock needed, no file can be opened at all.
none: a plain child process with this account's full rights and no limit but the wall clock."""

Kind = Literal[
    "value", "exception", "denied", "timeout", "cpu", "memory", "output", "files", "threads", "exit", "crash",
    "undecodable", "setup",
]  # fmt: skip


class Call(Record):
    """One use of a candidate: a function call, or one run of it as a stdin/stdout program."""

    args: list[Any] = []
    """Plain builtin values: None, bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset."""
    kwargs: dict[str, Any] = {}
    stdin: str | None = None
    """When given, the source runs as `__main__` in a process of its own with this text as its input."""


class Limits(Record):
    """What one run (one candidate with all its calls) may use. A stdin program has them for each call."""

    wall_seconds: float = Field(default=5.0, gt=0)
    """Time it may stay blocked. Time spent waiting for a busy CPU does not count, up to ten times this."""
    cpu_seconds: float = Field(default=2.0, gt=0)
    """On the child's own CPU clock, all threads together. A test program has ten times as much for itself."""
    memory_mb: int = Field(default=512, ge=16)
    """Address space beyond that of the bare interpreter, in MiB."""
    stack_mb: int = Field(default=1024, ge=0)
    """Address space, in MiB, that stacks of threads may reserve on top where the source sets their size
    (`threading.stack_size`). What is written to counts towards `memory_mb`; it is measured every 5 ms there."""
    output_bytes: int = Field(default=1_000_000, ge=0)
    """What it may print."""
    value_bytes: int = Field(default=8_000_000, ge=64)
    """Size of one returned value on the wire. All calls of a job together may return eight times as much."""
    file_bytes: int = Field(default=0, ge=0)
    """0: no file can be written. Otherwise a private scratch folder, its working directory, may hold this much."""
    threads: int = Field(default=32, ge=1)
    """Threads alive at once, the main one included. Processes cannot be started at all."""


class CandidateJob(Record):
    """One candidate with all its calls; they run in one child."""

    source: str
    entry: str | None = None
    """Name of the function (or dotted name of a method). None for stdin programs."""
    calls: list[Call] = []
    preload: tuple[str, ...] = ()
    """Modules that are imported before its child is forked: of the standard library, or numpy."""


class ExecutionOutcome(Record):
    """What one call came to."""

    kind: Kind
    """value: it returned. exception: it raised. denied: it raised PermissionError. setup: the source does not load,
    or has no such entry. undecodable: it returned something that is no plain value, or broke the protocol.
    exit: it ended its own process. crash: it was ended by a signal, or took its worker with it twice. timeout: it
    stayed blocked, or the tests took too long over what it returned. The rest name the limit that was hit."""
    value: Any = None
    """The returned plain value when kind is `value`, of exact builtin types; None for a stdin program."""
    stdout: str = ""
    """What the call printed, cut at `output_bytes`."""
    exit_code: int | None = None
    """Of a stdin program that called `sys.exit` with another code than 0, when kind is `exit`. None: it ended its
    process in another way."""
    error: str = ""
    """What went wrong, in words a model can use. Empty when kind is `value`."""
    cpu_seconds: float = 0.0
    """CPU time of the whole child. All outcomes of one child carry the same figure."""

    @field_serializer("value", mode="wrap", when_used="json")
    def _as_json(self, value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        """Return the value, or what it was where JSON in UTF-8 has no place for it (half a surrogate pair, a huge
        integer)."""
        try:
            plain = handler(value)
            json.dumps(plain, ensure_ascii=False).encode()
        except ValueError as error:
            return f"({type(value).__name__} that JSON cannot hold: {type(error).__name__})"
        return plain


class ProgramCheck(Record):
    """A candidate and a trusted test program, for tests that are not `call == literal`.

    The tests run outside the child, against a proxy of the candidate: only `TrustedTests` can be given, never text that
    a model or a third party wrote (for that: `advise_program`). They see plain values only.
    """

    source: str
    entry: str
    tests: InstanceOf[TrustedTests]
    """Statements that raise when the candidate is wrong. They may call it by its name or as `candidate`; a function
    `check` that they define is called with it (HumanEval)."""
    preamble: InstanceOf[TrustedTests] | None = None
    """Text that runs before the tests and may define helpers they use, e.g. the problem's own prompt."""
    preload: tuple[str, ...] = ()
    """As in `CandidateJob`. With numpy the tests have it too."""


class Verdict(Record):
    """What a test program said of a candidate."""

    passed: bool
    detail: str = ""
    """Why not."""
    outcome: ExecutionOutcome | None = None
    """The last outcome of the candidate, if it was ever called."""
    cpu_seconds: float = 0.0
    """CPU time of the candidate's child."""
