"""Experience of agents in use: from any known form to immutable batches, checked before they are admitted, never lost."""
