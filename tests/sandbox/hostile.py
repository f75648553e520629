"""The hostile suite: programs that attack, what each may come to, and what of them may be seen outside (nothing).

An Attack is a function `attack(ctx)`; ctx holds a folder with a secret and a victim file, TCP and UDP ports that
listen, and the process id of a bystander. A Forgery is a wrong `add(a, b)` that tries to be called correct.
"""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

from dataclasses import dataclass, field

DENIED = ("denied",)
UNSEEN = ("denied", "exception")
"""Refused, or hidden by a mount namespace: then there is no such file."""


@dataclass(frozen=True)
class Attack:
    name: str
    body: str
    kinds: tuple[str, ...] = DENIED
    """Outcomes under protection."""
    wins: str = "effect"
    """How it succeeds without: "effect" (something is seen outside), "value" (it returns), or "cpu" (it burns more)."""
    limits: dict[str, float] = field(default_factory=dict)

    @property
    def source(self) -> str:
        body = "\n".join("    " + line for line in self.body.strip().splitlines())
        return f"import os, sys, time\ndef attack(ctx):\n{body}\n"


WON = "open(ctx['path'] + '/won', 'w').write('won')"

ATTACKS = (
    # loops and hangs
    Attack("python loop", "while True: pass", ("cpu",), "cpu"),
    Attack("loop that catches everything", "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
           ("cpu",), "cpu"),
    Attack("C-level loop", "sum(range(10**12))", ("cpu",), "cpu"),
    Attack("regular expression that explodes", "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')", ("cpu",), "cpu"),
    Attack("huge power", "x = 7 ** (10 ** 9)", ("cpu", "memory"), "cpu"),
    Attack("burning threads", "import threading\nfor _ in range(4): threading.Thread(target=lambda: sum(range(10**12))).start()\n"
           "time.sleep(60)", ("cpu",), "cpu"),
    Attack("sleep past the limit", "time.sleep(1.4)\nreturn 1", ("timeout",), "value", {"wall_seconds": 0.7}),
    Attack("blocks its signals and sleeps", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
           "time.sleep(1.4)\nreturn 1", ("timeout",), "value", {"wall_seconds": 0.7}),
    Attack("ignores the CPU signal", "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", ("cpu",),
           "cpu"),
    # memory, output, disk, processes, threads
    Attack("memory flood", "x = bytearray(700 * 2**20)\nreturn len(x)", ("memory",), "value"),
    Attack("memory by mmap", "import mmap\nx = mmap.mmap(-1, 700 * 2**20)\nreturn len(x)",
           ("memory", "exception"), "value"),
    Attack("raises its memory limit", "import resource\ntry: resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
           "except ValueError: pass\nreturn len(bytearray(700 * 2**20))", ("memory",), "value"),
    Attack("output flood", f"for _ in range(300): os.write(1, b'x' * 10000)\n{WON}", ("output",)),
    Attack("output flood by print", f"for _ in range(300): print('x' * 10000)\nsys.stdout.flush()\n{WON}", ("output",)),
    Attack("returned flood", f"{WON}\nreturn 'x' * 9_000_000", ("undecodable", "denied")),
    Attack("disk flood", "f = open(ctx['path'] + '/flood', 'wb')\nfor _ in range(20): f.write(bytes(2**20))"),
    Attack("disk flood in /dev/shm", "f = open('/dev/shm/hostile-flood', 'wb')\nf.write(bytes(2**22))"),
    Attack("disk flood in memory files", f"fd = os.memfd_create('x')\nos.write(fd, bytes(2**22))\n{WON}"),
    Attack("fork", f"pid = os.fork()\nif pid == 0:\n    {WON}\n    os._exit(0)\nos.waitpid(pid, 0)"),
    Attack("fork bomb", f"for _ in range(40):\n    if os.fork() == 0:\n        time.sleep(20)\n        os._exit(0)\n{WON}"),
    Attack("raw clone", "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\npid = libc.syscall(56 if os.uname().machine == "
           f"'x86_64' else 220, 17, 0, 0, 0, 0)\nif pid < 0: raise PermissionError\nif pid == 0: os._exit(0)\n{WON}"),
    Attack("thread bomb", "import threading\nthreading.stack_size(65536)\n"
           f"for _ in range(300): threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n{WON}",
           ("threads", "memory")),
    Attack("subprocess", "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'echo won > ' + ctx['path'] + '/won'])"),
    Attack("os.system", "if os.system('echo won > ' + ctx['path'] + '/won') != 0: raise PermissionError"),
    Attack("exec", "os.execv('/bin/sh', ['sh', '-c', 'echo won > ' + ctx['path'] + '/won'])"),
    Attack("posix_spawn", "pid = os.posix_spawn('/bin/sh', ['sh', '-c', 'echo won > ' + ctx['path'] + '/won'], {})\n"
           "os.waitpid(pid, 0)"),
    Attack("daemon", "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(0.2)\n"
           f"        {WON}\n        time.sleep(20)\n    os._exit(0)\ntime.sleep(0.6)"),
    # files and secrets
    Attack("reads a file", "return open(ctx['path'] + '/secret').read()", UNSEEN),
    Attack("reads /etc/passwd", "return 'SECRET' + open('/etc/passwd').read()[:20]"),
    Attack("reads by descriptor", "fd = os.open(ctx['path'] + '/secret', os.O_RDONLY)\nreturn os.read(fd, 100).decode()", UNSEEN),
    Attack("reads through /proc/self/root", "return open('/proc/self/root' + ctx['path'] + '/secret').read()", UNSEEN),
    Attack("reads with a raw openat2", "import ctypes, struct\nlibc = ctypes.CDLL(None)\nhow = struct.pack('QQQ', 0, 0, 0)\n"
           "fd = libc.syscall(437, -100, (ctx['path'] + '/secret').encode(), how, 24)\n"
           "if fd < 0: raise PermissionError\nreturn os.read(fd, 100).decode()"),
    Attack("reads a bystander's environment",
           "data = open('/proc/%d/environ' % ctx['pid'], 'rb').read().decode()\nreturn data", ("denied", "exception")),
    Attack("reads a bystander's memory", "open('/proc/%d/mem' % ctx['pid'], 'rb')\nreturn 'SECRET'", ("denied", "exception")),
    Attack("lists a folder", "return 'SECRET' + ','.join(os.listdir(ctx['path']))", ("denied", "exception")),
    Attack("deletes a file", "os.unlink(ctx['path'] + '/victim')"),
    Attack("deletes a tree", "import shutil\nshutil.rmtree(ctx['path'] + '/tree')", ("denied", "exception")),
    Attack("overwrites a file", "open(ctx['path'] + '/victim', 'w').write('gone')"),
    Attack("truncates a file", "os.truncate(ctx['path'] + '/victim', 0)"),
    Attack("renames a file", "os.rename(ctx['path'] + '/victim', ctx['path'] + '/taken')"),
    Attack("opens a file to all", "os.chmod(ctx['path'] + '/victim', 0o777)"),
    Attack("changes a file's times", "os.utime(ctx['path'] + '/victim', (1, 1))"),
    Attack("hard link", "os.link(ctx['path'] + '/victim', ctx['path'] + '/link')"),
    Attack("named pipe", "os.mkfifo(ctx['path'] + '/pipe')"),
    # network
    Attack("TCP", "import socket\nsocket.create_connection(('127.0.0.1', ctx['tcp']), 2).sendall(b'stolen')"),
    Attack("UDP", "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
           "s.sendto(b'stolen', ('127.0.0.1', ctx['udp']))"),
    Attack("UNIX datagram by address", "import socket\na, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
           "a.sendto(b'stolen', ctx['path'] + '/mail')"),
    Attack("listens on a port", f"import socket\nsocket.create_server(('127.0.0.1', 0))\n{WON}"),
    # signals
    Attack("kills a bystander", "os.kill(ctx['pid'], 9)", ("denied", "exception")),
    Attack("kills its parent", "os.kill(os.getppid(), 9)\ntime.sleep(5)"),
    Attack("kills its group", "os.killpg(0, 9)"),
    Attack("kills all", "os.kill(-1, 9)\ntime.sleep(0.5)"),
    Attack("signals by descriptor", "import fcntl, signal\nr, w = os.pipe()\nfcntl.fcntl(r, 8, ctx['pid'])\n"
           "fcntl.fcntl(r, 10, signal.SIGKILL)\nfcntl.fcntl(r, 4, os.O_NONBLOCK | 0o20000)\nos.write(w, b'x')\ntime.sleep(0.2)",
           ("denied", "exception")),
    Attack("lowers a bystander's limits", "import resource\nresource.prlimit(ctx['pid'], resource.RLIMIT_NOFILE, (3, 3))\n" + WON),
    # the rest of the kernel
    Attack("a user namespace", f"import ctypes\nif ctypes.CDLL(None).unshare(0x10000000): raise PermissionError\n{WON}"),
    Attack("System V shared memory", "import ctypes\nif ctypes.CDLL(None).shmget(0, 4096, 0o1600) < 0: raise PermissionError\n"
           + WON),
    Attack("keeps a key in the kernel", "import ctypes\nn = 248 if os.uname().machine == 'x86_64' else 217\n"
           "if ctypes.CDLL(None).syscall(n, b'user', b'hostile', b'x', 1, -2) < 0: raise PermissionError\n" + WON),
)  # fmt: skip

# Crashes and endings: no effect to see, but the worker must survive and say what happened.
ENDINGS = {
    "segfault": ("import ctypes\ndef attack(ctx): ctypes.string_at(0)", "crash"),
    "abort": ("import os\ndef attack(ctx): os.abort()", "crash"),
    "deep C recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr(self)\n"
        "def attack(ctx): return repr(A())", "crash",
    ),
    "exit 0": ("import os\ndef attack(ctx): os._exit(0)", "exit"),
    "own kill": ("import os\ndef attack(ctx): os.kill(os.getpid(), 15)", "crash"),
    "closes all descriptors": ("import os\ndef attack(ctx):\n    os.closerange(0, 256)\n    return 1", "exit"),
    "exit at load": ("import sys\nsys.exit(0)\ndef attack(ctx): return 1", "setup"),
    "hang at load": ("while True: pass\ndef attack(ctx): return 1", "cpu"),
}  # fmt: skip

FORGERIES = {
    "always-equal object": "class E:\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
    "def add(a, b): return E()",
    "lying subclass": "class I(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
    "def add(a, b): return I(0)",
    "lying string subclass": "class S(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\n"
    "def add(a, b): return S('')",
    "lying float subclass": "class F(float):\n    def __eq__(self, other): return True\n    def __sub__(self, o): return 0.0\n"
    "    __hash__ = float.__hash__\ndef add(a, b): return F(9.5)",
    "exit code": "import os\ndef add(a, b): os._exit(0)",
    "exit code at load": "import os\nos._exit(0)\ndef add(a, b): return 0",
    "polite exit": "import sys\ndef add(a, b): sys.exit(0)",
    "printed marker": "import os\ndef add(a, b):\n    os.write(1, b'ALL TESTS PASSED\\n')\n    os._exit(1)",
    "marker at load": "import os\nos.write(1, b'ALL TESTS PASSED\\n')\nraise ValueError\ndef add(a, b): return 0",
    "exit handler": "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): raise SystemExit(1)",
    "exception hook": "import os, sys\nsys.excepthook = lambda *a: os._exit(0)\ndef add(a, b): return 0",
    "stolen expectation": "import sys\ndef add(a, b):\n    f = sys._getframe(1)\n    while f:\n"
    "        for table in [*f.f_locals.values(), *f.f_globals.values()]:\n"
    "            if type(table) is list and [a, b] in [r[0] for r in table if type(r) is tuple and len(r) == 2]:\n"
    "                return next(r[1] for r in table if r[0] == [a, b])\n        f = f.f_back\n    return 0",
    "stolen from the heap": "import gc\ndef add(a, b):\n    for o in gc.get_objects():\n"
    "        if type(o) is tuple and len(o) == 2 and o[0] == [a, b]: return o[1]\n    return 0",
    "patched builtins": "import builtins, os\ndef add(a, b):\n    class Lie(Exception):\n"
    "        def __init__(self, *a): os._exit(0)\n    builtins.AssertionError = Lie\n    import sys\n"
    "    for f in iter(lambda: None, None): pass\n    sys._getframe(1).f_globals.update(verify=lambda *a: True)\n    return 0",
    "trace function": "import os, sys\ndef spy(frame, event, arg):\n    if event == 'exception': os._exit(0)\n    return spy\n"
    "def add(a, b):\n    f = sys._getframe(1)\n    sys.settrace(spy)\n    while f:\n        f.f_trace = spy\n        f = f.f_back\n"
    "    return 0",
    "signal": "import os, signal\ndef add(a, b):\n    signal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0.05)\n    import time\n    time.sleep(1)\n    return 0",
    "leftover thread": "import os, threading, time\ndef late():\n    time.sleep(0.02)\n    os._exit(0)\n"
    "def add(a, b):\n    threading.Thread(target=late).start()\n    time.sleep(0.2)\n    return 0",
    "patched judge": "import sys\nfor name, module in list(sys.modules.items()):\n"
    "    if hasattr(module, 'verify'): module.verify = lambda *a: True\n"
    "def add(a, b):\n    sys.modules['__main__'].verify = lambda *a: True\n    return 0",
}
"""Wrong adders that a harness which shares a process with them, or believes what they print, calls correct."""

FORGED_FRAMES = (
    # Writes its own answer frames into every descriptor it has: still only values, and wrong ones.
    "import os, struct\ndef add(a, b):\n    for fd in range(64):\n        try: os.write(fd, struct.pack('>I', 2) + b'VT')\n"
    "        except OSError: pass\n    return 0",
    # Claims a frame of four gigabytes.
    "import os\ndef add(a, b):\n    for fd in range(3, 64):\n        try: os.write(fd, b'\\xff\\xff\\xff\\xff' + b'V' * 100)\n"
    "        except OSError: pass\n    return 0",
    # Reads the next requests itself, hoping for expectations.
    "import os, socket\ndef add(a, b):\n    for fd in range(3, 64):\n        try:\n            s = socket.socket(fileno=fd)\n"
    "            s.settimeout(0.05)\n            s.recv(10000)\n        except OSError: pass\n    return 0",
    # Hashes that collide, to make decoding or comparing slow.
    "def add(a, b): return {i * (2**61 - 1) for i in range(20000)}",
    # A value too deep for the decoder.
    "def add(a, b):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
)

NAIVE = """
import sys
rows = [([1, 2], 3), ([2, 2], 4), ([-1, 1], 0)]
def verify(got, want): return got == want
def main(source):
    space = {"__name__": "solution"}
    exec(source, space)
    for args, want in rows[:2]:
        if not verify(space["add"](*args), want): raise AssertionError((args, want))
    print("ALL TESTS PASSED")
if __name__ == "__main__":
    sys.modules["__main__"].verify = verify
    main(sys.argv[1])
"""
"""A harness of the usual kind: candidate and tests in one process; its exit code or marker is believed."""
