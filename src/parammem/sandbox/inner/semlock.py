"""`_multiprocessing` for children: semaphores between the threads of one process, for there can be no other process.

The C module asks the kernel for a named semaphore, a file in /dev/shm that other runs could see; it is refused, and
with it `multiprocessing.pool.ThreadPool`, which only wants a lock.
"""

from __future__ import annotations

from _frozen_importlib import ModuleSpec  # type: ignore[import-not-found]  # `importlib` would load a dozen modules
from typing import Any

NAME = "_multiprocessing"
_RECURSIVE = 0


class SemLock:
    """A semaphore, or a mutex that its owner may take again."""

    SEM_VALUE_MAX = 2**31 - 1

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        import threading  # loaded in the children that ask for it, not in all

        self.kind, self.maxvalue = kind, maxvalue
        self.name = None if unlink else name
        self.handle = id(self)
        self._value, self._owner, self._depth = value, 0, 0
        self._changed, self._me = threading.Condition(threading.Lock()), threading.get_ident

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        me = self._me()
        with self._changed:
            if self.kind == _RECURSIVE and self._owner == me and self._depth:
                self._depth += 1
                return True
            wait = None if timeout is None else max(0.0, timeout)
            if not self._value and not (block and self._changed.wait_for(lambda: self._value > 0, wait)):
                return False
            self._value -= 1
            self._owner, self._depth = me, self._depth + 1
            return True

    def release(self) -> None:
        with self._changed:
            if self.kind == _RECURSIVE:
                if self._owner != self._me() or not self._depth:
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                self._depth -= 1
                if self._depth:
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            else:
                self._depth -= 1
            self._value += 1
            self._changed.notify()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _count(self) -> int:
        return self._depth

    def _is_mine(self) -> bool:
        return self._depth > 0 and self._owner == self._me()

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0

    def _after_fork(self) -> None:
        return None


class Finder:
    """Gives this module where `_multiprocessing` is imported: loader and finder in one, on `sys.meta_path`."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        loader: Any = Finder
        return ModuleSpec(NAME, loader) if name == NAME else None

    @staticmethod
    def create_module(spec: Any) -> None:
        return None

    @staticmethod
    def exec_module(module: Any) -> None:
        module.SemLock = SemLock
        module.flags = {}
        module.sem_unlink = lambda name: None
