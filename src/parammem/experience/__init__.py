"""Experience of agents in use: from any known form to immutable batches, each row checked before it is admitted."""
