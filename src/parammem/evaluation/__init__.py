"""What runs say, as figures: metrics, diversity, statistics, tables and pictures, and the report that holds them all
(report.py). Pure functions of the records that `stages.evaluate` writes (records.py).

Nothing here runs a model or asks for a verdict. Names are imported from the modules, not from here: a stage then
depends on the modules that it uses, and a change of a picture does not rerun an evaluation.
"""
