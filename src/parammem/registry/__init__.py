"""The life of a reflector: the ledger, and the tags and aliases made from it. Nothing here trains or judges."""

from parammem.registry.ledger import Ledger

__all__ = ["Ledger"]
