"""Which run a call is of, where nothing but memory decides."""

from __future__ import annotations

import pytest

from parammem.service.correlate import MOST_KEYS, MOST_RUNS, Correlator, read_call


def call(*texts, headers=None, **fields):
    """A call in which user and assistant take turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return read_call({"messages": messages, **fields}, headers or {}, lambda _: False)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def correlator(clock):
    return Correlator(600, clock)


def begun(correlator, one, answer="done"):
    run = correlator.begin(one)
    correlator.touch(run, one)
    correlator.answered(run, one, [{"role": "assistant", "content": answer}], "")
    return run


def test_two_runs_of_one_task_are_told_apart_by_what_they_were_answered(correlator):
    first, second = begun(correlator, call("task"), "A"), begun(correlator, call("task"), "B")
    assert correlator.find(call("task", "A", "go on")) is first
    assert correlator.find(call("task", "B", "go on")) is second
    assert correlator.find(call("task", " A \n", "go on")) is first  # blanks that a client adds do not count


def test_history_that_was_shortened_is_of_the_last_run_of_these_first_messages(correlator):
    begun(correlator, call("task"), "A")
    last = begun(correlator, call("task"), "B")
    assert correlator.find(call("task", "summary of all", "go on")) is last


def test_time_ends_what_only_messages_tell_apart(correlator, clock):
    run = begun(correlator, call("task"), "A")
    clock.now = 599
    assert correlator.find(call("task", "A", "x")) is run
    clock.now = 601
    assert correlator.find(call("task", "A", "x")) is None
    assert correlator.find(call("task", "other", "x")) is None


def test_ids_do_not_end(correlator, clock):
    run = begun(correlator, call("task", headers={"x-parammem-run": "r1"}))
    clock.now = 1e6
    assert correlator.find(call("other", headers={"x-parammem-run": "r1"})) is run


def test_a_beginning_while_the_first_is_being_answered_is_another_run(correlator):
    one = call("task")
    run = correlator.begin(one)
    correlator.touch(run, one)
    assert correlator.find(one) is run  # its call failed, and is sent again
    run.in_flight = 1
    assert correlator.find(one) is None


def test_a_trace_that_is_new_with_each_call_hides_no_conversation(correlator):
    def traced(number, *texts):
        return call(*texts, headers={"traceparent": f"00-{number:032x}-00f067aa0ba902b7-01"})

    run = begun(correlator, traced(1, "task"), "A")
    assert correlator.find(traced(2, "task", "A", "go on")) is run
    assert correlator.find(traced(3, "task")) is None


@pytest.mark.parametrize("value", ["", "bad id", "x" * 129, "../../etc", "\u00e9", "a\nb"])
def test_a_header_that_is_no_id_says_nothing(value):
    assert call("task", headers={"x-parammem-run": value}).run_id == ""


@pytest.mark.parametrize("value", ["00-" + "0" * 32 + "-00f067aa0ba902b7-01", "nonsense", "00-abc-def-01"])
def test_a_trace_that_is_none_says_nothing(value):
    assert call("task", headers={"traceparent": value}).trace == ""


@pytest.mark.parametrize("metadata", [None, [], "text", {"run_id": 7}, {"run_id": {"a": 1}}])
def test_odd_metadata_say_nothing(metadata):
    assert call("task", metadata=metadata).keys == ()


def test_memory_is_bounded(correlator, monkeypatch):
    monkeypatch.setattr("parammem.service.correlate.MOST_RUNS", 10)
    assert MOST_RUNS > 1000
    for number in range(50):
        begun(correlator, call(f"task {number}"))
    assert len(correlator) == 10
    assert correlator.find(call("task 0", "done", "x")) is None
    assert correlator.find(call("task 49", "done", "x")) is not None
    run, texts = begun(correlator, call("long")), ["long", "done"]
    for number in range(2 * MOST_KEYS):
        texts += [f"q{number}", f"a{number}"]
        correlator.answered(run, call(*texts[:-1]), [{"role": "assistant", "content": texts[-1]}], "")
    assert len(run.keys) <= MOST_KEYS + 1
    assert correlator.find(call(*texts, "next")) is run
