"""When, where and how often the pipeline runs (Prefect). What it does is in dvc.yaml; nothing below imports this.

Prefect reads its settings when it is imported, so the defaults are set here: work offline, send nothing, and keep
the database inside the repository. Whoever has a Prefect server sets PREFECT_API_URL, and it is used.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

DEFAULTS = {
    "PREFECT_HOME": str(ROOT / ".cache" / "prefect"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # A first start makes the database, which takes up to half a minute on a small machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "DO_NOT_TRACK": "1",
}

for _key, _value in DEFAULTS.items():
    os.environ.setdefault(_key, _value)
