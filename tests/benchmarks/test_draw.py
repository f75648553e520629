"""Sources → splits: files and the hub are read, samples are balanced and repeat, train holds nothing of evaluation."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest
import yaml

from parammem.benchmarks.contamination import contacts, judge
from parammem.benchmarks.draw import draw
from parammem.benchmarks.math import _name
from parammem.benchmarks.sources import hub_rows, local_rows
from parammem.benchmarks.subset import chosen
from parammem.benchmarks.table import items_of
from parammem.domain_params import SourceParams
from parammem.errors import DataError
from tests.benchmarks import rows

EVAL = "Ana walks from the red mill to the old bridge and counts every lamp that is still lit on the way back."


def math_items(per_subject: int = 60):
    return items_of("math", [rows.math_row(n, s) for s in rows.SUBJECTS for n in range(per_subject)])[0]


def test_278_of_math_are_balanced_over_seven_subjects():
    picked = chosen(math_items(), {}, 278, "type", seed=1)
    counts = Counter(item.key.tags["type"] for item in picked)
    assert len(picked) == 278
    assert sorted(counts.values()) == [39, 39, 40, 40, 40, 40, 40]


def test_a_sample_follows_from_its_seed_and_keeps_the_order_of_the_rows():
    items = math_items()
    ids = [[item.task.task_id for item in chosen(items, {}, 21, "type", seed)] for seed in (1, 1, 2)]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]
    order = [item.task.task_id for item in items]
    assert ids[0] == sorted(ids[0], key=order.index)


def test_a_group_s_sample_does_not_depend_on_the_other_groups():
    items = math_items()
    algebra = [item for item in items if item.key.tags["type"] == "Algebra"]
    both = [i.task.task_id for i in chosen(items, {}, 70, "type", 1) if i.key.tags["type"] == "Algebra"]
    assert both == [i.task.task_id for i in chosen(algebra, {}, 10, "type", 1)]


def test_where_keeps_items_with_these_tags_and_too_few_are_an_error():
    items = math_items(10)
    assert len(chosen(items, {"level": "3", "type": "Geometry"}, 0, "", 1)) == 2
    with pytest.raises(DataError, match="wanted are 11 items with type 'Algebra', there are 10"):
        chosen(items, {}, 77, "type", 1)
    with pytest.raises(DataError, match="there are none"):
        chosen(items, {"level": "9"}, 3, "", 1)


def test_no_profile_asks_for_as_many_rows_as_a_file_can_have():
    """APPS has exactly 1,000 introductory problems in test.jsonl: one that is left out must not end the stage."""
    names = ("paper-code", "paper-sample-efficiency", "paper-weak-to-strong")
    for name in names:
        profile = yaml.safe_load((rows.ROOT / "profiles" / f"{name}.yaml").read_text(encoding="utf-8"))
        taken = [s["take"] for s in profile["benchmarks"]["sources"] if s.get("files") == "test.jsonl"]
        assert taken == [0], name
    assert len(chosen(math_items()[1:], {}, 0, "", 1)) == len(math_items()) - 1


def test_every_kind_of_contact_is_found_and_named():
    words = EVAL.split()
    train = [
        ("same", EVAL.upper()),
        ("ngram", "Before that: " + " ".join(words[3:16]) + " and so on, until the evening comes."),
        ("twelve", "Before that: " + " ".join(words[3:15]) + " then something else altogether happens here now."),
        ("near", EVAL.replace("red", "blue").replace("still", "not").replace("and counts", "while she counts")),
        ("clean", "Bo draws two cards from a deck. What is the probability that both are hearts?"),
    ]
    found = contacts(train, [("e", EVAL)], ngram=13, near_duplicate=0.9)
    assert [(c.train_id, c.eval_id, c.kind) for c in found] == [("same", "e", "same"), ("ngram", "e", "ngram")]
    (near,) = contacts(train[3:], [("e", EVAL)], ngram=13, near_duplicate=0.4)
    assert (near.train_id, near.kind) == ("near", "near")
    assert found[1].shared == " ".join(words[3:16]).lower()


def test_short_questions_are_found_whole():
    short = "How many legs do two healthy spiders have together"
    assert [c.kind for c in contacts([("t", f"Well. {short}? Sixteen.")], [("e", short)], 13, 0.99)] == ["ngram"]
    assert contacts([("t", "Well. Two plus two? Four.")], [("e", "Two plus two?")], 13, 0.99) == []
    assert [c.kind for c in contacts([("t", "two plus two")], [("e", "Two plus two?")], 13, 0.99)] == ["same"]


def test_the_verdict_fails_from_one_contact_too_many_on():
    train = [("a", EVAL), ("b", EVAL), ("c", "Something else.")]
    assert not judge(train, [("e", EVAL)], 13, 0.8).passed
    assert not judge(train, [("e", EVAL)], 13, 0.8, allowed=1).passed
    assert judge(train, [("e", EVAL)], 13, 0.8, allowed=2).passed


def test_train_and_bank_are_apart_from_evaluation_and_from_each_other(tmp_path):
    every = [rows.math_row(n, s) for s in rows.SUBJECTS[:3] for n in range(40)]
    copied = dict(every[0], problem=every[0]["problem"] + " Explain your answer in one sentence.", idx="copy")
    rows.write_jsonl(tmp_path / "math.jsonl", [*every, copied])
    sources = [
        SourceParams(domain="math", split="eval", take=30, balance="type", benchmark="math", path="math.jsonl"),
        SourceParams(domain="math", split="train", take=5, benchmark="math", path="math.jsonl"),
        SourceParams(domain="math", split="bank", take=2, benchmark="math", path="math.jsonl"),
    ]
    drawn = draw(sources, tmp_path, seed=3, ngram=30, near_duplicate=0.95)
    ids = {split: {item.task.task_id for item in items} for split, items in drawn.splits.items()}
    assert [len(ids[split]) for split in ("eval", "train", "bank")] == [30, 5, 2]
    assert not ids["eval"] & ids["train"]
    assert not ids["train"] & ids["bank"]
    assert drawn.contamination.passed
    assert drawn.contamination.train == 7
    if "math/Algebra/0" in ids["eval"]:
        assert "math/copy" in {contact.train_id for contact in drawn.left_out}


def test_a_copy_of_an_evaluation_task_never_becomes_a_train_task(tmp_path):
    copied = rows.math_row(1) | {"problem": rows.math_row(1)["problem"] + " Explain.", "idx": "copy"}
    rows.write_jsonl(tmp_path / "eval.jsonl", [rows.math_row(1)])
    other = {"problem": "Find the area of a circle of radius $2$.", "solution": "$\\boxed{4\\pi}$", "idx": "other"}
    rows.write_jsonl(tmp_path / "train.jsonl", [rows.math_row(1), copied, other])
    sources = [
        SourceParams(domain="math", split="eval", benchmark="math", path="eval.jsonl"),
        SourceParams(domain="math", split="train", benchmark="math", path="train.jsonl"),
    ]
    drawn = draw(sources, tmp_path, seed=0, ngram=13, near_duplicate=0.8)
    assert [item.task.task_id for item in drawn.splits["train"]] == [f"math/{_name(other['problem'])}"]
    assert [(contact.train_id, contact.kind) for contact in drawn.left_out] == [
        (f"math/{_name(copied['problem'])}", "ngram")
    ]


def test_a_domain_without_evaluation_tasks_is_an_error(tmp_path):
    rows.write_jsonl(tmp_path / "a.jsonl", [rows.math_row(1)])
    with pytest.raises(DataError, match="no train or no eval tasks"):
        draw([SourceParams(domain="math", split="eval", benchmark="math", path="a.jsonl")], tmp_path, 0, 13, 0.8)


def test_files_are_read_in_every_form_they_come_in(tmp_path):
    lines = [rows.math_row(1), rows.math_row(2)]
    rows.write_jsonl(tmp_path / "a.jsonl", lines)
    (tmp_path / "a.json").write_text(json.dumps(lines), encoding="utf-8")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write((tmp_path / "a.jsonl").read_text(encoding="utf-8"))
    for name in ("a.jsonl", "a.json", "a.jsonl.gz"):
        assert local_rows(tmp_path / name) == lines


def test_folders_of_problems_are_read_as_apps_and_math_keep_them(tmp_path):
    problem = tmp_path / "apps" / "train" / "0042"
    problem.mkdir(parents=True)
    (problem / "question.txt").write_text(rows.APPS_CALL["question"], encoding="utf-8")
    for file, field in (("input_output.json", "input_output"), ("solutions.json", "solutions")):
        (problem / file).write_text(rows.APPS_CALL[field], encoding="utf-8")
    (problem / "metadata.json").write_text('{"difficulty": "introductory"}', encoding="utf-8")
    (item,), _ = items_of("apps", local_rows(tmp_path / "apps"))
    assert item.task.task_id.startswith("apps/0042-")
    assert item.key.tags["level"] == "introductory"
    subject = tmp_path / "MATH" / "test" / "algebra"
    subject.mkdir(parents=True)
    (subject / "7.json").write_text(json.dumps({k: v for k, v in rows.math_row(7).items() if k != "idx"}), "utf-8")
    (item,), _ = items_of("math", local_rows(tmp_path / "MATH"))
    assert item.task.task_id == f"math/{_name(rows.math_row(7)['problem'])}"


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(DataError, match="put the benchmark there"):
        local_rows(tmp_path / "none.jsonl")
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n{"a": \n', encoding="utf-8")
    with pytest.raises(DataError, match=r"broken\.jsonl:2: not JSON"):
        local_rows(tmp_path / "broken.jsonl")


@pytest.mark.integration
def test_a_data_set_is_read_as_the_hub_keeps_it(tmp_path):
    """`datasets` reads a local folder by the code that reads a folder of the hub."""
    folder = tmp_path / "set"
    folder.mkdir()
    rows.write_jsonl(folder / "test.jsonl", [rows.HOTPOT_HUB])
    found, commit = hub_rows(str(folder), "", "test", "", "")
    assert commit == ""
    (item,), _ = items_of("hotpotqa", found)
    (expected,), _ = items_of("hotpotqa", [rows.HOTPOT])
    assert item == expected
    named, _ = hub_rows(str(folder), "", "train", "", "test.jsonl")
    assert len(named) == 1
    with pytest.raises(DataError, match="cannot be had"):
        hub_rows(str(tmp_path / "nowhere"), "", "test", "main", "")


@pytest.mark.parametrize("split", ["eval", "train"])
def test_an_id_never_stands_for_two_problems(tmp_path, split):
    """Ids that a file gives by itself may be another file's too."""
    for name, said in (("a", "Add."), ("b", "Multiply.")):
        rows.write_jsonl(tmp_path / f"{name}.jsonl", [{"problem_id": 1, "question": said}])
    sources = [
        SourceParams(domain="code", split="eval", benchmark="problems", path="a.jsonl"),
        SourceParams.model_validate({"domain": "code", "split": split, "benchmark": "problems", "path": "b.jsonl"}),
    ]
    with pytest.raises(DataError, match=r"'problems/1' of source 'b.jsonl'.* stands for another problem"):
        draw(sources, tmp_path, 0, 13, 0.8)


def test_rows_of_two_gsm8k_files_all_stay_and_train_shares_no_id_with_eval(tmp_path):
    asked = {"a": ["How many apples are 2 and 3?"], "b": ["How old is Ann in 4 years?"], "c": ["What do 7 pens cost?"]}
    for name, questions in asked.items():
        lines = [{"question": question, "answer": "So it is\n#### 5"} for question in questions]
        rows.write_jsonl(tmp_path / f"{name}.jsonl", lines)
    sources = [
        SourceParams.model_validate({"domain": "math", "split": split, "benchmark": "gsm8k", "path": f"{name}.jsonl"})
        for name, split in (("a", "eval"), ("b", "eval"), ("c", "train"))
    ]
    drawn = draw(sources, tmp_path, 0, 13, 0.8)
    ids = {split: {item.task.task_id for item in items} for split, items in drawn.splits.items()}
    assert (len(ids["eval"]), len(ids["train"])) == (2, 1)
    assert not ids["eval"] & ids["train"]


FORMS = {
    "mark.jsonl": lambda lines: b"\xef\xbb\xbf" + b"\n".join(lines),
    "crlf.jsonl": lambda lines: b"\r\n".join(lines) + b"\r\n",
    "packed.jsonl.gz": lambda lines: gzip.compress(b"\xef\xbb\xbf" + b"\r\n".join(lines)),
    "array.jsonl": lambda lines: b"[" + b",\n".join(lines) + b"]",
    "array.json.gz": lambda lines: gzip.compress(b"[" + b",\r\n".join(lines) + b"]"),
}


@pytest.mark.parametrize("form", FORMS)
def test_marks_line_ends_gz_and_arrays_are_read_alike(tmp_path, form):
    found = [rows.math_row(1), rows.math_row(2) | {"problem": "A line\u2028and\u0085another?"}]
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in found]
    (tmp_path / form).write_bytes(FORMS[form](lines))
    assert local_rows(tmp_path / form) == found


def test_the_files_of_a_folder_may_begin_with_a_mark(tmp_path):
    (tmp_path / "MATH").mkdir()
    (tmp_path / "MATH/7.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(rows.math_row(7)).encode())
    assert len(local_rows(tmp_path / "MATH")) == 1
