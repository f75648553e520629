"""What of a model folder is read, looked at before any library reads it: what is loaded is what was hashed.

A folder from elsewhere is not trusted. Its own code is never run, its weights are safetensors in the folder itself, and
libraries are shown a view of it that holds the hashed files and no other (`view`). Files that change between the
hashing and the loading are found too (`check_unchanged`). What vLLM loads cannot be shown such a view; what is refused
here is refused for it as well.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.engines.digests import (
    CONFIG_FILES,
    LARGEST_SETTINGS,
    TEXT_FILES,
    extra_digest,
    extra_files,
    model_digest,
    read_settings,
    weight_files,
)
from parammem.engines.tokenizer_files import check_tokenizer_json, check_tokenizer_settings
from parammem.errors import EngineError, ModelMissingError

SINGLE, SHARDED = "model.safetensors", "model.safetensors.index.json"
LFS = b"version https://git-lfs.github.com/spec/"
"""How the pointer begins that git leaves in a file's place where git-lfs is not installed."""
CODE = "auto_map"
"""The setting that names Python code of the folder."""
ELSEWHERE = ("configuration_files", "fast_tokenizer_files")
"""Settings that name other files to read, by version of the library."""


@dataclass(frozen=True)
class Vetted:
    """A model folder that may be loaded."""

    folder: Path
    digest: str
    """`model_digest`."""
    extra: str
    """`extra_digest`: "" for most models."""
    files: tuple[str, ...]
    """Names of all files that are hashed, and so may be read."""
    marks: tuple[tuple[int, ...], ...]
    """Of each file what changes when it is written: inode, size, times."""

    @property
    def named(self) -> list[str]:
        """What names the model in an engine's digest, beside `digest`: nothing for most models."""
        return [self.extra] if self.extra else []


def vet_model(folder: Path, served: bool = False) -> Vetted:
    """Hash a model folder and see that nothing else than what was hashed would be loaded from it.

    Args:
        served: a server loads it, with a loader of its own: config.json may be elsewhere.

    Raises:
        ModelMissingError: there are no weights, or only pointers to them.
        EngineError: it is to run code of its own, reads other files than the hashed ones, or a file of it is broken.
    """
    _refuse_pointers(folder, weight_files(folder))
    digest = model_digest(folder)
    names = tuple(sorted({*weight_files(folder), *extra_files(folder), *_present(folder)}))
    _refuse_pointers(folder, names)
    for name in CONFIG_FILES:
        if (folder / name).is_file():
            _check_settings(folder, name)
    _check_tokenizer(folder)
    if not (served and not (folder / "config.json").is_file()):
        _check_weights(folder)
    return Vetted(folder, digest, extra_digest(folder), names, _marks(folder, names))


@contextmanager
def view(vetted: Vetted) -> Iterator[Path]:
    """Yield a folder of links to the hashed files, while the block lasts: whatever a library looks for, it finds no
    other."""
    with tempfile.TemporaryDirectory(prefix="parammem-model-") as place:
        for name in vetted.files:
            link = Path(place) / name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to((vetted.folder / name).resolve())
        yield Path(place)


def check_unchanged(vetted: Vetted) -> None:
    """See that the files are those that were hashed.

    Raises:
        EngineError: they were changed since.
    """
    folder = vetted.folder
    try:
        same = _marks(folder, vetted.files) == vetted.marks
        same = same or (model_digest(folder), extra_digest(folder)) == (vetted.digest, vetted.extra)
    except (OSError, EngineError):
        same = False
    if not same:
        raise EngineError(f"the model in {str(folder)!r} was changed after it was hashed; run again with the new one")


def _present(folder: Path) -> list[str]:
    return [name for name in (*TEXT_FILES, *CONFIG_FILES) if (folder / name).is_file()]


def _marks(folder: Path, names: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    stats = [(folder / name).stat() for name in names]
    return tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in stats)


def refuse_pointers(folder: Path) -> None:
    """See that no file of a folder is a git-lfs pointer; a folder that is not there has none. Raises
    ModelMissingError."""
    if folder.is_dir():
        _refuse_pointers(folder, sorted(path.name for path in folder.iterdir() if path.is_file()))


def _refuse_pointers(folder: Path, names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        if is_pointer(folder / name):
            raise ModelMissingError(
                f"{folder / name} is a git-lfs pointer, not the file itself: the model was cloned without its files; "
                "run `git lfs install && git lfs pull` in that clone, or fetch the model another way"
            )


def is_pointer(path: Path) -> bool:
    """Return whether a file is what git leaves in the place of one that git-lfs has."""
    with path.open("rb") as file:
        return file.read(len(LFS)) == LFS


def _check_settings(folder: Path, name: str) -> None:
    settings = read_settings(folder / name)  # that it can be read, the digest has shown
    if settings.get(CODE):
        raise EngineError(
            f"{folder / name} names Python code of its own ({CODE}: {_short(settings[CODE])}), which is never run; if "
            f"transformers has this architecture itself, remove {CODE!r} from the file, else take another model"
        )
    files = next((key for key in ELSEWHERE if settings.get(key)), None)
    if files:
        raise EngineError(
            f"{folder / name} names other files to read in its place ({files}: {_short(settings[files])}); rename the "
            f"one that is meant, and remove {files!r}"
        )
    if name == "config.json" and not isinstance(settings.get("model_type"), str):
        raise EngineError(
            f"{folder / name} lacks model_type, which says what kind of model it is (llama, qwen2, …); add it as the "
            "model's authors have it, or fetch the model again"
        )


def _check_tokenizer(folder: Path) -> None:
    """Check that a tokenizer's steps cost what tokenizers cost, in a library of ours as in a server."""
    file, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    looked = file
    try:
        if file.is_file():
            check_tokenizer_json(file)
        looked = settings
        if settings.is_file():
            check_tokenizer_settings(read_settings(settings))
    except ValueError as error:
        raise EngineError(
            f"the tokenizer in {str(folder)!r} is refused ({looked.name}: {error}); take the file from the model's "
            "authors, or another model"
        ) from error


def _check_weights(folder: Path) -> None:
    """Check that the files that transformers takes weights from are among the hashed ones.

    It looks for `transformers_weights` of config.json, then model.safetensors, then its index, then pickles.
    """
    if not (folder / "config.json").is_file():
        raise ModelMissingError(f"no config.json in {str(folder)!r}: it says what kind of model it is; fetch it again")
    hashed = weight_files(folder)
    first = read_settings(folder / "config.json").get("transformers_weights")
    named = first or next((name for name in (SINGLE, SHARDED) if (folder / name).is_file()), None)
    if named in hashed:
        return
    if not isinstance(named, str) or named not in extra_files(folder):
        raise EngineError(
            f"the weights in {str(folder)!r} would not be read from its *.safetensors ({', '.join(hashed)}): there is "
            f"neither {SINGLE} nor {SHARDED}; save the model again with safe_serialization"
        )
    strange = sorted({*map(str, _indexed(folder / named))} - {*hashed})
    if strange:
        raise EngineError(
            f"{folder / named} lists weights that are no *.safetensors of this folder: {_short(strange)}; fetch the "
            "model again, all of its files"
        )


def _indexed(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > LARGEST_SETTINGS:
            raise ValueError("it is too large")
        return list(json.loads(path.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EngineError(f"{path} is no list of weights ({error!r}); fetch the model again") from error


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
