"""No text of a model makes a grader raise, hang, or take much memory; what cannot be judged is wrong, by name."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from parammem.domains import get_domain
from parammem.domains.math_grader import MathGrader
from parammem.domains.real_math import RealMathJudge, RealMathPrompts

LONG = 100_000
PARTS = (
    "\\boxed{", "\\boxed", "{", "}", "$", "$$", "\\[", "\\)", "answer", "Answer: ", "answer to ", "the answer is ",
    "####",
    "\n", " ", "\\frac", "\\sqrt", "^", "9", "1,000", "(", "]", "<think>", "</think>", "<answer>", "\\text{",
    "and ", ",",
    '"', "*", "\\begin{pmatrix}", "\\\\", "&", "\\pm", "%", "½", "√", "\ud800", "\x00", "=", "<|end|>", "million", "“",
    "base", "\\{", ":", "because ", "The ",
)  # fmt: skip
HEAVY = (
    "9^{9^{9^9}}", "10^{10^{10}}!", "((10!)!)!", "\\frac{1}{0}", "0^0", "1e999999", "10^{-10^{9}}",
    "\\sum_{k=1}^{10^9}k",
    "\\binom{10^9}{10^8}", "2^{2^{2^{2^{2^{2}}}}}", "x^{x^{x^{x}}}",
    "(x+y+z+w)^{500}", "\\sin(10^{10^{5}})",
    "\\log_{1} 2",
    "\\sqrt[0]{2}", "e^{e^{e^{e^{e}}}}", "\\cos(e^{e^{e^{10}}})", "\\infty-\\infty", "\\tan\\frac{\\pi}{2}",
    "1 base 999999",
    "123456789^{123456}-1", "x=" * 300 + "1", "1," * 480 + "1", "\\pm" * 300, "|" * 500, "0." + "1" * 900, "a" * 990,
    "\\sqrt{" * 50 + "2" + "}" * 50, "\\frac{1}{" * 50 + "1" + "}" * 50, "(" * 400 + "1" + ")" * 400,
    "5 " + "a" * 60 + "{",
)  # fmt: skip
NESTED = (
    "{" * (LONG // 2) + "}" * (LONG // 2),
    "\\boxed{" * 9000 + "1" + "}" * 9000,
    "9^{" * 20000 + "9" + "}" * 20000,
)


def random_texts(count: int) -> list[str]:
    rng = random.Random(0)
    made = ["".join(rng.choice(PARTS) for _ in range(rng.choice([3, 10, 40, 2000]))) for _ in range(count)]
    return made + ["".join(chr(rng.randrange(1, 0x11000)) for _ in range(rng.choice([50, 5000]))) for _ in range(count)]


@pytest.mark.parametrize("domain", [get_domain("math", real=True), get_domain("qa", real=True)], ids=["math", "qa"])
@pytest.mark.integration
def test_reading_a_text_takes_time_in_proportion_to_its_length(domain):
    for text in (*(part * (LONG // len(part)) for part in PARTS), *NESTED, *random_texts(60)):
        started = time.process_time()
        read = domain.prompts.read(text)
        candidate = domain.prompts.parse(text)
        assert time.process_time() - started < 3, f"{text[:60]!r} × {len(text)}"
        assert read.rule
        assert isinstance(candidate, str)


@pytest.fixture(scope="module")
def grader():
    made = MathGrader()
    yield made
    made.close()


@pytest.mark.parametrize("gold", ["7", "x^2+1", "2^{100}"])
@pytest.mark.integration
def test_what_cannot_be_judged_is_wrong_by_a_named_rule_and_soon(grader, gold):
    prompts, judge = RealMathPrompts(), RealMathJudge(grader)
    for text in (*HEAVY, *NESTED):
        candidate = prompts.parse(f"\\boxed{{{text}}}")
        found = judge.compare({"answer": gold}, candidate)
        assert not found.equal
        assert found.by, text
    assert grader.killed == 0, "refused before anything is worked out"


@pytest.mark.integration
def test_random_answers_equal_no_gold(grader):
    prompts, judge = RealMathPrompts(), RealMathJudge(grader)
    texts = [text for text in random_texts(40) if "½" not in text]
    for gold in ("\\frac{17}{23}", "\\text{Evelyn}", "(3,-4)"):
        assert not any(judge.compare({"answer": gold}, prompts.parse(text)).equal for text in texts)


@pytest.mark.integration
def test_the_worker_takes_less_than_500_mb(grader):
    for text in HEAVY:
        grader.compare("x^2+1", text)
    process = grader._process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("no /proc here")
    sizes = {
        line.split(":")[0]: int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("Vm")
    }
    assert sizes["VmPeak"] < 500_000, "kB of address space, which is the limit it set itself"
