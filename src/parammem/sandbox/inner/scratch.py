"""Private folders of runs that may write files: made, measured and removed."""

from __future__ import annotations

import os


def make(uid: int | None) -> str:
    """A fresh folder that the child's user owns; None: it runs as this process's own."""
    place = next((p for p in ("/tmp", "/var/tmp", "/dev/shm") if os.access(p, os.W_OK)), "/tmp")
    folder = f"{place}/run-{os.urandom(8).hex()}"
    os.mkdir(folder, 0o700)
    if uid is not None:
        os.chown(folder, uid, uid)
    return folder


def remove(folder: str) -> None:
    """Delete a folder with all in it, as far as that is possible. Links are not followed."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files + folders:
            path = os.path.join(parent, name)
            try:
                os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            except OSError:
                continue
    try:
        os.rmdir(folder)
    except OSError:
        return


def size(folder: str) -> int:
    """Bytes in use below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total
