"""The pipeline run once more in a worktree: to compare, to blame a batch, to withdraw a row."""
