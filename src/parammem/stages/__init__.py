"""The stages of dvc.yaml: each is the function `run` of the module of its name, and reads files, calls packages below,
and writes files. contest.py, which compares two reflectors for the gate, is built from the same parts.

Nothing here decides when a stage runs (DVC does) or what a method, a rule or a test is (the packages below do). Names
are imported from the modules, not from here: so each stage depends on its own code and not on the others'.
"""
