"""Pictures as deterministic SVG or PNG: sizes, colours, and the one place that renders a matplotlib figure.

For a page, ink is `currentColor`, so that a picture follows the page from light to dark. For files (README, docs)
it is dark grey on white.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#3b4046"
FAINT = "#8a9097"

COLOURS: dict[str, str] = {
    "base": "#8a9097",
    "resample": "#b07aa1",
    "reflexion": "#e08214",
    "dot": "#c2a537",
    "dot_bank": "#a6761d",
    "retrieved": "#3aa0a0",
    "paramagent": "#2f7ed8",
    "paramagent_plus": "#1baf5d",
    "trained": "#2f7ed8",
    "untrained": "#8a9097",
    "shuffled": "#b07aa1",
    "other_world": "#e08214",
    "majority": "#c2a537",
}
"""Of middling lightness, so that they read on white and on near-black."""

DOMAIN_COLOURS = {"code": "#2f7ed8", "math": "#e08214", "qa": "#1baf5d", "all": "#8a9097"}


def colour(name: str) -> str:
    """Return the colour of an arm or reflector; a control of an arm has its reflector's colour."""
    return COLOURS.get(name) or COLOURS.get(name.rpartition(".")[2], FAINT)


def panels(columns: int, width: float, height: float, rows: int = 1, **shared: Any) -> tuple[Figure, list[list[Any]]]:
    """Return a figure of `width` × `height` inches and its grid of axes, drawn in the report's style."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    spaced = ConstrainedLayoutEngine(w_pad=0.09)  # the last number of a panel stays apart from the next one's first
    figure = Figure(figsize=(width, height), layout=spaced)
    grid = figure.subplots(rows, columns, squeeze=False, **shared)
    for axes in grid.flat:
        _dress(axes)
    return figure, [list(row) for row in grid]


def svg(figure: Figure, name: str, for_page: bool = True) -> str:
    """Return the figure as an <svg> element with ids of its own (`name` keeps those of several figures apart)."""
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(
            out,
            format="svg",
            transparent=for_page,
            metadata={"Date": None, "Creator": None, "Type": None, "Format": None},
        )
    text = out.getvalue()
    if not for_page:
        return text
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', lambda _: f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    return text.replace(INK, "currentColor")


def png(figure: Figure, dots_per_inch: int = 130) -> bytes:
    """Return the figure as PNG on white, without a date or a version in it."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dots_per_inch, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def legend_below(figure: Figure, handles: list[Any], labels: list[str], columns: int) -> None:
    """Draw one legend under all panels."""
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, labelcolor=INK
        )


def from_zero(axes: Any) -> None:
    """Let the y axis begin at zero, with room for a whole dot above the highest value. Call it when all is drawn."""
    axes.set_ylim(0, 1.04 * axes.get_ylim()[1])


def percent_axis(axis: Any) -> None:
    """Show an axis's shares as whole per cents."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f}%"))


def plain_axis(axis: Any) -> None:
    """Show an axis with few plain numbers on a logarithmic scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _dress(axes: Any) -> None:
    axes.patch.set_alpha(0)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.title.set_color(INK)
    axes.grid(True, color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
