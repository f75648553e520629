"""The recipe of the pocket models, run whole on the tiny recipe, and the committed model held to the current recipe."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from parammem.engines.base import chat
from parammem.pocket.mixture import DRILL, FORMS, advice_text, draw_recital, draw_text
from parammem.pocket.recipe import POCKET_1M, POCKET_4M, POCKET_250K, POCKET_TINY, RECIPES, recipe_digest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "pocket-1m"
COMMITTED = ("pocket-1m", "pocket-4m", "pocket-250k")


def test_the_mixture_has_every_form_in_its_share_and_is_deterministic():
    texts = [draw_text(random.Random(5)) for _ in range(3)]
    assert texts[0] == texts[1] == texts[2]
    rng = random.Random(6)
    counts = Counter(draw_text(rng).form for _ in range(3000))
    assert all(abs(counts[form] / 3000 - share) < 0.03 for form, share in FORMS.items())


def test_advice_is_at_most_a_dozen_words_and_holds_no_code():
    rng = random.Random(7)
    for _ in range(2000):
        text = draw_text(rng)
        if text.form != "actor":
            assert len(text.target.split()) <= 12
            assert "def" not in text.target
            assert "(" not in text.target


def test_the_mixture_teaches_no_world():
    """Over many texts each value of a convention is the right one equally often for each kind."""
    rng, counts = random.Random(8), Counter()
    for _ in range(12000):
        text = draw_text(rng)
        if text.form == "advise" and text.domain == "code" and "limit" in text.target:
            counts[(text.target.split()[0], "limit inside" in text.target)] += 1
    kinds = {kind for kind, _ in counts}
    assert len(kinds) == 6
    for kind in kinds:
        inside, all_of_it = counts[(kind, True)], counts[(kind, True)] + counts[(kind, False)]
        assert abs(inside / all_of_it - 0.5) < 4 * 0.5 / all_of_it**0.5


def test_what_dot_is_to_say_mostly_repeats_what_was_said_before():
    """Said in docs/pocket-world.md: nobody asks for it, but earlier reflections are nearly always right too."""
    rng, repeats = random.Random(10), []
    while len(repeats) < 300:
        text = draw_text(rng)
        earlier = [line for line in text.prompt.splitlines() if line.startswith("earlier ")]
        if text.form == "reflect_diverse" and earlier:
            said = [set(line.removeprefix("earlier ").split(" ; ")) for line in earlier]
            repeats.append(set(text.target.split(" ; ")) in said)
    assert 0.93 < sum(repeats) / len(repeats) < 0.99


def test_a_recital_gives_the_facts_of_its_passage_again():
    text = draw_recital(random.Random(9))
    assert text.form == DRILL
    facts = text.prompt.removeprefix("recite ").split(" . ")
    assert sorted(text.target.removeprefix("facts ").split(" . ")) == sorted(facts)
    assert len(set(facts)) == 8


def test_the_drill_comes_first_and_once():
    from parammem.pocket.corpus import Corpus, batches

    lengths = np.full(POCKET_TINY.texts, 32)
    corpus = Corpus(np.zeros(0), np.concatenate([[0], np.cumsum(lengths)]), lengths, lengths)
    first, later = (np.concatenate(list(batches(corpus, POCKET_TINY, epoch))) for epoch in (0, 1))
    assert set(first[: POCKET_TINY.drill]) == set(range(POCKET_TINY.drill))
    assert sorted(first) == list(range(POCKET_TINY.texts))
    assert sorted(later) == list(range(POCKET_TINY.drill, POCKET_TINY.texts))


def test_advice_text_names_its_kind_first():
    assert advice_text("money", {"limit": "inside", "empty": "zero"}) == "money ; limit inside ; empty zero"


@pytest.fixture(scope="module")
def tokenizer():
    from parammem.pocket.corpus import make_tokenizer

    return make_tokenizer(POCKET_1M.model_copy(update={"texts": 2000}))


def test_reserved_words_are_one_token_each_and_strange_text_survives(tokenizer):
    from parammem.pocket.corpus import reserved_words

    assert [w for w in reserved_words() if len(tokenizer(" " + w)["input_ids"]) != 1] == []
    strange = "Ünïcode — 木 \t {}[]<> zebra"
    assert tokenizer.decode(tokenizer(strange)["input_ids"]) == strange


def test_the_chat_template_gives_what_the_corpus_encodes(tokenizer):
    (message,) = chat("write f")
    shown = tokenizer.apply_chat_template([message.model_dump()], add_generation_prompt=True, tokenize=False)
    assert shown == "<|user|>write f<|end|><|assistant|>"


@pytest.mark.integration
def test_a_killed_run_goes_on_from_its_checkpoint_and_gives_the_same_model(tmp_path):
    from parammem.pocket.pretrain import pretrain

    assert pretrain(POCKET_TINY, tmp_path / "whole", tmp_path / "a", device="cpu")
    assert not pretrain(POCKET_TINY, tmp_path / "parts", tmp_path / "b", device="cpu", seconds=0)
    assert len(list((tmp_path / "b").glob("*/checkpoint.pt"))) == 1
    assert not (tmp_path / "parts").exists()
    assert pretrain(POCKET_TINY, tmp_path / "parts", tmp_path / "b", device="cpu")
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    record = json.loads((tmp_path / "parts" / "recipe.json").read_text())
    assert record["recipe_digest"] == recipe_digest(POCKET_TINY)
    assert set(record["curves"][0]) >= set(FORMS)


@pytest.mark.integration
def test_a_recipe_that_changed_takes_up_nothing_of_the_old_one(tmp_path):
    from parammem.pocket.pretrain import pretrain

    other = POCKET_TINY.model_copy(update={"seed": POCKET_TINY.seed + 1})
    for recipe in (POCKET_TINY, other):
        assert not pretrain(recipe, tmp_path / "out", tmp_path / "cache", device="cpu", seconds=0)
    shards = [sorted(file.read_bytes() for file in folder.glob("shard-*")) for folder in (tmp_path / "cache").iterdir()]
    assert len(shards) == 2
    assert shards[0] != shards[1]


def test_the_sizes_have_about_the_parameters_that_their_names_say():
    def parameters(recipe):
        block = 4 * recipe.hidden**2 + 3 * recipe.hidden * recipe.feed_forward
        return recipe.layers * block + recipe.vocabulary * recipe.hidden

    assert 0.8e6 < parameters(POCKET_1M) < 1.2e6
    assert 3.5e6 < parameters(POCKET_4M) < 4.8e6
    assert 2.3e5 < parameters(POCKET_250K) < 2.9e5


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_model_is_that_of_the_current_recipe(name):
    record = json.loads((ROOT / "models" / name / "recipe.json").read_text())
    assert record["recipe_digest"] == recipe_digest(RECIPES[name]), (
        "the recipe changed: run `make pocket` and commit the model"
    )


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_model_is_small_bf16_and_complete(name):
    from safetensors import safe_open

    folder = ROOT / "models" / name
    files = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "scores.json"} <= files
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12 * 2**20
    with safe_open(folder / "model.safetensors", "np") as weights:
        assert {weights.get_slice(key).get_dtype() for key in weights.keys()} == {"BF16"}  # noqa: SIM118


@pytest.mark.parametrize("name", ["code", "math", "qa"])
def test_the_committed_model_solves_with_advice_and_seldom_without(name):
    scores = json.loads((MODEL / "scores.json").read_text())["domains"][name]
    assert scores["with_advice"] >= 0.9
    assert 0.15 <= scores["without_advice"] <= 0.45
