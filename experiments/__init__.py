"""Experiments on top of the library: the study, the variants, the mutation score of the data rules, and the demo.

Each is run with `python -m experiments.…` from the root of the repository. They import `parammem` and `flows`; neither
imports them.
"""
