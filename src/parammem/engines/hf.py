"""The engine over transformers (and PEFT): chat prompts in, sampled text out, through the decode loop of decode.py.

Models are ordinary Hugging Face folders, so a pocket model and an 8B model take the same path. The model is read when
it is first needed: a run that finds every completion in the cache never loads it.

Two runs give equal texts when their batches are equal. A request's random numbers never depend on its neighbours
(sampling.py), but floating-point sums do, in the last bit; a token changes by that about once in a million.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from parammem.core.adapter import Adapter
from parammem.core.record import digest_of
from parammem.engines.base import Completion, Message, Request
from parammem.engines.decode import Limits, OpenSession, Row, decode
from parammem.engines.digests import adapter_digest, model_digest
from parammem.engines.folders import find_model
from parammem.engines.sampling import messages_digest, uniforms
from parammem.errors import AdapterMismatchError, AdapterMissingError, EngineError

LOOP = "decode-1"
"""Part of the digest. Raise it when the same request gets another text, so that no cache serves the old one."""
FAR_CHECK = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HfSource:
    """What an engine is made of, checked, but not yet read into memory."""

    folder: Path
    adapter: Path | None
    device: str
    dtype: str
    lean: bool


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    open_session: OpenSession
    eos: tuple[int, ...]
    pad: int


class HfEngine:
    """Writes text with a causal language model from a folder, with or without a LoRA adapter merged into it.

    `digest` names model, adapter, dtype and decode loop. `batch` is how many sequences are decoded together.
    """

    def __init__(self, source: HfSource, digest: str, batch: int) -> None:
        self.source = source
        self.digest = digest
        self.batch = batch

    @classmethod
    def load(
        cls,
        model: str | Path,
        adapter: Path | str | None = None,
        device: str = "auto",
        dtype: str = "float32",
        batch: int = 256,
        lean: bool = True,
    ) -> HfEngine:
        """An engine for a model folder (or hub name) and an adapter folder.

        Args:
            device: auto (cuda if there is one), cpu or cuda.
            dtype: float32 or bfloat16; what is on disk is converted.
            lean: allow the lean forward for models it fits (llama.py). False: always the model's own.

        Raises:
            ModelMissingError: no model there.
            AdapterMissingError: the adapter folder lacks its weights or its adapter.json.
            AdapterMismatchError: the adapter was trained on another base, or is not what its adapter.json says.
        """
        folder = find_model(model)
        base = model_digest(folder)
        path = None if adapter is None else Path(adapter)
        trained = "" if path is None else check_adapter(path, base, str(model))
        source = HfSource(folder=folder, adapter=path, device=device, dtype=dtype, lean=lean)
        return cls(source, digest_of(["hf", LOOP, base, trained, dtype]), batch)

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """For each request its completions, in order. A completion's tokens include the end token.

        Raises:
            EngineError: the model could not be read or run.
        """
        if not requests:
            return []
        prompts = self._encode([request.messages for request in requests])
        rows = [row for request, ids in zip(requests, prompts, strict=True) for row in self._rows(request, ids)]
        loaded = self._loaded
        device = str(loaded.model.device)
        limits = Limits(self.batch, loaded.eos, loaded.pad, device, 1 if device == "cpu" else FAR_CHECK)
        try:
            written = iter(decode(loaded.open_session, rows, limits))
        except (RuntimeError, IndexError, ValueError) as error:
            raise EngineError(
                f"the model in {str(self.source.folder)!r} failed while writing ({type(error).__name__}: {error}); "
                f"if memory ran out, lower engine.batch (now {self.batch}) in params.yaml"
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
        if not tokenizer.chat_template:
            raise EngineError(f"the tokenizer in {str(self.source.folder)!r} has no chat template; add one to it")
        texts = [
            tokenizer.apply_chat_template(
                [{"role": m.role, "content": m.content} for m in chat], add_generation_prompt=True, tokenize=False
            )
            for chat in chats
        ]
        prompts = [tuple(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
        room = getattr(self._loaded.model.config, "max_position_embeddings", None)
        longest = max(map(len, prompts))
        if room and longest > room:
            log.warning("a prompt of %d tokens is longer than the %d the model knows; expect poor text", longest, room)
        return prompts

    def _rows(self, request: Request, ids: tuple[int, ...]) -> list[Row]:
        chat = messages_digest(request)
        length, heat = request.max_tokens, request.temperature
        ended = partial(self._holds_stop, request.stop) if request.stop else None
        return [
            Row(ids, length, heat, uniforms(request.seed, draw, chat, length), ended)
            for draw in range(request.first_draw, request.first_draw + request.n)
        ]

    def _text(self, ids: list[int]) -> str:
        return self._loaded.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

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
        """The shortest beginning that holds a stop string: when the loop noticed it does not change the count."""
        low, high = 1, len(ids)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._holds_stop(stop, ids[:middle]) else (middle + 1, high)
        return ids[:low]


def check_adapter(folder: Path, base_digest: str | None, base_name: str) -> str:
    """The digest of an adapter folder whose adapter.json fits its weights and this base (None: it is not known here).

    Raises:
        AdapterMissingError: no weights or no adapter.json.
        AdapterMismatchError: another base, or other weights than adapter.json says.
    """
    digest = adapter_digest(folder)
    card = folder / "adapter.json"
    if not card.is_file():
        raise AdapterMissingError(
            f"no adapter.json in {str(folder)!r}: it says which base the adapter belongs to; "
            "train one with `dvc repro train`"
        )
    adapter = Adapter.model_validate_json(card.read_text(encoding="utf-8"))
    if base_digest is not None and adapter.base_digest != base_digest:
        raise AdapterMismatchError(
            f"the adapter in {str(folder)!r} was trained on {adapter.base_model!r} ({adapter.base_digest[:12]}), "
            f"but the base is {base_name!r} ({base_digest[:12]}); point engine.model at its base, or train it again"
        )
    if adapter.digest != digest:
        raise AdapterMismatchError(
            f"the weights in {str(folder)!r} are {digest[:12]}, its adapter.json says {adapter.digest[:12]}: "
            "the folder was changed after training; restore it (`dvc checkout`) or train it again"
        )
    return digest


def _load(source: HfSource) -> _Loaded:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source.folder), local_files_only=True)
    model = load_model(source.folder, source.adapter, source.device, source.dtype)
    eos = _end_tokens(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (eos[0] if eos else 0)
    return _Loaded(model=model, tokenizer=tokenizer, open_session=_session(model, source.lean), eos=eos, pad=pad)


def load_model(folder: Path, adapter: Path | None = None, device: str = "auto", dtype: str = "float32") -> Any:
    """A transformers model in evaluation mode, the adapter merged into its weights.

    Raises:
        EngineError: the folder cannot be read as a model, or there is no such device.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # a bar for reading two megabytes hides the bars that matter
    kind = getattr(torch, dtype)
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(str(folder), dtype=kind, local_files_only=True)
        if adapter is not None:
            from peft import PeftModel

            tuned: Any = PeftModel.from_pretrained(model, str(adapter))
            model = tuned.merge_and_unload()
        return model.to(device=where, dtype=kind).eval()
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise EngineError(
            f"the model in {str(folder)!r} could not be loaded on {where} as {dtype}: {error}; "
            "check that the folder is whole and engine.device and engine.dtype fit this machine"
        ) from error


def _session(model: Any, lean: bool) -> OpenSession:
    from parammem.engines.forward import HfSession
    from parammem.engines.llama import LlamaSession, fits, take_weights

    if lean and fits(model):
        return partial(LlamaSession, take_weights(model))
    return partial(HfSession, model)


def _end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    configured = model.generation_config.eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    return tuple(dict.fromkeys(end for end in [*ends, tokenizer.eos_token_id] if end is not None))
