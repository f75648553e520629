"""The benchmarks there are. Adding one: a function row → Item, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parammem.benchmarks import code, contests, math, qa
from parammem.benchmarks.item import Item
from parammem.benchmarks.sources import Row
from parammem.errors import ConfigError, DataError


@dataclass(frozen=True)
class Benchmark:
    """How the rows of one benchmark become items, and where they are usually found."""

    domain: str
    reader: Callable[[Row, int], Item]
    hub: str = ""
    """Its data set on the hub; "" where none holds this layout."""
    config: str = ""
    split: str = "test"
    licence: str = ""


BENCHMARKS: dict[str, Benchmark] = {
    "humaneval": Benchmark("code", code.humaneval, "openai/openai_humaneval", "", "test", "MIT"),
    "mbpp": Benchmark("code", code.mbpp, "google-research-datasets/mbpp", "full", "test", "CC-BY-4.0"),
    "livecodebench": Benchmark("code", contests.livecodebench, "livecodebench/code_generation_lite", "", "test", "CC"),
    "apps": Benchmark("code", contests.apps, "codeparrot/apps", "", "train", "MIT"),
    "problems": Benchmark("code", contests.problems),
    "math": Benchmark("math", math.math, "DigitalLearningGmbH/MATH-lighteval", "", "test", "MIT"),
    "gsm8k": Benchmark("math", math.gsm8k, "openai/gsm8k", "main", "test", "MIT"),
    "hotpotqa": Benchmark("qa", qa.hotpotqa, "hotpotqa/hotpot_qa", "distractor", "validation", "CC-BY-SA-4.0"),
    "2wiki": Benchmark("qa", qa.wiki2, "framolfese/2WikiMultihopQA", "", "validation", "Apache-2.0"),
}


def get_benchmark(name: str) -> Benchmark:
    """Return the benchmark of this name. Raises ConfigError, naming the benchmarks there are."""
    if name not in BENCHMARKS:
        raise ConfigError(f"no benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def items_of(name: str, rows: Sequence[Row]) -> tuple[list[Item], list[str]]:
    """Return the items of these rows, and what is wrong with the rows that make none.

    Raises:
        ConfigError: there is no such benchmark.
        DataError: no row makes an item: this is another format.
    """
    benchmark = get_benchmark(name)
    items: dict[str, Item] = {}
    wrong: list[str] = []
    for number, row in enumerate(rows):
        try:
            item = benchmark.reader(row, number)
        except Exception as error:  # a row of another layout, or one that nothing can read, is one row
            wrong.append(f"row {number}: {error or type(error).__name__}")
            continue
        if item.task.task_id in items:
            wrong.append(f"row {number}: task id {item.task.task_id!r} for the second time")
            continue
        items[item.task.task_id] = item
    if rows and not items:
        raise DataError(f"none of {len(rows)} rows is a problem of {name!r}; the first: {wrong[0]}")
    return list(items.values()), wrong
