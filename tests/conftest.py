"""What every test gets: no network, no telemetry, one thread, and real rows where they are at hand."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Set before any library is imported, since several read these only once.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
}
os.environ.update(OFFLINE)
if _worker := os.environ.get("PYTEST_XDIST_WORKER"):  # Prefect's database serves one test process
    os.environ["PREFECT_HOME"] = str(ROOT / ".cache" / f"prefect-{_worker}")
# Rich wraps and colours what it prints by these; tests read it as a plain terminal would show it.
os.environ.update({"COLUMNS": "120", "NO_COLOR": "1"})
for _name in ("WANDB_API_KEY", "PREFECT_API_URL", "PREFECT_API_KEY", "FORCE_COLOR"):
    os.environ.pop(_name, None)
# A shell starts background jobs with Ctrl-C ignored, which every child inherits; tests send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The repository this test file lies in."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """A folder with real benchmark rows: PARAMMEM_SHARED_DATA, or ../shared/data beside the repository."""
    named = os.environ.get("PARAMMEM_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real rows: {folder} is not there; set PARAMMEM_SHARED_DATA to a folder that has them")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU, with a reason, where there is none."""
    needy = [item for item in items if item.get_closest_marker("gpu")]
    if not needy:
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in needy:
        item.add_marker(pytest.mark.skip(reason="needs a CUDA device; torch sees none"))
