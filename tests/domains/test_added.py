"""Our own sentences in a task are not looked at for overlap: all stages agree on what a task says."""

from __future__ import annotations

import pytest

from benchmarks.graders import FILES
from parammem.benchmarks.contamination import contacts
from parammem.benchmarks.sources import local_rows
from parammem.benchmarks.table import items_of
from parammem.config import ValidateParams
from parammem.core import ReflectionExample, Task
from parammem.domains import get_domain
from parammem.domains.added import PASS_TEST, stated, unadded
from parammem.experience.admission import Admission
from parammem.validation import validate_rows
from parammem.validation.text import words
from tests.benchmarks import rows
from tests.benchmarks.rows import real_data

KINDS = [
    ("humaneval", rows.HUMANEVAL),
    ("mbpp", rows.MBPP),
    ("mbpp", rows.MBPP_SANITIZED),
    ("mbpp", rows.MBPP_STUB),
    ("mbpp", rows.MBPP_397),
    ("livecodebench", rows.LCB_STDIN),
    ("livecodebench", rows.LCB_FUNCTIONAL),
    ("apps", rows.APPS_CALL),
    ("apps", rows.APPS_STDIN),
    ("gsm8k", rows.GSM8K),
    ("hotpotqa", rows.HOTPOT),
]


def shown(name: str, row: dict) -> tuple[str, str]:
    """The question that `tasks` compares, and what the later stages read out of the task's text."""
    (item,), _ = items_of(name, [row])
    domain = get_domain(item.task.domain, real=True)
    return item.question, stated(domain.prompts.question(item.task.text))  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("name", "row"), KINDS)
def test_every_stage_compares_the_same_statement(name, row):
    asked, read = shown(name, row)
    assert words(asked) == words(read)


@pytest.mark.integration
@pytest.mark.parametrize(("name", "file"), FILES, ids=[file for _, file in FILES])
def test_so_it_is_on_real_rows(name, file):
    items, _ = items_of(name, local_rows(real_data() / file))
    domain = get_domain(items[0].task.domain, real=True)
    read = [stated(domain.prompts.question(item.task.text)) for item in items]  # pyright: ignore[reportAttributeAccessIssue]
    assert [words(item.question) for item in items] == [words(text) for text in read]


def mbpp(number: int, asked: str) -> Task:
    test = f"assert value({number}) == {number}"
    return Task(task_id=f"mbpp/{number}", domain="code", text=f"{asked}\n\n{PASS_TEST}\n```python\n{test}\n```")


ADDER = mbpp(1, "Write a function to add all given numbers of the list")
TUPLES = mbpp(2, "Write a python function to join tuples numbers of the list")


def test_two_tasks_of_one_benchmark_touch_by_our_words_alone_and_so_do_not():
    whole = [("a", ADDER.text)], [("b", TUPLES.text)]
    assert contacts(*whole, ngram=10, near_duplicate=0.8)
    said = [("a", stated(ADDER.text))], [("b", stated(TUPLES.text))]
    assert not contacts(*said, ngram=10, near_duplicate=0.8)


def test_what_is_no_sentence_of_ours_stays():
    assert stated("Say what it means that the function must pass this test: it is green.").endswith("green.")
    assert stated(f"{PASS_TEST}\nall of it") == f"{PASS_TEST}\nall of it", "nothing else is there"
    assert PASS_TEST not in unadded(ADDER.text)
    assert "assert value(1) == 1" in unadded(ADDER.text)


PROSE = "Mistakes are common here: look at the sign of each value, and at the empty list before all else, number {n}."
PARAMS = ValidateParams(
    min_rows=1, min_words=2, max_words=60, max_task_words=200, near_duplicate=0.8, max_quarantined=1.0, max_copied=4,
    max_shift=0.5, allow_code=True,
)  # fmt: skip


def row(task: Task, text: str) -> ReflectionExample:
    return ReflectionExample(
        domain="code", task_id=task.task_id, task_text=task.text, reflection=text, label_source="task-only",
        part="task", author="0" * 64, trajectory_id="", outcome="none",
    )  # fmt: skip


def test_advice_that_says_our_words_copies_nothing():
    said = f"Note that {PASS_TEST.lower()} so look at the sign of each value."
    for stated_as, reasons in ((unadded, []), (str, [("copies_task",)])):
        verdict = validate_rows([row(ADDER, said)], [], PARAMS, "code", None, stated=stated_as)
        assert [one.reasons for one in verdict.quarantined] == reasons


def test_short_questions_are_no_near_copies_of_each_other_by_our_words():
    """What differs is two words of the statement; what is alike is ours, and the advice."""
    one, other = (Task(task_id=f"mbpp/{n}", domain="code", text=f"{said}\n\n{PASS_TEST}") for n, said in TWO)
    params = PARAMS.model_copy(update={"near_duplicate": 0.4})
    texts = ["Check the sign first.", "Check the sign twice."]
    pairs = [row(one, texts[0]), row(other, texts[1])]
    assert not validate_rows(pairs, [], params, "code", None, stated=unadded).quarantined
    assert validate_rows(pairs, [], params, "code", None).quarantined


TWO = ((5, "Sort tuples."), (6, "Reverse strings."))


def test_the_door_reads_past_our_words():
    asked = "Sum it up now please"
    short = Task(task_id="mbpp/7", domain="code", text=f"{asked}\n\n{PASS_TEST}\n```python\nassert f(1) == 1\n```")
    (known,) = Admission.against([short], 0.8).references
    assert not any("must" in gram for gram in known)
