"""The repository that we stand in: its paths, git, DVC, hashes and worktrees, each by one way, and commands that end
with the run that started them. Nothing here depends on adapters, ledgers or stages, which have packages of their
own."""
