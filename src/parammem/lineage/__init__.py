"""What made a model: read the records that the pipeline left, check every link again, and say it in words.

Works in a clean clone, offline. Nothing here writes.
"""

from parammem.lineage.records import AdapterCard, Link, Sighting
from parammem.lineage.render import render, show_json
from parammem.lineage.rows import find_row
from parammem.lineage.show import show

__all__ = ["AdapterCard", "Link", "Sighting", "find_row", "render", "show", "show_json"]
