"""Rules for reflection rows: which rows may be trained on, and whether the whole set may. The only package that imports
GX.

Nothing here reads or writes the rows themselves; stages do.
"""

from parammem.validation.repeats import KnownRuns, RunTexts
from parammem.validation.result import Quarantined, RuleResult, ValidationResult, digest_of_rows, summary
from parammem.validation.validate import explain, validate_rows

__all__ = [
    "KnownRuns",
    "Quarantined",
    "RuleResult",
    "RunTexts",
    "ValidationResult",
    "digest_of_rows",
    "explain",
    "summary",
    "validate_rows",
]
