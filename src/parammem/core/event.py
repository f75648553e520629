"""The line of the ledger: one signed-off fact of a reflector's life, chained to the line before it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from parammem.core.live_run import LiveArm
from parammem.core.record import Extended, Record, digest_of

Stage = Literal["candidate", "champion"]
Answer = Literal["promote", "refuse", "undecided", "roll back"]
"""roll back: the champion does worse than no advice; only runs of agents in use say so."""
START = "0" * 64
"""`previous` of the first event."""


class Ingested(Record):
    """A batch of experience came in."""

    kind: Literal["ingest"] = "ingest"
    source: str
    """SHA-256 of the file as it came. The same source a second time is a no-op."""
    name: str
    """The file's name, for people."""
    format: str
    """parammem, reflexion or openai."""
    batch: str
    """SHA-256 of data/experience/<batch>.jsonl, the rows to learn from; empty: there were none."""
    fresh: str
    """SHA-256 of data/fresh/<fresh>.jsonl, the rows split off for judging; empty: there were none."""
    rows: int
    """Lines that came."""
    kept: int
    """Rows in `batch`."""
    held: int
    """Rows in `fresh`."""
    duplicates: int
    """Rows that were there before, in this file or in an earlier batch."""
    quarantined: int
    """Rows in data/quarantine/experience/<source>.jsonl. rows = kept + held + duplicates + quarantined."""
    reasons: dict[str, int] = Field(default_factory=dict)
    """Why rows were quarantined: reason → rows. A row may have several."""
    domains: dict[str, int] = Field(default_factory=dict)
    """Domain → rows kept or held."""


class Trained(Extended):
    """An adapter was trained."""

    LATER = ("environment",)

    kind: Literal["train"] = "train"
    domain: str
    adapter: str
    """SHA-256 of the weights."""
    data_digest: str
    """Digest of the ordered row hashes."""
    rows: int
    base_digest: str
    recipe_digest: str
    """`digest_of` the adapter card's recipe."""
    batches: tuple[str, ...] = ()
    """The experience batches that were in data/experience then."""
    dvc: dict[str, str] = Field(default_factory=dict)
    """Path → hash of the deps and outs of the stages that made it, from dvc.lock."""
    environment: dict[str, str] = Field(default_factory=dict)
    """python, torch (with its build), system and cpu of the machine that entered it; in a turn of self-improvement the
    one that trained it. Packages are pinned in the commit's constraints.txt, threads are in the recipe."""


class Imported(Record):
    """An adapter that was trained elsewhere came in. Which rows and recipe made it is not known."""

    kind: Literal["import"] = "import"
    domain: str
    adapter: str
    """SHA-256 of the weights."""
    source: str
    """Name of the folder that it came from, for people."""
    settings: str
    """Digest of its adapter_config.json (`settings_digest` of the card)."""
    base_model: str
    """Name of its base, as its folder or the person who imported it says."""
    base_digest: str
    """Empty: the base was not here."""


class Evaluated(Record):
    """Arms were compared on the same tasks."""

    kind: Literal["evaluate"] = "evaluate"
    domain: str
    arms: dict[str, str]
    """Arm (none, champion, challenger) → adapter digest; none has an empty one."""
    runs: str
    """Digest of the outcomes that the gate was given."""
    solved: dict[str, float]
    """"<slice>.<arm>" → share solved."""


class Decided(Extended):
    """The gate answered. The evidence is ledger/decisions/<decision>.json."""

    LATER = ("reserve", "live")

    kind: Literal["decide"] = "decide"
    domain: str
    decision: str
    """Digest of the Decision record."""
    champion: str
    """Adapter digest; empty: there was none and the arm `none` stood in its place."""
    challenger: str
    answer: Answer
    look: int
    """How many looks at the data this domain's error budget has paid for, this one among them."""
    alpha: float
    """What this look was allowed to spend; 0 when it did not come to the test."""
    reserve: bool = False
    """The look was paid from the budget's reserve; `look` numbers the reserve's looks then."""
    live: bool = False
    """Decided by runs of agents in use (gate/live.py). `look` numbers trials then: a trial is one look however often it
    is looked at, and its alpha was spent when it began."""


class TrialStarted(Record):
    """A challenger gets a share of the runs of agents in use, until the live gate has decided about it."""

    kind: Literal["trial"] = "trial"
    domain: str
    champion: str
    """Adapter digest; empty: there is none, and runs of the arm `champion` get no advice."""
    challenger: str
    version: int
    """The challenger's."""
    shares: dict[LiveArm, float]
    """Arm → probability with which runs are assigned to it from now on."""
    look: int
    """How many looks this domain's error budget has paid for, this trial among them."""
    alpha: float
    """What the trial may spend, however often it is looked at."""
    decision: str = ""
    """Digest of the decision on fixed tasks that left it to the live gate; empty: there was none."""


class Observed(Record):
    """Runs of agents in use came in: data/live/<runs>.jsonl."""

    kind: Literal["observe"] = "observe"
    domain: str
    runs: str
    """SHA-256 of the file; its lines are `LiveRun`. Empty: these runs are lost, as the person who signed says."""
    first: int
    """Number of its first run."""
    last: int
    """Of its last."""
    counts: dict[LiveArm, tuple[int, int, int]]
    """Arm → runs, those of them with an outcome, those of these that passed."""


class Published(Record):
    """A version was registered as candidate, or became champion."""

    kind: Literal["publish"] = "publish"
    domain: str
    version: int
    """1 for the domain's first. Tag: <domain>-reflector@v<version>.0.0."""
    adapter: str
    stage: Stage
    decision: str
    """Digest of the decision behind it; empty for a candidate."""
    dvc: str
    """DVC hash (md5 … .dir) of models/reflectors/<domain>, or of the folder below models/imported, by which `dvc` finds
    the folder again; empty: unknown."""


class RolledBack(Record):
    """An earlier champion took the place again."""

    kind: Literal["rollback"] = "rollback"
    domain: str
    version: int
    """The version that is champion from now on; 0: none is."""
    adapter: str
    """Its adapter; empty for version 0."""
    left: int
    """The version that was champion."""
    reason: str


class Checked(Record):
    """The nightly look at whether the champion still holds."""

    kind: Literal["check"] = "check"
    domain: str
    version: int
    adapter: str
    holds: bool | None
    """None: too few tasks to say."""
    solved: float
    """Share solved by the champion."""
    expected: float
    """Share that the arm `none` solved on the same tasks, or that the champion solved when it was promoted."""
    p: float
    """One-sided: how likely so low a share is if the champion still held."""
    night: str
    """The date it was for; one check per domain and night."""


class Recalled(Record):
    """Rows were withdrawn from training for good."""

    kind: Literal["recall"] = "recall"
    domain: str
    rows: tuple[str, ...]
    """Row hashes."""
    adapters: tuple[str, ...]
    """Digests of the adapters that had been trained on them."""
    reason: str


class SetAside(Record):
    """Batches left the pool because a challenger that had learned from them was refused as worse."""

    kind: Literal["aside"] = "aside"
    domain: str
    decision: str
    """Digest of the Decision record."""
    batches: tuple[str, ...]
    """They are in data/quarantine/batches now."""
    suspects: tuple[str, ...]
    """The challenger had learned from them too, and so had an earlier one about whom nothing was settled: they stay,
    and go when the next challenger that learned from them is refused as worse."""


Fact = Annotated[
    Ingested
    | Trained
    | Imported
    | Evaluated
    | Decided
    | Published
    | RolledBack
    | Checked
    | Recalled
    | SetAside
    | TrialStarted
    | Observed,
    Field(discriminator="kind"),
]


class Event(Record):
    """One line of ledger/events.jsonl."""

    number: int
    """1 for the first; no gaps."""
    time: str
    """UTC, ISO 8601 to the second. For people; the order is `number`."""
    actor: str
    """Who signed it off: `person <name>`, or `flow <name>`."""
    fact: Fact
    previous: str
    """Digest of the event before; 64 zeros for the first."""
    digest: str
    """`digest_of` all other fields, so that a changed line no longer fits itself and what follows no longer fits it."""

    @property
    def expected_digest(self) -> str:
        """What `digest` has to be."""
        return digest_of(self.model_dump(mode="json", exclude={"digest"}))


def make_event(number: int, time: str, actor: str, fact: Any, previous: str) -> Event:
    """Return an event with its digest."""
    bare = Event(number=number, time=time, actor=actor, fact=fact, previous=previous, digest="")
    return bare.model_copy(update={"digest": bare.expected_digest})
