"""One answer of a server, whatever it holds: a text that can be written, or an error of ours, soon, in little memory.

PARAMMEM_FUZZ_EXAMPLES=2000 tries as many, others each time.
"""

from __future__ import annotations

import copy
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import Store
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.embedder import Embedder
from parammem.engines.openai.engine import open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.errors import ParamMemError
from tests.engines.stub import Raw, Stub, chat_answer
from tests.engines.test_openai_server import ask
from tests.memory import memory_bound

SECONDS = 5
WHOLE = chat_answer(
    [{"type": "text", "text": "<think>Ben</think>Anna"}],
    message={"refusal": None, "reasoning_content": "hm", "tool_calls": []},
    choice={"logprobs": {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": []}]}},
    error=None,
    data=[{"index": 0, "id": "m", "embedding": [0.1, 0.2]}],
    base_resp={"status_code": 0, "status_msg": ""},
)
ERRORS = [
    {"error": {"message": "'n' must be 1", "param": "n", "code": 400}},
    {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]},
    {"object": "error", "message": "busy", "code": "503"},
]
WORDS = [
    "",
    "m",
    "m-2024-08-06",
    "stop",
    "length",
    "error",
    "\ud800",
    "\x00\x1b[2J",
    "\u2028",
    "9" * 5000,
    "a" * 70_000,
]
NUMBERS = st.one_of(st.integers(-(10**40), 10**40), st.floats(), st.sampled_from([200, 402, 429, 500]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(WORDS), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["message", "content", "text", "error", "code", "type", "id", "x"]), inner),
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every part of plain data."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, inner in items for one in places(inner, (*path, key)))]


def replaced(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    made = copy.deepcopy(whole)
    spot = made
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return made


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A good answer or a usual error with some parts replaced; cut or spoilt, or bytes that never were one."""
    kind = draw(st.sampled_from(["changed", "changed", "changed", "cut", "bytes", "deep", "events"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    if kind == "deep":
        return draw(st.sampled_from([b"[", b'{"choices":[', b'{"error":'])) * draw(st.sampled_from([10, 900, 50_000]))
    whole: Any = draw(st.sampled_from([WHOLE, *ERRORS]))
    for _ in range(draw(st.integers(0, 3))):
        whole = replaced(whole, draw(st.sampled_from(places(whole))), draw(VALUES))
    data = json.dumps(whole).encode()
    if kind == "events":
        return b"data: " + data + b"\n\ndata: [DONE]\n\n"
    return data[: draw(st.integers(0, len(data)))] if kind == "cut" else data


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/json", "text/html", "text/x; charset=utf-7", ";;", "x" * 900]),
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "br", "identity", "gzip, gzip", "?"]),
        "Retry-After": st.sampled_from(["1e400", "-1", "nan", "Tue, 99 Nov 2023", "9" * 400, "soon"]),
        "Location": st.sampled_from(["/v1", "http://127.0.0.1:1/", "//", "\\"]),
    },
)
STATUSES = st.sampled_from([200, 200, 200, 200, 201, 301, 400, 401, 402, 403, 404, 422, 429, 500, 503, 599])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.integration
@settings(
    max_examples=int(os.environ.get("PARAMMEM_FUZZ_EXAMPLES", "200")),
    deadline=None,
    derandomize="PARAMMEM_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=bodies(), status=STATUSES, headers=HEADERS, draws=st.sampled_from([1, 2]))
def test_any_answer_becomes_a_text_that_can_be_written_or_an_error_of_ours(folder, data, status, headers, draws):
    reply = Raw([data], {"Content-Length": str(len(data)), **headers}, status)
    began = time.monotonic()
    with memory_bound(), Stub(lambda _: reply, reply) as stub:
        store = Store(folder / "cache" / str(time.monotonic_ns()))
        server = Server(ServerSettings(stub.url, timeout_seconds=4, retries=0), Account(Terms(), store))
        said = []
        try:
            engine = CachedEngine(open_model(server, "m"), store)
            for completion in engine.complete([ask("Anna", n=draws, stop=("zzz",))])[0]:
                said.append(completion.line())
                assert 0 <= completion.completion_tokens <= 10**8
        except ParamMemError as error:
            said.append(str(error))
        try:
            assert np.isfinite(Embedder(Server(server.settings, Account(Terms())), "m")(["a"])).all()
        except ParamMemError as error:
            said.append(str(error))
        assert all(one.encode() for one in said)
        assert len(stub.log) <= 2 + 8 * 3
    assert time.monotonic() - began < SECONDS
    assert [path.name for path in folder.iterdir()] == ["cache"]
