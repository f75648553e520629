"""A row is followed from its batch to the promotions of the adapters that saw it, as the truth beside it says."""

from __future__ import annotations

import pytest

from parammem.errors import LineageError
from parammem.lineage import render_trace, trace_rows


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_row_is_followed_to_exactly_what_it_touched(lived, batch):
    root, truth = lived
    row = truth.rows_of_batch[batch][1]
    [trace] = trace_rows(root, row)
    assert [seen.batch for seen in trace.batches] == [truth.batches[batch]]
    assert trace.batches[0].source == f"batch-{batch + 1}.jsonl"
    expected = [adapter for adapter, rows in zip(truth.adapters, truth.rows, strict=True) if row in rows]
    assert [seen.digest for seen in trace.adapters] == expected
    assert [seen.version for seen in trace.adapters] == list(range(batch + 1, 4))
    assert [seen.commit for seen in trace.adapters] == truth.commits[batch:]
    assert {seen.commit for seen in trace.datasets} == set(truth.commits[batch:])
    assert {seen.path for seen in trace.datasets} == {"data/reflections/code.jsonl", "data/validated/code.jsonl"}
    champion_versions = [p.adapter for p in trace.promotions if p.what.startswith("became champion")]
    answers = zip(truth.adapters, truth.answers, strict=True)
    assert champion_versions == [a for a, answer in answers if answer == "promote" and a in expected]
    assert {seen.adapter for seen in trace.evaluations} == set(expected)


def test_text_and_the_first_digits_of_a_hash_name_the_same_row(lived):
    root, truth = lived
    row = truth.rows_of_batch[1][2]
    by_hash = trace_rows(root, row)
    assert trace_rows(root, row[:10]) == by_hash
    assert trace_rows(root, "Keep  the 2 times 2 largest") == by_hash
    assert len(trace_rows(root, "largest")) == 12


def test_lines_of_rows_txt_are_named(lived):
    root, truth = lived
    [trace] = trace_rows(root, truth.rows_of_batch[0][3])
    for seen, rows in zip(trace.adapters, truth.rows, strict=True):
        assert len(seen.lines) == 1
        place = (sorted(truth.batches[: truth.adapters.index(seen.digest) + 1]).index(truth.batches[0]),)
        assert seen.lines[0] <= len(rows)
        assert place[0] * 3 < seen.lines[0] <= place[0] * 5 + 4


def test_an_unknown_row_is_an_error_that_says_what_to_do(lived):
    with pytest.raises(LineageError, match="dvc pull"):
        trace_rows(lived[0], "0" * 64)
    with pytest.raises(LineageError, match="no row is or holds"):
        trace_rows(lived[0], "nothing like it")


def test_the_text_of_a_row_is_shown(lived):
    root, truth = lived
    [trace] = trace_rows(root, truth.rows_of_batch[0][1])
    assert trace.task_text
    assert trace.reflection
    said = render_trace(trace)
    assert all(line in said for line in (*trace.task_text.splitlines(), *trace.reflection.splitlines()))
