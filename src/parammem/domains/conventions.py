"""What a spec leaves open (conventions) and what settles it across tasks (kinds of quantity).

Every value has a cue word of its own, so that advice can name it in one word.
"""

from __future__ import annotations

from parammem.core.domain_names import ENGLISH
from parammem.domains import house_rules

CONVENTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "code": {
        "limit": ("inside", "outside"),  # is the bound inclusive
        "repeats": ("once", "every"),  # do repeats count once
        "empty": ("zero", "minus", "none"),  # what is returned when nothing is left
        "round": ("down", "up"),  # which rounding
        "ties": ("first", "last"),  # which of equal values
        "start": ("nought", "one"),  # where counting begins
    },
    "math": {
        "cut": ("flat", "part"),  # a discount off the price, or of the price
        "fee": ("apiece", "lump"),  # for each item, or once
        "rise": ("plus", "times"),  # an amount more, or a share more
        "trip": ("single", "double"),  # one way, or there and back
    },
    "qa": {
        "home": ("lives", "born"),  # which of two relations a phrase means
        "post": ("works", "trained"),
        "head": ("chief", "founder"),
        "voice": ("speaker", "writer"),
    },
}
"""Domain → convention → its values, in the pocket language. Those in plain English: house_rules.py."""

RELATIONS = {
    "chief": ("chief", "boss"),
    "founder": ("founder", "maker"),
    "speaker": ("speaker", "caller"),
    "writer": ("writer", "scribe"),
}
"""How a passage of QA words a reading of the second hop, by the reading of the first that leads to its place: a town
that one lives or works in has a chief, a house that one was born or trained in has a boss. So no relation stands twice
in a passage, and each look-up can be made by one word (docs/log.md tells why that matters to a pocket model)."""

KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "quantity": {
        "money": ("prices", "fares", "wages", "rents"),
        "mass": ("loads", "weights", "cargoes", "crates"),
        "time": ("delays", "shifts", "waits", "trials"),
        "age": ("ages", "terms", "spans", "tenures"),
        "heat": ("highs", "lows", "readings", "peaks"),
        "score": ("marks", "grades", "points", "ratings"),
    },
    "person": {
        "arts": ("painter", "singer", "dancer", "poet"),
        "sea": ("sailor", "diver", "captain", "fisher"),
        "health": ("doctor", "nurse", "surgeon", "dentist"),
        "law": ("judge", "lawyer", "clerk", "sheriff"),
        "farm": ("farmer", "shepherd", "miller", "gardener"),
        "craft": ("baker", "tailor", "smith", "potter"),
    },
}
"""Sort of noun → kind → its nouns. Code and math are about quantities, QA is about persons."""

NOUN_SORT = {"code": "quantity", "math": "quantity", "qa": "person"}

PEOPLE = tuple(
    "adam alba amir anya arlo bela bram cara chen clio dara dean edda emil enzo esme ezra faye finn gwen hana "
    "hugo ida igor ines iris ivan jade jens jodi juan kaia karl kira lara leif lena levi lily luca mara milo "
    "mina nell nico nina noor olga omar otto pia remy rosa ruth sami sara seth tess theo tina uma vera viv "
    "wade yara zane zoe".split()
)
PLACES = tuple(
    "accra amman aosta basel bergen berne bonn brno cadiz cairo cork dakar delft derry dover essen evora faro fargo "
    "genoa ghent graz haifa hanoi izmir jena kyoto lagos leeds lille lima lyon malmo metz miami minsk nice omsk "
    "osaka oslo padua paris perth porto quito riga rome seoul sofia split tampa tokyo tours tunis turin ulm utica "
    "vaduz varna york".split()
)
"""Single-token names: a test holds the pocket tokenizer to it."""


def conventions_of(domain: str) -> dict[str, tuple[str, ...]]:
    """Return convention → its values, of a kind of domain; empty for a kind without conventions."""
    return house_rules.VALUES if domain == ENGLISH else CONVENTIONS.get(domain, {})


def kinds_of(domain: str) -> dict[str, tuple[str, ...]]:
    """Return kind → nouns, for the sort of noun that this domain is about."""
    return house_rules.TOPICS if domain == ENGLISH else KINDS[NOUN_SORT[domain]]


def kind_of(domain: str, noun: str) -> str:
    """Return the kind a noun belongs to. Raises KeyError for a noun of no kind."""
    for kind, nouns in kinds_of(domain).items():
        if noun in nouns:
            return kind
    raise KeyError(noun)


def parse_claims(domain: str, advice: str) -> frozenset[str]:
    """Return what a piece of advice claims: {"limit=inside", …}. Words that are no known convention and value are
    passed over.

    A convention that is named twice with different values claims nothing.
    """
    if domain == ENGLISH:
        return house_rules.claims_in(advice)
    values = CONVENTIONS.get(domain, {})
    claims: dict[str, set[str]] = {}
    for phrase in advice.replace("\n", ";").split(";"):
        words = phrase.split()
        if len(words) == 2 and words[1] in values.get(words[0], ()):
            claims.setdefault(words[0], set()).add(words[1])
    return frozenset(f"{name}={next(iter(said))}" for name, said in claims.items() if len(said) == 1)


def phrase(choices: dict[str, str]) -> str:
    """Return {"limit": "inside", …} → "limit inside ; …"."""
    return " ; ".join(f"{name} {value}" for name, value in choices.items())


def worded(domain: str, choices: dict[str, str]) -> str:
    """Return choices as advice in the language of a kind of domain."""
    return house_rules.rules_text(choices) if domain == ENGLISH else phrase(choices)


def claimed_in_order(domain: str, advice: str) -> list[str]:
    """Return the conventions that a piece of advice claims something of, in the order in which it does."""

    def place(claim: str) -> int:
        return house_rules.place_of(advice, claim) if domain == ENGLISH else advice.find(claim.replace("=", " "))

    return [claim.partition("=")[0] for claim in sorted(parse_claims(domain, advice), key=place)]
