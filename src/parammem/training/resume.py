"""Keep finished adapters until all adapters of a stage are, so that a killed stage resumes without training again.

DVC removes a stage's outs before it runs the stage, so what a killed stage had finished must be elsewhere. A kept
adapter's name is the digest of everything that decides its bytes, this code included.
"""

from __future__ import annotations

import shutil
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path

from parammem.core import Adapter, digest_of
from parammem.core.adapter import read_card
from parammem.core.notice import Notice
from parammem.engines import llama
from parammem.engines.adapters import read_lora_settings, settings_fit
from parammem.engines.digests import adapter_digest
from parammem.errors import ParamMemError
from parammem.training.publish import replace_folder


@cache
def code_version() -> str:
    """Return digest of the sources that make an adapter, and of the versions of what computes for them."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(llama.__file__)]
    sources = [path.read_text(encoding="utf-8") for path in files]
    return digest_of([sources, *(version(name) for name in ("torch", "transformers", "peft"))])


def kept_adapter(folder: Path) -> Adapter | None:
    """Return the adapter kept in this folder, or None. One whose weights are not what its card says is removed,
    aloud."""
    if not folder.is_dir():
        return None
    try:
        adapter = read_card(folder)
        if adapter.digest != adapter_digest(folder) or settings_fit(adapter, read_lora_settings(folder)) is False:
            raise ValueError("its weights or settings are not those that it names")
    except (OSError, ValueError, ParamMemError) as error:
        warnings.warn(
            f"the finished adapter kept in {folder} is broken ({error}); training it again",
            Notice,
            stacklevel=2,
        )
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return adapter


def copy_adapter(kept: Path, out: Path) -> None:
    """Copy a kept adapter to `out`, whole or not at all; an older folder there is replaced."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(kept, partial)
    replace_folder(partial, out)
