"""Decide whether a challenger takes the champion's place. Guards, slices, one paired test, and a lifetime error budget.

On fixed tasks (decide.py; `parammem.stages.contest` runs the arms) or by runs of agents in use (live.py). Pure but for
`record_decision.py` and `record_live.py`, which read and write the ledger.
"""

from parammem.gate.decide import decide
from parammem.gate.evidence import Evidence, SliceOutcomes
from parammem.gate.explain import explain
from parammem.gate.live import decide_live
from parammem.gate.live_evidence import LiveEvidence
from parammem.gate.live_rule import LiveRule
from parammem.gate.record_decision import decide_and_record
from parammem.gate.rule import Rule

__all__ = [
    "Evidence",
    "LiveEvidence",
    "LiveRule",
    "Rule",
    "SliceOutcomes",
    "decide",
    "decide_and_record",
    "decide_live",
    "explain",
]
