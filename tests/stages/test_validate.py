"""Facts about the validate stage: every row is in one of its two files, also when the whole is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from parammem.checkout.places import Places
from parammem.core import ReflectionExample, Task, read_jsonl, write_jsonl
from parammem.errors import ValidationFailed
from parammem.stages import collect, tasks, validate
from parammem.stages.validate import QuarantinedRow
from tests.stages.arena import knowing_everywhere, parsed

pytestmark = pytest.mark.integration


@pytest.fixture
def places(tmp_path, monkeypatch) -> Places:
    """Rows of a small world, four of them spoilt."""
    monkeypatch.chdir(tmp_path)
    params, places = parsed(), Places(Path("."), "math")
    tasks.run(params, "math")
    knowing_everywhere(monkeypatch, params, "math")
    collect.run(params, "math")
    rows = read_jsonl(places.reflections, ReflectionExample)
    leaked = read_jsonl(places.tasks("eval"), Task)[0].text
    spoilt = [
        rows[0].model_copy(update={"reflection": ""}),
        rows[1].model_copy(update={"task_text": leaked}),
        rows[2].model_copy(update={"domain": "code"}),
        rows[3].model_copy(update={"reflection": "word " * 400}),
    ]
    write_jsonl(places.reflections, [*spoilt, *rows])
    return places


def lines(places: Places) -> tuple[Counter, Counter, list[QuarantinedRow]]:
    """Rows that came in, rows that came out (kept and set aside together), and those set aside."""
    came = Counter(row.line() for row in read_jsonl(places.reflections, ReflectionExample))
    aside = read_jsonl(places.quarantine, QuarantinedRow)
    kept = read_jsonl(places.validated, ReflectionExample)
    return came, Counter([row.line() for row in kept] + [item.row.line() for item in aside]), aside


def test_every_row_is_kept_or_set_aside_whole_with_its_reasons(places):
    validate.run(parsed(validate={"max_quarantined": 1.0}), "math")
    came, went, aside = lines(places)
    assert went == came
    assert len(aside) >= 4
    assert all(item.reasons for item in aside)
    assert json.loads(places.validation.read_text())["passed"] is True


@pytest.mark.parametrize("rule", [{"min_rows": 10_000}, {"max_quarantined": 0.0}])
def test_a_suite_that_fails_still_writes_every_row_and_the_reasons(rule, places):
    with pytest.raises(ValidationFailed, match="nothing was deleted"):
        validate.run(parsed(validate=rule), "math")
    came, went, aside = lines(places)
    assert went == came
    assert len(aside) >= 4
    assert json.loads(places.validation.read_text())["passed"] is False


def test_no_kept_row_holds_an_evaluation_task(places):
    validate.run(parsed(validate={"max_quarantined": 1.0}), "math")
    evaluation = {task.text for split in ("eval", "unseen") for task in read_jsonl(places.tasks(split), Task)}
    assert evaluation.isdisjoint(row.task_text for row in read_jsonl(places.validated, ReflectionExample))


def test_the_same_rows_give_the_same_bytes(places):
    found = []
    for _ in range(2):
        validate.run(parsed(validate={"max_quarantined": 1.0}), "math")
        found.append([file.read_bytes() for file in (places.validated, places.quarantine, places.validation)])
    assert found[0] == found[1]


def test_a_recalled_row_is_set_aside_and_all_else_stays(places):
    validate.run(parsed(validate={"max_quarantined": 1.0}), "math")
    before = read_jsonl(places.validated, ReflectionExample)
    places.recalled.write_text(f"# withdrawn\n{before[2].row_hash}\n")
    validate.run(parsed(validate={"max_quarantined": 1.0}), "math")
    after = read_jsonl(places.validated, ReflectionExample)
    assert after == [row for row in before if row.row_hash != before[2].row_hash]
    withdrawn = [item.row for item in lines(places)[2] if item.reasons == ("recalled",)]
    assert withdrawn[0] == before[2]
    assert lines(places)[0] == lines(places)[1]
