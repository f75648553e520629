"""Real benchmarks as tasks and answer keys: what `pocket` does for generated problems.

table (which there are) → sources (rows from a local file or the hub) → code, contests, math, qa (row → Item) → draw
(sampling by seed, disjoint splits, contamination verdict); grade (texts of a file, judged as an evaluation would).
Nothing here runs a model, and `domains` does the judging.
"""
