"""A client of its own for each test: another spool, no memory of earlier failures, no service by accident."""

from __future__ import annotations

import pytest

from parammem.client import connection


@pytest.fixture(autouse=True)
def fresh_client(monkeypatch, tmp_path):
    monkeypatch.setenv("PARAMMEM_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PARAMMEM_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("PARAMMEM_TOKEN", raising=False)
    monkeypatch.setattr(connection, "_resting", {})
    monkeypatch.setattr(connection, "_warned", set())


@pytest.fixture
def spool_of(tmp_path):
    """Names of the files in the spool."""
    return lambda: sorted(file.name for file in tmp_path.glob("spool/*"))
