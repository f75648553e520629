"""The repository's past as bytes: git, DVC's cache, every state of dvc.lock, the ledger; and which adapter is meant.
It only reads; what changes the ledger is in `registry`."""
