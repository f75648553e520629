"""The wire carries plain values exactly, and bytes of any kind never crash or fool the trusted side."""

# the lines quote programs
from __future__ import annotations

import collections
import enum
import math
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from parammem.sandbox import Call, Job, Limits, Pool, equal
from parammem.sandbox.inner import wire

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary()
    | st.text(st.characters(exclude_categories=[]))
    | st.integers(min_value=-(2**600), max_value=2**600)
)  # fmt: skip
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.sets(KEYS, max_size=5)
        | st.frozensets(KEYS, max_size=5)
    ),
    max_leaves=25,
)
PLAIN = {type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset}


def same(a: Any, b: Any) -> bool:
    """Equal in value and in every type, NaN and the sign of zero included."""
    if type(a) is not type(b):
        return False
    if type(a) in (float, complex):
        return repr(a) == repr(b)
    if type(a) in (list, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is dict:
        return len(a) == len(b) and all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    if type(a) in (set, frozenset):
        return a == b and sorted(map(repr_of, a)) == sorted(map(repr_of, b))
    return a == b


def repr_of(value: Any) -> str:
    """A form that is the same whatever order a set is walked in."""
    if type(value) in (set, frozenset):
        return f"{type(value).__name__}{sorted(map(repr_of, value))}"
    if type(value) is tuple:
        return f"({','.join(map(repr_of, value))})"
    return repr(value)


def only_plain(value: Any) -> bool:
    if type(value) not in PLAIN:
        return False
    if type(value) is dict:
        return all(only_plain(k) and only_plain(v) for k, v in value.items())
    return all(map(only_plain, value)) if type(value) in (list, tuple, set, frozenset) else True


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_round_trip_is_exact(value: Any):
    assert same(wire.decode(wire.encode(value)), value)


@given(st.lists(VALUES, max_size=3))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_round_trip_through_a_real_child_is_exact(echo: Pool, values: list[Any]):
    job = Job(source="def echo(*args): return list(args)", entry="echo", calls=[Call(args=values)])
    outcome = echo.run([job], Limits())[0][0]
    assert outcome.kind == "value", outcome.error
    assert same(wire.decode(wire.encode(outcome.value)), outcome.value)
    assert len(outcome.value) == len(values)
    assert all(
        equal(outcome.model_copy(update={"value": got}), want) for got, want in zip(outcome.value, values, strict=True)
    )


@pytest.fixture(scope="module")
def echo():
    with Pool(1) as pool:
        yield pool


@given(VALUES, st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_frames_give_plain_values_or_a_wire_error(value: Any, data: st.DataObject):
    frame = bytearray(wire.encode(value))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, max(0, len(frame) - 1)))
        act = data.draw(st.sampled_from(["flip", "cut", "insert", "double"]))
        if act == "flip" and frame:
            frame[place] = data.draw(st.integers(0, 255))
        elif act == "cut":
            del frame[place : place + data.draw(st.integers(1, 8))]
        elif act == "insert":
            frame[place:place] = data.draw(st.binary(max_size=8))
        else:
            frame += frame[place:]
    check_decoding(bytes(frame))


@given(st.binary(max_size=300))
@example(b"l\xff\xff\xff\xff")
@example(b"l\x00\x00\x00\x01" * 5000)
@example(b"S\x00\x00\x00\x01l\x00\x00\x00\x00")
@example(b"d\x00\x00\x00\x01l\x00\x00\x00\x00N")
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_plain_values_or_a_wire_error(frame: bytes):
    check_decoding(frame)


def check_decoding(frame: bytes) -> None:
    start = time.monotonic()
    try:
        value = wire.decode(frame)
    except wire.WireError:
        pass
    else:
        assert only_plain(value)
    assert time.monotonic() - start < 10


def test_colliding_hashes_meet_the_deadline():
    count = 60_000
    items = b"".join(wire.encode(i * (2**61 - 1)) for i in range(count))
    frame = b"S" + count.to_bytes(4, "big") + items
    start = time.monotonic()
    with pytest.raises(wire.WireError, match="too long"):
        wire.decode(frame, time.monotonic() + 0.3)
    assert time.monotonic() - start < 20


def test_subclasses_travel_as_their_base():
    class Colour(enum.IntEnum):
        RED = 3

    point = collections.namedtuple("point", "x y")
    for value, base in (
        (Colour.RED, 3), (point(1, 2), (1, 2)), (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}), (bytearray(b"x"), b"x"),
    ):  # fmt: skip
        assert same(wire.decode(wire.encode(value)), base)


@pytest.mark.parametrize("value", [object(), lambda: 0, iter([]), range(3), math, (1).__add__])
def test_other_objects_cannot_be_carried(value: Any):
    with pytest.raises(wire.WireError, match="not a plain value"):
        wire.encode([value])


FUZZER = """
import os, random
def add(seed):
    r = random.Random(seed)
    for fd in range(3, 20):
        try: os.fstat(fd)
        except OSError: continue
        body = bytes(r.choice(b'VEMUS!XltdSZisbfcNTF') for _ in range(r.randint(0, 40)))
        if r.random() < .5: body += r.randbytes(r.randint(0, 60))
        size = r.choice([len(body), len(body), r.randint(0, 100), 2**32 - 1, 2**23])
        try: os.write(fd, size.to_bytes(4, 'big') + body)
        except OSError: pass
    return 7
"""


def test_frames_forged_in_a_child_never_pass_or_kill_the_worker(echo: Pool):
    echo.run([Job(source="def add(x): return 1", entry="add", calls=[Call(args=[1])])])
    workers = echo.members()
    jobs = [Job(source=FUZZER, entry="add", calls=[Call(args=[n]), Call(args=[n])]) for n in range(60)]
    limits = Limits(wall_seconds=0.5, cpu_seconds=1)
    for outcomes in echo.run(jobs, limits):
        assert len(outcomes) == 2
        assert all(outcome.kind != "value" or only_plain(outcome.value) for outcome in outcomes)
        assert not any(equal(outcome, {"the": "expectation"}) for outcome in outcomes)
    assert echo.members() == workers
