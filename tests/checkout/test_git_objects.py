"""Facts about the reader of many of git's objects through one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.checkout.git import Blobs
from tests.improve.lab import git


@pytest.fixture
def named(tmp_path: Path) -> tuple[str, str]:
    git(tmp_path, "init", "-q")
    found = []
    for text in ("one", "two"):
        (tmp_path / text).write_text(text)
        found.append(git(tmp_path, "hash-object", "-w", text).strip())
    return found[0], found[1]


def test_after_an_interrupt_no_object_is_taken_for_another(named, tmp_path: Path, monkeypatch):
    first, second = named
    with Blobs.open(tmp_path) as objects:
        assert objects.read(first) == b"one"
        source = objects._process.stdout  # pyright: ignore[reportOptionalMemberAccess]

        class Interrupted:
            def readline(self):
                raise KeyboardInterrupt

            def close(self):
                source.close()  # pyright: ignore[reportOptionalMemberAccess]

        with monkeypatch.context() as patch:
            patch.setattr(objects._process, "stdout", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                objects.read(first)
        assert objects._process is not None
        assert objects._process.stdout is source
        with pytest.raises((OSError, ValueError)):
            objects.read(second)


def test_a_name_of_two_lines_is_no_object(named, tmp_path: Path):
    first, second = named
    with Blobs.open(tmp_path) as objects:
        assert objects.read(f"{first}\n{second}") is None
        assert objects.read(second) == b"two"
