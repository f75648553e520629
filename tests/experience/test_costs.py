"""Rows and files that were made so that reading them takes quadratic time, or many times their size of memory."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from parammem.core.advice import without_advice
from parammem.errors import DataError
from parammem.experience.ingest import ingest
from parammem.experience.source_files import Source
from tests.experience.rows import store
from tests.memory import memory_bound

SECONDS = 5.0
"""CPU, as in test_fuzz.py. What took quadratic time took two to ten times as long on these inputs."""
MANY = 20_000


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def call(name: str = "bash") -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}


def chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages), "outcome": True}


def span(number: int, sent: Any, came: Any) -> dict[str, Any]:
    texts = {"gen_ai.input.messages": json.dumps(sent), "gen_ai.output.messages": json.dumps(came)}
    listed = [{"key": key, "value": {"stringValue": value}} for key, value in texts.items()]
    one = {"traceId": "t", "spanId": str(number), "startTimeUnixNano": str(number), "attributes": listed}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}


def trace() -> list[dict[str, Any]]:
    """Calls that are each sent nothing but one more result of a tool."""
    begun = span(0, [said("user", "q")], [said("assistant", "x", tool_calls=[call()])])
    result = ({"role": "tool", "tool_call_id": "c", "content": str(number)} for number in range(6000))
    return [begun, *(span(n, [one], [said("assistant", f"a{n}")]) for n, one in enumerate(result, 1))]


def sample(attached: Any, **message: Any) -> dict[str, Any]:
    messages = [said("user", "q"), *[{"role": "tool", "tool_call_id": "c", **message}] * 5000, said("assistant", "42")]
    scores = {"match": {"value": "C"}}
    return {"id": "1", "epoch": 1, "messages": messages, "attachments": {"h": attached}, "scores": scores}


LONG = "attachment://h"
ROWS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "users, then the assistant": ("", [chat(*[said("user", "q")] * MANY, *[said("assistant", "x")] * MANY,
                                            said("assistant", "", tool_calls=[call()]))]),
    "questions back": ("", [chat(said("user", "q"), *[said("assistant", "w?"), said("user", "y")] * MANY,
                                 said("assistant", "", tool_calls=[call()]), said("assistant", "42"))]),
    "a trace of many calls": ("no-outcome", trace()),
    "one attachment, named often": ("too-long", [sample("word " * 100_000, content=LONG)]),
    "one attachment, in parts": ("too-long", [sample("word " * 100_000, content=[{"type": "text", "text": LONG}] * 9)]),
    "many tries": ("too-long", [{"name": "x", "prompt": "q", "implementations": list(map(str, range(MANY))),
                                 "is_solved": True}]),
    "many reflections": ("too-long", [{"name": "x", "prompt": "q", "implementations": ["1"], "is_solved": True,
                                       "reflections": list(map(str, range(MANY)))}]),
    "many values": ("too-long", [{"messages": [[]] * 600_000}]),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_row_costs_bounded_time_and_memory(tmp_path, name):
    rule, rows = ROWS[name]
    file = tmp_path / "in.json"
    file.write_text("\n".join(map(json.dumps, rows)))
    begun = time.process_time()
    with memory_bound():
        event = ingest(Source.of(file), store(tmp_path / "r", domain="math"), "person eve").event
    assert time.process_time() - begun < SECONDS
    assert (event.kept, event.reasons) == ((0, {rule: 1}) if rule else (1, {}))


def test_samples_of_a_zip_are_bounded_together(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(4):
            made.writestr(f"samples/{number}_epoch_1.json", b"[" + b"[]," * (10 << 20) + b"1]")
    file = tmp_path / "a.eval"
    file.write_bytes(packed.getvalue())
    begun = time.process_time()
    with memory_bound(), pytest.raises(DataError, match="many times its size"):
        ingest(Source.of(file), store(tmp_path / "r", domain="math"), "person eve")
    assert time.process_time() - begun < SECONDS


def test_blocks_of_advice_between_text_are_taken_out_in_linear_time():
    text = "word " * 400_000 + "<parammem-advice>x</parammem-advice>y" * 20_000
    begun = time.process_time()
    left = without_advice(text)
    assert time.process_time() - begun < SECONDS
    assert len(left.advice) == 20_000
    assert left.text.endswith("word\n\ny\n\n" + "y\n\n" * 19_998 + "y")


SESSION = [
    {"type": "session_meta", "payload": {"id": "s"}},
    {"type": "response_item", "payload": {"type": "message", "role": "user", "content": "2 + 2?"}},
    {"type": "response_item", "payload": {"type": "message", "role": "assistant", "content": "4"}},
]


def test_a_file_whose_name_is_no_utf_8_is_read_in_every_format(tmp_path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jsonl"))
    file.write_text("\n".join(map(json.dumps, SESSION[1:])))
    event = ingest(Source.of(file), store(tmp_path / "r", domain="math"), "person eve").event
    assert event.reasons == {"no-outcome": 1}, "put together, although no row names its session"


def test_half_a_character_in_the_name_of_a_run_is_named(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, [{"type": "session_meta", "payload": {"id": "\ud800"}}, *SESSION[1:]])))
    event = ingest(Source.of(file), store(tmp_path / "r", domain="math"), "person eve").event
    assert event.reasons == {"half-character": 1}
