"""Decide whether a challenger takes the champion's place. Guards, slices, one paired test, and a lifetime error budget.

Pure but for `record_decision.py`, which reads and writes the ledger. `parammem.stages.contest` runs the arms.
"""

from parammem.gate.decide import decide
from parammem.gate.evidence import Evidence, SliceOutcomes
from parammem.gate.explain import explain
from parammem.gate.record_decision import decide_and_record
from parammem.gate.rule import Rule

__all__ = ["Evidence", "Rule", "SliceOutcomes", "decide", "explain", "decide_and_record"]
