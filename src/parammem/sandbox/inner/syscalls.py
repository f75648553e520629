"""System call numbers of the two architectures, and which calls a candidate may make.

Numbers are from the kernel headers asm/unistd_64.h (x86-64) and asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

ALWAYS = (
    "futex read write recvfrom sendto mmap munmap brk mprotect clock_gettime close fstat newfstatat lseek "
    "getrandom readv writev pread64 pwrite64 stat lstat statx fstatfs statfs poll ppoll select pselect6 mremap "
    "madvise mincore rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait "
    "sigaltstack futex_waitv set_robust_list get_robust_list set_tid_address rseq membarrier sched_yield "
    "sched_getaffinity sched_getparam sched_getscheduler getpid gettid getppid getuid geteuid getgid getegid "
    "getresuid getresgid getgroups getpgrp getpgid getsid getcpu clock_getres clock_nanosleep nanosleep "
    "gettimeofday time times getrusage getrlimit sysinfo uname pause alarm getitimer setitimer restart_syscall "
    "exit exit_group dup dup2 dup3 pipe pipe2 eventfd eventfd2 epoll_create epoll_create1 epoll_ctl epoll_wait "
    "epoll_pwait recvmsg sendmsg shutdown getsockname getpeername getsockopt getdents getdents64 getcwd chdir "
    "fchdir readlink readlinkat access faccessat faccessat2 umask fsync fdatasync ftruncate sendfile "
    "copy_file_range "
)
"""Allowed with any arguments: they touch nothing beyond the process itself, the descriptors it was given, and
file paths, which Landlock (or the refusal of every open) guards. The most frequent come first."""

FILE_WRITING = (
    "mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 truncate fallocate "
)
"""Allowed only when the run has a scratch folder; Landlock keeps them inside it."""

CHECKED = "open openat clone kill tgkill tkill prlimit64 fcntl ioctl prctl socketpair clone3 openat2"
"""Allowed for some arguments only: see `seccomp.program`."""

NUMBERS = {
    "x86_64": {
        "futex": 202, "read": 0, "write": 1, "recvfrom": 45, "sendto": 44, "mmap": 9, "munmap": 11, "brk": 12,
        "mprotect": 10, "clock_gettime": 228, "close": 3, "fstat": 5, "newfstatat": 262, "lseek": 8,
        "getrandom": 318, "readv": 19, "writev": 20, "pread64": 17, "pwrite64": 18, "stat": 4, "lstat": 6,
        "statx": 332, "fstatfs": 138, "statfs": 137, "poll": 7, "ppoll": 271, "select": 23, "pselect6": 270,
        "mremap": 25, "madvise": 28, "mincore": 27, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn":
        15, "rt_sigpending": 127, "rt_sigsuspend": 130, "rt_sigtimedwait": 128, "sigaltstack": 131,
        "futex_waitv": 449, "set_robust_list": 273, "get_robust_list": 274, "set_tid_address": 218, "rseq": 334,
        "membarrier": 324, "sched_yield": 24, "sched_getaffinity": 204, "sched_getparam": 143,
        "sched_getscheduler": 145, "getpid": 39, "gettid": 186, "getppid": 110, "getuid": 102, "geteuid": 107,
        "getgid": 104, "getegid": 108, "getresuid": 118, "getresgid": 120, "getgroups": 115, "getpgrp": 111,
        "getpgid": 121, "getsid": 124, "getcpu": 309, "clock_getres": 229, "clock_nanosleep": 230, "nanosleep":
        35, "gettimeofday": 96, "time": 201, "times": 100, "getrusage": 98, "getrlimit": 97, "sysinfo": 99,
        "uname": 63, "pause": 34, "alarm": 37, "getitimer": 36, "setitimer": 38, "restart_syscall": 219, "exit":
        60, "exit_group": 231, "dup": 32, "dup2": 33, "dup3": 292, "pipe": 22, "pipe2": 293, "eventfd": 284,
        "eventfd2": 290, "epoll_create": 213, "epoll_create1": 291, "epoll_ctl": 233, "epoll_wait": 232,
        "epoll_pwait": 281, "recvmsg": 47, "sendmsg": 46, "shutdown": 48, "getsockname": 51, "getpeername": 52,
        "getsockopt": 55, "getdents": 78, "getdents64": 217, "getcwd": 79, "chdir": 80, "fchdir": 81,
        "readlink": 89, "readlinkat": 267, "access": 21, "faccessat": 269, "faccessat2": 439, "umask": 95,
        "fsync": 74, "fdatasync": 75, "ftruncate": 77, "sendfile": 40, "copy_file_range": 326, "open": 2,
        "openat": 257, "clone": 56, "kill": 62, "tgkill": 234, "tkill": 200, "prlimit64": 302, "fcntl": 72,
        "ioctl": 16, "prctl": 157, "socketpair": 53, "clone3": 435, "openat2": 437, "mkdir": 83, "mkdirat": 258,
        "unlink": 87, "unlinkat": 263, "rmdir": 84, "rename": 82, "renameat": 264, "renameat2": 316, "truncate":
        76, "fallocate": 285,
    },
    "aarch64": {
        "futex": 98, "read": 63, "write": 64, "recvfrom": 207, "sendto": 206, "mmap": 222, "munmap": 215, "brk":
        214, "mprotect": 226, "clock_gettime": 113, "close": 57, "fstat": 80, "newfstatat": 79, "lseek": 62,
        "getrandom": 278, "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "statx": 291, "fstatfs": 44,
        "statfs": 43, "ppoll": 73, "pselect6": 72, "mremap": 216, "madvise": 233, "mincore": 232,
        "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "rt_sigpending": 136, "rt_sigsuspend":
        133, "rt_sigtimedwait": 137, "sigaltstack": 132, "futex_waitv": 449, "set_robust_list": 99,
        "get_robust_list": 100, "set_tid_address": 96, "rseq": 293, "membarrier": 283, "sched_yield": 124,
        "sched_getaffinity": 123, "sched_getparam": 121, "sched_getscheduler": 120, "getpid": 172, "gettid":
        178, "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "getresuid": 148,
        "getresgid": 150, "getgroups": 158, "getpgid": 155, "getsid": 156, "getcpu": 168, "clock_getres": 114,
        "clock_nanosleep": 115, "nanosleep": 101, "gettimeofday": 169, "times": 153, "getrusage": 165,
        "getrlimit": 163, "sysinfo": 179, "uname": 160, "getitimer": 102, "setitimer": 103, "restart_syscall":
        128, "exit": 93, "exit_group": 94, "dup": 23, "dup3": 24, "pipe2": 59, "eventfd2": 19, "epoll_create1":
        20, "epoll_ctl": 21, "epoll_pwait": 22, "recvmsg": 212, "sendmsg": 211, "shutdown": 210, "getsockname":
        204, "getpeername": 205, "getsockopt": 209, "getdents64": 61, "getcwd": 17, "chdir": 49, "fchdir": 50,
        "readlinkat": 78, "faccessat": 48, "faccessat2": 439, "umask": 166, "fsync": 82, "fdatasync": 83,
        "ftruncate": 46, "sendfile": 71, "copy_file_range": 285, "openat": 56, "clone": 220, "kill": 129,
        "tgkill": 131, "tkill": 130, "prlimit64": 261, "fcntl": 25, "ioctl": 29, "prctl": 167, "socketpair":
        199, "clone3": 435, "openat2": 437, "mkdirat": 34, "unlinkat": 35, "renameat": 38, "renameat2": 276,
        "truncate": 45, "fallocate": 47,
    },
}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
