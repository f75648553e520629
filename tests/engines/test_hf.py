"""The decode loop against transformers' own generate, and what the hf engine says when it cannot start."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pytest

from parammem.engines import decode
from parammem.engines.base import Message, Request, chat
from parammem.engines.folders import find_model
from parammem.engines.hf import HfEngine
from parammem.engines.sampling import messages_digest, pick, uniforms
from parammem.errors import AdapterMismatchError, AdapterMissingError, EngineError, ModelMissingError
from tests.engines.conftest import write_card
from tests.tiny import load_model, make_tiny_model

WORDS = "sum price limit inside apples Anna mentor round zero once Ω 🙂 <=".split()


def some_requests(count: int, **settings) -> list[Request]:
    chance = random.Random(0)
    prompts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(count)]
    return [
        Request(messages=chat(p, system="Be brief." if i % 3 == 0 else None), **settings) for i, p in enumerate(prompts)
    ]


def generate(folder, adapter, request: Request) -> list[int]:
    """Greedy tokens of transformers' generate, one prompt alone, nothing padded."""
    import torch
    from transformers import AutoTokenizer

    model = load_model(folder, adapter, "cpu")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [message.model_dump() for message in request.messages]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        out = model.generate(**prompt, do_sample=False, max_new_tokens=request.max_tokens)
    return out[0, prompt["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("lean", [True, False])
@pytest.mark.parametrize("tuned", [False, True])
def test_greedy_equals_generate_token_for_token(tiny_model, tiny_adapter, lean, tuned):
    adapter = tiny_adapter if tuned else None
    engine = HfEngine.load(tiny_model, adapter, device="cpu", batch=7, lean=lean)
    requests = some_requests(12, temperature=0.0, max_tokens=48)
    written = tokens_of(engine, requests)
    assert written == [generate(tiny_model, adapter, request) for request in requests]


def tokens_of(engine: HfEngine, requests: list[Request]) -> list[list[int]]:
    prompts = engine._encode([request.messages for request in requests])
    rows = [row for request, ids in zip(requests, prompts, strict=True) for row in engine._rows(request, ids)]
    loaded = engine._loaded
    return decode.decode(loaded.open_session, rows, decode.BatchLimits(engine.batch, loaded.eos, loaded.pad, "cpu"))


def test_the_adapter_changes_the_text(tiny_model, tiny_adapter):
    requests = some_requests(4, temperature=0.0, max_tokens=20)
    base, tuned = HfEngine.load(tiny_model, device="cpu"), HfEngine.load(tiny_model, tiny_adapter, device="cpu")
    assert base.complete(requests) != tuned.complete(requests)
    assert base.digest != tuned.digest


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (4, 1)])
def test_lean_forward_gives_the_logits_of_the_models_own(tmp_path, monkeypatch, heads, trim):
    import torch

    from parammem.engines.forward import HfSession
    from parammem.engines.llama import LlamaSession, fits, take_weights

    model = load_model(make_tiny_model(tmp_path, heads=heads[0], kv_heads=heads[1], layers=3), device="cpu")
    assert fits(model)
    monkeypatch.setattr("parammem.engines.llama.TRIMMED_TOKENS", 40)  # two prompts a slice
    torch.manual_seed(0)
    ids, mask = torch.randint(5, 300, (4, 20)), torch.ones(4, 20, dtype=torch.long)
    for row, pads in enumerate((0, 3, 17, 19)):
        ids[row, :pads], mask[row, :pads] = 0, 0
    groups = torch.tensor([0, 0, 0, 1, 2, 2, 3])
    with torch.inference_mode():
        sessions = [LlamaSession(take_weights(model), ids, mask, trim), HfSession(model, ids, mask)]
        assert_close(*[session.logits for session in sessions])
        for session in sessions:
            session.spread(groups)
        rows = len(groups)
        for step in range(70):  # past the first room for new keys, twice
            if step in (5, 9, 40):  # one draw of a prompt ends; all draws of a prompt; all but one row
                keep = {5: [0, 2, 3, 4, 5, 6], 9: [0, 1, 3, 4, 5], 40: [3]}[step]
                for session in sessions:
                    session.keep(torch.tensor(keep))
                rows = len(keep)
            tokens = torch.randint(5, 300, (rows,))
            assert_close(*[session.step(tokens) for session in sessions])


def test_the_lean_forward_shares_its_weights_with_the_models_own(tiny_model):
    import torch

    from parammem.engines.llama import decode_weights

    model, ids = load_model(tiny_model, device="cpu"), torch.arange(5, 25)[None]
    with torch.inference_mode():
        before = model(ids).logits
        weights = decode_weights(model)
        assert torch.equal(model(ids).logits, before)
    for block, layer in zip(model.model.layers, weights.layers, strict=True):
        own = [getattr(block.self_attn, name).weight for name in ("q_proj", "k_proj", "v_proj")]
        own += [getattr(block.mlp, name).weight for name in ("gate_proj", "up_proj")]
        places = [weight.untyped_storage().data_ptr() for weight in own]
        joined = [layer.qkv.untyped_storage().data_ptr()] * 3 + [layer.gate_up.untyped_storage().data_ptr()] * 2
        assert places == joined, "nothing is in memory twice"


def test_a_model_above_the_bound_takes_its_own_forward(tiny_model, monkeypatch):
    from parammem.engines.forward import HfSession
    from parammem.engines.llama import LlamaSession

    requests = some_requests(3, temperature=0.0, max_tokens=10)
    small = HfEngine.load(tiny_model, device="cpu")
    monkeypatch.setattr("parammem.engines.llama.MAX_PARAMETERS", 1)  # of training alone
    assert small._loaded.open_session.func is LlamaSession
    monkeypatch.setattr("parammem.engines.llama.MAX_DECODE_PARAMETERS", 1)
    large = HfEngine.load(tiny_model, device="cpu")
    assert large._loaded.open_session.func is HfSession
    assert large.complete(requests) == small.complete(requests)


def assert_close(mine, theirs):
    assert (mine - theirs).abs().max() < 2e-4 * theirs.abs().max()


def test_prompts_are_prefilled_in_slices_with_the_same_result(tiny_model, monkeypatch):
    requests = some_requests(9, temperature=1.0, max_tokens=10, n=2)
    whole = HfEngine.load(tiny_model, device="cpu").complete(requests)
    monkeypatch.setattr("parammem.engines.llama.PREFILL_TOKENS", 100)
    assert HfEngine.load(tiny_model, device="cpu").complete(requests) == whole


@pytest.mark.parametrize("lean", [True, False])
@pytest.mark.parametrize("most", [0, 1, 130, 400])
def test_tokens_in_flight_are_bounded_and_change_no_text(tiny_model, lean, most, monkeypatch):
    requests = some_requests(9, temperature=1.0, max_tokens=24, n=2) + some_requests(3, temperature=0.0, max_tokens=50)
    whole = HfEngine.load(tiny_model, device="cpu", lean=lean)
    wanted = whole.complete(requests)
    bounded = HfEngine.load(tiny_model, device="cpu", lean=lean, batch_tokens=most)
    parts: list[list[decode.DrawRow]] = []
    run = decode._run
    monkeypatch.setattr(decode, "_run", lambda rows, *others: parts.append(rows) or run(rows, *others))
    assert bounded.complete(requests) == wanted
    assert bounded.digest == whole.digest, "the cache serves both"
    rows = sum(map(len, parts))
    assert rows == 21
    for part in parts:
        widest = max(-(-len(row.prompt) // 16) * 16 + row.max_tokens for row in part)
        assert most == 0 or len(part) == 1 or len(part) * widest <= most
    assert len(parts) == {0: 1, 1: rows}.get(most, len(parts))
    assert 1 < len(parts) < rows or most in (0, 1)


def test_models_that_the_lean_forward_does_not_fit_take_the_general_one(tmp_path):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    make_tiny_model(tmp_path)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=2, n_positions=128, initializer_range=0.3)
    config.eos_token_id, config.bos_token_id = 1, None
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    engine = HfEngine.load(tmp_path, device="cpu", batch=3)
    requests = some_requests(5, temperature=0.0, max_tokens=10)
    assert tokens_of(engine, requests) == [generate(tmp_path, None, request) for request in requests]


def test_the_end_token_ends_the_text_and_is_counted(tiny_model):
    answers = HfEngine.load(tiny_model, device="cpu").complete(some_requests(40, temperature=1.5, max_tokens=60))
    ended = [c for answer in answers for c in answer if c.finish == "stop"]
    assert ended
    assert all(c.completion_tokens <= 60 and "<|end|>" not in c.text for c in ended)
    assert all(c.completion_tokens == 60 for answer in answers for c in answer if c.finish == "length")


def test_usage_with_a_stop_string_does_not_depend_on_when_the_loop_looks(tiny_model, monkeypatch):
    request = Request(messages=chat("Anna"), temperature=1.0, max_tokens=60)
    engine = HfEngine.load(tiny_model, device="cpu")
    text = engine.complete([request])[0][0].text
    stopped = request.model_copy(update={"stop": (text[7:9],)})
    late = engine.complete([stopped])
    monkeypatch.setattr("parammem.engines.decode.STOP_EVERY", 1)
    assert engine.complete([stopped]) == late
    assert late[0][0].completion_tokens < 20


def test_sampling_follows_the_distribution():
    import torch

    logits = torch.tensor([2.0, 0.0, 1.0, -1.0])
    count = 20_000
    drawn = pick(logits.expand(count, 4), torch.full((count,), 0.7), torch.from_numpy(uniforms(3, 0, "x", count)))
    share = torch.bincount(drawn, minlength=4) / count
    assert torch.allclose(share, torch.softmax(logits / 0.7, -1), atol=0.015)


def test_sampling_never_takes_an_impossible_token():
    import torch

    logits = torch.tensor([[-float("inf"), 1.0, -float("inf"), 1.0, -float("inf")]]).expand(4, 5)
    drawn = pick(logits, torch.ones(4), torch.tensor([0.0, 0.5, 0.4999999, 1 - 2**-53], dtype=torch.float64))
    assert drawn.tolist() == [1, 3, 1, 3]


def test_random_numbers_follow_from_seed_draw_and_messages_alone():
    request = Request(messages=chat("Anna"), temperature=1.0, max_tokens=5)
    chat_digest = messages_digest(request)
    assert chat_digest == messages_digest(request.model_copy(update={"temperature": 0.5, "n": 4, "seed": 9}))
    base = uniforms(1, 2, chat_digest, 10)
    assert np.array_equal(base, uniforms(1, 2, chat_digest, 20)[:10])
    for other in (uniforms(2, 2, chat_digest, 10), uniforms(1, 3, chat_digest, 10), uniforms(1, 2, "other", 10)):
        assert not np.intersect1d(base, other).size


def test_roles_reach_the_prompt(tiny_model):
    engine = HfEngine.load(tiny_model, device="cpu")
    turns = (
        Message(role="system", content="a"),
        Message(role="user", content="b"),
        Message(role="assistant", content="c"),
    )
    ids = engine._encode([turns])[0]
    prompt = engine._loaded.tokenizer.decode(ids)
    assert prompt == "<|system|>a<|end|><|user|>b<|end|><|assistant|>c<|end|><|assistant|>"


def test_a_missing_model_is_named_with_what_to_do(tmp_path):
    for name in (tmp_path / "none", str(tmp_path / "none"), "models/none-such"):
        with pytest.raises(ModelMissingError, match=r"engine\.model"):
            HfEngine.load(name)
    with pytest.raises(ModelMissingError, match="safetensors"):
        HfEngine.load(tmp_path)


def test_a_folder_is_its_own_model(tiny_model):
    assert find_model(str(tiny_model)) == tiny_model


def test_an_adapter_of_another_base_is_refused(tiny_model, tiny_adapter, tmp_path):
    other = make_tiny_model(tmp_path / "other", seed=5)
    with pytest.raises(AdapterMismatchError, match="trained on 'tiny'"):
        HfEngine.load(other, tiny_adapter)


def test_a_changed_or_incomplete_adapter_is_refused(tiny_model, tiny_adapter, tmp_path):
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_adapter, folder)
    card = json.loads((folder / "adapter.json").read_text())
    write_card(folder, card["base_digest"], "f" * 64)
    with pytest.raises(AdapterMismatchError, match="changed after training"):
        HfEngine.load(tiny_model, folder)
    (folder / "adapter.json").unlink()
    with pytest.raises(AdapterMissingError, match=r"adapter\.json"):
        HfEngine.load(tiny_model, folder)
    with pytest.raises(AdapterMissingError, match=r"adapter_model\.safetensors"):
        HfEngine.load(tiny_model, tmp_path / "none")


def test_a_model_without_a_chat_template_is_an_engine_error(tiny_model, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(EngineError, match="chat template"):
        HfEngine.load(folder, device="cpu").complete(some_requests(1, temperature=0.0, max_tokens=2))


def test_the_digest_names_the_dtype(tiny_model):
    assert HfEngine.load(tiny_model).digest != HfEngine.load(tiny_model, dtype="bfloat16").digest


def test_bfloat16_writes_too(tiny_model):
    for lean in (True, False):
        engine = HfEngine.load(tiny_model, device="cpu", dtype="bfloat16", lean=lean)
        answers = engine.complete(some_requests(3, temperature=1.0, max_tokens=8, n=2))
        assert [len(answer) for answer in answers] == [2, 2, 2]
