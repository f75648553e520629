"""Training rows: the datasets that hold them, and everything that one of them touched."""
