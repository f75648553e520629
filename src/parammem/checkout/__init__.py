"""The repository that we stand in: who may change it now, commands that end with whoever started them, and what a
run that was killed left lying. Nothing here knows of adapters, ledgers or stages."""
