"""Reads a bundle from a folder or zip that may be hostile: plain files only, bounded in size. Part of `verify.py`."""

import hashlib
import json
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

LARGEST, MOST_FILES, MOST_UNPACKED = 8 << 20, 100_000, 200
"""Bytes of a file that is parsed; files; bytes for each byte of a zip."""
BROKEN = (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError, MemoryError, EOFError,
          NotImplementedError, zipfile.BadZipFile, zlib.error)  # fmt: skip
"""What reading and parsing hostile bytes may raise."""


HARMLESS = {0x5455, 0x5855, 0x7855, 0x7875}
"""Extra fields of a zip's entries with times and owners."""


class Bundle:
    """A folder or zip, read by name. Only plain files count; whatever else is in it is in `faults`."""

    def __init__(self, path):
        self.path, self.zip, self.faults, self._digests = Path(path), None, [], {}
        self.names = sorted(self._of_zip() if self.path.is_file() else self._of_folder())

    def _of_folder(self):
        names, folders = [], [""]
        while folders and len(names) < MOST_FILES:
            folder = folders.pop()
            try:
                entries = sorted(os.scandir(self.path / folder), key=lambda entry: entry.name)
            except OSError as error:
                self.faults.append((folder, f"it cannot be read: {error.strerror}"))
                continue
            for entry in entries:
                name = f"{folder}{entry.name}"
                if entry.is_symlink():
                    self.faults.append((name, "it is a link: what it leads to is no part of the bundle"))
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    names.append(name)
                else:
                    self.faults.append((name, "it is no plain file"))
        return names

    def _of_zip(self):
        try:
            self.zip, infos = open_zip(self.path)
        except (ValueError, OSError, struct.error, NotImplementedError, zipfile.BadZipFile) as error:
            self.faults.append((self.path.name, f"it is no sound zip: {error}"))
            return []
        self._infos, seen = {}, set()
        for info in infos:
            wrong = odd_entry(info) or ("its name is there twice" if info.filename in seen else "")
            seen.add(info.filename)
            if wrong:
                self.faults.append((info.orig_filename, wrong))
            if not info.is_dir():
                self._infos[info.filename] = info
        return list(self._infos)

    def open(self, name):
        if self.zip:
            return self.zip.open(self._infos[name])
        # Not through a link or a pipe that took the file's place since it was listed.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(self.path / name, flags), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise ValueError("it is no plain file")
        return file

    def read(self, name, most=LARGEST):
        """Return a file's bytes. Raises KeyError if it is not there, ValueError if it is larger than is parsed."""
        if name not in self.names:
            raise KeyError(name)
        with self.open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ValueError(f"{name} is larger than {most >> 20} MiB")
        return data

    def json(self, name):
        return parse(self.read(name))

    def sha256(self, name):
        if name not in self._digests:
            digest = hashlib.sha256()
            with self.open(name) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            self._digests[name] = digest.hexdigest()
        return self._digests[name]


def open_zip(path):
    """Return (zip, entries). Raises ValueError where a byte of it belongs to no entry, or it would unpack to far
    more."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 22))
        end = file.read(22)
        if len(end) < 22 or end[:4] != b"PK\x05\x06":
            raise ValueError("it does not end as a zip does")
        count, length, start, note = struct.unpack("<HIIH", end[10:22])
        if note or start + length + 22 != size or length > LARGEST:
            raise ValueError("there are bytes before or behind it, or its list of entries is too long")
        archive = zipfile.ZipFile(path)
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        if len(infos) != count or sum(info.file_size for info in infos) > MOST_UNPACKED * size + LARGEST:
            raise ValueError("it would unpack to far more than it is, or entries are missing")
        places = {0}
        for info in infos:
            if info.header_offset not in places:
                raise ValueError(f"entries overlap, or bytes lie between them, before {info.orig_filename!r}")
            file.seek(info.header_offset)
            ends = info.header_offset + 30 + local_length(file, info) + info.compress_size
            places = {ends + more for more in ((12, 16) if info.flag_bits & 8 else (0,))}
        if start not in places:
            raise ValueError("bytes lie between its entries and their list")
    return archive, infos


def local_length(file, info):
    """Return the bytes of name and extra fields of the header before an entry, which must say what the list at the end
    says: other programs believe the one or the other. Raises ValueError."""
    sign, _, flags, method, _, crc, packed, size, name, extra = struct.unpack("<4sHHHIIIIHH", file.read(30))
    file.seek(name, os.SEEK_CUR)
    later = flags & 8  # checksum and sizes follow the data
    same = later or (crc, packed, size) == (info.CRC, info.compress_size, info.file_size)
    if sign != b"PK\x03\x04" or (flags, method) != (info.flag_bits, info.compress_type) or not same:
        raise ValueError(f"the header of {info.orig_filename!r} says another thing than the list")
    if not extra_fields(file.read(extra)) | extra_fields(info.extra) <= HARMLESS:
        raise ValueError(f"{info.orig_filename!r} has extra fields that may give it another name or size")
    return name + extra


def extra_fields(data):
    """Return the kinds of extra fields of an entry."""
    kinds = set()
    while len(data) >= 4:
        kind, length = struct.unpack("<HH", data[:4])
        kinds.add(kind)
        data = data[4 + length :]
    return kinds


def odd_entry(info):
    """Return what is wrong with a zip's entry, or ""."""
    name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    if name != info.filename or "\\" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        return "its name is none of a file in a folder"
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG) or (info.is_dir() and info.file_size):
        return "it is no plain file"
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is encrypted, or packed in an unusual way"
    return ""


def parse(data):
    """Return the value of JSON in which no key is there twice and every number is one. Raises ValueError."""

    def pairs(found):
        plain = dict(found)
        if len(plain) != len(found):
            raise ValueError("a key is there twice")
        return plain

    def number(text):
        raise ValueError(f"{text} is no number")

    return json.loads(data, object_pairs_hook=pairs, parse_constant=number)


def digest_of(value):
    """Return SHA-256 of a value as canonical JSON: ParamMem's way to name rows, events and decisions."""
    data = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()
