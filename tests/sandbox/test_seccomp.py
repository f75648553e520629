"""The system call filters of both architectures, tried by an interpreter on every call number."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from parammem.sandbox.inner import seccomp, syscalls
from tests.sandbox.bpf import ALLOW, ERRNO, KILL, verdict

MACHINES = ["x86_64", "aarch64"]
OPENINGS = ["none", "read", "write", "write old"]
PID = 4711
_OTHERS = {0, 1, -1, PID + 1, -PID}


def call(machine: str, opening: str, name: str, *args: int) -> int:
    """What the filter, bound to PID, says to a call of that name."""
    return verdict(
        bound(machine, opening), syscalls.AUDIT_ARCH[machine], syscalls.NUMBERS[machine][name], args_of(args)
    )


def args_of(args: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(arg & 0xFFFFFFFFFFFFFFFF for arg in args)


def bound(machine: str, opening: str) -> bytes:
    program = seccomp.program(machine, opening)
    code = bytearray(program.code)
    for place in program.seal[1]:
        struct.pack_into("=I", code, 4 * place, PID)
    return bytes(code)


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=OPENINGS)
def opening(request: pytest.FixtureRequest) -> str:
    return request.param


def writing(opening: str) -> list[str]:
    """Calls that change files and are free then."""
    most = {"write": syscalls.FILE_WRITING, "write old": syscalls.FILE_WRITING.replace(" truncate ", " ")}
    return most.get(opening, "").split()


def test_every_number_that_is_not_listed_is_refused(machine: str, opening: str):
    code, arch = bound(machine, opening), syscalls.AUDIT_ARCH[machine]
    free = syscalls.ALWAYS.split() + writing(opening)
    allowed = {syscalls.NUMBERS[machine][name] for name in free if name in syscalls.NUMBERS[machine]}
    checked = {syscalls.NUMBERS[machine][n] for n in syscalls.CHECKED.split() if n in syscalls.NUMBERS[machine]}
    assert len(allowed) > 80
    assert not allowed & checked
    for number in [*range(1200), 2**16, 2**29, 2**30 - 1]:
        said = verdict(code, arch, number)
        if number in allowed:
            assert said == ALLOW, number
        elif number not in checked:
            assert said == ERRNO | errno.EPERM, number


def test_another_architecture_or_calling_convention_is_killed(machine: str, opening: str):
    code, arch = bound(machine, opening), syscalls.AUDIT_ARCH[machine]
    others = {*syscalls.AUDIT_ARCH.values(), 0x40000003, 0x40000028, 0} - {arch}  # i386, 32-bit Arm
    for number in range(500):
        assert all(verdict(code, other, number) == KILL for other in others)
        if machine == "x86_64":
            assert verdict(code, arch, number | 0x40000000) == KILL  # x32
    assert verdict(code, arch, -1) != ALLOW


DANGEROUS = {
    # asm/unistd_64.h and asm-generic/unistd.h
    "x86_64": {
        "socket": 41, "connect": 42, "bind": 49, "listen": 50, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322,
        "ptrace": 101, "setuid": 105, "setsid": 112, "mount": 165, "umount2": 166, "chroot": 161,
        "pivot_root": 155, "unshare": 272, "setns": 308, "bpf": 321, "io_uring_setup": 425, "keyctl": 250,
        "add_key": 248, "process_vm_readv": 310, "process_vm_writev": 311, "memfd_create": 319, "perf_event_open": 298,
        "userfaultfd": 323, "chmod": 90, "fchmod": 91, "chown": 92, "link": 86, "symlink": 88, "mknod": 133,
        "creat": 85, "utimensat": 280, "setrlimit": 160, "kexec_load": 246, "init_module": 175, "reboot": 169,
        "shmget": 29, "msgget": 68, "semget": 64, "pidfd_send_signal": 424, "rt_sigqueueinfo": 129, "tkill": 200,
        "rt_tgsigqueueinfo": 297, "fanotify_init": 300, "open_by_handle_at": 304, "quotactl": 179, "acct": 163,
        "landlock_create_ruleset": 444, "seccomp": 317, "personality": 135, "mlockall": 151, "sendmmsg": 307,
    },
    "aarch64": {
        "socket": 198, "connect": 203, "bind": 200, "listen": 201, "execve": 221, "execveat": 281, "ptrace": 117,
        "setuid": 146, "setsid": 157, "mount": 40, "umount2": 39, "chroot": 51, "pivot_root": 41, "unshare": 97,
        "setns": 268, "bpf": 280, "io_uring_setup": 425, "keyctl": 219, "add_key": 217, "process_vm_readv": 270,
        "process_vm_writev": 271, "memfd_create": 279, "perf_event_open": 241, "userfaultfd": 282, "fchmod": 52,
        "fchmodat": 53, "fchown": 55, "fchownat": 54, "linkat": 37, "symlinkat": 36, "mknodat": 33, "utimensat": 88,
        "setrlimit": 164, "kexec_load": 104, "init_module": 105, "reboot": 142, "shmget": 194, "msgget": 186,
        "semget": 190, "pidfd_send_signal": 424, "rt_sigqueueinfo": 138, "tkill": 130, "rt_tgsigqueueinfo": 240,
        "fanotify_init": 262, "open_by_handle_at": 265, "quotactl": 60, "acct": 89, "landlock_create_ruleset": 444,
        "seccomp": 277, "personality": 92, "mlockall": 230, "sendmmsg": 269,
    },
}  # fmt: skip


def test_dangerous_calls_are_refused_by_their_numbers(machine: str, opening: str):
    code, arch = bound(machine, opening), syscalls.AUDIT_ARCH[machine]
    for name, number in DANGEROUS[machine].items():
        assert verdict(code, arch, number) == ERRNO | errno.EPERM, name


def test_files_are_opened_as_the_level_says(machine: str):
    reading, writing = 0o2000000, [0o1, 0o2, 0o100, 0o1000, 0o1 | 0o2000]
    for flags in [reading, *writing]:
        assert call(machine, "none", "openat", -100, 1, flags) == ERRNO | errno.EACCES
        assert call(machine, "write", "openat", -100, 1, flags) == ALLOW  # Landlock keeps it in its folder
    assert call(machine, "read", "openat", -100, 1, reading) == ALLOW
    for flags in writing:
        assert call(machine, "read", "openat", -100, 1, flags) == ERRNO | errno.EACCES
    assert call(machine, "write", "openat2", -100, 1, 1, 24) == ERRNO | errno.ENOSYS


def test_under_an_old_landlock_files_are_cut_only_by_who_may_write_them(machine: str):
    cut = 0o1000
    for flags in (cut, cut | 3, cut | 0o2000000):  # for reading, for neither, and close on exec
        assert call(machine, "write old", "openat", -100, 1, flags) == ERRNO | errno.EACCES
        assert call(machine, "write", "openat", -100, 1, flags) == ALLOW
    for flags in (0o2000000, cut | 1, cut | 2, cut | 0o101, 0o101, 2, 3):
        assert call(machine, "write old", "openat", -100, 1, flags) == ALLOW
    assert call(machine, "write old", "truncate") == ERRNO | errno.EPERM
    assert call(machine, "write old", "ftruncate") == ALLOW


def test_files_are_changed_only_with_a_scratch_folder(machine: str, opening: str):
    for name in syscalls.FILE_WRITING.split():
        if name in syscalls.NUMBERS[machine]:
            wanted = ALLOW if name in writing(opening) else ERRNO | errno.EPERM
            assert call(machine, opening, name) == wanted, name


def test_threads_may_be_made_and_processes_not(machine: str, opening: str):
    thread = 0x3D0F00  # what glibc's pthread_create asks for
    assert call(machine, opening, "clone", thread) == ALLOW
    for flags in (17, 0x4000 | 0x100 | 17, 0, thread & ~0x10000, thread | 0x10000000, thread | 0x20000):
        assert call(machine, opening, "clone", flags) == ERRNO | errno.EPERM, hex(flags)
    assert call(machine, opening, "clone3", 0, 88) == ERRNO | errno.ENOSYS


def test_signals_and_limits_reach_only_the_own_process(machine: str, opening: str):
    assert call(machine, opening, "kill", PID, 15) == ALLOW
    assert call(machine, opening, "tgkill", PID, PID + 3, 15) == ALLOW
    assert call(machine, opening, "prlimit64", 0, 9) == ALLOW
    assert call(machine, opening, "prlimit64", PID, 9) == ALLOW
    for other in _OTHERS:
        assert call(machine, opening, "kill", other, 9) == ERRNO | errno.EPERM
        assert call(machine, opening, "tgkill", other, other, 9) == ERRNO | errno.EPERM
    assert call(machine, opening, "prlimit64", PID - 1, 9) == ERRNO | errno.EPERM


def test_descriptors_and_sockets_reach_nobody_else(machine: str, opening: str):
    for command, allowed in ((1, True), (3, True), (4, True), (1030, True), (8, False), (10, False), (1024, False)):
        said = call(machine, opening, "fcntl", 5, command)  # 8, 10: F_SETOWN, F_SETSIG; 1024: F_SETLEASE
        assert (said == ALLOW) is allowed, command
    for command in (6, 7, 37, 38):  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW: 0 without a call
        assert call(machine, opening, "fcntl", 5, command) == ERRNO
    for command in (5, 36):  # F_GETLK, F_OFD_GETLK
        assert call(machine, opening, "fcntl", 5, command) == ERRNO | errno.EPERM
    assert call(machine, opening, "flock", 5, 2) == ERRNO
    assert call(machine, opening, "ioctl", 0, 0x5401) == ALLOW
    assert call(machine, opening, "ioctl", 0, 0x5412) == ERRNO | errno.EPERM  # TIOCSTI
    for domain, kind, allowed in (
        (1, 1, True),
        (1, 1 | 0o2000000 | 0o4000, True),
        (1, 2, False),
        (1, 5, False),
        (2, 1, False),
    ):
        assert (call(machine, opening, "socketpair", domain, kind) == ALLOW) is allowed
    assert call(machine, opening, "prctl", 15) == ALLOW
    for option in (1, 4, 22, 38, 0x59616D61):  # PDEATHSIG, DUMPABLE, SECCOMP, NO_NEW_PRIVS, PTRACER
        assert call(machine, opening, "prctl", option) == ERRNO | errno.EPERM


HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+) (\d+)"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+) (\d+)"),
}
_NAMES = {"fstatat": "newfstatat"}
"""What asm-generic/unistd.h calls otherwise than its 64-bit users do."""


def test_the_table_is_that_of_the_kernel_headers(machine: str):
    path, pattern = HEADERS[machine]
    if not Path(path).is_file():
        pytest.skip(f"no kernel headers: {path} is not there (Debian: linux-libc-dev)")
    found = {_NAMES.get(name, name): int(number) for name, number in re.findall(pattern, Path(path).read_text())}
    missing = {name: number for name, number in syscalls.NUMBERS[machine].items() if found.get(name) != number}
    newer = {"futex_waitv", "faccessat2"}  # younger than some headers
    assert set(missing) <= newer, missing
    for name, number in DANGEROUS[machine].items():
        assert found.get(name, number) == number, name


def test_an_unknown_architecture_is_refused_by_name():
    with pytest.raises(OSError, match="riscv64"):
        seccomp.program("riscv64", "read")
