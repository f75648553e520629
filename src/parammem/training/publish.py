"""The adapter's folder: what is in it, written to a folder beside it first and renamed when it is whole.

Nothing in it depends on the clock, the machine or the run: equal rows, base and params give equal bytes.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.core import Adapter, ReflectionExample, digest_of
from parammem.core.adapter import CARD
from parammem.core.jsonl import write_text
from parammem.core.words import count
from parammem.engines.adapters import read_lora_settings, settings_digest
from parammem.engines.digests import ADAPTER_WEIGHTS, adapter_digest
from parammem.training.checkpoint import TrainingProgress

FORM = 2
"""Of the card that is written."""


@dataclass(frozen=True)
class Result:
    """What a finished run says of itself."""

    domain: str
    rows: list[ReflectionExample]
    """The learned ones, in order."""
    held_out: int
    """How many rows were kept from training."""
    base_model: str
    base_digest: str
    recipe: dict[str, Any]
    """Every training param, and the dtype, device and threads it ran with."""
    progress: TrainingProgress
    order: str = ""
    """Of a run of several processes: which learned from which rows at which step (order.csv)."""
    before: tuple[str, ...] = ()
    """Hashes of the rows that the adapter it went on from had learned."""
    base_extra: str = ""
    """Digest of further files of the base (`engines.digests.extra_digest`)."""
    max_advice_tokens: int | None = None
    """Where advice ends in this run."""

    @property
    def row_hashes(self) -> list[str]:
        """Every row that the weights have seen, each once."""
        own = [row.row_hash for row in self.rows]
        return list(dict.fromkeys((*self.before, *own))) if self.before else own


def publish(model: Any, result: Result, out: Path, weights: dict[str, Any] | None = None) -> Adapter:
    """Write the folder `out` from a trained PEFT model; an older folder there is replaced.

    Args:
        weights: the adapter's tensors, where the model has only its share of them.

    In it: adapter_model.safetensors, adapter_config.json (canonical), adapter.json (the Adapter record), rows.txt
    (row hashes in training order, one a line), losses.csv and README.md (the model card). A run of several processes
    adds order.csv: step, process, and the lines of rows.txt that it learned from.
    """
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # Without this argument PEFT asks the hub about the base model's vocabulary.
    model.save_pretrained(partial, save_embedding_layers=False, state_dict=weights)
    (partial / ADAPTER_WEIGHTS).chmod(0o644)
    _write_config(partial, model.peft_config["default"], result)
    adapter = _record(result, adapter_digest(partial), settings_digest(read_lora_settings(partial)))
    write_text(partial / CARD, json.dumps(adapter.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")
    write_text(partial / "rows.txt", "".join(f"{row}\n" for row in result.row_hashes))
    write_text(partial / "losses.csv", _losses_csv(result.progress))
    if result.order:
        write_text(partial / "order.csv", result.order)
    write_text(partial / "README.md", model_card(adapter, result))
    replace_folder(partial, out)
    return adapter


def written_name(base_model: Path | str) -> str:
    """Return how the base model is named in files: never by an absolute path.

    A folder inside the working directory is named relative to it, any other folder by its last part alone.
    """
    path = Path(base_model)
    if not path.is_absolute():
        return path.as_posix() if path.is_dir() else str(base_model)
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name


def _record(result: Result, digest: str, settings: str) -> Adapter:
    return Adapter(
        domain=result.domain,
        digest=digest,
        base_model=result.base_model,
        base_digest=result.base_digest,
        recipe=result.recipe,
        data_digest=digest_of(result.row_hashes),
        rows=len(result.row_hashes),
        steps=result.progress.step,
        held_out_loss=result.progress.curve[-1]["held_out_loss"],
        form=FORM,
        settings_digest=settings,
        base_extra_digest=result.base_extra,
        max_advice_tokens=result.max_advice_tokens,
    )


def _write_config(folder: Path, config: Any, result: Result) -> None:
    """Write adapter_config.json anew. PEFT's own file has an order of target modules that differs from run to run, and
    a path of this machine."""
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written |= {
        "base_model_name_or_path": result.base_model,
        "revision": result.base_digest,
        "target_modules": sorted(config.target_modules),
    }
    write_text(path, json.dumps(written, indent=2, sort_keys=True) + "\n")


def _losses_csv(progress: TrainingProgress) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["step", "loss", "held_out_loss", "lr"], lineterminator="\n")
    writer.writeheader()
    for line in progress.curve:
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in line.items()})
    return out.getvalue()


def replace_folder(partial: Path, out: Path) -> None:
    """Put a whole folder in the place of another. The moment in between has none, never a mixed one."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.replace(old)
    partial.replace(out)
    shutil.rmtree(old, ignore_errors=True)


def model_card(adapter: Adapter, result: Result) -> str:
    """Return README.md in the form of a Hugging Face model card, with this run's numbers."""
    first, last = result.progress.curve[0], result.progress.curve[-1]
    held = "no rows were held out" if last["held_out_loss"] is None else f"{last['held_out_loss']:.4f}"
    tasks = len({row.task_id for row in result.rows})
    labels = ", ".join(sorted({f"{row.label_source}/{row.part}" for row in result.rows}))
    outcomes = ", ".join(sorted({row.outcome for row in result.rows}))
    recipe = "\n".join(f"| {key} | {json.dumps(value)} |" for key, value in sorted(adapter.recipe.items()))
    return f"""---
base_model: {adapter.base_model}
library_name: peft
pipeline_tag: text-generation
tags: [lora, parammem, reflection, {adapter.domain}]
---

# ParamMem reflector for {adapter.domain}

A LoRA adapter that, given the text of a task, writes advice for solving it. It is *sampled*: ask for several pieces
at temperature 1. It was trained on reflections that came with experience on other tasks of the same kind, and it has
no use outside that kind.

| | |
|---|---|
| adapter digest | `{adapter.digest}` |
| base model | `{adapter.base_model}` (`{adapter.base_digest}`) |
| data digest | `{adapter.data_digest}`: {count(adapter.rows, "row")} over {count(tasks, "task")} (rows.txt) |
| labels | {labels}; what counted as success: {outcomes} |
| held-out rows | {result.held_out} |
| optimiser steps | {adapter.steps} |
| training loss per token | {first["loss"]:.4f} up to step {first["step"]}, {last["loss"]:.4f} at the end |
| held-out loss per token | {held} |

Loss is on the reflection and its end only. losses.csv has the curve.

## Load

```python
from parammem import ParamMem

reflector = ParamMem.load("THIS_FOLDER", base_model="BASE_MODEL_FOLDER")  # the base is found by itself in a checkout
for reflection in reflector.reflect(task_text, n=5, temperature=1.0, seed=0):
    print(reflection.text)
```

With PEFT alone: `PeftModel.from_pretrained(base, "THIS_FOLDER")`. The prompt is the domain's `advise` prompt.

## Recipe

| param | value |
|---|---|
{recipe}
"""
