"""Verifies a bundle that came from elsewhere, by the very code that is in the bundle's `verify.py`."""

from __future__ import annotations

from pathlib import Path

from parammem.core.record import Record
from parammem.core.words import count
from parammem.errors import DataError
from parammem.lineage.bundle.verifier import MOST_SHOWN, Nothing, shown, verify


class BundleFault(Record):
    """One thing that does not hold."""

    file: str
    what: str


class BundleResult(Record):
    """What was found in a bundle."""

    place: str
    files: int
    key: str
    """The public key that the signatures were checked with; "": there was none."""
    given: bool
    """The key was given. Without that anyone could have signed the bundle."""
    faults: tuple[BundleFault, ...]


def check_bundle(place: Path, key: str | None) -> BundleResult:
    """Check every signature, file and link of a bundle.

    Args:
        place: a folder or a zip.
        key: the sender's public key, 64 hex digits, or a file with it; None: the one in the bundle.

    Raises:
        DataError: there is no bundle, or what was given is no key.
    """
    try:
        faults, used, bundle = verify(place, key)
    except Nothing as error:
        raise DataError(f"{error}") from None
    found = tuple(BundleFault(file=shown(name), what=shown(what)) for name, what in faults)
    return BundleResult(place=str(place), files=len(bundle.names), key=used, given=key is not None, faults=found)


def render_checked(checked: BundleResult) -> str:
    """Return the lines that `verify.py` prints too."""
    lines = [f"TAMPERED {fault.file}: {fault.what}" for fault in checked.faults[:MOST_SHOWN]]
    lines.append(f"{count(checked.files, 'file')}, key {checked.key or 'unknown'}")
    if not checked.given:
        lines.append("this key came with the bundle: compare it with the one that the sender gave you by another way")
    lines.append(count(len(checked.faults), "fault") if checked.faults else "all signatures, files and links hold")
    return "\n".join(lines)
