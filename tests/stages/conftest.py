"""A project folder in which tasks, collect, validate and train have run, once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.stages import collect, tasks, train, validate
from tests.stages.arena import knowing_everywhere, make_model, write_params


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The world of SMALL in the domain math, up to its adapters. Copy it before you change it."""
    root = tmp_path_factory.mktemp("trained")
    make_model(root)
    params = write_params(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        knowing_everywhere(patch, params, "math")
        for stage in (tasks, collect, validate, train):
            stage.run(params, "math")
    return root
