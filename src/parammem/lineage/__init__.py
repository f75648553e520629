"""What made a model: read the records that the pipeline left, check every link again, and say it in words.

Works in a clean clone, offline. What only looks writes nothing but its memory of hashes, below `.cache/audit/`.
"""

from parammem.lineage.answers import AnsweredBy, answered_by
from parammem.lineage.blame import Blame, blame_batches, render_blame
from parammem.lineage.export import Exported, export
from parammem.lineage.findings import Finding, Verification, render_verification
from parammem.lineage.graph import graph_svg
from parammem.lineage.page import Page, audit_page, render_page
from parammem.lineage.rebuild import Rebuilt, rebuild, render_rebuilt
from parammem.lineage.recall import RecallDone, RecallPlan, execute_recall, plan_recall, render_done, render_plan
from parammem.lineage.records import AdapterCard, Link, Sighting
from parammem.lineage.render import render, render_trace, show_json
from parammem.lineage.rows import find_row
from parammem.lineage.show import show
from parammem.lineage.trace import RowTrace, trace_rows
from parammem.lineage.verify import verify

__all__ = [
    "AdapterCard",
    "AnsweredBy",
    "Blame",
    "Exported",
    "Finding",
    "Link",
    "Page",
    "Rebuilt",
    "RecallDone",
    "RecallPlan",
    "RowTrace",
    "Sighting",
    "Verification",
    "answered_by",
    "audit_page",
    "blame_batches",
    "execute_recall",
    "export",
    "find_row",
    "graph_svg",
    "plan_recall",
    "rebuild",
    "render",
    "render_blame",
    "render_done",
    "render_page",
    "render_plan",
    "render_rebuilt",
    "render_trace",
    "render_verification",
    "show",
    "show_json",
    "trace_rows",
    "verify",
]
