"""The lock of a repository's automation, for callers of this room; it lives in checkout/lock.py."""

from parammem.checkout.lock import PLACE, held, holder, locked

__all__ = ["PLACE", "held", "holder", "locked"]
