"""Private folders of runs that may write files: made, measured and removed.

Names come from the candidate and may be nested deeper than any path can say, so every step is taken from an open
descriptor. Its folders may refuse to be listed (`mkdir` with mode 0o300); they are opened to us first. There are no
links among them: the filter lets none be made.
"""

from __future__ import annotations

import os

_DEEPEST = 50
"""Folders in one another that are measured; more count as too much. One descriptor each."""
_LEAST = 512
"""Bytes that an entry counts at least: a million empty files take room too."""
_TOO_MUCH = 2**62


def make(uid: int | None) -> str:
    """Return a fresh folder that the child's user owns; None: it runs as this process's own."""
    place = next((p for p in ("/tmp", "/var/tmp", "/dev/shm") if os.access(p, os.W_OK)), "/tmp")
    folder = f"{place}/run-{os.urandom(8).hex()}"
    os.mkdir(folder, 0o700)
    if uid is not None:
        os.chown(folder, uid, uid)
    return folder


def remove(folder: str) -> None:
    """Delete a folder with all in it, however deep, when its child has ended. Raises nothing."""
    try:
        top = _open(folder, None)
    except OSError:
        return
    names = os.listdir(top)
    while names:  # what is in a folder is moved up to the top, so that no path grows and few files are open
        try:
            _empty(top, names.pop(), names)
        except OSError:
            continue
    os.close(top)
    try:
        os.rmdir(folder)
    except OSError:
        return


def _empty(top: int, name: str, names: list[str]) -> None:
    """Delete an entry of the top folder; the folders that it held are there then, and are added to the names."""
    try:
        os.unlink(name, dir_fd=top)
        return
    except OSError:
        below = _open(name, top)
    try:
        for inner in os.listdir(below):
            try:
                os.unlink(inner, dir_fd=below)
            except OSError:
                os.close(_open(inner, below))  # a folder that may not be written to cannot be moved
                fresh = os.urandom(16).hex()
                os.rename(inner, fresh, src_dir_fd=below, dst_dir_fd=top)
                names.append(fresh)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=top)


def size(folder: str, most: int, pid: int = 0) -> int:
    """Return bytes in use below a folder, counted until they are more than `most`. `pid`: a process in /proc whose open
    files count too, though they were deleted."""
    try:
        top = _open(folder, None)
    except OSError:
        return 0
    try:
        device = os.fstat(top).st_dev
        total = _below(top, most, 1)
    finally:
        os.close(top)
    return total + _deleted(pid, device) if pid and total <= most else total


def _below(folder: int, most: int, depth: int) -> int:
    """Return bytes below an open folder, which may change meanwhile."""
    if depth > _DEEPEST:
        return _TOO_MUCH
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += max(entry.stat(follow_symlinks=False).st_blocks * 512, _LEAST)
                if entry.is_dir(follow_symlinks=False):
                    inner = _open(entry.name, folder)
                    try:
                        total += _below(inner, most - total, depth + 1)
                    finally:
                        os.close(inner)
            except OSError:
                continue
            if total > most:
                break
    return total


def _open(name: str, parent: int | None) -> int:
    """Return a descriptor of a folder that is no link, after it was opened to its owner. Raises OSError."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        if os.fstat(place).st_mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{place}", 0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
    finally:
        os.close(place)


def _deleted(pid: int, device: int) -> int:
    """Return bytes of deleted files on a device that a process holds open; 0 where it may not be asked."""
    seen: dict[int, int] = {}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return 0
    for name in names:
        try:
            found = os.stat(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if found.st_dev == device and found.st_nlink == 0:
            seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values())
