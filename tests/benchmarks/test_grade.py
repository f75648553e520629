"""`parammem grade`: verdicts with what was read and by which rules; a bad row is one named refusal."""

from __future__ import annotations

import gzip
import json

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.benchmarks.grade import grade
from parammem.domains import get_domain
from parammem.errors import ConfigError, DataError
from tests.benchmarks import rows

PROGRAM = "def total(xs):\n    return sum(xs)\n"


def written(path, lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_a_row_says_what_was_read_and_by_which_rules(tmp_path):
    file = written(
        tmp_path / "a.jsonl",
        [
            {"text": "<think>\\boxed{4}</think>It is \\boxed{5}.", "gold": "5"},
            {"text": "The answer is 6.", "gold": 5},
            {"text": "<think>hm", "gold": "5"},
        ],
    )
    right, wrong, nothing = grade(file, get_domain("math", real=True))
    assert (right.verdict, right.read, right.read_by, right.judged_by) == (
        "right",
        "5",
        "the last box",
        "the same text",
    )
    assert (wrong.verdict, wrong.read, wrong.judged_by, wrong.expected) == ("wrong", "6", "exact numbers", "5")
    assert (nothing.verdict, nothing.read_by, nothing.judged_by) == (
        "wrong",
        "no answer after the thinking",
        "no answer",
    )


@pytest.mark.parametrize(
    ("domain", "benchmark", "row", "texts"),
    [
        ("math", "math", rows.math_row(4), ("\\boxed{999}",)),
        ("math", "gsm8k", rows.GSM8K, ("#### 1,200", "#### 120")),
        ("qa", "hotpotqa", rows.HOTPOT, ("Answer: nobody at all",)),
    ],
)
def test_rows_of_a_benchmark_are_judged_by_its_own_key(tmp_path, domain, benchmark, row, texts):
    lines = [{"text": text, "row": row} for text in texts]
    named = [line | {"benchmark": benchmark} for line in lines]
    found = grade(written(tmp_path / "a.jsonl", lines), get_domain(domain, real=True), benchmark)
    assert found == grade(written(tmp_path / "b.jsonl", named), get_domain(domain, real=True))
    assert [one.verdict for one in found] == ["right", "wrong"][-len(texts) :]


def test_bad_rows_are_refused_by_name_and_the_others_go_on(tmp_path):
    lines = [
        "{not json",
        {"text": "5"},
        {"gold": "5"},
        {"text": "5", "gold": ["5"]},
        {"text": 5, "gold": "5"},
        [1],
        {"text": "5", "row": {"problem": "?"}, "benchmark": "math"},
        {"text": "5", "row": {}},
        {"text": "5", "row": {}, "benchmark": "apps"},
        {"text": "5", "gold": " "},
        {"text": "5", "gold": "5"},
    ]
    found = grade(written(tmp_path / "a.jsonl", lines), get_domain("math", real=True))
    assert [one.verdict for one in found] == ["refused"] * 10 + ["right"]
    said = ("not JSON", "no field 'gold'", "no field 'text'", "no field 'gold'", "no field 'text'", "list is no row",
            "no field 'solution'", "no named benchmark", "of domain code", "gold is empty")  # fmt: skip
    assert all(part in one.reason for part, one in zip(said, found, strict=False)), [one.reason for one in found]


def test_programs_are_compared_as_syntax_trees(tmp_path):
    fenced = f"Here:\n```python\n{PROGRAM}# adds up\n```"
    lines = [
        {"text": fenced, "want": PROGRAM},
        {"program": PROGRAM.replace("    ", "  "), "gold": PROGRAM},
        {"text": fenced, "gold": PROGRAM.replace("sum", "max")},
        {"text": "I do not know how", "gold": PROGRAM},
        {"text": fenced, "gold": "def ("},
    ]
    found = grade(written(tmp_path / "a.jsonl", lines), get_domain("code", real=True))
    assert [one.verdict for one in found] == ["right", "right", "wrong", "wrong", "refused"]
    assert found[0].judged_by == "the same syntax tree"
    assert found[3].judged_by == "what was read is no Python program"


@pytest.mark.integration
def test_programs_run_on_the_tests_of_their_row(tmp_path):
    row = {
        "task_id": "HumanEval/0", "prompt": "def total(xs):\n", "entry_point": "total",
        "canonical_solution": "    return sum(xs)\n",
        "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n",
    }  # fmt: skip
    half = "\ud800"
    lines = [
        {"text": f"```python\n{PROGRAM}```", "row": row},
        {"program": PROGRAM.replace("sum", "len"), "row": row},
        {"program": f"def total(xs):\n    return '{half}'", "row": row},
    ]
    found = grade(written(tmp_path / "a.jsonl", lines), get_domain("code", real=True), "humaneval")
    assert [one.verdict for one in found] == ["right", "wrong", "wrong"]
    assert found[0].judged_by == "the hidden tests of the row, in the sandbox"
    assert found[1].detail


def test_other_forms_of_the_file_are_read(tmp_path):
    lines = [{"text": "5", "gold": "5"}, {"text": "6", "gold": "5"}]
    text = "\n".join(json.dumps(line) for line in lines)
    domain = get_domain("math", real=True)
    expected = grade(written(tmp_path / "a.jsonl", lines), domain)
    for name, data in {
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "crlf": text.replace("\n", "\r\n").encode(),
        "gz": gzip.compress(text.encode()),
        "array": json.dumps(lines).encode(),
        "separator": text.replace("6", "6\u2028").encode(),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert [one.verdict for one in grade(tmp_path / name, domain)] == [one.verdict for one in expected], name


def test_files_and_benchmarks_that_are_not_there_are_named(tmp_path):
    domain = get_domain("math", real=True)
    with pytest.raises(DataError, match=r"cannot read .*nothing\.jsonl"):
        grade(tmp_path / "nothing.jsonl", domain)
    with pytest.raises(DataError, match="holds no row"):
        grade(written(tmp_path / "a.jsonl", [""]), domain)
    with pytest.raises(ConfigError, match="not of domain math"):
        grade(tmp_path / "a.jsonl", domain, "apps")
    with pytest.raises(ConfigError, match="no benchmark 'nine'"):
        grade(tmp_path / "a.jsonl", domain, "nine")


def test_the_command_prints_verdicts_and_ends_by_what_could_be_judged(tmp_path):
    good = written(
        tmp_path / "a.jsonl", [{"text": "It is 5.\ud800", "gold": "5"}, {"text": "Answer: \ud8006", "gold": "5"}]
    )
    done = CliRunner().invoke(cli.app, ["grade", str(good), "--domain", "math"])
    assert done.exit_code == 0, done.output
    assert "1: right" in done.output
    assert "[the last expression]" in done.output
    assert done.output.endswith("1 right, 1 wrong, 0 refused\n")
    bad = written(tmp_path / "b.jsonl", [{"text": "5", "gold": "5"}, "{"])
    done = CliRunner().invoke(cli.app, ["grade", str(bad), "--domain", "math", "--json"])
    assert isinstance(done.exception, DataError)
    said = json.loads(done.stdout)
    assert [said[name] for name in ("right", "wrong", "refused")] == [1, 0, 1]
    assert [row["verdict"] for row in said["rows"]] == ["right", "refused"]
