"""What only a Weights & Biases server can record: aliases of what is there already, links, and inputs of a run.

Offline W&B raises for all of these, so `parammem.registry.sync` replays them from the ledger when a server answers.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from parammem.checkout.processes import ends_with_us
from parammem.config import TrackingParams
from parammem.errors import DataError
from parammem.tracking import ONLINE_SECONDS, _start, _wandb_folders, choose_mode, track_all


class ArtifactAbsent(DataError):
    """The server answers, and has no such artifact version."""


class WandbServer:
    """A project on a W&B server. Build one with `open_server`."""

    def __init__(self, api: Any, project: str, folder: Path) -> None:
        self._api, self._project, self._folder = api, project, folder
        self.name = f"{api.settings.get('base_url', '')} {project}"

    def set_aliases(self, artifact: str, digest: str, aliases: tuple[str, ...], gone: tuple[str, ...]) -> None:
        """Add aliases to the version with alias `digest`; an alias moves by itself from the version that had it.

        Raises:
            ArtifactAbsent: there is no such version.
        """
        there = bool(gone) and self._api.artifact_collection_exists(f"{self._project}/{artifact}", "model")
        for alias in gone if there else ():
            for version in self._api.artifacts("model", f"{self._project}/{artifact}"):
                if alias in version.aliases:
                    version.aliases = [name for name in version.aliases if name != alias]
                    version.save()
        if digest and aliases:
            version = self._version(artifact, digest)
            version.aliases = sorted({*version.aliases, *aliases})
            version.save()

    def use(self, run: str, artifact: str, metadata: dict[str, Any]) -> None:
        """Name the rows by their DVC hashes as an input of the run; no row is uploaded."""
        import wandb

        entity, _, project = self._project.rpartition("/")
        about = {"entity": entity or None, "project": project, "id": run, "name": run, "job_type": "train"}
        with _wandb_folders(self._folder.resolve()):
            tracker = _start("online", self._folder.resolve(), about)
            try:
                if tracker.mode != "online":
                    raise DataError("the W&B server stopped answering; run `parammem sync` again")
                tracker.use_data(wandb.Artifact(artifact, type="dataset", metadata=metadata))
            finally:
                tracker.finish()

    def link(self, artifact: str, digest: str, collection: str) -> None:
        """Link a version to a collection of the W&B registry. Raises ArtifactAbsent if there is no such version."""
        self._version(artifact, digest).link(f"wandb-registry-model/{collection}")

    def log(self, state: Path) -> None:
        """Log the adapter of a state, which the server has no artifact of: also if we remember to have logged it.

        Raises:
            AdapterError, DataError: the adapter cannot be believed, or the server stopped answering.
        """
        online = TrackingParams(mode="online", project=self._project.rpartition("/")[2])
        logged = track_all(state, online, self._folder, again=True)
        if not logged or any(line.mode != "online" for line in logged):
            raise DataError("the W&B server stopped answering; run `parammem sync` again")

    def _version(self, artifact: str, digest: str) -> Any:
        name = f"{self._project}/{artifact}:{digest}"
        try:
            return self._api.artifact(name)
        except Exception as error:  # wandb says in several ways that there is nothing, and that no server answers
            if self._api.artifact_exists(name):
                raise
            raise ArtifactAbsent(f"W&B has no {name}") from error


def open_server(params: TrackingParams, folder: Path) -> WandbServer | None:
    """Return the server, or None when tracking is offline or off. Raises DataError when it should be there and is
    not."""
    if choose_mode(params.mode) != "online":
        return None
    import wandb

    try:
        api = wandb.Api(timeout=ONLINE_SECONDS)
        entity = api.default_entity
    except Exception as error:  # wandb raises several unrelated kinds: no network, no account, no key
        raise DataError(
            f"no W&B server: {type(error).__name__}: {error}; set WANDB_API_KEY and run it again"
        ) from error
    return WandbServer(api, f"{entity}/{params.project}" if entity else params.project, folder)


def send_offline_runs(folder: Path) -> int:
    """Send the offline runs below `folder` by `wandb sync`; those that were sent are left out. Returns how many there
    were.

    Raises:
        DataError: W&B refused; nothing is lost, run it again.
    """
    runs = sorted((folder / "wandb").glob("offline-run-*"))
    unsent = [run for run in runs if not list(run.glob("*.synced"))]
    if unsent:
        command = [sys.executable, "-m", "wandb", "sync", *map(str, unsent)]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=ends_with_us())
        if done.returncode:
            raise DataError(f"`wandb sync` failed: {done.stderr.strip()[-400:]}; nothing is lost, run it again")
    return len(unsent)
