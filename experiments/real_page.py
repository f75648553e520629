"""Put the figures of `make real` into docs/real-model.md, between its marks, so that no number is copied by a person.

    python -m experiments.real_page [--folder DIR] [--page FILE] [--domain NAME]

Marks are `<!-- real: NAME -->` and `<!-- /real -->`; NAME is table, comparisons or reflections. Those of another domain
than code have its name in the place of `real`: `--domain english` fills in `<!-- english: table -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.clones import FIGURES, ROOT, ended
from experiments.reflections import ARMS, drawn
from parammem.checkout.places import Places
from parammem.core.jsonl import write_text
from parammem.errors import DataError, ParamMemError
from parammem.evaluation.inputs import ARMS as NAMES
from parammem.evaluation.inputs import arm_name, in_order, pair_name

DOMAIN = "code"
COUNT, SEED = 15, 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the page in. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.real_page")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "real", help="where `make real` worked")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "real-model.md")
    parser.add_argument("--domain", default=DOMAIN)
    given = parser.parse_args(arguments)
    try:
        write_text(given.page, filled(given.page.read_text(encoding="utf-8"), given.folder, given.domain))
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def filled(page: str, folder: Path, domain: str = DOMAIN) -> str:
    """Return a page with every block between the domain's marks written anew.

    Raises:
        DataError: the run has not ended there.
    """
    file = folder / FIGURES
    if not ended(folder):
        raise DataError(f"no finished run in {folder}; run `make real` first")
    figures = json.loads(file.read_text(encoding="utf-8")).get(domain)
    if figures is None:
        raise DataError(f"{file} has no figures of {domain}")
    blocks: dict[str, Callable[[], str]] = {
        "table": lambda: arms_table(figures),
        "comparisons": lambda: comparisons_table(figures),
        "reflections": lambda: drawn(Places(folder, domain), ARMS, COUNT, SEED),
    }
    return blocks_of(domain).sub(lambda found: f"{found[1]}\n{blocks[found[2]]().strip()}\n\n{found[3]}", page)


def blocks_of(domain: str = DOMAIN) -> re.Pattern[str]:
    """Return the pattern of what stands between a domain's marks, with the marks and the block's name as groups."""
    name = "real" if domain == DOMAIN else re.escape(domain)
    return re.compile(rf"(<!-- {name}: (\w+) -->\n).*?(<!-- /{name} -->)", re.DOTALL)


def arms_table(figures: Mapping[str, Any]) -> str:
    """A row an arm: share solved with its interval, by visible checks, and tokens a task."""
    rows = {name: one for name, one in figures.items() if isinstance(one, dict) and "pass_rate" in one}
    for name, one in list(rows.items()):
        rows |= {
            f"{name}.{key}": inner for key, inner in one.items() if isinstance(inner, dict) and "pass_rate" in inner
        }
    lines = [
        "| arm | solved, % (95% interval) | visible checks, % | prompt tokens a task | written tokens a task |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in in_order(rows, NAMES):
        one = rows[name]
        low, high = 100 * one["pass_rate_low"], 100 * one["pass_rate_high"]
        cells = [arm_name(name), f"{100 * one['pass_rate']:.0f} ({low:.0f}–{high:.0f})"]
        cells += [f"{100 * one['visible_pass_rate']:.0f}" if one.get("visible_pass_rate") is not None else "–"]
        cells += [f"{one[f'{kind}_tokens']:,.0f}" for kind in ("prompt", "completion")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def comparisons_table(figures: Mapping[str, Any]) -> str:
    """A row a comparison that was fixed beforehand."""
    lines = []
    for key, one in figures.items():
        left, versus, right = key.partition("_vs_")
        if versus:
            arm = right if right in NAMES else f"{left}.{right}"
            points = f"{100 * one['difference']:+.0f} ({100 * one['low']:+.0f} … {100 * one['high']:+.0f})"
            counts = f"{one['left_only']}, {one['right_only']}"
            lines.append(f"| {pair_name(left, arm)} | {points} | {one['p_holm']:.3f} | {counts} |")
    head = ["| comparison | points (95% interval) | p, Holm | only left, only right |", "|---|---:|---:|---:|"]
    return "\n".join([*head, *(line.replace("-", "−") for line in lines)])


if __name__ == "__main__":
    sys.exit(main())
