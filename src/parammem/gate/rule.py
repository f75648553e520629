"""The gate's dials, and how the error budget of a life is handed out."""

from __future__ import annotations

from parammem.core.record import Record

VERSION = 2
"""Goes up when the same dials and evidence could give another answer."""
EXPONENT = 1.3
"""How fast the budget is spent. Of a budget of 5% the first look gets 1.3% (z = 2.2) and the 365th 0.0006% (z = 4.4).
A gain of 8 points on 600 tasks has z = 3.6 or so: the first looks find it, and late ones need half as many more."""


class Rule(Record):
    """Every dial of the gate; the fields are those of `gate` in params.yaml that decide."""

    alpha: float = 0.05
    """Chance of any false promotion over the reflector's whole life."""
    effect: float = 0.08
    """The gain that is worth finding, as a share of runs."""
    anchor_margin: float = 0.05
    """How much worse than the champion the challenger may be on the anchor slice."""
    fresh_margin: float = 0.05
    """The same on the fresh slice."""
    min_power: float = 0.2
    """A look with less power than this is not taken: the answer is "undecided", and nothing is spent."""
    max_token_ratio: float = 1.5
    """Most tokens per task, as a multiple of the champion's."""
    min_diversity_ratio: float = 0.5
    """Least distinct advice per task, as a share of the champion's. Not asked of a first champion: an untrained base
    knows nothing and says everything."""
    min_distinct: float = 1.2
    """Least distinct advice per task of any challenger: at 1 all draws say the same, and drawing again is no use."""

    def margin(self, slice_name: str) -> float:
        return self.anchor_margin if slice_name == "anchor" else self.fresh_margin


def alpha_of_look(look: int, total: float) -> float:
    """What the k-th look may spend: total · k^-1.3 / ζ(1.3). Over any number of looks this adds up to less than total.

    Whatever the looks' outcomes and however many there are, the chance that any of them promotes falsely is at most
    their sum (union bound; alpha-spending, Lan and DeMets 1983, here without an end).

    Raises:
        ValueError: looks are counted from 1.
    """
    from scipy.special import zeta

    if look < 1:
        raise ValueError(f"look {look}: looks are counted from 1")
    return float(total * look**-EXPONENT / zeta(EXPONENT))


def spent_after(looks: int, total: float) -> float:
    """What that many looks have spent together."""
    return sum(alpha_of_look(look, total) for look in range(1, looks + 1))
