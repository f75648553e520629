"""The ledger says what kind of machine entered an adapter, and older lines keep their digests."""

from __future__ import annotations

import platform

from parammem.core import digest_of
from parammem.core.event import START, Event, Trained, make_event
from parammem.registry.environment import cpu_kind, describe

FACT = {"domain": "code", "adapter": "a" * 64, "data_digest": "d", "rows": 3, "base_digest": "b", "recipe_digest": "r"}


def test_python_torch_system_and_processor_are_named():
    found = describe()
    assert found["python"].endswith(platform.python_version())
    assert found["torch"][0].isdigit()
    assert platform.machine() in found["system"]


def test_the_widest_vector_instructions_name_a_processor(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nvendor_id\t: GenuineIntel\nflags\t: fpu avx avx2 avx512f\n")
    assert cpu_kind(file) == "GenuineIntel avx512f"
    file.write_text("CPU implementer\t: 0x41\nFeatures\t: fp asimd\n")
    assert cpu_kind(file) == "0x41 asimd"


def test_a_line_from_before_there_was_an_environment_still_fits_its_digest():
    old = make_event(1, "2026-01-01T00:00:00Z", "flow improve", Trained(**FACT), START)  # pyright: ignore
    assert "environment" not in old.line()
    bare = {name: value for name, value in old.model_dump(mode="json").items() if name != "digest"}
    assert old.digest == digest_of(bare)
    new = make_event(1, old.time, old.actor, Trained(**FACT, environment={"cpu": "x avx2"}), START)  # pyright: ignore
    again = Event.model_validate_json(new.line())
    assert again == new
    assert again.expected_digest == new.digest != old.digest
