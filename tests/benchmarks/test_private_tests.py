"""LiveCodeBench's pickled tests are decoded, and nothing in them is ever run."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import zlib
from pathlib import Path

import pytest

from parammem.benchmarks.private_tests import decode_tests
from parammem.errors import DataError
from tests.benchmarks.rows import packed

TESTS = [{"input": "1", "output": "2", "testtype": "stdin"}]


class Runs:
    """A pickle of this calls a function of the system when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_packed_and_plain_tests_are_the_same():
    assert decode_tests(packed(json.dumps(TESTS))) == TESTS
    assert decode_tests(json.dumps(TESTS)) == TESTS
    assert decode_tests("") == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(tmp_path, protocol):
    target = tmp_path / "made"
    data = pickle.dumps(Runs(target), protocol)
    with pytest.raises(DataError, match=r"refused, nothing was run: it asks for (posix|nt)\.mkdir"):
        decode_tests(base64.b64encode(zlib.compress(data)).decode())
    assert not target.exists()
    pickle.loads(data)
    assert target.exists(), "the pickle of this test does run something where it is allowed to"


@pytest.mark.parametrize(
    "code", [b"cbuiltins\neval\n(S'1'\ntR.", b"Pnumber\n.", b"(S'a'\nibuiltins\nlist\n.", b"\x82\x01.", b"."]
)
def test_every_other_way_to_an_object_is_refused(code):
    with pytest.raises(DataError, match=r"refused|hold a"):
        decode_tests(base64.b64encode(zlib.compress(code)).decode())


def test_what_is_not_text_is_refused():
    with pytest.raises(DataError, match="hold a list, not text"):
        decode_tests(packed([1, 2]))
    with pytest.raises(DataError, match="not a list of tests"):
        decode_tests(packed("[1]"))
    with pytest.raises(DataError, match="not JSON"):
        decode_tests(packed("[1"))


def test_a_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(DataError, match="more than 1000 bytes"):
        decode_tests(packed("[" + " " * 5000 + "]"), limit=1000)


def test_broken_files_are_named_so():
    for text in ("!!", base64.b64encode(b"no zlib").decode(), packed("[]")[:-8]):
        with pytest.raises(DataError, match=r"fetch the file again|do not trust"):
            decode_tests(text)


def test_the_real_layout_is_what_these_tests_pack():
    """code_generation_lite: pickle of a JSON text, compressed, in base64."""
    assert pickle.load(io.BytesIO(zlib.decompress(base64.b64decode(packed("[]"))))) == "[]"
