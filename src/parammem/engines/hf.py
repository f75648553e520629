"""The engine over transformers (and PEFT): chat prompts in, sampled text out, through the decode loop of decode.py.

Models are ordinary Hugging Face folders, so a pocket model and an 8B model take the same path. The model is read when
it is first needed: a run that finds every completion in the cache never loads it.

Two runs give equal texts when their batches are equal. A request's random numbers never depend on its neighbours
(sampling.py), but floating-point sums do, in the last bit; a token changes by that about once in a million.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from parammem.core.record import digest_of
from parammem.core.words import count
from parammem.engines.adapters import AdapterFolder, check_adapter
from parammem.engines.base import Completion, Message, Request
from parammem.engines.decode import BatchLimits, DrawRow, OpenSession, decode
from parammem.engines.folders import find_model
from parammem.engines.loading import first_line, load_causal_model, load_tokenizer
from parammem.engines.sampling import messages_digest, uniforms
from parammem.engines.templates import render
from parammem.engines.tokenizing import places_of, text_of, tokens_of
from parammem.engines.vetting import Vetted, vet_model
from parammem.errors import AdapterError, AdapterMismatchError, EngineError, ParamMemError, RequestFailed

LOOP = {"float32": "decode-1", "bfloat16": "decode-2"}
"""Part of the digest. Raise it when the same request gets another text, so that no cache serves the old one."""
FAR_CHECK = 8
NO_LIMIT = 1 << 40
"""Tokens of a model that does not say how many it takes."""


@dataclass(frozen=True)
class HfSource:
    """What an engine is made of, checked, but not yet read into memory."""

    model: Vetted
    adapter: Path | None
    trained: AdapterFolder | None
    device: str
    dtype: str
    lean: bool

    @property
    def folder(self) -> Path:
        return self.model.folder


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    open_session: OpenSession
    eos: tuple[int, ...]
    pad: int


class HfEngine:
    """Writes text with a causal language model from a folder, with or without a LoRA adapter merged into it.

    `digest` names model, adapter, dtype and decode loop. `batch` is how many sequences are decoded together at most;
    `batch_tokens` bounds what their prompts and answers take.
    """

    def __init__(self, source: HfSource, digest: str, batch: int, batch_tokens: int = 0) -> None:
        self.source = source
        self.digest = digest
        self.batch = batch
        self.batch_tokens = batch_tokens

    @classmethod
    def load(
        cls,
        model: str | Path,
        adapter: Path | str | None = None,
        device: str = "auto",
        dtype: str = "float32",
        batch: int = 256,
        lean: bool = True,
        batch_tokens: int = 0,
    ) -> HfEngine:
        """Return an engine for a model folder (or hub name) and an adapter folder.

        Args:
            device: auto (cuda if there is one), cpu or cuda.
            dtype: float32 or bfloat16; what is on disk is converted.
            lean: allow the lean forward for models it fits (llama.py). False: always the model's own.
            batch_tokens: most tokens of prompts and answers that are in memory together; 0: `batch` alone bounds them.

        Raises:
            ModelMissingError: no model there.
            AdapterMissingError: the adapter folder lacks its weights or its adapter.json.
            AdapterMismatchError: the adapter was trained on another base, or is not what its adapter.json says.
            EngineError: something else than what was hashed would be loaded, or the folder has code of its own.
        """
        base = vet_model(find_model(model))
        path = None if adapter is None else Path(adapter)
        trained = None if path is None else check_adapter(path, base.digest, str(model), base)
        source = HfSource(base, path, trained, device, dtype, lean)
        named = [LOOP.get(dtype, dtype), base.digest, trained.digest if trained else "", dtype, *base.named]
        settings = [trained.settings] if trained else []
        return cls(source, digest_of(["hf", *named, *settings]), batch, batch_tokens)

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Return for each request its completions, in order. A completion's tokens include the end token.

        Raises:
            EngineError: the model could not be read or run.
        """
        if not requests:
            return []
        prompts = self._encode([request.messages for request in requests])
        rows = [row for request, ids in zip(requests, prompts, strict=True) for row in self._rows(request, ids)]
        loaded = self._loaded
        device = str(loaded.model.device)
        far = 1 if device == "cpu" else FAR_CHECK
        limits = BatchLimits(self.batch, loaded.eos, loaded.pad, device, self.batch_tokens, far)
        try:
            written = iter(decode(loaded.open_session, rows, limits))
        except (RuntimeError, IndexError, ValueError) as error:
            raise EngineError(
                f"the model in {str(self.source.folder)!r} failed while writing ({type(error).__name__}: {error}); "
                f"if memory ran out, set engine.batch_tokens (now {self.batch_tokens}; 0: no bound) in params.yaml, "
                f"or lower engine.batch (now {self.batch})"
            ) from error
        return [
            [self._completion(request, len(ids), next(written)) for _ in range(request.n)]
            for request, ids in zip(requests, prompts, strict=True)
        ]

    @cached_property
    def _loaded(self) -> _Loaded:
        return _load(self.source)

    def _encode(self, chats: Sequence[tuple[Message, ...]]) -> list[tuple[int, ...]]:
        tokenizer = self._loaded.tokenizer
        texts = render(tokenizer, chats, str(self.source.folder))
        prompts = tokens_of(tokenizer, texts, str(self.source.folder), places_of(self._loaded.model))
        longest = max(map(len, prompts))
        if longest >= self._room:
            raise RequestFailed(
                f"a prompt has {longest} tokens, and the model in {str(self.source.folder)!r} takes {self._room} of "
                "prompt and answer together; shorten the task (validate.max_task_words, fewer examples or pieces of "
                "advice), or take a model with a longer context"
            )
        return prompts

    @property
    def _room(self) -> int:
        """Tokens of prompt and answer together. An answer that would go beyond them ends there (finish: length)."""
        room = getattr(self._loaded.model.config, "max_position_embeddings", None)
        return room if isinstance(room, int) and room > 0 else NO_LIMIT

    def _rows(self, request: Request, ids: tuple[int, ...]) -> list[DrawRow]:
        chat = messages_digest(request)
        length, heat = min(request.max_tokens, self._room - len(ids)), request.temperature
        ended = partial(self._holds_stop, request.stop) if request.stop else None
        return [
            DrawRow(ids, length, heat, uniforms(request.seed, draw, chat, length), ended)
            for draw in range(request.first_draw, request.first_draw + request.n)
        ]

    def _text(self, ids: list[int]) -> str:
        return text_of(self._loaded.tokenizer, ids, str(self.source.folder))

    def _holds_stop(self, stop: tuple[str, ...], ids: list[int]) -> bool:
        text = self._text(ids)
        return any(end in text for end in stop)

    def _completion(self, request: Request, prompt_tokens: int, ids: list[int]) -> Completion:
        text = self._text(ids)
        places = [text.index(end) for end in request.stop if end in text]
        ended = bool(ids) and ids[-1] in self._loaded.eos
        if places:
            text, ids = text[: min(places)], self._up_to_stop(request.stop, ids)
        return Completion(
            text=text,
            finish="stop" if places or ended else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(ids),
        )

    def _up_to_stop(self, stop: tuple[str, ...], ids: list[int]) -> list[int]:
        """Return the shortest beginning that holds a stop string: when the loop noticed it does not change the
        count."""
        low, high = 1, len(ids)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._holds_stop(stop, ids[:middle]) else (middle + 1, high)
        return ids[:low]


def _load(source: HfSource) -> _Loaded:
    tokenizer = load_tokenizer(source.model)
    model = _on_device(source)
    eos = _end_tokens(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (eos[0] if eos else 0)
    return _Loaded(model=model, tokenizer=tokenizer, open_session=_session(model, source.lean), eos=eos, pad=pad)


def _on_device(source: HfSource) -> Any:
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # a bar for reading two megabytes hides the bars that matter
    where = ("cuda" if torch.cuda.is_available() else "cpu") if source.device == "auto" else source.device
    model = load_causal_model(source.model, source.dtype)
    if source.adapter is not None and source.trained is not None:
        model = _merged(model, source.adapter, source.trained)
    try:
        return model.to(device=where, dtype=getattr(torch, source.dtype)).eval()
    except (RuntimeError, AssertionError, ValueError) as error:
        raise EngineError(
            f"the model in {str(source.folder)!r} could not be put on {where} as {source.dtype} ({first_line(error)}); "
            "check that engine.device and engine.dtype fit this machine"
        ) from error


def _merged(model: Any, folder: Path, trained: AdapterFolder) -> Any:
    """Return the model with the adapter in its weights: every tensor of the adapter, and nothing else.

    Raises:
        AdapterMismatchError: the weights belong to another base, or not all of them have a place in it.
    """
    from peft import PeftModel, get_peft_model_state_dict

    tied = _tied(model)
    shared = sorted(name for name in trained.tensors if any(f".{module}." in name for module in tied))
    if shared:
        raise AdapterError(
            f"the adapter in {str(folder)!r} changes {shared[0]!r}, which its base uses for both input and output; "
            "merged into the weights it would be another adapter: train it without that module"
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found missing adapter keys")  # they are compared below
            tuned: Any = PeftModel.from_pretrained(model, str(folder), config=trained.lora.config())
        placed = set(get_peft_model_state_dict(tuned, save_embedding_layers=False))
        again = check_adapter(folder, None, "")
    except ParamMemError:
        raise
    except Exception as error:  # PEFT and safetensors raise whatever the file leads them to
        raise AdapterMismatchError(
            f"the adapter in {str(folder)!r} does not fit its base ({first_line(error)}); it was trained on another "
            "model, or a file is broken: fetch it again, or train it on this base"
        ) from error
    strange = sorted(placed ^ set(trained.tensors))
    if strange or (again.digest, again.settings) != (trained.digest, trained.settings):
        raise AdapterMismatchError(
            f"the weights in {str(folder)!r} and its adapter_config.json name different modules of the base "
            f"({count(len(strange), 'tensor')} on one side only: {', '.join(strange[:2])}); "
            "restore the folder (`dvc checkout`)"
        )
    return tuned.merge_and_unload()


def _tied(model: Any) -> set[str]:
    """Return names of the modules at the two ends of the model, where they have one matrix."""
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    if first is None or last is None or first.weight is not last.weight:
        return set()
    return {name for name, module in model.named_modules() if module is first or module is last}


def _session(model: Any, lean: bool) -> OpenSession:
    from parammem.engines.forward import HfSession
    from parammem.engines.llama import MAX_DECODE_PARAMETERS, LlamaSession, decode_weights, fits

    if lean and fits(model, MAX_DECODE_PARAMETERS):
        return partial(LlamaSession, decode_weights(model), trim=model.device.type == "cpu" and not fits(model))
    return partial(HfSession, model)


def _end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    configured = model.generation_config.eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    return tuple(dict.fromkeys(end for end in [*ends, tokenizer.eos_token_id] if end is not None))
