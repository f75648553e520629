"""Experience of agents in use: from any known form to immutable batches, checked at the door, never lost."""
