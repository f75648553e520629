"""What made a model: read the records that the pipeline left, check every link again, and say it in words.

Works in a clean clone, offline, and changes nothing but its own memory and worktrees below `.cache/audit/`. What a
recall does to ledger and branch is in improve/recall.py.
Packages, each importing only those before it: past, rows, checks, rebuilds, pages, bundle.
"""

from parammem.lineage.bundle.check import BundleResult, check_bundle, render_checked
from parammem.lineage.bundle.export import Exported, export
from parammem.lineage.checks.findings import Finding, Verification, render_verification
from parammem.lineage.checks.verify import verify
from parammem.lineage.pages.answer_origin import AnsweredBy, answered_by, answers_of
from parammem.lineage.pages.graph import graph_svg
from parammem.lineage.pages.page import Page, audit_page, render_page
from parammem.lineage.rebuilds.bisect import Blame, blame_batches, render_blame
from parammem.lineage.rebuilds.rebuild import Rebuilt, rebuild, render_rebuilt
from parammem.lineage.rebuilds.recall import (
    RecallPlan,
    plan_recall,
    render_plan,
)
from parammem.lineage.rows.touched import RowTrace, render_trace
from parammem.lineage.rows.trace import trace_rows

__all__ = [
    "AnsweredBy",
    "Blame",
    "BundleResult",
    "Exported",
    "Finding",
    "Page",
    "Rebuilt",
    "RecallPlan",
    "RowTrace",
    "Verification",
    "answered_by",
    "answers_of",
    "audit_page",
    "blame_batches",
    "check_bundle",
    "export",
    "graph_svg",
    "plan_recall",
    "rebuild",
    "render_blame",
    "render_checked",
    "render_page",
    "render_plan",
    "render_rebuilt",
    "render_trace",
    "render_verification",
    "trace_rows",
    "verify",
]
