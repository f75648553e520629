"""The stages on real rows: tasks are written with their sources, and contaminated reflections stop the training."""

from __future__ import annotations

import json

import pytest

from parammem.checkout.places import Places
from parammem.core import AnswerKey, ReflectionExample, Task, read_jsonl, write_jsonl
from parammem.domains import get_domain
from parammem.errors import ConfigError, ValidationFailed
from parammem.stages import tasks, train
from parammem.stages.contamination import verdict_on, write_verdict
from tests.benchmarks import rows
from tests.stages.arena import parsed

SOURCES = [
    {"domain": "qa", "split": "eval", "benchmark": "hotpotqa", "path": "dev.json", "take": 4, "balance": "level"},
    {"domain": "qa", "split": "train", "benchmark": "hotpotqa", "path": "train.json"},
]
LEVELS = ("easy", "medium")


def question(number: int) -> dict:
    towns = ("Aarlo", "Berin", "Cadve", "Dunmo", "Eskel", "Fenby", "Gorsk", "Hulme", "Istad", "Jorvi", "Kelmo", "Lunda")
    asked = f"Which river flows through {towns[number % 12]} and past the {number}th mill of the duke who built it?"
    return rows.HOTPOT | {
        "_id": f"q{number}",
        "question": asked,
        "answer": f"River {number}",
        "level": LEVELS[number % 2],
    }


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data" / "benchmarks"
    folder.mkdir(parents=True)
    every = [question(number) for number in range(12)]
    (folder / "dev.json").write_text(json.dumps(every[:8]), encoding="utf-8")
    (folder / "train.json").write_text(json.dumps(every[6:]), encoding="utf-8")
    return tmp_path


@pytest.fixture
def params():
    return parsed(benchmarks={"sources": SOURCES, "near_duplicate": 0.95})


def reflection(task: Task, text: str) -> ReflectionExample:
    return ReflectionExample(
        domain="qa", task_id=task.task_id, task_text=task.text, reflection=text, label_source="task-only", part="task",
        author="0" * 64, trajectory_id="", outcome="none",
    )  # fmt: skip


def test_tasks_are_written_with_keys_and_with_where_they_came_from(root, params):
    tasks.run(params, "qa", root)
    places = Places(root, "qa")
    found = {split: read_jsonl(places.tasks(split), Task) for split in ("train", "bank", "eval", "unseen")}
    assert [len(found[split]) for split in ("bank", "eval", "unseen")] == [0, 4, 0]
    assert not {t.content for t in found["train"]} & {t.content for t in found["eval"]}
    keys = read_jsonl(places.keys("eval"), AnswerKey)
    assert [key.task_id for key in keys] == [task.task_id for task in found["eval"]]
    assert sorted(key.tags["level"] for key in keys) == ["easy", "easy", "medium", "medium"]
    assert read_jsonl(places.keys("bank"), AnswerKey) == []
    facts = json.loads((root / "data/tasks/qa/sources.json").read_text(encoding="utf-8"))
    assert [read["taken"] for read in facts["read"]] == [4, len(found["train"])]
    assert facts["contamination"]["passed"] is True
    first = places.tasks("eval").read_bytes()
    tasks.run(params, "qa", root)
    assert places.tasks("eval").read_bytes() == first


def test_bank_tasks_are_written_with_keys_of_their_own(root, params):
    bank = {"domain": "qa", "split": "bank", "benchmark": "hotpotqa", "path": "train.json"}
    more = parsed(benchmarks={"sources": [SOURCES[0], {**SOURCES[1], "take": 2}, bank], "near_duplicate": 0.95})
    tasks.run(more, "qa", root)
    places = Places(root, "qa")
    found = [task.task_id for task in read_jsonl(places.tasks("bank"), Task)]
    assert found
    assert [key.task_id for key in read_jsonl(places.keys("bank"), AnswerKey)] == found


def test_a_domain_without_a_source_is_named(root, params):
    with pytest.raises(ConfigError, match="none is for domain 'math'"):
        tasks.run(params, "math", root)


def test_a_reflection_that_quotes_an_evaluation_question_stops_the_training(root, params):
    tasks.run(params, "qa", root)
    places = Places(root, "qa")
    mine = read_jsonl(places.tasks("train"), Task)[0]
    asked = get_domain("qa", real=True).prompts.question(read_jsonl(places.tasks("eval"), Task)[0].text)  # pyright: ignore
    good = reflection(mine, "Entities: a town, a mill, a duke. Find the duke first, then the mill, then the river.")
    bad = reflection(mine, f"This is like the question: {asked.upper()} There the duke comes first.")
    write_jsonl(places.validated, [good, bad])
    with pytest.raises(
        ValidationFailed, match=r"1 of 2 reflection rows hold something .* nothing was trained"
    ) as error:
        train.run(params, "qa", root)
    assert mine.task_id in str(error.value)
    assert not places.reflector.exists()


def test_the_verdict_on_clean_rows_lies_beside_the_adapter(root, params):
    tasks.run(params, "qa", root)
    places, prompts = Places(root, "qa"), get_domain("qa", real=True).prompts
    made = [reflection(task, "Find the duke first.") for task in read_jsonl(places.tasks("train"), Task)]
    verdict = verdict_on(params, made, places, prompts)
    assert verdict is not None
    assert verdict.passed
    write_verdict(verdict, places.reflector)
    written = json.loads((places.reflector / "contamination.json").read_text(encoding="utf-8"))
    assert (written["train"], written["evaluation"], written["ngram"]) == (len(made), 4, 13)


def test_pocket_tasks_have_no_such_verdict(tmp_path):
    assert verdict_on(parsed(), [], Places(tmp_path, "code"), get_domain("code").prompts) is None


def test_prose_that_shows_programs_is_kept_where_params_allow_it():
    """GX's suite on labels as the paper has them: numbered pitfalls, each with a flawed implementation."""
    from parammem.validation import validate_rows

    texts = [f"Given {n} numbers and a window of {n + 2}, return the best sum. Sample {n}." for n in range(6)]
    flawed = "```python\ndef best(values, k):\n    total = 0\n    return max(total, sum(values[:k]))\n```"
    labels = [
        reflection(
            Task(task_id=f"t{n}", domain="code", text=text), f"1. Starting at zero fails for case {n}, see:\n{flawed}"
        )
        for n, text in enumerate(texts)
    ]
    labels = [row.model_copy(update={"domain": "code"}) for row in labels]
    bounds = {"min_rows": 1, "min_words": 3, "max_words": 200, "max_copied": 60, "near_duplicate": 0.99}
    kept = {}
    for allowed in (True, False):
        params = parsed(validate=bounds | {"allow_code": allowed, "max_quarantined": 1.0}).validate_
        verdict = validate_rows(labels, ["Something else altogether."], params, "code", None)
        kept[allowed] = len(verdict.kept)
        assert {reason for item in verdict.quarantined for reason in item.reasons} == (set() if allowed else {"code"})
    assert kept == {True: 6, False: 0}
