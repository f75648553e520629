"""Calls of agents and answers of upstream that would harm more than themselves: by cost, by path, by form."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.checkout.places import LIVE_INBOX
from parammem.core.advice import GivenAdvice, marked
from parammem.core.outcome import Outcome
from parammem.service import correlate
from parammem.service.correlate import AgentCall, Correlator, read_call
from parammem.service.hand_over import last_number
from parammem.service.insert import stored_text
from parammem.service.proxy import is_upwards
from parammem.service.transcript import MOST_CHOICES, AnswerReader, steps_of
from parammem.service.written import step_line
from tests.service.books import book
from tests.service.proxies import proxied

SECONDS = 5.0
"""CPU."""


@pytest.mark.parametrize(
    "path",
    ["/../admin", "/models/../../admin", "/%2e%2e/admin", "/.%2E/x", "/%252e%252e/x", "/x/..", "/..\\admin",
     "/%2e.%5cx", "/..%2fx", "/%25252525252e%25252525252e/x"],
)  # fmt: skip
def test_a_path_that_leads_upwards_is_known(path):
    assert is_upwards(path)


@pytest.mark.parametrize(
    "path", ["/models", "/files/a..b", "/models/org%2Fmodel", "/x/.../y", "/.well-known", "/a%20b"]
)
def test_any_other_path_is_none(path):
    assert not is_upwards(path)


def test_upstream_with_its_key_is_asked_for_nothing_outside_v1(tmp_path):
    import http.client

    with proxied(tmp_path, key="upstream's key") as up:
        host = up.url.removeprefix("http://")
        for path in ("/v1/../admin", "/v1/%2e%2e/admin", "/v1/models/%2e%2e/%2e%2e/admin"):
            connection = http.client.HTTPConnection(host, timeout=20)  # sends a path as it is
            connection.request("GET", path)
            assert connection.getresponse().status == 404
            connection.close()
        assert up.upstream.received == []


def test_a_call_of_very_many_values_passes_without_being_read(tmp_path):
    with proxied(tmp_path) as up:
        body = b'{"messages":[{"role":"user","content":"values"}],"x":[' + b"[]," * 600_000 + b"1]}"
        answer = up.client.post(up.url + "/v1/chat/completions", content=body)
        assert answer.status_code == 200
        assert "x-parammem-run" not in answer.headers


def test_a_long_request_of_mcp_is_refused_before_it_is_read(tmp_path):
    with proxied(tmp_path) as up:
        for path in ("/mcp", "/v1/runs"):
            answer = up.client.post(up.url + path, json={"task": "x" * (5 << 20)})
            assert answer.status_code == 413


def read(*chunks: bytes, kind: str = "text/event-stream") -> AnswerReader:
    reader = AnswerReader(200, kind, "")
    for chunk in chunks:
        reader.feed(chunk)
    reader.end()
    return reader


def event(**fields) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def test_arguments_of_a_call_that_are_no_text_are_kept_as_json():
    function = {"name": "f", "arguments": {"a": [1]}}
    reader = read(event(choices=[{"delta": {"tool_calls": [{"id": "c", "function": function}]}}]))
    assert reader.messages[0]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": [1]}'}
    assert reader.error == ""


@pytest.mark.parametrize(
    "data",
    [b'data: {"choices":[{"index":1e999,"delta":{"content":"x"}}]}\n', b'data: {"choices":[{"index":NaN}]}\n',
     event(choices=[{"delta": {"tool_calls": [{"index": [1]}]}}]), event(choices=[{"index": [1]}]),
     event(choices=[{"delta": {"tool_calls": [{"function": {"name": 5}}]}}])],
)  # fmt: skip
def test_an_event_of_an_odd_form_is_said_and_ends_nothing(data):
    assert read(data).error.startswith("the answer could not be read")


def test_an_answer_of_very_many_choices_is_not_kept():
    reader = read(event(choices=[{"index": number} for number in range(20 * MOST_CHOICES)]))
    assert "choices" in reader.error
    assert len(reader.messages) <= MOST_CHOICES + 1


def test_a_line_that_comes_in_small_pieces_is_searched_once():
    begun = time.process_time()
    read(*[b"x" * 8] * 1_500_000)
    assert time.process_time() - begun < SECONDS


def test_blocks_of_one_piece_of_advice_are_looked_for_once():
    one = GivenAdvice(text="x", digest="d" * 64)
    blocks = "\n".join(marked(one.model_copy(update={"draw": number})) for number in range(20_000))
    begun = time.process_time()
    text = stored_text("word " * 200_000 + blocks, lambda given: given.digest == one.digest)
    assert time.process_time() - begun < SECONDS
    assert text == ("word " * 200_000).strip()


def test_a_run_with_ever_new_ids_is_remembered_by_a_bounded_number_of_them():
    known = Correlator(60)

    def sent(number: int) -> AgentCall:
        body = {"messages": [{"role": "user", "content": "q"}], "metadata": {"trace_id": f"t{number}"}}
        return read_call(body, {"x-parammem-run": "mine"}, lambda _: False)

    run = known.begin(sent(0))
    for number in range(3 * correlate.MOST_KEYS):
        assert known.find(sent(number)) is run
        known.touch(run, sent(number))
    assert len(run.keys) <= correlate.MOST_KEYS
    assert run.key in run.keys


def test_a_pipe_among_the_evidence_is_not_waited_for(tmp_path):
    (tmp_path / LIVE_INBOX).mkdir(parents=True)
    os.mkfifo(tmp_path / LIVE_INBOX / "a.jsonl")
    assert last_number(tmp_path, "code", b"s" * 32) == 0


def test_long_tasks_and_answers_count_in_the_size_of_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("parammem.service.hand_over.BATCH_BYTES", 100_000)
    runs = book(tmp_path)
    for number in range(6):
        begun = runs.start("desk", f"task {number} " + "word " * 10_000)
        runs.report(begun.run_id, Outcome(passed=True), answer="yes " * 5000)
    made = runs.sweep(all=True).batches
    assert len(made) > 3
    runs.close()


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", "\ud800", "1", "{", "[1]"])
odd = st.recursive(leaf, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner))
function = odd | st.fixed_dictionaries({}, optional={"name": odd, "arguments": odd})
called = odd | st.fixed_dictionaries({}, optional={"index": odd, "id": odd, "function": function, "type": odd})
said = {"role": odd, "content": odd, "tool_calls": odd | st.lists(called, max_size=2), "type": odd}
spoken = odd | st.fixed_dictionaries({}, optional=said)
choice = odd | st.fixed_dictionaries({}, optional={"index": odd, "delta": spoken, "message": spoken})
parts = {"choices": odd | st.lists(choice, max_size=3), "usage": odd, "id": odd, "type": odd, "response": odd,
         "output": odd | st.lists(spoken, max_size=2), "delta": odd}  # fmt: skip
bodies = {"messages": odd | st.lists(spoken, max_size=3), "input": odd, "metadata": odd, "instructions": odd,
          "conversation": odd, "previous_response_id": odd}  # fmt: skip
answers = odd | st.fixed_dictionaries({}, optional=parts)


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(answers, min_size=1, max_size=3))
def test_any_answer_is_read_as_steps_that_can_be_written_or_said_to_be_unreadable(found):
    whole = [read(json.dumps(one).encode(), kind="application/json") for one in found]
    streamed = read(*(b"data: " + json.dumps(one).encode() + b"\n\n" for one in found))
    for reader in (*whole, streamed):
        for step in steps_of(reader.messages):
            assert step_line(step).encode()
        assert reader.tokens >= 0


@settings(max_examples=300, deadline=None, database=None)
@given(st.fixed_dictionaries({}, optional=bodies))
def test_any_call_is_understood_or_goes_on_as_it_came(body):
    body = json.loads(json.dumps(body))
    try:
        call = read_call(body, {}, lambda _: False)
    except (ValueError, TypeError, RecursionError):  # those that the proxy lets pass
        return
    assert call.chain
    known = Correlator(60)
    run = known.begin(call)
    known.answered(run, call, [{"role": "assistant", "content": "x"}], "r1")
    assert all(step_line(step).encode() for step in steps_of(call.messages))
