"""Log runs to Weights & Biases: the only package that imports wandb. Without a key or a network everything stays
offline.

What is logged is read from files that the pipeline left (`dvc.lock`, metrics, adapters), by a step of its own that
always runs. So a run is also logged when DVC restored its stage from the run-cache, and never twice: a run's id
follows from the adapter's digest, and `logged.jsonl` in the tracking folder remembers what was logged.
Offline runs wait in `<folder>/wandb`; `wandb sync <folder>/wandb/offline-run-*` sends them.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from parammem.checkout.dvc_lock import lock_digests, read_lock
from parammem.checkout.places import METRICS, REFLECTORS, VALIDATION
from parammem.config import TrackingParams
from parammem.core import Adapter, Record, digest_of, read_jsonl
from parammem.core.adapter import CARD, read_card
from parammem.core.plain_yaml import plain_mapping
from parammem.errors import AdapterError, DataError

log = logging.getLogger(__name__)

Mode = Literal["auto", "offline", "online", "off"]
LEDGER = "logged.jsonl"
WEIGHTS = "adapter_model.safetensors"
ONLINE_SECONDS = 20
"""How long a server may take to answer before the run goes offline."""


class Logged(Record):
    """One line of the ledger: a run that was logged."""

    run_id: str
    kind: str
    """train: the adapter with its params and metrics; evaluate: new metrics of an adapter that was logged before."""
    domain: str
    adapter: str
    """Digest of its weights; empty for a run without one."""
    content: str
    """Digest of the metrics that were logged."""
    mode: str
    """offline or online."""


class WandbTracker:
    """A W&B run. It writes below `folder` only. Build one through `make_tracker`."""

    def __init__(self, run: Any, mode: str) -> None:
        self._run = run
        self.mode = mode

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._run.config.update(dict(params), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics))

    def log_summary(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(summary))

    def use_data(self, artifact: Any) -> None:
        """Record an input. Offline W&B cannot."""
        self._run.use_artifact(artifact)

    def log_adapter(self, folder: Path, name: str, metadata: Mapping[str, Any], aliases: tuple[str, ...] = ()) -> None:
        import wandb

        artifact = wandb.Artifact(name, type="model", metadata=dict(metadata))
        # Copied, not referenced: the folder is DVC's and may hold another adapter when the run is sent.
        artifact.add_dir(str(folder), policy="mutable")
        self._run.log_artifact(artifact, aliases=list(aliases))

    def finish(self) -> None:
        import wandb

        self._run.finish()
        # The helper process keeps the folders it was started with; the next run may have others.
        wandb.teardown()


def choose_mode(mode: Mode) -> Literal["offline", "online", "off"]:
    """Return W&B's mode. auto: what WANDB_MODE says, else online when an API key is set, else offline."""
    if mode != "auto":
        return mode
    asked = os.environ.get("WANDB_MODE", "")
    if asked == "disabled":
        return "off"
    return "online" if os.environ.get("WANDB_API_KEY") and asked in ("", "online") else "offline"


@contextmanager
def make_tracker(
    mode: Literal["offline", "online"], project: str, folder: Path, run_id: str, kind: str, group: str
) -> Iterator[WandbTracker]:
    """Yield a tracker for one run, finished on leaving; what W&B writes goes below `folder` and nowhere else.

    Args:
        mode: online falls back to offline, with a warning, when the server cannot be reached.
        run_id: the same id is the same run, also when it is sent twice.
        kind: W&B's job type.
    """
    folder = folder.resolve()
    with _wandb_folders(folder):
        about = {"project": project, "id": run_id, "job_type": kind, "group": group or None, "name": run_id}
        tracker = _start(mode, folder, about)
        try:
            yield tracker
        finally:
            tracker.finish()


@contextmanager
def _wandb_folders(folder: Path) -> Iterator[None]:
    """Point every folder that W&B writes to below ours, and put the environment back afterwards."""
    names = {"DIR": "", "DATA_DIR": "data", "CACHE_DIR": "cache", "CONFIG_DIR": "config", "ARTIFACT_DIR": "artifacts"}
    ours = {f"WANDB_{name}": str(folder / sub) for name, sub in names.items()}
    ours |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    before = {name: os.environ.get(name) for name in ours}
    for sub in names.values():
        (folder / sub).mkdir(parents=True, exist_ok=True)
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _start(mode: Literal["offline", "online"], folder: Path, about: dict[str, Any]) -> WandbTracker:
    import wandb

    settings = wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        init_timeout=ONLINE_SECONDS,
        silent=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    if mode == "online":
        try:
            return WandbTracker(
                wandb.init(dir=str(folder), mode="online", resume="allow", settings=settings, **about), "online"
            )
        except Exception as error:  # wandb raises several unrelated kinds: no network, no account, no project
            wandb.teardown()
            log.warning(
                "W&B cannot be reached (%s: %s); logging offline below %s, send it later with `wandb sync`",
                type(error).__name__,
                str(error).splitlines()[0] if str(error) else "no reason given",
                folder,
            )
    return WandbTracker(wandb.init(dir=str(folder), mode="offline", settings=settings, **about), "offline")


def log_run(
    kind: str,
    domain: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    adapter_dir: Path | None,
    digests: Mapping[str, str],
    folder: Path,
    *,
    project: str = "parammem",
    mode: Mode = "auto",
    aliases: tuple[str, ...] = (),
    more: Mapping[str, Any] | None = None,
    again: bool = False,
) -> Logged | None:
    """Log one run, once: params, metrics, and the adapter as the artifact `reflector-<domain>`.

    Args:
        metrics: flat; names as in metrics.json with dots.
        adapter_dir: a folder with adapter.json and the weights; None for a run without an adapter.
        digests: path → DVC hash, which go into the artifact's metadata and the run's summary.
        folder: where offline runs and the ledger are kept.
        aliases: of the artifact, beside the one that holds its digest.
        more: further metadata of the artifact, such as the validation summary.
        again: log it although it was: it is the same run with the same artifact.

    Returns:
        The ledger's new line; None if the run was logged before, or tracking is off.

    Raises:
        AdapterError: the folder's weights are not those that its adapter.json names.
    """
    chosen = choose_mode(mode)
    if chosen == "off":
        return None
    adapter = _read_adapter(adapter_dir) if adapter_dir else None
    digest = adapter.digest if adapter else ""
    content = digest_of(dict(metrics))
    identity = digest if kind == "train" and digest else digest_of([kind, domain, digest, content, dict(params)])
    run_id = f"{kind}-{domain}-{identity[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{LEDGER}.lock"):
        if not again and any(line.run_id == run_id for line in logged_runs(folder)):
            return None
        with make_tracker(chosen, project, folder, run_id, kind, group=digest[:16]) as tracker:
            tracker.log_params(params)
            if metrics:
                tracker.log_metrics(metrics)
            tracker.log_summary({"adapter_digest": digest, "dvc": dict(digests)})
            if adapter and adapter_dir and kind == "train":
                about = adapter.model_dump(mode="json") | {"dvc": dict(digests)} | dict(more or {})
                tracker.log_adapter(adapter_dir, f"reflector-{domain}", about, (f"digest-{digest[:16]}", *aliases))
        line = Logged(run_id=run_id, kind=kind, domain=domain, adapter=digest, content=content, mode=tracker.mode)
        _append(folder / LEDGER, line)
    return line


def logged_runs(folder: Path) -> list[Logged]:
    """Return the ledger; empty if nothing was logged yet. Raises RecordError for a broken line."""
    path = folder / LEDGER
    return read_jsonl(path, Logged) if path.is_file() else []


def _append(path: Path, line: Logged) -> None:
    """Append a line after the run is on disk. A crash before this logs the run again under the same id, which is the
    same run."""
    with path.open("a", encoding="utf-8") as out:
        out.write(line.line() + "\n")
        out.flush()
        os.fsync(out.fileno())


def track_all(
    repo: Path,
    params: TrackingParams,
    folder: Path,
    aliases: Mapping[str, tuple[str, ...]] | None = None,
    again: bool = False,
) -> list[Logged]:
    """Log what the pipeline of `repo` made and is not logged yet.

    Reads params.yaml, dvc.lock, reports/metrics.json and models/reflectors/<domain>/. An adapter is logged once; if
    its metrics change later, they are logged as a run of kind `evaluate`. Parts that are missing are left out.

    Args:
        aliases: adapter digest → names that its artifact has by now, such as v3 and champion.
        again: as if nothing was logged yet, for a server that has lost it.

    Raises:
        AdapterError, DataError, LineageError: a file is there and cannot be believed.
    """
    if choose_mode(params.mode) == "off":
        return []
    lock = read_lock(repo)
    config = _read_plain(repo / "params.yaml")
    metrics = _read_plain(repo / METRICS)
    logged = []
    for card in sorted((repo / REFLECTORS).glob(f"*/{CARD}")):
        adapter = _read_adapter(card.parent)
        numbers = flat_numbers({adapter.domain: metrics.get(adapter.domain, {})})
        known = [] if again else [line for line in logged_runs(folder) if line.adapter == adapter.digest]
        if any(line.content == digest_of(numbers) for line in known):
            continue
        line = log_run(
            "evaluate" if known else "train",
            adapter.domain,
            config | {"recipe": adapter.recipe},
            numbers,
            card.parent,
            lock_digests(lock, adapter.domain),
            folder,
            project=params.project,
            mode=params.mode,
            aliases=(aliases or {}).get(adapter.digest, ()),
            more={"validation": _validation(repo, adapter.domain)},
            again=again,
        )
        logged += [line] if line else []
    return logged


def _validation(repo: Path, domain: str) -> dict[str, Any]:
    """Return the validation summary without its long lists; empty if there is none."""
    report = _read_plain(repo / VALIDATION / f"{domain}.json")
    return {name: value for name, value in report.items() if not isinstance(value, list)}


def flat_numbers(tree: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Return {"code": {"base": {"pass_rate": .5}}} → {"code.base.pass_rate": .5}; what is no number is left out."""
    found: dict[str, float] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat_numbers(value, f"{above}{key}.")
        elif isinstance(value, (int, float)):
            found[f"{above}{key}"] = float(value)
    return found


def _read_adapter(folder: Path) -> Adapter:
    weights = folder / WEIGHTS
    adapter = read_card(folder)
    if not weights.is_file():
        raise AdapterError(f"{str(folder)!r} lacks {WEIGHTS}; run `dvc repro` or `dvc pull`")
    with weights.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    if digest != adapter.digest:
        raise AdapterError(
            f"{weights} has digest {digest[:16]}, but its adapter.json names {adapter.digest[:16]}: it was changed "
            "after training; run `dvc checkout` or train again"
        )
    return adapter


def _read_plain(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML or JSON file; empty if there is none. Raises DataError if it cannot be read."""
    try:
        return plain_mapping(path) or {}
    except ValueError as error:
        raise DataError(f"{path} {error}; run `dvc repro` or `dvc checkout`") from error
