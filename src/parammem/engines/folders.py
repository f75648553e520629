"""Where a model is: a folder on this machine, or the local snapshot of a hub name, which a pin fixes to one commit.

A pin is a small JSON file in the repository, {"hub": "owner/name", "revision": "<commit>"}. `engine.model` may be one:
DVC watches it as it watches a model folder, whether or not the weights are on this machine. Everything after params
names the model `owner/name@commit`, and a server `owner/name`. A model that only a server has is {"hub": "name"}.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from parammem.checkout.places import MODELS
from parammem.core.record import Record
from parammem.errors import ConfigError, ModelMissingError

WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
"""Files of a hub's model that are fetched."""


class Pin(Record):
    """A model of the hub at one commit, or one that only a server has."""

    hub: str = Field(pattern=r"^[^@\s]+$")
    """owner/name, or the server's name for it."""
    revision: str = Field(pattern=r"^([0-9a-f]{40})?$", default="")
    """A commit: branches move unseen. "" where there are none."""


def named_model(model: str | Path, root: Path = Path(".")) -> str:
    """Return the name by which the rest of the project names a model of params: of a pin `owner/name@commit`, else as
    it is.

    Args:
        root: where relative paths are seen from.

    Raises:
        ConfigError: the file is no pin.
    """
    file = root / model
    if not (str(model).endswith(".json") and file.is_file()):
        return str(model)
    try:
        pin = Pin.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ConfigError(
            f"{model} is no pin of a model ({error.errors()[0]['msg']}); it should be like "
            '{"hub": "owner/name", "revision": "<40 hex digits>"}; `parammem profile pin owner/name` writes one'
        ) from error
    return f"{pin.hub}@{pin.revision}" if pin.revision else pin.hub


def hub_parts(model: str) -> tuple[str, str]:
    """Return (owner/name, commit) of `owner/name@commit`; any other name as it is, with no commit."""
    name, _, revision = model.rpartition("@")
    return (name, revision) if name else (model, "")


def find_model(model: str | Path) -> Path:
    """Return the folder of a model: itself, or the local snapshot of a hub name or pin (fetched if it is not there
    yet).

    A name counts as a hub name if it looks like `owner/name` or `owner/name@commit`, and no folder `owner` is here.

    Raises:
        ModelMissingError: nothing there.
        ConfigError: the model is a JSON file that is no pin.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        return find_model(named_model(str(model)))
    parts = path.parts
    if isinstance(model, Path) or path.is_absolute() or len(parts) != 2 or parts[0] in (str(MODELS), ".", "..", "~"):
        return _missing(model)
    if Path(parts[0]).is_dir():
        return _missing(model)
    from huggingface_hub import snapshot_download

    name, revision = hub_parts(model)
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=WANTED))
    except Exception as error:
        raise ModelMissingError(
            f"no folder {model!r}, and as a hub name it could not be fetched ({type(error).__name__}); "
            "check `engine.model` in params.yaml, or the network"
        ) from error


def _missing(model: str | Path) -> Path:
    raise ModelMissingError(
        f"no model folder {str(model)!r}; check `engine.model` in params.yaml, "
        "or make the model first (pocket models come with the repository: `git checkout -- models`)"
    )
