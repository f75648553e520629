"""Facts about a line of the ledger: it is what the ledger would have written, or it is none, for every reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.core.event import START, Checked, Ingested, Recalled, make_event
from parammem.core.ledger_format import identity, read_event, split_lines
from parammem.errors import LedgerError
from parammem.lineage.past.events import walk as audit_walk
from parammem.registry import Ledger
from parammem.registry.ledger import CUT_SHORT
from parammem.registry.ledger import walk as registry_walk
from tests.memory import memory_bound

CHECK = Checked(domain="code", version=1, adapter="a" * 64, holds=True, solved=1.0, expected=0.5, p=1e-05, night="n")


def lines(count: int = 3) -> list[bytes]:
    """A sound chain; its texts hold what must not end a line."""
    found, previous = [], START
    for number in range(1, count + 1):
        fact = Recalled(domain="code", rows=(f"{number:064x}",), adapters=(), reason='a\u2028b\x85c\r\n"d é 😀')
        event = make_event(number, "2026-01-02T03:04:05Z", "person Ada\u2028", fact, previous)
        found.append(event.line().encode())
        previous = event.digest
    return found


def both(data: bytes) -> list[int]:
    """Lines that are refused. The registry and the audit agree on them, and on the events."""
    events, faults, said = registry_walk(data)
    life = audit_walk(data)
    assert life.events == events
    assert sorted({one.line for one in life.faults}) == sorted({one.line for one in faults})
    assert bool(said) == bool(life.unfinished)
    return sorted({one.line for one in faults})


def checked(old: bytes, new: bytes) -> bytes:
    line = make_event(1, "2026-01-02T03:04:05Z", "person Ada", CHECK, START).line().encode()
    assert old in line
    return line.replace(old, new, 1)


FORMS = {
    "carriage return at the end": checked(b"{", b"{") + b"\r",
    "byte order mark": b"\xef\xbb\xbf" + checked(b"{", b"{"),
    "blank at the end": checked(b"{", b"{") + b" ",
    "a key twice": checked(b'"actor": ', b'"actor": "person Eve", "actor": '),
    "1 for 1.0": checked(b'"solved": 1.0', b'"solved": 1'),
    "1.0 for 1": checked(b'"number": 1,', b'"number": 1.0,'),
    "true for 1": checked(b'"number": 1,', b'"number": true,'),
    "text for 1": checked(b'"number": 1,', b'"number": "1",'),
    "another form of a float": checked(b"1e-05", b"0.00001"),
    "NaN": checked(b'"p": 1e-05', b'"p": NaN'),
    "Infinity": checked(b'"p": 1e-05', b'"p": Infinity'),
    "a huge integer": checked(b'"number": 1,', b'"number": 1' + b"0" * 5000 + b","),
    "a huge exponent": checked(b"1e-05", b"1e400"),
    "not UTF-8": checked(b"Ada", b"\xff\xfe"),
    "half a surrogate pair": checked(b"Ada", b"\\ud800"),
    "an escape that is not needed": checked(b"Ada", b"\\u0041da"),
    "keys in another order": json.dumps(dict(reversed(json.loads(checked(b"{", b"{")).items()))).encode(),
    "no blanks": json.dumps(json.loads(checked(b"{", b"{")), sort_keys=True, separators=(",", ":")).encode(),
    "deeply nested": checked(b'"fact": {', b'"fact": ' + b"[" * 5000 + b"]" * 5000 + b', "fact": {'),
    "an unknown field": checked(b'"actor"', b'"aaa": 1, "actor"'),
    "empty": b"",
    "null": b"null",
}


def test_the_form_that_is_changed_in_these_tests_is_a_line():
    assert both(checked(b"{", b"{") + b"\n") == []


@pytest.mark.parametrize("line", FORMS.values(), ids=list(FORMS))
def test_a_line_that_the_ledger_would_not_have_written_is_refused_by_every_reader(line, tmp_path):
    assert both(line + b"\n") == [1]
    with pytest.raises(ValueError, match=r"."):
        read_event(line)
    ledger = Ledger(tmp_path)
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(line + b"\n")
    with pytest.raises(LedgerError, match=r"events\.jsonl:1"):
        ledger.append(CHECK, "person Ada")
    assert ledger.path.read_bytes() == line + b"\n"


def test_line_breaks_of_other_kinds_in_a_text_end_no_line():
    whole = lines()
    assert split_lines(b"\n".join(whole) + b"\n") == (whole, b"")
    assert both(b"\n".join(whole) + b"\n") == []


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\x0c\n", b"\xe2\x80\xa8\n"])
def test_a_last_line_with_another_ending_is_never_dropped(tmp_path, end):
    ledger = Ledger(tmp_path)
    for number in range(3):
        ledger.append(CHECK.model_copy(update={"night": str(number)}), "person Ada")
    data = ledger.path.read_bytes()[:-1] + end
    ledger.path.write_bytes(data)
    if end.endswith(b"\n"):
        assert both(data) == [3]
        with pytest.raises(LedgerError, match=r"events\.jsonl:3"):
            ledger.append(CHECK, "person Ada")
        assert ledger.path.read_bytes() == data
    else:
        ledger.append(CHECK, "person Ada")
        assert [one.read_bytes() for one in (tmp_path / CUT_SHORT).iterdir()] == [data.split(b"\n")[-1]]
        assert both(ledger.path.read_bytes()) == []


def test_a_lost_last_newline_costs_no_event(tmp_path):
    ledger = Ledger(tmp_path)
    for number in range(3):
        ledger.append(CHECK.model_copy(update={"night": str(number)}), "person Ada")
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-1])
    assert len(ledger.read()) == 3
    assert "the event counts" in ledger.unfinished()
    assert both(whole[:-1]) == []
    ledger.append(CHECK, "person Ada")
    assert ledger.path.read_bytes().startswith(whole)
    assert len(ledger.read()) == 4
    assert not (tmp_path / CUT_SHORT).exists()


def test_what_a_crash_cut_short_is_kept_aside_by_the_next_append(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.append(CHECK, "person Ada")
    with ledger.path.open("ab") as out:
        out.write(b'{"actor": "flow impr')
    assert "never written" in ledger.unfinished()
    assert len(ledger.read()) == 1
    ledger.append(CHECK.model_copy(update={"night": "next"}), "person Ada")
    assert [one.read_bytes() for one in (tmp_path / CUT_SHORT).iterdir()] == [b'{"actor": "flow impr']
    assert (len(ledger.read()), ledger.unfinished()) == (2, "")


@pytest.mark.parametrize(
    ("fact", "actor"),
    [
        (CHECK.model_copy(update={"p": float("nan")}), "person Ada"),
        (CHECK.model_copy(update={"p": float("inf")}), "person Ada"),
        (CHECK, "person \ud800"),
    ],
)
def test_a_fact_that_would_not_read_back_is_refused_before_it_is_written(tmp_path, fact, actor):
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path).append(fact, actor)
    assert not Ledger(tmp_path).path.exists()


def test_a_source_is_the_same_fact_whatever_its_file_was_called():
    one = Ingested(source="s", name="a.jsonl", format="parammem", batch="b", fresh="", rows=1, kept=1, held=0,
                   duplicates=0, quarantined=0)  # fmt: skip
    assert identity(one) == identity(one.model_copy(update={"name": "b.jsonl"}))
    assert identity(one) != identity(one.model_copy(update={"batch": "c"}))


WHOLE = b"\n".join(lines(4)) + b"\n"


@st.composite
def damaged(draw) -> bytes:
    """A sound ledger with up to three bytes or stretches changed, taken out or put in."""
    data = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 1, 2, 40, 500]))
        put = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from(
                    [b"\n", b"\r", b"\r\n", b"\x00", b"NaN", b"1.0", b'"', b"\\u0041", b"\xef\xbb\xbf", WHOLE[:700]]
                ),
            )
        )
        data[place : place + length] = put
    return bytes(data)


@settings(max_examples=400, deadline=None, database=None)
@given(damaged())
def test_damage_anywhere_is_noticed_or_harmless_and_the_readers_agree(data):
    """Whatever was done: the readers agree; what counts is a beginning of the true chain, and what is lost is said."""
    with memory_bound():
        faults = both(data)
    events = [event.line().encode() for event in registry_walk(data)[0]]
    if not faults:
        assert events == lines(4)[: len(events)]


@settings(max_examples=60, deadline=None, database=None)
@given(damaged())
def test_an_append_to_a_damaged_ledger_loses_no_byte_of_it(tmp_path_factory, data):
    ledger = Ledger(tmp_path_factory.mktemp("damaged"))
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(data)
    try:
        ledger.append(CHECK, "person Ada")
    except LedgerError:
        assert ledger.path.read_bytes() == data
        return
    assert ledger.verify() == []
    kept = b"".join(one.read_bytes() for one in (ledger.root / CUT_SHORT).glob("*"))
    whole = data.rpartition(b"\n")[0]
    assert ledger.path.read_bytes().startswith(whole)
    assert kept in (b"", data[len(whole) + 1 :]) or not whole
