"""May a challenger take the champion's place? Guards, slices, one paired test, and a lifetime error budget.

Pure but for `record_decision.py`, which reads and writes the ledger. Who runs the arms is `parammem.stages.contest`.
"""

from parammem.gate.decide import decide
from parammem.gate.evidence import Evidence, SliceOutcomes
from parammem.gate.explain import explain
from parammem.gate.record_decision import decide_and_record
from parammem.gate.rule import Rule

__all__ = ["Evidence", "Rule", "SliceOutcomes", "decide", "explain", "decide_and_record"]
