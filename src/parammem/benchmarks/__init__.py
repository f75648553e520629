"""Real benchmarks as tasks and answer keys: what `pocket` does for generated problems.

table (which there are) → sources (rows from a local file or the hub) → code, contests, math, qa (row → Item) → draw
(sampling by seed, disjoint splits, contamination verdict). Nothing here runs a model or judges answers: `domains` does.
"""
