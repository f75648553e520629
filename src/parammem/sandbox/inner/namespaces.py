"""The second layer, where the kernel allows it: user, process, network, IPC, host-name and mount namespaces around
the zygote. Nothing rests on it alone; what could be had is reported, not required."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_USER, _MOUNT, _PID, _NET, _IPC, _UTS = 0x10000000, 0x20000, 0x20000000, 0x40000000, 0x08000000, 0x04000000
_KEPT = {"usr", "lib", "lib32", "lib64", "bin", "sbin", "etc", "dev", "proc", "sys"}


def enter() -> list[str]:
    """Unshare what can be unshared; the next child forked is the first process of its own process namespace.

    Returns the names of the namespaces that are new; empty where none are allowed.
    """
    uid, gid = os.getuid(), os.getgid()
    everything = _PID | _NET | _IPC | _UTS | _MOUNT
    if uid == 0 and _libc.unshare(everything) == 0:
        return ["pid", "net", "ipc", "uts", "mount"]
    if _libc.unshare(_USER | everything) != 0:
        return []
    try:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    except OSError:
        return ["user (unmapped)", "pid", "net", "ipc", "uts", "mount"]
    return ["user", "pid", "net", "ipc", "uts", "mount"]


def hide(library: str) -> list[str]:
    """Prepare the first process of new namespaces: a process list of its own, and empty folders in place of people's.

    `library` is the interpreter's own folder; what is on the way to it stays. Returns what could be hidden.
    """
    if _libc.mount(None, b"/", None, 0x44000, None) != 0:  # MS_REC | MS_PRIVATE
        return []
    hidden = []
    flags = 2 | 4 | 8  # MS_NOSUID, MS_NODEV, MS_NOEXEC
    if _libc.mount(b"proc", b"/proc", b"proc", flags, None) == 0:
        hidden.append("/proc")
    kept = _KEPT | {os.path.realpath(library).split("/")[1]}
    for name in sorted(set(os.listdir("/")) - kept):
        path = f"/{name}"
        if os.path.islink(path) or not os.path.isdir(path):
            continue
        options = b"size=256m,mode=1777" if name == "tmp" else b"size=4k,mode=755"
        if _libc.mount(b"none", path.encode(), b"tmpfs", flags | (name != "tmp"), options) == 0:  # MS_RDONLY
            hidden.append(path)
    return hidden


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
