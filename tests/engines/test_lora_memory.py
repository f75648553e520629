"""The rule for names of modules costs no memory worth speaking of: every command that reads an adapter pays for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from parammem.engines.lora import Lora

PROGRAM = """
import parammem.core.adapter, parammem.engines
from tests.memory import memory_bound
with memory_bound(8):
    import parammem.engines.lora
"""


def test_the_record_of_settings_takes_little_memory():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "fits"), [("ü.x-1", True), ("a" * 200, True), ("a" * 201, False), ("", False),
                                            ("a b", False), ("a\n", False), ("a*", False)])  # fmt: skip
def test_a_module_has_a_plain_name_of_at_most_200_characters(name, fits):
    found = {"r": 8, "lora_alpha": 8.0, "target_modules": [name]}
    try:
        Lora.model_validate(found)
    except ValueError:
        assert not fits
    else:
        assert fits
