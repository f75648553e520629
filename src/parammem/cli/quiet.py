"""Warnings of libraries: nothing that the reader of a command's output could do anything about."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import typer

from parammem.cli.say import say
from parammem.core.notice import Notice

LIBRARIES = ("transformers", "peft", "torch", "huggingface_hub", "datasets", "accelerate", "great_expectations")
VERBOSITY = {"TRANSFORMERS_VERBOSITY": "error", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1", "HF_HUB_VERBOSITY": "error"}
"""What the libraries read when they are imported, here and in processes that are started."""


def quiet_libraries() -> None:
    """Keep warnings of libraries from people; our own become a line."""
    for name, value in VERBOSITY.items():
        os.environ.setdefault(name, value)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", Notice)
    warnings.showwarning = _show


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"note: {message}", err=True, fg=typer.colors.YELLOW)
