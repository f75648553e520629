"""The wire carries plain values exactly, and bytes of any kind never crash or fool the trusted side."""

# the lines quote programs and frames
# ruff: noqa: E501
from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import itertools
import math
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from parammem.sandbox import Call, CandidateJob, Limits, Pool, equal
from parammem.sandbox.inner import rich, wire
from tests.sandbox.trusting import checked

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
KNOWN = {
    rich.Row, rich.Stream, collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque, range,
    bytearray, type({}.keys()), type({}.items()), type({}.values()), type(...), type, decimal.Decimal, fractions.Fraction,
    array.array, datetime.date, datetime.time, datetime.timedelta, datetime.datetime,
}  # fmt: skip
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
    """Builtin types, and those of the standard library that a value is built of anew."""
    if type(value) not in PLAIN:
        return type(value) in KNOWN
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
    job = CandidateJob(source="def echo(*args): return list(args)", entry="echo", calls=[Call(args=values)])
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

    class Words(str):
        __slots__ = ()

    class Table(dict):
        pass

    for value, base in ((Colour.RED, 3), (Words("a"), "a"), (Table(a=1), {"a": 1})):
        assert same(wire.decode(wire.encode(value)), base)


Point = collections.namedtuple("Point", "x y")
RICH = [
    Point(1, 2), collections.Counter("aab"), collections.OrderedDict(b=1, a=2), collections.defaultdict(list, a=[1]),
    collections.deque([1, [2]], 4), bytearray(b"x"), range(1, 9, 2), {1: 2}.keys(), {1: 2}.items(), ..., int, type(None),
    decimal.Decimal("1.50"), decimal.Decimal("-Infinity"), fractions.Fraction(-7, 3), array.array("d", [0.5]),
    datetime.date(2020, 2, 3), datetime.time(4, 5, 6, 7), datetime.timedelta(-1, 5), datetime.datetime(2020, 1, 2, 3, 4, 5),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
]  # fmt: skip


@pytest.mark.parametrize("value", RICH, ids=lambda value: type(value).__name__)
def test_values_of_the_standard_library_are_built_anew(value: Any):
    built = wire.decode(wire.encode([value, {1: value}]))
    assert built == [value, {1: value}]
    assert [type(one).__name__ for one in (built[0], built[1][1])] == [
        {"Point": "Row"}.get(type(value).__name__, type(value).__name__)
    ] * 2
    assert built[0] is not value or isinstance(value, type | type(...))


def test_fields_factories_and_lengths_come_along():
    point, table, queue = wire.decode(wire.encode([RICH[0], RICH[3], RICH[4]]))
    assert (point.x, point.y, point._fields, repr(point)) == (1, 2, ("x", "y"), "Point(x=1, y=2)")
    assert table["new"] == []
    assert queue.maxlen == 4
    with pytest.raises(AttributeError):
        _ = point.z
    strange = wire.decode(wire.encode(collections.defaultdict(lambda: 7, a=1)))
    assert strange == {"a": 1}
    assert strange.default_factory is None


def test_an_iterator_travels_with_its_items_and_its_end():
    def failing():
        yield 1
        raise ValueError("no")

    assert list(wire.decode(wire.encode(iter([1, 2])))) == [1, 2]
    assert dict(wire.decode(wire.encode(zip("ab", range(2), strict=True)))) == {"a": 0, "b": 1}
    found = wire.decode(wire.encode(failing()))
    assert next(found) == 1
    with pytest.raises(RuntimeError, match="ValueError: no"):
        next(found)
    endless = wire.decode(wire.encode(itertools.count()))
    assert [next(endless) for _ in range(rich.MOST_ITEMS)][-1] == rich.MOST_ITEMS - 1
    with pytest.raises(RuntimeError, match="more than"):
        next(endless)


class Liar(collections.Counter):
    """Its own methods would say anything."""

    def items(self):
        raise AssertionError("asked")

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_no_method_of_a_subclass_comes_along():
    built = wire.decode(wire.encode(Liar("a")))
    assert type(built) is collections.Counter
    assert built == {"a": 1}
    assert built != {"a": 2}


BOMBS = [
    ("bytearray", 10**12), ("Decimal", "9" * 10**6), ("Fraction", (3**10**5, 7**10**5)), ("Fraction", (1, 0)),
    ("deque", (10**12, None)), ("deque", ([1], -1)), ("range", (1, 2, 0)), ("range", ("a", "b", "c")), ("type", "eval"),
    ("array", ("b", 10**12)), ("array", ("z", [1])), ("ndarray", ([10**9, 10**9], "i", 8, [1])), ("ndarray", ([5000], "U", 4, ["a" * 2**20, *[""] * 4999])),
    ("ndarray", ([1], "O", 8, [1])), ("namedtuple", ("P", 5, [1])), ("defaultdict", ("eval", {})), ("defaultdict", (["x"], {})),
    ("keys", [1]), ("iterator", (5, "")), ("iterator", ([1],)), ("datetime", (1, 2)), ("date", (10**6, 1, 1)),
    ("timedelta", (10**12, 0, 0)), ("os.system", "true"), ("", None), ("Counter", [1]), ("plain", 1),
]  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb[0])
def test_contents_that_are_none_are_refused_at_once(bomb: tuple[str, Any]):
    name, contents = bomb
    start = time.monotonic()
    frame = b"x" + bytes([len(name)]) + name.encode() + wire.encode(contents)
    if bomb == ("defaultdict", ("eval", {})):
        assert wire.decode(frame).default_factory is None
        return
    with pytest.raises(wire.WireError):
        wire.decode(frame)
    assert time.monotonic() - start < 2


@given(st.sampled_from([wire.encode(value) for value in RICH]), st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_values_of_the_standard_library_give_known_types_or_a_wire_error(whole: bytes, data: st.DataObject):
    frame = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    check_decoding(bytes(frame))


def test_runs_of_numbers_travel_as_one_piece():
    for value in ([1] * 1000, (2**62,) * 40, [0.5] * 40, [2**70] * 40, [1, 0.5] * 40, [True] * 40, [1, None] * 40):
        assert same(wire.decode(wire.encode(value)), value)
    assert len(wire.encode([1] * 1000)) < 8100
    with pytest.raises(wire.WireError, match="parts"):
        wire.decode(b"ql" + (10**7).to_bytes(4, "big") + bytes(8 * 10**7))
    with pytest.raises(wire.WireError):
        wire.decode(b"ql" + (2**31).to_bytes(4, "big") + bytes(80))


@pytest.mark.parametrize("value", [object(), lambda: 0, math, (1).__add__, re.compile("a"), type("C", (), {})])
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
        body = bytes(r.choice(b'VEMUS!XltdSZisbfcNTFQNqgx') for _ in range(r.randint(0, 40)))
        if r.random() < .5: body += r.randbytes(r.randint(0, 60))
        size = r.choice([len(body), len(body), r.randint(0, 100), 2**32 - 1, 2**23])
        try: os.write(fd, size.to_bytes(4, 'big') + body)
        except OSError: pass
    return 7
"""


def test_frames_forged_in_a_child_never_pass_or_kill_the_worker(echo: Pool):
    echo.run([CandidateJob(source="def add(x): return 1", entry="add", calls=[Call(args=[1])])])
    workers = echo.members()
    jobs = [CandidateJob(source=FUZZER, entry="add", calls=[Call(args=[n]), Call(args=[n])]) for n in range(60)]
    limits = Limits(wall_seconds=0.5, cpu_seconds=1)
    for outcomes in echo.run(jobs, limits):
        assert len(outcomes) == 2
        assert all(outcome.kind != "value" or only_plain(outcome.value) for outcome in outcomes)
        assert not any(equal(outcome, {"the": "expectation"}) for outcome in outcomes)
    assert echo.members() == workers


def test_forged_notes_never_pass_or_kill_the_worker(echo: Pool):
    """The same fuzzer before tests, which listen for notes."""
    workers = echo.members()
    tests = "import collections\nx = [1, {}]\nfor n in range(3):\n    try: add(x)\n    except Exception: pass\nassert add(x) == 8"
    source = FUZZER.replace("def add(seed):", "def add(x):\n    seed = len(x)").replace(
        "random.Random(seed)", "random.Random(os.getpid())"
    )
    verdicts = echo.check([checked(source, "add", tests) for _ in range(40)], Limits(wall_seconds=0.5, cpu_seconds=1))
    assert not any(verdict.passed for verdict in verdicts)
    assert echo.members() == workers


NOTE = "import os, sys\nwire, notes = sys.modules['sandbox_inner.wire'], sys.modules['sandbox_inner.notes']\n"


@pytest.mark.parametrize(
    "said",
    [
        "{'args': 5}", "{'args': ([], {})}", "{'args': (([9],), {'a': 1}, 3)}", "{'raised': 5}", "{'raised': ('x', [], '', None)}",
        "{'raised': ('x', [('builtins', 'eval')], '', ('1',))}", "{'raised': ('x', [('os', 'system')], 'true', None)}",
        "{'raised': ('x', [('builtins', 'StopIteration')], '', None)}", "{'raised': ('a b', [('builtins', 'OSError')], '', (1, 2, 3))}",
        "[1]", "{'args': (([1],), {}), 'raised': ('x', [('builtins', 'KeyError')], 5, 'no')}",
    ],
)  # fmt: skip
def test_a_forged_note_is_data_and_decides_nothing(echo: Pool, said: str):
    source = NOTE + f"def f(x):\n    notes.of = lambda *a: wire.encode({said})\n    raise ValueError\n"
    tests = "x = [1]\ntry:\n    f(x)\nexcept Exception:\n    pass\nassert False, 'reached'"
    (verdict,) = echo.check([checked(source, "f", tests)])
    assert not verdict.passed
    assert "reached" in verdict.detail
    silent = "for n in map(f, [[1]]): pass\nassert [n for n in map(f, [[1]])] == []"
    assert not echo.check([checked(source, "f", silent)])[0].passed
