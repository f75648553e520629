"""`parammem gate A B`: may the challenger B take the champion A's place? `--show DIGEST` tells what was said before."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parammem.checkout.places import REFLECTORS, project
from parammem.cli.options import FIRST_DOMAIN, PARAMS, Domain, ParamsFile
from parammem.cli.say import say
from parammem.config import Params, load_params
from parammem.core.adapter import CARD, read_card
from parammem.core.words import count
from parammem.errors import LedgerError

if TYPE_CHECKING:
    from parammem.core.decision import Decision
    from parammem.core.event import Event

NONE = "none"


def gate(
    champion: Annotated[
        str, typer.Argument(metavar="A", help="champion, v2, a digest, an adapter folder, or none.")
    ] = "champion",
    challenger: Annotated[
        str, typer.Argument(metavar="B", help="The same; left out: models/reflectors/<domain>.")
    ] = "",
    domain: Domain = FIRST_DOMAIN,
    enter: Annotated[
        bool,
        typer.Option("--enter", help="Pay for this look, and write the decision, and the champion if it promotes."),
    ] = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="By runs of agents in use: what the gate would say now. Changes nothing."),
    ] = False,
    lost: Annotated[
        int,
        typer.Option(
            "--lost", metavar="NUMBER", help="With --live: runs up to this one never came; write it into the ledger."
        ),
    ] = 0,
    shown: Annotated[str, typer.Option("--show", help="Only explain this decision of the ledger again.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The decision as one JSON object.")] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """Compare two reflectors on the same tasks, and explain what the gate decides.

    Without --enter nothing is written: the answer shows what the gate would say. A decision that follows
    such looks is not covered by the error budget. With --live one may look as often as one likes.
    """
    from parammem.gate import explain

    if live:
        from parammem.cli.gate_live import enter_lost, show_live

        if lost:
            enter_lost(domain, lost)
        else:
            show_live(load_params(params), domain, as_json)
        return
    decision = _show(shown) if shown else _meet(load_params(params), domain, champion, challenger, enter)
    say(decision.model_dump_json(indent=2) if as_json else explain(decision))
    if enter and not shown and decision.answer == "promote":
        say(_promoted(decision), err=as_json)


def _promoted(decision: Decision) -> str:
    """Make the challenger champion in the ledger, and return a sentence that says so and what to do next."""
    from parammem.checkout.git import person
    from parammem.registry import Ledger
    from parammem.registry.state import make_champion, versions

    ledger, domain = Ledger(), decision.domain
    version = next((v for v in versions(ledger.read(), domain) if v.adapter == decision.challenger), None)
    if version is None:
        return (
            f"the challenger has no version yet, so nobody became champion: `parammem registry register --domain "
            f"{domain}`, then the same command again (the same look is not paid for twice)"
        )
    make_champion(ledger, version, decision.digest, person(Path()))
    return f"{version.name} is champion of {domain} now; commit the ledger, then `parammem sync` makes its tag"


def _show(digest: str) -> Decision:
    from parammem.core.event import Decided
    from parammem.registry.branch import decision_of, known

    found = [e.fact.decision for e in known(project()) if isinstance(e.fact, Decided)]
    found = sorted({name for name in found if name.startswith(digest)})
    if len(found) != 1:
        raise LedgerError(
            f"{count(len(found), 'decision')} with a digest that begins with {digest!r}; "
            "see `parammem registry history`"
        )
    return decision_of(Path(), found[0])


def _meet(params: Params, domain: str, champion: str, challenger: str, enter: bool) -> Decision:
    from parammem.checkout.git import person
    from parammem.gate import decide, decide_and_record
    from parammem.gate.record_decision import looks_paid, rule_of
    from parammem.registry import Ledger
    from parammem.registry.branch import known, refuse_behind
    from parammem.registry.growth import refuse_losses
    from parammem.stages.contest import compare

    if enter:
        refuse_losses(Path())
        refuse_behind(Path())
    events = known(Path())
    with tempfile.TemporaryDirectory() as folder:
        ours = _folder(events, domain, champion, Path(folder) / "champion")
        theirs = _folder(events, domain, challenger, Path(folder) / "challenger") or REFLECTORS / domain
        _refuse_itself(events, domain, ours, theirs)
        evidence = compare(params, Path(), domain, ours, theirs)
    rule = rule_of(params.gate)
    if enter:
        return decide_and_record(evidence, rule, Ledger(), person(Path()))
    return decide(evidence, rule, looks_paid(events, domain))


def _refuse_itself(events: Sequence[Event], domain: str, ours: Path | None, theirs: Path) -> None:
    """Raise LedgerError if champion and challenger are one adapter, as they are once a promotion was merged."""
    from parammem.registry.state import versions

    folders = [folder for folder in (ours, theirs) if folder]
    digests = {read_card(folder).digest for folder in folders if (folder / CARD).is_file()}
    if len(folders) < 2 or len(digests) != 1:
        return
    known = versions(events, domain)
    name = next((v.name for v in known if v.adapter in digests), "one adapter")
    others = [v.name for v in known if v.adapter not in digests]
    todo = f"name another: `parammem gate champion {others[-1]} --domain {domain}`" if others else "train another first"
    raise LedgerError(f"champion and challenger are both {name} of {domain}: it would be compared with itself; {todo}")


def _folder(events: Sequence[Event], domain: str, name: str, to: Path) -> Path | None:
    """Return the folder of the adapter that was named; None for `none`, or where no champion is.

    Versions are fetched from DVC to `to`.
    """
    from parammem.registry.state import champion, find_version
    from parammem.registry.storage import fetch

    if name in ("", NONE) or (name == "champion" and champion(events, domain) is None):
        return None
    if (Path(name) / CARD).is_file():
        return Path(name)
    return fetch(Path(), domain, find_version(events, domain, name), to)
