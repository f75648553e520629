"""tasks: the pocket tasks of one world, and apart from them their answer keys."""

from __future__ import annotations

from pathlib import Path

from parammem.config import Params
from parammem.core import write_jsonl
from parammem.pocket.world import World, draw_splits
from parammem.stages.places import Places


def run(params: Params, domain: str, root: Path = Path(".")) -> None:
    """Writes data/tasks/<domain>/<split>.jsonl and data/keys/<domain>/<split>.jsonl. Bank tasks get no key."""
    p, places = params.tasks, Places(root, domain)
    sizes = {"train": p.train, "bank": p.bank, "eval": p.eval, "unseen": p.unseen}
    for split, drawn in draw_splits(domain, World(p.world, p.rho), sizes).items():
        write_jsonl(places.tasks(split), [d.task for d in drawn])
        if split != "bank":
            write_jsonl(places.keys(split), [d.key for d in drawn])
