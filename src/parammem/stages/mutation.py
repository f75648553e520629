"""mutation: the data rules against injected defects, so that a rule that got weaker is seen before rows slip by."""

from __future__ import annotations

import json
from pathlib import Path

from parammem.core.jsonl import write_text
from parammem.errors import ValidationFailed

PLACE = Path("reports") / "validation" / "mutation.json"


def run(root: Path = Path(".")) -> None:
    """Writes reports/validation/mutation.json.

    Raises:
        ValidationFailed: the score is below the floor; names the kinds that slip through. The file is written all the
            same.
    """
    from parammem.validation.mutation import mutation_score

    found = mutation_score()
    write_text(root / PLACE, json.dumps(found.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
    if found.score < found.floor:
        raise ValidationFailed(
            f"the data rules catch {found.caught} of {found.kinds} kinds of injected defect, and {found.floor:.0%} are "
            f"asked for; these slip through: {', '.join(found.missed)}; mend src/parammem/validation/rules.py"
        )
