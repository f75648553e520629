"""What made a model: read the records that the pipeline left, check every link again, and say it in words.

Works in a clean clone, offline. What only looks writes nothing but its memory of hashes, below `.cache/audit/`.
"""

from parammem.lineage.records import AdapterCard, Link, Sighting
from parammem.lineage.render import render, show_json
from parammem.lineage.rows import find_row
from parammem.lineage.show import show
from parammem.lineage.trace import RowTrace, trace_rows
from parammem.lineage.verify import verify

__all__ = [
    "AdapterCard",
    "Link",
    "RowTrace",
    "Sighting",
    "find_row",
    "render",
    "show",
    "show_json",
    "trace_rows",
    "verify",
]
