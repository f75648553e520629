"""Facts about `import parammem`: it is cheap, exports what it promises, and prepares OpenMP before torch is there."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import parammem

ROOT = Path(__file__).resolve().parent.parent


def python(program: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=kept | {"PYTHONPATH": str(ROOT / "src")} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_version_is_the_project_s():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert parammem.__version__ == project["version"]


def test_parammem_is_fetched_when_it_is_first_asked_for():
    from parammem.reflectors.parametric import ParamMem

    assert parammem.ParamMem is ParamMem
    assert set(parammem.__all__) == {"ParamMem", "outcome", "report", "run", "__version__"}
    program = "import sys, parammem; print('parammem.reflectors' in sys.modules, 'pydantic' in sys.modules)"
    assert python(program) == "False False"


def test_names_that_are_not_exported_are_attribute_errors():
    with pytest.raises(AttributeError, match="'parammem' has no attribute 'ParamMemory'"):
        _ = parammem.ParamMemory  # pyright: ignore[reportAttributeAccessIssue]


def test_openmp_threads_wait_passively_unless_told_otherwise():
    program = "import parammem, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    assert python(program) == "passive False"
    assert python(program, OMP_WAIT_POLICY="active") == "active False"
