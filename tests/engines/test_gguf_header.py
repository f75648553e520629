"""Headers of GGUF files that ask a library for endless loops or all memory are refused before it reads them."""

from __future__ import annotations

import struct
import time

import pytest

from parammem.engines.gguf_header import read_header


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def setting(name: bytes, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def number(name: bytes, value: int) -> bytes:
    return setting(name, 10, struct.pack("<Q", value))


def array(kind: int, length: int, items: bytes = b"") -> bytes:
    return setting(b"tokenizer.x", 9, struct.pack("<IQ", kind, length) + items)


def tensor(*sides: int) -> bytes:
    return text(b"t") + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, 0, 0)


def header(*parts: bytes, settings: int | None = None, tensors: int = 0, version: int = 3) -> bytes:
    many = len(parts) - tensors if settings is None else settings
    return b"GGUF" + struct.pack("<IQQ", version, tensors, many) + b"".join(parts)


def test_a_header_is_read_with_its_sizes(tmp_path):
    file = tmp_path / "m.gguf"
    words = array(8, 2, text(b"a") + text("é".encode()))
    file.write_bytes(header(setting(b"n", 8, text(b"llama")), words, number(b"llama.block_count", 30), tensor(8, 3),
                            tensor(5), tensors=2) + b"\0" * 99)  # fmt: skip
    found = read_header(file)
    assert found.settings == {"n": "llama", "tokenizer.x": 2, "llama.block_count": 30}
    assert found.numbers == 29


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GGUF", "ends in the middle"),
        (header(version=99), "version"),
        (header(settings=2**60), "settings"),
        (header(tensors=2**60, settings=0), "tensors"),
        (header(struct.pack("<Q", 2**62), settings=1), "a text has"),
        (header(setting(b"n", 8, struct.pack("<Q", 2**62))), "a text has"),
        (header(setting(b"n", 8, struct.pack("<Q", 2**20))), "ends in the middle"),
        (header(array(5, 2**60)), "items"),
        (header(array(8, 2**60)), "items"),
        (header(array(5, 1000)), "ends in the middle"),
        (header(array(8, 1, struct.pack("<Q", 2**63))), "ends in the middle"),
        (header(array(9, 1, struct.pack("<IQ", 9, 1) * 50_000)), "array of arrays"),
        (header(setting(b"n", 99, b"")), "not known"),
        (header(number(b"llama.block_count", 10**9)), "block_count"),
        (header(number(b"qwen2moe.expert_count", 10**6)), "expert_count"),
        (header(text(b"t") + struct.pack("<I", 2**31), tensors=1), "sides"),
    ],
)
def test_what_is_out_of_bounds_is_refused_at_once(tmp_path, data, why):
    file = tmp_path / "m.gguf"
    file.write_bytes(data)
    begun = time.process_time()
    with pytest.raises(ValueError, match=why):
        read_header(file)
    assert time.process_time() - begun < 1
