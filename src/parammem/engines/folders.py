"""Where a model lies: a folder on this machine, or the local snapshot of a hub name."""

from __future__ import annotations

from pathlib import Path

from parammem.errors import ModelMissingError


def find_model(model: str | Path) -> Path:
    """The folder of a model: itself, or the local snapshot of a hub name (fetched if it is not there yet).

    A name counts as a hub name if it looks like `owner/name` and no folder `owner` lies here.

    Raises:
        ModelMissingError: nothing there.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    parts = path.parts
    if isinstance(model, Path) or path.is_absolute() or len(parts) != 2 or parts[0] in ("models", ".", "..", "~"):
        return _missing(model)
    if Path(parts[0]).is_dir():
        return _missing(model)
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(snapshot_download(str(model), allow_patterns=wanted))
    except Exception as error:
        raise ModelMissingError(
            f"no folder {str(model)!r}, and as a hub name it could not be fetched ({type(error).__name__}); "
            "check `engine.model` in params.yaml, or the network"
        ) from error


def _missing(model: str | Path) -> Path:
    raise ModelMissingError(
        f"no model folder {str(model)!r}; check `engine.model` in params.yaml, "
        "or make the model first (pocket models come with the repository: `git checkout -- models`)"
    )
