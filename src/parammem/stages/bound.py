"""The data rules bound to the adapter: whose validation its rows went through, in the adapter's own folder.

The folder's hash is in dvc.lock and, by the version, in the ledger; so nobody can exchange the suite or its results
without the adapter showing it. The weights, and with them the adapter's digest, do not depend on it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from parammem.core.jsonl import write_text

NAME = "validation.json"
TAKEN = ("passed", "suite_digest", "kept_digest", "rows")


def bind_validation(report: Path, folder: Path) -> None:
    """Write validation.json: the suite's digest, its results in short, and the SHA-256 of the whole report.

    Where there is no report (rows of other making, which nobody validated) nothing is written, and an audit says so.
    """
    if not report.is_file():
        return
    data = report.read_bytes()
    found = json.loads(data)
    reasons: dict[str, int] = {}
    for item in found["quarantined"]:
        for reason in item["reasons"]:
            reasons[reason] = reasons.get(reason, 0) + 1
    bound = {name: found[name] for name in TAKEN} | {
        "report": hashlib.sha256(data).hexdigest(),
        "kept": len(found["kept"]),
        "quarantined": len(found["quarantined"]),
        "reasons": reasons,
        "rules": len({rule["rule"] for rule in found["rules"]}),
    }
    write_text(folder / NAME, json.dumps(bound, indent=1, sort_keys=True) + "\n")
