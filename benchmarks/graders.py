"""Do the graders judge real rows as their benchmarks do? (issue 4, "what it must show", 1)

    python -m benchmarks.graders ../shared/data            # everything: about ten minutes on one core
    python -m benchmarks.graders ../shared/data --limit 50 # a part of every file
    python -m benchmarks.graders ../shared/data --only math gsm8k hotpotqa 2wiki

1. The gold answer of every row scores 1, and a perturbed one 0. Exceptions are listed with their reasons.
2. The graders agree with the official rules of HotpotQA and MATH on pairs of a real answer and another writing of it, a
   near miss, or the answer to another question. Disagreements are listed.
3. Real MATH answers written otherwise, whose right verdict is known by construction (`benchmarks.math_writings`): how
   often the grader and the official rule are right, by kind.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.math_writings import written
from benchmarks.official_rules import hotpot_exact_match, math_equivalent
from parammem.benchmarks.item import Item
from parammem.benchmarks.sources import local_rows
from parammem.benchmarks.table import items_of
from parammem.domains import Domain, get_domain
from parammem.domains.real_math import RealMathJudge, RealMathPrompts
from parammem.sandbox import text_of

FILES = (
    ("humaneval", "humaneval/HumanEval.jsonl.gz"),
    ("mbpp", "mbpp/mbpp.jsonl"),
    ("mbpp", "mbpp/mbpp_sanitized_for_code_generation.jsonl"),
    ("apps", "apps"),
    ("math", "math/test.jsonl"),
    ("gsm8k", "gsm8k/test.jsonl"),
    ("hotpotqa", "hotpotqa/hotpot-qa-distractor-sample.json"),
    ("hotpotqa", "hotpotqa/hotpot_dev_v1_simplified.json"),
    ("hotpotqa", "hotpotqa/hotpotqa_500.jsonl"),
    ("2wiki", "2wiki/2wiki_500.jsonl"),
)
UNUSABLE = {
    "livecodebench": "its files here are prompts' examples, without tests",
    "2wiki/2wikimultihopqa_101.json": "questions with titles and no gold answers",
}


@dataclass
class GoldReport:
    """One file: how its own answers fare, and how spoilt ones do."""

    benchmark: str
    file: str
    rows: int
    left_out: list[str]
    """Rows that make no task, with the reason."""
    gold_passed: int
    gold_failed: list[str]
    perturbed: int
    perturbed_passed: list[str]
    visible_checks: int
    """Tasks with visible checks."""
    visible_failed: list[str]
    """Golds that fail a visible check."""
    seconds: float


@dataclass
class PairReport:
    """Pairs judged by a grader and by the official rule."""

    rule: str
    pairs: int
    not_identical: int
    wrong: int
    """By the official rule."""
    agree: int
    disagreements: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def golds(data: Path, name: str, file: str, limit: int = 0) -> GoldReport:
    """Return every gold of a file, and a spoilt version of it."""
    started = time.monotonic()
    rows = local_rows(data / file)
    items, left_out = items_of(name, rows[:limit] if limit else rows)
    limits = {"wall_seconds": 20.0, "cpu_seconds": 10.0, "memory_mb": 1024}
    domain = get_domain(items[0].task.domain, real=True, workers=2, **limits)
    right = [domain.prompts.parse(_as_written(item)) for item in items]
    wrong = [domain.prompts.parse(spoilt(items, place)) for place in range(len(items))]
    passed, failed = _scored(domain, items, right)
    fooled, _ = _scored(domain, items, wrong)
    seen = [(item, text) for item, text in zip(items, right, strict=True) if item.task.visible.get("checks")]
    feedback = domain.judge.check([(item.task, text) for item, text in seen])
    return GoldReport(
        benchmark=name,
        file=file,
        rows=len(rows[:limit] if limit else rows),
        left_out=left_out,
        gold_passed=len(passed),
        gold_failed=failed,
        perturbed=len(items),
        perturbed_passed=fooled,
        visible_checks=len(seen),
        visible_failed=[
            f"{item.task.task_id}: {getattr(said, 'text', said)}"
            for (item, _), said in zip(seen, feedback, strict=True)
            if getattr(said, "passed", False) is not True
        ],
        seconds=round(time.monotonic() - started, 1),
    )


def _as_written(item: Item) -> str:
    """Return the gold as an actor would write it."""
    return f"Here it is:\n```python\n{item.key.gold}\n```" if item.task.domain == "code" else item.key.gold


def _scored(domain: Domain, items: Sequence[Item], candidates: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return task ids that score 1, and what is said of the others."""
    scores = domain.judge.score([(i.task, i.key, text) for i, text in zip(items, candidates, strict=True)])
    passed, failed = [], []
    for item, score in zip(items, scores, strict=True):
        if not isinstance(score, Exception) and score.passed:
            passed.append(item.task.task_id)
        else:
            failed.append(f"{item.task.task_id}: {getattr(score, 'detail', score)}")
    return passed, failed


def spoilt(items: Sequence[Item], place: int) -> str:
    """Return what an actor writes who is wrong: every returned or printed value changed, a number one too high, the
    answer to another question."""
    item = items[place]
    if item.task.domain == "code":
        return f"```python\n{item.key.gold}\n{_spoiler(item)}\n```"
    if item.task.domain == "math":
        return f"The answer is \\boxed{{{another_value(item.key.hidden['answer'])}}}."
    own = item.key.hidden["answer"]
    others = (items[(place + step) % len(items)].key.hidden["answer"] for step in range(1, len(items)))
    return f"Answer: {next(other for other in others if not hotpot_exact_match(other, own))}"


def another_value(answer: str) -> str:
    """Return an answer that is not equal: the first number one higher, or another text."""
    changed = re.sub(r"\d+", lambda match: str(int(match.group()) + 1), answer, count=1)
    return changed if changed != answer else f"{answer}+12345"


CHANGE = (
    "def _changed(v):\n"
    "    if isinstance(v, bool):\n        return not v\n"
    "    if isinstance(v, (int, float)):\n        return v * 3 + 7\n"
    "    return None if v else 12345\n"
)


def _spoiler(item: Item) -> str:
    """Return text that, put after a gold solution, changes what it returns or prints."""
    entry = item.key.hidden.get("entry", "")
    if not entry:
        return "print('and more')"
    if re.search(r"^class Solution", item.key.gold, re.M):
        method = f"Solution.{entry}"
        return f"{CHANGE}_kept = {method}\n{method} = lambda self, *a, **k: _changed(_kept(self, *a, **k))"
    tests = "".join(text_of(check.get("tests", "")) for check in item.key.hidden["checks"])
    defined = re.findall(r"^def\s+(\w+)", item.key.gold, re.M)
    # Some rows name a helper as the entry and test another function; two changes could cancel each other.
    named = set() if "candidate(" in tests else {name for name in defined if re.search(rf"\b{name}\s*\(", tests)}
    tested = named or {entry}
    wrapped = (f"{name} = (lambda kept: lambda *a, **k: _changed(kept(*a, **k)))({name})\n" for name in sorted(tested))
    return CHANGE + "".join(wrapped)


def hotpot_pairs(data: Path, limit: int = 0, seed: int = 0) -> list[tuple[str, str]]:
    """Return (gold, answer) of every dev question: equal, another writing, a near miss, or another question's
    answer."""
    answers = [row["answer"] for row in local_rows(data / "hotpotqa/hotpot_dev_v1_simplified.json")]
    rng = random.Random(seed)
    pairs = [(gold, _qa_variant(rng, gold, answers)) for gold in answers]
    return pairs[:limit] if limit else pairs


def _qa_variant(rng: random.Random, gold: str, answers: Sequence[str]) -> str:
    words = gold.split()
    kind = rng.random()
    if kind < 0.2:
        return gold
    if kind < 0.55:
        return rng.choice([gold.upper(), f"The {gold}.", gold.replace(" ", "  ").lower(), f'"{gold}"', f"{gold}!",
                            gold.replace("-", ""), f"an {gold}", " ".join(["a", *words])])  # fmt: skip
    if kind < 0.75 and len(words) > 1:
        return rng.choice([" ".join(words[1:]), " ".join(words[:-1]), " ".join(reversed(words)), f"{gold} {words[0]}"])
    return rng.choice(answers)


def math_pairs(data: Path, limit: int = 0, seed: int = 0) -> list[tuple[str, str]]:
    """Return (gold, answer) of every test problem: equal, written otherwise, a wrong value, or another problem's
    answer."""
    items, _ = items_of("math", local_rows(data / "math/test.jsonl"))
    golds_ = [item.key.hidden["answer"] for item in items]
    rng = random.Random(seed)
    pairs = [(gold, _math_variant(rng, gold, golds_)) for gold in golds_]
    return pairs[:limit] if limit else pairs


def _math_variant(rng: random.Random, gold: str, golds_: Sequence[str]) -> str:
    kind = rng.random()
    if kind < 0.25:
        return gold
    if kind < 0.6:
        ways: list[Callable[[str], str]] = [
            lambda t: t.replace("\\frac", "\\dfrac"),
            lambda t: f" {t} ",
            lambda t: t.replace("(", "\\left(").replace(")", "\\right)"),
            lambda t: f"x={t}" if "=" not in t else t,
            lambda t: f"{t}\\text{{ units}}" if "\\text" not in t else t,
            lambda t: re.sub(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2", t),
            lambda t: re.sub(r"^\\frac\{(\d+)\}\{(\d+)\}$", r"\1/\2", t),
            lambda t: f"{t}.00" if re.fullmatch(r"-?\d+", t) else t.replace(",", ", "),
            lambda t: f"{t}^\\circ",
            lambda t: f"\\${t}",
        ]
        return rng.choice(ways)(gold)
    return another_value(gold) if kind < 0.8 else rng.choice(golds_)


def compare(
    rule: str, pairs: Sequence[tuple[str, str]], official: Callable[[str, str], bool], domain: Domain,
    written: Callable[[str], str],
) -> PairReport:  # fmt: skip
    """Judge each pair twice. The grader gets the answer in the words of an actor, and so goes its whole way."""
    from parammem.core import AnswerKey, Task

    started = time.monotonic()
    keys = [
        AnswerKey(task_id=str(n), domain=domain.name, hidden={"answer": g}, gold="") for n, (g, _) in enumerate(pairs)
    ]
    task = Task(task_id="pair", domain=domain.name, text="?")
    scores = domain.judge.score(
        [(task, k, domain.prompts.parse(written(a))) for k, (_, a) in zip(keys, pairs, strict=True)]
    )
    ours = [getattr(score, "passed", False) for score in scores]
    theirs = [official(gold, answer) for gold, answer in pairs]
    odd = [
        {"gold": gold, "answer": answer, "ours": mine, "official": yours}
        for (gold, answer), mine, yours in zip(pairs, ours, theirs, strict=True)
        if mine != yours
    ]
    return PairReport(
        rule=rule,
        pairs=len(pairs),
        not_identical=sum(gold != answer for gold, answer in pairs),
        wrong=theirs.count(False),
        agree=len(pairs) - len(odd),
        disagreements=odd,
        seconds=round(time.monotonic() - started, 1),
    )


def hotpot_agreement(data: Path, limit: int = 0) -> PairReport:
    return compare(
        "HotpotQA",
        hotpot_pairs(data, limit),
        hotpot_exact_match,
        get_domain("qa", real=True),
        lambda a: f"So.\nAnswer: {a}",
    )


def math_agreement(data: Path, limit: int = 0) -> PairReport:
    return compare(
        "MATH", math_pairs(data, limit), math_equivalent, get_domain("math", real=True), lambda a: f"So \\boxed{{{a}}}."
    )


@dataclass
class WritingReport:
    """One kind of writing: how many pairs, and how many each rule judges right."""

    kind: str
    right: bool
    pairs: int = 0
    ours: int = 0
    official: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    """Pairs that the grader misjudges."""


def math_writings(data: Path, limit: int = 0) -> list[WritingReport]:
    """Return answers whose right verdict is known, judged by the grader and by the official rule."""
    items, _ = items_of("math", local_rows(data / "math/test.jsonl"))
    golds_ = [item.key.hidden["answer"] for item in items]
    prompts, judge = RealMathPrompts(), RealMathJudge()
    reports: dict[str, WritingReport] = {}
    for pair in written(golds_[:limit] if limit else golds_):
        report = reports.setdefault(pair.kind, WritingReport(pair.kind, pair.right))
        ours = judge.compare({"answer": pair.gold}, prompts.parse(f"So $\\boxed{{{pair.answer}}}$.")).equal
        report.pairs += 1
        report.ours += ours == pair.right
        report.official += math_equivalent(pair.gold, pair.answer) == pair.right
        if ours != pair.right:
            report.missed.append((pair.gold, pair.answer))
    return sorted(reports.values(), key=lambda report: (not report.right, report.kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="rows of each file; 0 for all")
    parser.add_argument("--only", nargs="*", default=[], help="these benchmarks alone; none: all")
    parser.add_argument("--out", type=Path, help="write everything as JSON")
    given = parser.parse_args()
    found: dict[str, list[Any]] = {"golds": [], "pairs": [], "writings": []}
    for name, file in FILES:
        if given.only and name not in given.only:
            continue
        report = golds(given.data, name, file, given.limit)
        found["golds"].append(asdict(report))
        print(
            f"{report.file}: {report.gold_passed} of {report.rows} golds score 1; {len(report.left_out)} left out, "
            f"{len(report.gold_failed)} fail; {report.perturbed - len(report.perturbed_passed)} of {report.perturbed} "
            f"spoilt ones score 0; {report.visible_checks} have visible checks, {len(report.visible_failed)} of these "
            f"golds fail one; {report.seconds} s",
            flush=True,
        )
        for line in (*report.left_out, *report.gold_failed, *report.visible_failed):
            print(f"    {line}")
        for task_id in report.perturbed_passed:
            print(f"    spoilt and yet 1: {task_id}")
    for pair_report in (hotpot_agreement(given.data, given.limit), math_agreement(given.data, given.limit)):
        found["pairs"].append(asdict(pair_report))
        r = pair_report
        print(
            f"{r.rule}: {r.agree} of {r.pairs} pairs judged alike; {100 * r.not_identical / r.pairs:.0f}% not "
            f"identical, {100 * r.wrong / r.pairs:.0f}% wrong; {r.seconds} s"
        )
        for odd in r.disagreements:
            print(f"    {odd}")
    for report in math_writings(given.data, given.limit):
        found["writings"].append(asdict(report))
        print(f"{'right' if report.right else 'wrong'}: {report.kind}: of {report.pairs} pairs {report.ours} judged "
              f"rightly, by the official rule {report.official}")  # fmt: skip
        for pair in report.missed:
            print(f"    misjudged: {pair}")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
