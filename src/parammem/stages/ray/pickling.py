"""Runs to bytes and back.

Engines, the judge and a server's embedding stay where they are: in their place goes a name, and the process that
unpacks them puts its own there. Everything else about a run is plain data.
"""

from __future__ import annotations

import io
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parammem.config import Params
from parammem.domains import Judge
from parammem.engines.base import Engine
from parammem.errors import ClusterError
from parammem.stages.common import Engines, Origin
from parammem.stages.opening import open_domain

JUDGE = "judge"
Name = Origin | str


class RunPickler:
    """Packs and unpacks runs with the engines and the judge of one process."""

    def __init__(self, params: Params, domain: str, root: Path, engines: Engines, judge: Judge | None = None) -> None:
        self.engines, self.root = engines, root
        self.judge = judge or open_domain(params, domain, root).judge
        self._opened: dict[Origin, Any] = {}

    def pack(self, thing: Any) -> bytes:
        file = io.BytesIO()
        _Packer(file, self._name).dump(thing)
        return file.getvalue()

    def unpack(self, packed: bytes) -> Any:
        """Return what was packed. Raises ClusterError: a model or adapter is not the one that was packed; and as
        `Engines.open`."""
        return _Unpacker(io.BytesIO(packed), self._find).load()

    def _name(self, thing: object) -> Name | None:
        return JUDGE if thing is self.judge else self.engines.origin(thing)

    def _find(self, name: Name) -> Any:
        if isinstance(name, str):
            return self.judge
        if name not in self._opened:
            self._opened[name] = self.engines.served_embedding() if name.what == "embedding" else self._engine(name)
        return self._opened[name]

    def _engine(self, name: Origin) -> Engine:
        engine = self.engines.open(name.model, self.root / name.adapter if name.adapter else None)
        if engine.digest != name.digest:
            what = f"the adapter {name.adapter!r}" if name.adapter else f"the model {name.model or 'engine.model'!r}"
            raise ClusterError(
                f"{what} on machine {socket.gethostname()!r} is not the one on the machine that asks (digest "
                f"{engine.digest[:12]}, wanted {name.digest[:12]}); bring {str(self.root)!r} there up to date: "
                "`git pull` and `dvc pull`, or let the machines share the folder"
            )
        return engine


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, name: Callable[[object], Name | None]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._name = name

    def persistent_id(self, obj: Any) -> Name | None:
        return self._name(obj)


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, find: Callable[[Name], Any]) -> None:
        super().__init__(file)
        self._find = find

    def persistent_load(self, pid: Any) -> Any:
        return self._find(pid)
