"""The gate's dials, and how much of the lifetime error budget each look may spend."""

from __future__ import annotations

from typing import NamedTuple

from parammem.core.record import Record

VERSION = 3
"""Goes up when the same dials and evidence could give another answer."""
EXPONENT = 1.3
"""How fast the budget is spent. Of a budget of 5% the first look gets 1.3% (z = 2.2) and the 365th 0.0006% (z = 4.4).
A gain of 8 points on 600 tasks has z = 3.6 or so: the first looks find it, and late ones need half as many more."""


class Rule(Record):
    """Every dial of the gate; the fields are those of `gate` in params.yaml that decide."""

    alpha: float = 0.05
    """Chance of any false promotion over the reflector's whole life."""
    effect: float = 0.12
    """The gain that is worth finding, as Cohen's g: how far above one half lies the challenger's share of wins among
    the tasks on which the two differ. Where a third of the tasks differs, 0.12 is 8 points. Tasks on which they agree
    play no part, so adding such tasks changes neither power nor answer."""
    anchor_margin: float = 0.05
    """How much worse than the champion the challenger may be on the anchor slice."""
    fresh_margin: float = 0.05
    """The same on the fresh slice."""
    min_power: float = 0.2
    """A look with less power than this is paid from the reserve, which is small: only a strong result promotes."""
    max_token_ratio: float = 1.5
    """Most tokens per task, as a multiple of the champion's."""
    min_diversity_ratio: float = 0.5
    """Least distinct advice per task, as a share of the champion's. Not asked of a first champion: an untrained base
    has learned nothing and varies most."""
    min_distinct: float = 1.2
    """Least distinct advice per task of any challenger: at 1 all draws say the same, and drawing again is no use."""

    def margin(self, slice_name: str) -> float:
        return self.anchor_margin if slice_name == "anchor" else self.fresh_margin


class Looks(NamedTuple):
    """The looks that one domain's error budget has paid for so far."""

    regular: int = 0
    """Looks with at least `min_power`."""
    reserve: int = 0
    """Looks with less, paid from the reserve."""
    spent: float = 0.0
    """Sum of the alphas of all of them, as the ledger recorded them."""
    kept: float = 0.0
    """Share of the budget that is kept for rollbacks: `ROLLBACKS` in a domain with runs of agents in use."""

    def after(self, alpha: float, reserve: bool) -> Looks:
        """Return these looks and one more that spent alpha."""
        return Looks(self.regular + (not reserve), self.reserve + reserve, self.spent + alpha, self.kept)


RESERVE = 0.1
"""Share of the budget that pays for looks with little power. Its first look gets 0.13%, so that a strong result on few
tasks promotes; regular looks lose a tenth of their alpha, about a hundredth of their power."""
ROLLBACKS = 0.2
"""Share of the budget that pays for taking a champion's place from it by runs of agents in use. Where there are such
runs, regular looks get 0.7 of the budget in place of 0.9: the first 0.89% in place of 1.15%."""


def alpha_of_look(look: int, total: float, reserve: bool = False, kept: float = 0.0) -> float:
    """Return what the k-th regular (or k-th reserve) look may spend: its part of total · k^-1.3 / ζ(1.3).

    Over any number of looks of both kinds this adds up to less than total, less what is kept for rollbacks. Whatever
    the looks' outcomes and however many there are, the chance that any of them promotes falsely is at most their sum
    (union bound; alpha-spending, Lan and DeMets 1983, here without an end).

    Raises:
        ValueError: looks are counted from 1.
    """
    return _part(look, total, RESERVE if reserve else 1 - RESERVE - kept)


def alpha_of_championship(number: int, total: float) -> float:
    """Return what the rollback of a domain's k-th championship may spend, however often its runs are looked at.

    A championship begins whenever a version takes the champion's place, by a promotion or a rollback. Over any number
    of them this adds up to less than `ROLLBACKS` · total.
    """
    return _part(number, total, ROLLBACKS)


def _part(look: int, total: float, part: float) -> float:
    from scipy.special import zeta

    if look < 1:
        raise ValueError(f"look {look}: looks are counted from 1")
    return float(part * total * look**-EXPONENT / zeta(EXPONENT))


def next_alpha(before: Looks, total: float, reserve: bool) -> float:
    """Return what the next look may spend, never more than is left.

    Looks under rule version 2 had no reserve beside them and spent up to a ninth more each, and those from before a
    domain had runs in use left nothing for rollbacks; what the ledger recorded of them is what counts here.
    """
    left = total * (1 - before.kept) - before.spent
    alpha = min(alpha_of_look(before.regular + 1, total, kept=before.kept), left)
    if reserve:  # never more than a look with enough power would get
        alpha = min(alpha, alpha_of_look(before.reserve + 1, total, reserve=True))
    return max(0.0, alpha)


def spent_after(looks: int, total: float) -> float:
    """Return what that many regular looks have spent together."""
    return sum(alpha_of_look(look, total) for look in range(1, looks + 1))
