"""Experience of agents in use: from any known form to immutable batches, each row checked before it is admitted
(ingest.py), and which of the rows are trained on (pool.py).

When the inbox is swept, and what a turn makes of it, is decided in `improve`; nothing here trains or judges a model.
"""
