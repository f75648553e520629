"""The versions of reflectors: the ledger of events (ledger.py), who is champion by it (state.py, branch.py), and the
tags, W&B aliases and stored folders that follow from it (tags, sync, storage).

Nothing here trains, or decides a promotion.
"""

from parammem.registry.ledger import Ledger

__all__ = ["Ledger"]
