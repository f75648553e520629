"""Where the pipeline's files are, seen from the repository's root. Every stage asks here, and so does lineage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parammem.errors import ParamMemError

PROJECT = ("params.yaml", "dvc.yaml", "dvc.lock", "ledger")
"""What a project's folder has one of at least."""

CACHE, DATA, LEDGER_FOLDER = Path(".cache"), Path("data"), Path("ledger")
MODELS, REPORTS = Path("models"), Path("reports")
RECORDED = (REPORTS, LEDGER_FOLDER, DATA, MODELS)
"""What only the pipeline and its automation write. `.cache` is in no commit: what is there only saves work."""

LEDGER = LEDGER_FOLDER / "events.jsonl"
DECISIONS = LEDGER_FOLDER / "decisions"
EVIDENCE = LEDGER_FOLDER / "evidence"
"""What every arm did on every task, by the digest that `Evaluated` and `Decision.inputs` name."""

TASKS = DATA / "tasks"
TASKS_IN = DATA / "tasks-in"
"""Tasks of domains of kind open, as people wrote them."""
BENCHMARK_ROWS = DATA / "benchmarks"
TRAJECTORIES = DATA / "trajectories"
REFLECTIONS = DATA / "reflections"
VALIDATED = DATA / "validated"
QUARANTINE = DATA / "quarantine"
REFUSED_ROWS = QUARANTINE / "experience"
PRIVATE_ROWS = QUARANTINE / "private"
"""Rows with secrets: never pushed anywhere."""
SET_ASIDE = QUARANTINE / "batches"
BATCHES = DATA / "experience"
BATCH_ORDER = BATCHES / "order.txt"
FRESH = DATA / "fresh"
"""Experience that was kept for judging, of all domains: never trained on."""
FRESH_KEYS = DATA / "keys" / "fresh"
INBOX = DATA / "inbox"
INGESTING = DATA / ".ingest"
LIVE = DATA / "live"
"""Runs of agents in use, without their texts: <SHA-256>.jsonl, each named by an event `observe` of the ledger."""
LIVE_INBOX = LIVE / "in"
"""Where the service leaves such files, until a turn of `improve` has entered them."""
SPOOL = LIVE / "spool"
"""What the service heard and has not handed over yet."""
RECALLED = DATA / "recalled.txt"
"""Hashes of rows that may never be trained on again, of all domains."""

REFLECTORS = MODELS / "reflectors"
"""Where `train` leaves one adapter folder per domain."""
IMPORTED = MODELS / "imported"

CODE = REPORTS / "code"
METRICS = REPORTS / "metrics.json"
STUDY, VARIANTS = REPORTS / "study.json", REPORTS / "variants.json"
VALIDATION = REPORTS / "validation"
MUTATION = VALIDATION / "mutation.json"
"""Which injected defects the data rules catch."""
EVALUATION = REPORTS / "evaluation"
UPTAKE = REPORTS / "uptake"
"""What the report shows beside the ceilings."""

COMPLETIONS = CACHE / "completions"
LOCKS = CACHE / "locks"
TRACKING = CACHE / "tracking"
AUTOMATION = CACHE / "improve"
AUDIT = CACHE / "audit"
CHALLENGERS, CONTESTS = CACHE / "challengers", CACHE / "contests"


def project(root: Path = Path()) -> Path:
    """Return the folder of a project. Raises ParamMemError where it is none: in another folder nothing is recorded, so
    nothing could be missing either."""
    if not any((root / name).exists() for name in PROJECT):
        raise ParamMemError(
            f"no project in {str(root.absolute())!r}: it has none of {', '.join(PROJECT)}; change to the folder of "
            "your clone, or make a project with `parammem init DIR`"
        )
    return root


def code_digests(root: Path, stage: str) -> Path:
    """Return digests of the sources that a stage can reach, written by the stage `code`."""
    return root / CODE / f"{stage}.json"


@dataclass(frozen=True)
class Places:
    """Files and folders of one domain."""

    root: Path
    domain: str

    def tasks(self, split: str) -> Path:
        return self.root / TASKS / self.domain / f"{split}.jsonl"

    def keys(self, split: str) -> Path:
        """Return the file with a split's answer keys. Agents and labellers have no business here."""
        return self.root / DATA / "keys" / self.domain / f"{split}.jsonl"

    @property
    def trajectories(self) -> Path:
        return self.root / TRAJECTORIES / f"{self.domain}.jsonl"

    @property
    def reflections(self) -> Path:
        return self.root / REFLECTIONS / f"{self.domain}.jsonl"

    @property
    def validated(self) -> Path:
        return self.root / VALIDATED / f"{self.domain}.jsonl"

    @property
    def quarantine(self) -> Path:
        return self.root / QUARANTINE / f"{self.domain}.jsonl"

    @property
    def fresh(self) -> list[Path]:
        """Experience that was kept for judging, of all domains: never trained on."""
        return sorted((self.root / FRESH).glob("*.jsonl"))

    @property
    def recalled(self) -> Path:
        """Hashes of rows that may never be trained on again, of all domains."""
        return self.root / RECALLED

    @property
    def validation(self) -> Path:
        """The stable summary of what validation found."""
        return self.root / VALIDATION / f"{self.domain}.json"

    @property
    def data_docs(self) -> Path:
        return self.root / REPORTS / "data_docs" / self.domain

    @property
    def reflector(self) -> Path:
        return self.root / REFLECTORS / self.domain

    def imported(self, adapter: str) -> Path:
        """Return the folder of an imported adapter, by its digest. A .dvc file beside it names its bytes."""
        return self.root / IMPORTED / self.domain / adapter[:16]

    def control(self, name: str) -> Path:
        """Return the folder of a control adapter, which is trained so that its advice should not help."""
        return self.root / MODELS / "controls" / self.domain / name

    def checkpoints(self, name: str) -> Path:
        return self.root / CACHE / "checkpoints" / self.domain / name

    @property
    def finished(self) -> Path:
        """Adapters that `train` has finished, until it has finished all of them."""
        return self.root / CACHE / "checkpoints" / self.domain / "finished"

    def start(self, adapter: str) -> Path:
        """Return an adapter, by its digest, that training goes on from. `improve` and `parammem registry fetch` bring
        it."""
        return self.root / CACHE / "champions" / adapter[:16]

    @property
    def written(self) -> Path:
        """Digests of what the stage `tasks` last wrote in this checkout."""
        return self.root / CACHE / "written" / f"tasks-{self.domain}.json"

    @property
    def evaluation(self) -> Path:
        return self.root / EVALUATION / self.domain

    def work(self, stage: str) -> Path:
        """Return what a stage cost this time. Not an out: it depends on what was cached."""
        return self.root / CACHE / "work" / f"{stage}-{self.domain}.json"


def places_of(domain: str) -> Places:
    """Return a domain's places as git and dvc.lock name them, from the root:
    `places_of("code").validated.as_posix()`."""
    return Places(Path(), domain)
