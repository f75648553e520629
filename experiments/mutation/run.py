"""mutation: the data rules against injected defects, so that a rule that got weaker is seen before rows slip by."""

from __future__ import annotations

import json
from pathlib import Path

from parammem.core.jsonl import write_text
from parammem.errors import ValidationFailed

PLACE = Path("reports") / "validation" / "mutation.json"


def run(root: Path = Path(".")) -> None:
    """Write reports/validation/mutation.json.

    Raises:
        ValidationFailed: the score of a domain is below the floor; names the kinds that slip through. The file is
            written all the same.
    """
    from experiments.mutation.score import mutation_score

    found = mutation_score()
    write_text(root / PLACE, json.dumps(found.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
    if found.below:
        new = [one for one in found.missed if one.partition(": ")[2] not in found.uncaught]
        raise ValidationFailed(
            f"the data rules catch {found.caught} of {found.kinds} kinds of injected defect; below the floor of "
            f"{found.floor:.3f} in {', '.join(found.below)}; these slip through: {', '.join(new)}; "
            "mend src/parammem/validation/rules.py"
        )
