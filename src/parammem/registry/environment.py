"""What the machine that trains is like, in the few words on which the last bits of an adapter depend."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

VECTORS = ("amx_tile", "avx512f", "avx2", "avx", "asimd")
"""Widest first: which one a processor has decides which kernels torch takes."""


def describe() -> dict[str, str]:
    """Return python, torch (with its build), system and cpu of this process's machine. Unknown ones are left out."""
    found = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "torch": _version("torch"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_kind(Path("/proc/cpuinfo")),
    }
    return {name: value for name, value in found.items() if value}


def cpu_kind(cpuinfo: Path) -> str:
    """Return vendor and widest vector instructions, as "GenuineIntel avx512f"; elsewhere than on Linux what Python
    says."""
    if not cpuinfo.is_file():
        return platform.processor()
    lines = (line.partition(":") for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines())
    fields = {name.strip().lower(): value.strip() for name, _, value in lines}
    flags = set(fields.get("flags", fields.get("features", "")).split())
    vendor = fields.get("vendor_id") or fields.get("cpu implementer") or platform.machine()
    return " ".join([vendor, *[name for name in VECTORS if name in flags][:1]])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
