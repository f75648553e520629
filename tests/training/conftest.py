from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import make_tiny_model


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of a few thousand parameters."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny-base")
