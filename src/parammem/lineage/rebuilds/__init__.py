"""The pipeline run once more in a worktree: to compare, to blame a batch, to plan a recall and prove
it. What a recall commits is in `improve.recall`."""
