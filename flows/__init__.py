"""When, where and how often the pipeline runs (Prefect). What it does is in dvc.yaml; nothing below imports this.

Prefect reads its settings when it is imported, so the defaults are set here: work offline, send nothing, and keep
the database inside the repository. A Prefect server that the environment (PREFECT_API_URL) or the Prefect profile
(`prefect config set PREFECT_API_URL=…`) names is used, with all that the profile says.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # A first start makes the database, which takes up to half a minute on a small machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "DO_NOT_TRACK": "1",
}


def profile(home: Path) -> dict[str, Any]:
    """Return the settings of the active Prefect profile of that home; empty where there is none that can be read."""
    try:
        found = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
        active = os.environ.get("PREFECT_PROFILE") or found.get("active")
        return dict(found.get("profiles", {}).get(active, {}))
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def configured_server() -> str:
    """Return the API address that the environment or the person's Prefect profile names; empty where neither does."""
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()
    return os.environ.get("PREFECT_API_URL") or str(profile(home).get("PREFECT_API_URL", ""))


for _key, _value in DEFAULTS.items():
    os.environ.setdefault(_key, _value)
if not configured_server() or os.environ.get("PREFECT_API_URL"):
    os.environ.setdefault("PREFECT_HOME", str(ROOT / ".cache" / "prefect"))
