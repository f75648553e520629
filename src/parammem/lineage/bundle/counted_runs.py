"""Runs of agents in use that a bundle holds, against the decisions that were made on them. Part of `verify.py`."""

import re
from pathlib import Path

from parammem.lineage.bundle.reading import parse

FOLDER, NAMED = "live/", re.compile(r"runs (\d+)–(\d+)")
"""Where files of runs are; the input of a decision that names one of them."""
LARGEST_RUNS = 64 << 20
"""Bytes of a file of runs."""
MARGIN = 1e-9
"""Between two ways to add up the same numbers."""


def runs_faults(bundle, events, decisions):
    """Return what is wrong with the files of runs, and with what decisions say of them, as (file, what).

    events are the ledger's; decisions are file -> record.
    """
    found, counted = [], {}
    entered = {e["fact"]["runs"]: e["fact"] for e in events if e["fact"]["kind"] == "observe"}
    for name in [name for name in bundle.names if name.startswith(FOLDER)]:
        digest = Path(name).stem
        if bundle.sha256(name) != digest:
            found.append((name, "its SHA-256 is not its name"))
            continue
        counted[digest] = runs = [parse(line) for line in bundle.read(name, LARGEST_RUNS).splitlines()]
        if digest not in entered:
            found.append((name, "no event of the ledger names it"))
        elif _counts(runs) != {arm: list(many) for arm, many in entered[digest]["counts"].items()}:
            found.append((name, "its runs are not those that the ledger counted"))
    for name, record in decisions.items():
        if record.get("live"):
            found += _of_decision(name, record, counted)
    used = {digest for record in decisions.values() for digest in record["inputs"].values()}
    found += [(f"{FOLDER}{digest}.jsonl", "no decision was made on it") for digest in counted if digest not in used]
    return found


def _of_decision(name, record, counted):
    named = [digest for label, digest in record["inputs"].items() if NAMED.fullmatch(label)]
    missing = [digest for digest in named if digest not in counted]
    if missing:
        return [(f"{FOLDER}{digest}.jsonl", f"it is missing, and {name} was made on it") for digest in missing]
    live, runs = record["live"], [run for digest in named for run in counted[digest]]
    arms = (live["treated"]["arm"], live["control"]["arm"])
    pair = [run for run in runs if live["first"] <= run["number"] <= live["last"] and _could_be(run, arms)]
    wrong = [arm["arm"] for arm in (live["treated"], live["control"]) if not _says_so(arm, pair)]
    return [(name, f"the runs of {arm} that it counted are not those of its files") for arm in wrong]


def _could_be(run, arms):
    """Return whether a run is of one of the two arms, and could have been of either."""
    return run["arm"] in arms and min(run["shares"].get(arm, 0) for arm in arms) > 0


def _says_so(arm, pair):
    runs = [run for run in pair if run["arm"] == arm["arm"]]
    values = [value for run in runs if (value := _value(run["outcome"])) is not None]
    solved = sum(values) / len(values) if values else 0.0
    return (len(runs), len(values)) == (arm["runs"], arm["known"]) and abs(solved - arm["solved"]) < MARGIN


def _value(outcome):
    if not outcome:
        return None
    passed = outcome.get("passed")
    return outcome.get("value") if passed is None else float(passed)


def _counts(runs):
    """Return arm -> runs, those of them with an outcome, those of these that passed."""
    counts = {}
    for run in runs:
        one = counts.setdefault(run["arm"], [0, 0, 0])
        one[0] += 1
        one[1] += _value(run["outcome"]) is not None
        one[2] += bool(run["outcome"]) and run["outcome"].get("passed") is True
    return counts
