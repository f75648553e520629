"""Register a trained adapter in the ledger: what it was trained on, and its version."""

from __future__ import annotations

from pathlib import Path

from parammem.checkout.dvc_lock import lock_digests, read_lock
from parammem.checkout.git import person
from parammem.checkout.places import BATCHES, Places, places_of
from parammem.core import digest_of
from parammem.core.adapter import read_card
from parammem.core.event import Trained
from parammem.errors import AdapterError
from parammem.registry import environment
from parammem.registry.ledger import Ledger
from parammem.registry.state import Version, add_version


def register_folder(root: Path, domain: str, folder: Path | None = None, actor: str = "") -> str:
    """Register an adapter folder; return what it is called now. Raises as `register_adapter` does."""
    version = register_adapter(root, domain, folder, actor or person(root))
    return f"{domain} {version.name}: adapter {version.adapter[:16]}"


def register_adapter(root: Path, domain: str, folder: Path | None, actor: str) -> Version:
    """Record `Trained` and `Published(candidate)` for the adapter that is in a folder, by default the pipeline's.

    Raises:
        AdapterMissingError: no adapter is there.
        AdapterError: its card cannot be read, or it was imported.
        LedgerError: the ledger is broken.
    """
    place = folder or Places(root, domain).reflector
    adapter = read_card(place)
    if adapter.imported:
        raise AdapterError(
            f"{str(place)!r} holds an imported adapter, of which no training can be recorded; `parammem registry "
            "import` registers those"
        )
    digests = lock_digests(read_lock(root), domain)
    ledger = Ledger(root)
    trained = Trained(
        domain=domain,
        adapter=adapter.digest,
        data_digest=adapter.data_digest,
        rows=adapter.rows,
        base_digest=adapter.base_digest,
        recipe_digest=digest_of(adapter.recipe),
        batches=tuple(sorted(file.stem for file in (root / BATCHES).glob("*.jsonl"))),
        dvc=digests,
        environment=environment.describe(),
    )
    known = [event.fact for event in ledger.read()]
    # The same adapter made again under another commit is the same adapter.
    if not any(isinstance(fact, Trained) and fact.adapter == adapter.digest for fact in known):
        ledger.append(trained, actor)
    return add_version(ledger, domain, adapter.digest, digests.get(places_of(domain).reflector.as_posix(), ""), actor)
