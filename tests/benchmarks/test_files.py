"""Files of rows as people have them: those that are read, and those that are refused with what to do."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from parammem.benchmarks.sources import local_rows
from parammem.core.jsonl import iter_lines
from parammem.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"question": "Anna has 2 \u00e9clairs and 3.", "answer": "2+3\n#### 5"},
    {"question": "What is\u20281?", "answer": "#### 1"},
]
BOM = b"\xef\xbb\xbf"


def lines(end: str = "\n", ascii_only: bool = True) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in ROWS).encode()


ARRAY = json.dumps(ROWS).encode()
HUB = {"features": [], "rows": [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(ROWS)]}
READ: dict[str, bytes] = {
    "lines.jsonl": lines(),
    "no end of the last line.jsonl": lines()[:-1],
    "letters beyond ASCII.jsonl": lines(ascii_only=False),
    "byte order mark.jsonl": BOM + lines(ascii_only=False),
    "CR LF.jsonl": lines("\r\n"),
    "byte order mark and CR LF.jsonl": BOM + lines("\r\n"),
    "empty lines.jsonl": b"\n" + lines("\n\n \n"),
    "an array.jsonl": ARRAY,
    "an array.json": ARRAY,
    "an array over lines.json": json.dumps(ROWS, indent=2).encode(),
    "byte order mark and array.json": BOM + ARRAY,
    "lines.json": lines(),
    "objects over lines.json": "\n".join(json.dumps(row, indent=1) for row in ROWS).encode(),
    "gzip.jsonl.gz": gzip.compress(lines()),
    "gzip of all that.jsonl.gz": gzip.compress(BOM + lines("\r\n")),
    "gzip of an array.json.gz": gzip.compress(ARRAY),
    "gzip in two members.jsonl.gz": b"".join(gzip.compress(json.dumps(row).encode() + b"\n") for row in ROWS),
    "gzip under another name.jsonl": gzip.compress(lines()),
    "no gzip under its name.jsonl.gz": lines(),
    "rows by id.json": json.dumps({"a": ROWS[0], "b": ROWS[1]}).encode(),
    "in data.json": json.dumps({"version": 1, "data": ROWS}).encode(),
    "of the hub's viewer.json": json.dumps(HUB).encode(),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "UTF-16.jsonl": (lines().decode().encode("utf-16"), "UTF-16"),
    "UTF-16 big end first.jsonl": (b"\xfe\xff" + lines().decode().encode("utf-16-be"), "UTF-16"),
    "Latin-1.jsonl": (json.dumps(ROWS[0], ensure_ascii=False).encode("latin-1"), ":1: not JSON"),
    "cut off.jsonl": (lines()[:-5], ":2: not JSON"),
    "gzip cut off.jsonl.gz": (gzip.compress(lines())[:-6], "gzip data is broken"),
    "table.parquet": (b"PAR1" + bytes(40), "Parquet"),
    "packed.jsonl.zst": (b"\x28\xb5\x2f\xfd" + bytes(40), "zstd"),
    "packed.jsonl.bz2": (bz2.compress(lines()), "bzip2"),
    "packed.jsonl.xz": (lzma.compress(lines()), "packed with xz"),
    "archive.zip": (b"PK\x03\x04" + bytes(40), "zip archive"),
    "pointer.jsonl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git-lfs pointer"),
    "table.csv": (b"question,answer\nq,#### 5\n", ":1: not JSON"),
    "one number.jsonl": (b"3\n", "not a list of rows"),
}


@pytest.mark.parametrize("name", READ)
def test_rows_are_read_from_every_form_of_a_file(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(READ[name])
    assert local_rows(tmp_path / name) == ROWS


@pytest.mark.parametrize("name", REFUSED)
def test_another_file_is_refused_by_name_with_what_to_do(tmp_path: Path, name: str):
    content, says = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        local_rows(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", [name for name in REFUSED if name.startswith(("UTF-16", "packed", "archive"))])
def test_the_one_reader_of_lines_refuses_them_for_everybody(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(REFUSED[name][0])
    with pytest.raises(DataError, match=REFUSED[name][1]):
        list(iter_lines(tmp_path / name))
