"""Results that are kept beside the pipeline, where DVC does not see that what made them has changed."""

from __future__ import annotations

from pathlib import Path

from parammem.core.jsonl import write_text
from parammem.errors import ConfigError

MADE_WITH = "model.txt"
"""In the folder of the results: the digest of the model that they were made with."""


def of_one_model(folder: Path, model: Path) -> None:
    """See that the results in a folder are this model's, or note that those to come are.

    Raises:
        ConfigError: they are another model's.
    """
    from parammem.engines.digests import model_digest

    digest, note = model_digest(model), folder / MADE_WITH
    if not note.is_file():
        write_text(note, digest + "\n")
    elif (was := note.read_text(encoding="utf-8").strip()) != digest:
        raise ConfigError(
            f"the results in {folder} were made with a model of digest {was[:16]}, and {model} is {digest[:16]} now; "
            "remove that folder, and they are made anew"
        )
