"""The scripted engine says what it was told to say."""

from __future__ import annotations

import pytest

from parammem.engines.base import Request, chat
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import EngineError


def ask(text: str, **settings) -> Request:
    return Request(messages=chat(text), temperature=0.0, **{"max_tokens": 20, **settings})


def test_a_list_is_given_out_in_order():
    engine = ScriptedEngine(["a", "b", "c"])
    assert [[c.text for c in answer] for answer in engine.complete([ask("x"), ask("y", n=2)])] == [["a"], ["b", "c"]]
    with pytest.raises(EngineError, match="3 replies"):
        engine.complete([ask("x")])


def test_a_dict_is_looked_up_by_the_last_message():
    engine = ScriptedEngine({"x": "a"})
    assert engine.complete([ask("x")])[0][0].text == "a"
    with pytest.raises(EngineError, match="'y'"):
        engine.complete([ask("y")])


def test_a_function_sees_request_and_draw():
    engine = ScriptedEngine(lambda request, draw: f"{request.messages[-1].content}{draw}")
    assert [c.text for c in engine.complete([ask("x", n=2, first_draw=3)])[0]] == ["x3", "x4"]


def test_calls_and_draws_are_counted():
    engine = ScriptedEngine(lambda request, draw: "a b c\n d")
    engine.complete([ask("x", n=2), ask("y", max_tokens=2)])
    engine.complete([ask("x")])
    assert (engine.calls, engine.draws, len(engine.requests)) == (2, 4, 3)


def test_spaces_and_lines_are_kept_and_words_are_tokens():
    engine = ScriptedEngine(lambda request, draw: " a  b\n  c d\n")
    whole, cut = engine.complete([ask("x y"), ask("x", max_tokens=3)])
    assert (whole[0].text, whole[0].finish, whole[0].prompt_tokens, whole[0].completion_tokens) == (
        " a  b\n  c d\n",
        "stop",
        2,
        4,
    )
    assert (cut[0].text, cut[0].finish, cut[0].completion_tokens) == (" a  b\n  c", "length", 3)


def test_engines_of_different_names_have_different_digests():
    assert ScriptedEngine(["a"]).digest != ScriptedEngine(["a"], name="other").digest
