# ruff: noqa: E501 (templates stand as they come)
"""Chat templates of all kinds: rendered as transformers does, in bounded time and memory, every turn in its place."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from parammem.engines import templates
from parammem.engines.base import Message, Request, chat
from parammem.engines.hf import HfEngine
from parammem.engines.templates import render, system_first
from parammem.errors import DataError, EngineError, RequestFailed
from parammem.training.encoding import encode
from tests.tiny import CHAT_TEMPLATE, make_tiny_model, make_tiny_tokenizer

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""
SILENT = """{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% elif m.role == 'assistant' %}
{{- ' ' + m.content + eos_token }}{% endif %}{% endfor %}"""
LLAMA3 = """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|h|>' + message['role'] +
'<|/h|>\n\n' + message['content'] | trim + '<|eot|>' %}{% if loop.index0 == 0 %}{% set content = 'B' + content %}{% endif %}
{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|h|>assistant<|/h|>\n\n' }}{% endif %}"""
QWEN = """{%- if tools %}{{- '<tools>' }}{%- endif %}{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""
RICH = """{% macro turn(m) %}<{{ m.role | upper }}>{{ m.content | tojson }}{% endmacro %}{% set ns = namespace(n=0, seen=[]) %}
{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ turn(m) }}{% endgeneration %}{% continue %}{% endif %}
{% set ns.n = ns.n + 1 %}{{ turn(m) }}{{ dict(a=ns.n)['a'] }}{% endfor %}{{ eos_token }}{{ strftime_now('%Y') | length }}
{{ documents is none }}{{ {'ä': 1, 'b': [1, 2]} | tojson(indent=2) }}"""
HONEST = {"ours": CHAT_TEMPLATE, "gemma": GEMMA, "silent": SILENT, "llama": LLAMA3, "qwen": QWEN, "rich": RICH}
CHATS = [
    chat("Return the sum."),
    (*chat("one"), Message(role="assistant", content="two"), *chat("three\n\n  ")),
    chat("Ω 🙂 <|end|> {{ 7 * 7 }} {% for %} \u2028 \x00 \\ \" '"),
    chat("x" * 20_000),
    chat(""),
]


def tokenizer_with(template: Any) -> Any:
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def as_transformers(tokenizer: Any, turns: Any) -> str:
    plain = [{"role": turn.role, "content": turn.content} for turn in turns]
    return tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("name", HONEST)
def test_a_template_gives_what_transformers_gives(name):
    tokenizer = tokenizer_with(HONEST[name])
    assert render(tokenizer, CHATS) == [as_transformers(tokenizer, turns) for turns in CHATS]


@pytest.mark.parametrize("name", ["ours", "llama", "qwen", "rich"])
def test_a_template_with_a_system_role_keeps_it(name):
    tokenizer = tokenizer_with(HONEST[name])
    turns = chat("Return the sum.", "Be brief.")
    assert render(tokenizer, [turns]) == [as_transformers(tokenizer, turns)]


@pytest.mark.parametrize("name", ["gemma", "silent"])
def test_without_a_system_role_its_words_go_before_the_users_first(name):
    """Whether the template refuses the role or leaves it out without a word."""
    tokenizer = tokenizer_with(HONEST[name])
    talk = (*chat("one", "Be brief."), Message(role="assistant", content="two"), *chat("three"))
    folded = (*chat("Be brief.\n\none"), Message(role="assistant", content="two"), *chat("three"))
    assert render(tokenizer, [talk, chat("x")]) == [
        as_transformers(tokenizer, folded),
        as_transformers(tokenizer, chat("x")),
    ]


def test_system_words_without_a_user_are_the_users():
    assert system_first([{"role": "system", "content": "a"}]) == [{"role": "user", "content": "a"}]
    two = [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, {"role": "user", "content": "c"}]
    assert system_first(two) == [{"role": "user", "content": "a\n\nb\n\nc"}]


HOSTILE = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a text that doubles": "{% set n = namespace(x='a' * 99) %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "a text times a number": "{{ 'a' * 10000000000 }}",
    "a list times a number": "{{ ([0] * 10000000000) | length }}",
    "a power": "{{ 10 ** (10 ** 9) }}",
    "a width": "{{ '%1000000000d' % 1 }}",
    "a format": "{{ '{:>9999999999}'.format('a') }}",
    "centred": "{{ 'a' | center(9999999999) }}",
    "recursion that doubles": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "only in some chats": "{% for m in messages %}{% if 'three' in m.content %}{{ 'a' * 10000000000 }}{% endif %}{% endfor %}"
    + CHAT_TEMPLATE,
    "a text of 40 MB": "{{ 'a' * 40000000 }}",
}


@pytest.fixture
def hurried(monkeypatch):
    """A process with a tenth of the time, so that tests are quick."""
    monkeypatch.setattr(templates, "CPU_SECONDS", 0.2)
    templates._worker().stop()
    yield
    templates._worker().stop()


def test_the_shipped_bound_ends_a_loop_too():
    began = time.monotonic()
    with pytest.raises(EngineError, match="more than 2 s"):
        render(tokenizer_with(HOSTILE["loops in loops"]), CHATS[:1])
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("case", HOSTILE)
def test_a_template_that_hangs_or_fills_the_memory_is_stopped_and_named(case):
    tokenizer = tokenizer_with(HOSTILE[case])
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"the chat template in 'this model'") as caught:
        render(tokenizer, CHATS[:2], "this model")
    assert "chat_template.jinja" in str(caught.value)
    assert time.monotonic() - began < 60, "two renderings of 2 CPU seconds, on a machine however busy"
    assert render(tokenizer_with(CHAT_TEMPLATE), [chat("x")]) == ["<|user|>x<|end|><|assistant|>"], "the next one works"


BROKEN = {
    "raises": ("{{ raise_exception('no such thing here') }}", "no such thing here"),
    "no end of a loop": ("{% for m in messages %}", "TemplateSyntaxError"),
    "nonsense": ("{{ }", "TemplateSyntaxError"),
    "unknown filter": ("{{ messages | none_such }}", "none_such"),
    "unknown tag": ("{% import_all %}", "TemplateSyntaxError"),
    "undefined": ("{{ messages.x.y }}", "UndefinedError"),
    "division": ("{{ 1 / 0 }}", "ZeroDivisionError"),
    "include": ("{% include '/etc/passwd' %}", "TypeError|no loader|TemplateNotFound"),
    "out of the sandbox": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
    "through a function": (
        "{{ raise_exception.__globals__ }}{{ raise_exception.__globals__['sys'] }}",
        "SecurityError",
    ),
    "recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
    "nested deeply": ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "RecursionError|Error"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_template_that_raises_is_an_error_of_ours(case):
    template, says = BROKEN[case]
    with pytest.raises(EngineError, match=says):
        render(tokenizer_with(template), CHATS[:1], "this model")


def test_a_template_that_leaves_out_the_user_is_refused():
    with pytest.raises(EngineError, match="leaves out what the user says"):
        render(tokenizer_with("{% for m in messages %}{{ m.role }}{% endfor %}"), [chat("x", "y")], "this model")


@pytest.mark.parametrize("template", [None, "", {}, {"tool_use": "x"}, {"default": 3}])
def test_no_template_is_an_error_of_ours(template):
    with pytest.raises(EngineError, match="chat template"):
        render(tokenizer_with(template), CHATS[:1], "this model")


def test_of_several_templates_the_default_one_is_taken():
    tokenizer = tokenizer_with({"default": CHAT_TEMPLATE, "tool_use": "x"})
    assert render(tokenizer, [chat("x")]) == ["<|user|>x<|end|><|assistant|>"]


def test_engine_and_training_render_alike_and_refuse_alike(tmp_path):
    folder = make_tiny_model(tmp_path / "model")
    (folder / "chat_template.jinja").write_text(GEMMA)
    engine = HfEngine.load(folder, device="cpu")
    turns = chat("Return the sum.", "Be brief.")
    row = encode(engine._loaded.tokenizer, turns, "round half up")
    assert engine._encode([turns]) == [row.ids[: row.prompt]]
    assert "Be brief." in engine._loaded.tokenizer.decode(row.ids)
    (folder / "chat_template.jinja").write_text(HOSTILE["a power"])
    engine = HfEngine.load(folder, device="cpu")
    with pytest.raises(EngineError, match="chat template"):
        engine.complete([Request(messages=turns, temperature=0.0, max_tokens=2)])
    with pytest.raises((EngineError, DataError), match="chat template"):
        encode(engine._loaded.tokenizer, turns, "x")


def test_the_process_that_renders_may_do_nothing_else(tmp_path):
    """Its environment is empty, and it writes no files."""
    render(tokenizer_with(CHAT_TEMPLATE), [chat("x")])
    process = templates._worker()._process
    assert process is not None
    assert Path(f"/proc/{process.pid}/environ").read_bytes() == b""
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    sizes = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
    assert sizes["Max file size"] == "0"
    assert int(sizes["Max address space"]) == templates.MEMORY_MB << 20


def test_a_process_that_was_killed_is_started_again():
    render(tokenizer_with(CHAT_TEMPLATE), [chat("x")])
    process = templates._worker()._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert render(tokenizer_with(CHAT_TEMPLATE), [chat("y")]) == ["<|user|>y<|end|><|assistant|>"]


@pytest.mark.parametrize("after", [False, True], ids=["before its thread runs", "while its thread runs"])
def test_an_interrupt_while_the_clock_is_started_leaves_no_thread_that_keeps_the_process(after, monkeypatch):
    def interrupted(timer: threading.Timer) -> None:
        if after:
            threading.Thread.start(timer)
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Timer, "start", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            render(tokenizer_with(CHAT_TEMPLATE), [chat("interrupted")])
    left = [thread for thread in set(threading.enumerate()) - before if not thread.daemon]
    assert left == []
    assert templates._worker()._process is None, "its answer would be taken for the next question's"


def test_threads_get_their_own_answers():
    tokenizer, found = tokenizer_with(CHAT_TEMPLATE), {}

    def ask(name: int) -> None:
        for turn in range(30):
            found[name, turn] = render(tokenizer, [chat(f"{name} {turn}")])[0]

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {key: f"<|user|>{key[0]} {key[1]}<|end|><|assistant|>" for key in found}
    assert len(found) == 240


def test_a_prompt_longer_than_the_context_is_refused_by_name_and_harms_no_other(tiny_model):
    from parammem.agents.asking import call

    engine = HfEngine.load(tiny_model, device="cpu")
    short = Request(messages=chat("Anna"), temperature=0.0, max_tokens=4)
    long = short.model_copy(update={"messages": chat("Anna is the mentor of Ben. " * 400)})
    with pytest.raises(RequestFailed, match=r"a prompt has \d+ tokens, and the model in .* takes 512"):
        engine.complete([long])
    first, failed, last = call(engine.complete, [short, long, short])
    assert first == last == engine.complete([short])[0]
    assert isinstance(failed, RequestFailed)


def test_an_answer_ends_where_the_context_ends(tiny_model):
    engine = HfEngine.load(tiny_model, device="cpu")
    words = "Anna is the mentor of Ben. "
    tokenizer = engine._loaded.tokenizer
    fits = max(n for n in range(1, 80) if len(tokenizer(words * n)["input_ids"]) < 470)
    request = Request(messages=chat(words * fits), temperature=1.5, max_tokens=400, n=3)
    draws = engine.complete([request])[0]
    assert all(draw.prompt_tokens + draw.completion_tokens <= 512 for draw in draws)
    cut = [draw for draw in draws if draw.finish == "length"]
    assert all(draw.prompt_tokens + draw.completion_tokens == 512 for draw in cut)


def test_a_tokenizer_without_an_end_still_writes(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    assert HfEngine.load(folder, device="cpu").complete([Request(messages=chat("x"), temperature=0.0, max_tokens=2)])
