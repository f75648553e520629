"""Which real benchmarks a report is about: their names, versions and samples, in words and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from parammem.core.record import Record
from parammem.core.words import count

NAMES = {
    "humaneval": "HumanEval",
    "mbpp": "MBPP",
    "livecodebench": "LiveCodeBench",
    "apps": "APPS",
    "problems": "written problems",
    "math": "MATH",
    "gsm8k": "GSM8K",
    "hotpotqa": "HotpotQA",
    "2wiki": "2WikiMultiHopQA",
}
"""Benchmark in params → its own name."""


class Sampled(Record):
    """Tasks of one split that came from one source."""

    domain: str
    split: str
    """eval, train or bank."""
    benchmark: str
    place: str
    """Data set of the hub with configuration and split, or a local file."""
    version: str
    """The hub's commit, or the SHA-256 of the local file."""
    rows: int
    """Rows that the source has."""
    taken: int
    seed: int
    how: str = ""
    """By which tags they were chosen or balanced; "" for plainly at random, or all of them."""


class Benchmarks(Record):
    """Where a domain's tasks came from, and whether training data touched what is judged on."""

    domain: str
    sampled: tuple[Sampled, ...]
    left_out: int
    """Train and bank tasks that were not used because they touch an evaluation task."""
    contaminated: int
    """Those that touch one all the same, by n-grams or as near-duplicates."""
    ngram: int
    near_duplicate: float


def read_benchmarks(domain: str, facts: dict[str, Any], seed: int) -> Benchmarks:
    """Return the facts about real tasks that the stage `tasks` wrote beside them (sources.json), with the seed of the
    sampling."""
    verdict = facts["contamination"]
    return Benchmarks(
        domain=domain,
        sampled=tuple(_sampled(domain, one, seed) for one in facts["read"]),
        left_out=len({contact["train_id"] for contact in facts["left_out"]}),
        contaminated=len({contact["train_id"] for contact in verdict["contacts"]}),
        ngram=verdict["ngram"],
        near_duplicate=verdict["near_duplicate"],
    )


def _sampled(domain: str, read: dict[str, Any], seed: int) -> Sampled:
    source = read["source"]
    tags = [f"{tag} {value}" for tag, value in sorted(source["where"].items())]
    tags += [f"balanced over {source['balance']}"] if source["balance"] and source["take"] else []
    hub = " ".join(filter(None, (source["hub"] or source["benchmark"], source["config"], source["hub_split"])))
    return Sampled(
        domain=domain,
        split=source["split"],
        benchmark=source["benchmark"],
        place=source["path"] or " ".join(filter(None, (hub, source["files"]))),
        version=f"sha256 {read['digest']}" if read["digest"] else read["commit"] or source["revision"] or "unknown",
        rows=read["rows"],
        taken=read["taken"],
        seed=seed,
        how=", ".join(tags),
    )


def judged(found: Iterable[Benchmarks], domain: str = "") -> list[Sampled]:
    """Return what is judged on, of one domain or of all."""
    return [one for b in found if domain in ("", b.domain) for one in b.sampled if one.split == "eval"]


def titles(found: Iterable[Benchmarks]) -> str:
    """Return the names of what is judged on: "HumanEval, MATH"."""
    return ", ".join(dict.fromkeys(NAMES.get(one.benchmark, one.benchmark) for one in judged(found)))


def in_words(one: Sampled) -> str:
    """Return a line such as "HumanEval: 20 of 164 tasks, seed 0, sha256 b796127e635a"."""
    word, _, digest = one.version.rpartition(" ")
    version = f"{word} {digest[:12]}" if word else f"revision {digest[:12]}"
    sample = (
        f"all {count(one.taken, 'task')}"
        if one.taken == one.rows
        else f"{one.taken} of {one.rows} tasks, seed {one.seed}"
    )
    return ", ".join(filter(None, (f"{NAMES.get(one.benchmark, one.benchmark)}: {sample}", one.how, version)))


def benchmarks_table(found: Sequence[Benchmarks]) -> tuple[list[str], list[list[str]]]:
    """Return a row per source."""
    head = ["domain", "split", "benchmark", "from", "version", "tasks", "of rows", "chosen"]
    rows = []
    for one in (one for b in found for one in b.sampled):
        how = one.how or ("all" if one.taken == one.rows else "at random")
        chosen = how if how == "all" else f"{how}, seed {one.seed}"
        cells = [NAMES.get(one.benchmark, one.benchmark), one.place, one.version, str(one.taken), str(one.rows), chosen]
        rows.append([one.domain, one.split, *cells])
    return head, rows
