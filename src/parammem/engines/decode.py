"""The decode loop: prompts and draws in, token ids out. It depends on no text, file or model, only on Sessions.

Draws of one prompt share its prefill; rows are sorted so that equal work is together; prompts are padded on the left
to a multiple of BUCKET; rows that have ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parammem.engines.progress import PROGRESS
from parammem.engines.sampling import GREEDY, pick

if TYPE_CHECKING:
    import torch

    from parammem.engines.forward import Session

BUCKET = 16
STOP_EVERY = 8
"""Stop strings are looked for after every so many tokens; the surplus is cut off at the end."""
SHRINK = 0.85
"""The batch is compacted when no more than this share of its rows is alive."""

OpenSession = Callable[["torch.Tensor", "torch.Tensor"], "Session"]


@dataclass(frozen=True)
class DrawRow:
    """One draw of one prompt."""

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float
    uniforms: np.ndarray
    """[max_tokens] float64 in [0, 1)."""
    ended: Callable[[list[int]], bool] | None = None
    """Whether these tokens hold a stop string. None: there is no stop string."""


@dataclass(frozen=True)
class BatchLimits:
    """What a batch is made for."""

    batch: int
    eos: tuple[int, ...]
    pad: int
    device: str
    tokens: int = 0
    """Most tokens in flight, prompts with space for their answers; a row that needs more runs alone. 0: no bound."""
    check_every: int = 1
    """Ask every so many steps whether rows have ended: on a GPU each question waits for the device."""


def decode(open_session: OpenSession, rows: Sequence[DrawRow], limits: BatchLimits) -> list[list[int]]:
    """Return the tokens of each row, in order, the end token included if there is one."""
    import torch

    written: list[list[int]] = [[] for _ in rows]
    with torch.inference_mode():
        for numbers in _in_memory(rows, _batches(rows, limits.batch), limits.tokens):
            tokens = _run([rows[n] for n in numbers], open_session, limits)
            for number, ids in zip(numbers, tokens, strict=True):
                written[number] = ids
    return written


def _batches(rows: Sequence[DrawRow], batch: int) -> Iterator[list[int]]:
    """Yield row numbers in batches: prompts with equally many draws together, then equal lengths; a prompt's rows in
    line."""
    of_prompt: dict[tuple[int, ...], list[int]] = {}
    for number, row in enumerate(rows):
        of_prompt.setdefault(row.prompt, []).append(number)

    def cost(prompt: tuple[int, ...]) -> tuple:
        numbers = of_prompt[prompt]
        return -len(numbers), len(prompt), max(rows[n].max_tokens for n in numbers), prompt

    waiting: list[int] = []
    for prompt in sorted(of_prompt, key=cost):
        numbers = of_prompt[prompt]
        if waiting and len(waiting) + len(numbers) > batch:
            yield waiting
            waiting = []
        waiting = waiting + numbers
        while len(waiting) >= batch:
            yield waiting[:batch]
            waiting = waiting[batch:]
    if waiting:
        yield waiting


def _in_memory(rows: Sequence[DrawRow], batches: Iterable[list[int]], most: int) -> Iterator[list[int]]:
    """Yield the batches, parted where their rows would need more than `most` tokens together (0: as they are)."""
    for batch in batches:
        part: list[int] = []
        widest = 0
        for number in batch if most else []:
            width = _width(len(rows[number].prompt)) + rows[number].max_tokens
            if part and (len(part) + 1) * max(widest, width) > most:
                yield part
                part, widest = [], 0
            part, widest = [*part, number], max(widest, width)
        yield part if most else batch


def _width(tokens: int) -> int:
    return -(-tokens // BUCKET) * BUCKET


def _run(rows: list[DrawRow], open_session: OpenSession, limits: BatchLimits) -> list[list[int]]:
    """Decode one batch, from prefill to its last token. Rows of one prompt are side by side."""
    import torch

    prompts = list(dict.fromkeys(row.prompt for row in rows))
    place = {prompt: number for number, prompt in enumerate(prompts)}
    groups = torch.tensor([place[row.prompt] for row in rows], device=limits.device)
    session = open_session(*_pad(prompts, limits))
    session.spread(groups)
    logits = session.logits[groups]
    state = _State.of(rows, limits)
    for at in range(state.out.shape[1]):
        tokens = state.write(at, logits)
        PROGRESS.tokens += len(tokens)
        if (at + 1) % limits.check_every == 0 or at + 1 == state.out.shape[1]:
            alive = state.shrink(at)
            if alive is not None and not len(alive):
                break
            if alive is not None:
                session.keep(alive)
                tokens = tokens[alive]
        logits = session.step(tokens)
    return [_cut(ids, row.max_tokens, limits.eos) for ids, row in zip(state.out.tolist(), rows, strict=True)]


def _pad(prompts: list[tuple[int, ...]], limits: BatchLimits) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask [prompts, width], left-padded to the next multiple of BUCKET (not at all if lengths are
    equal)."""
    import torch

    longest = max(map(len, prompts))
    width = longest if len(set(map(len, prompts))) == 1 else _width(longest)
    ids = torch.full((len(prompts), width), limits.pad)
    mask = torch.zeros_like(ids)
    for number, prompt in enumerate(prompts):
        ids[number, width - len(prompt) :] = torch.tensor(prompt)
        mask[number, width - len(prompt) :] = 1
    return ids.to(limits.device), mask.to(limits.device)


@dataclass
class _State:
    """What the loop keeps of its rows. `out` has all rows; the rest follows the live ones, named by `numbers`."""

    rows: list[DrawRow]
    limits: BatchLimits
    out: torch.Tensor
    numbers: torch.Tensor
    done: torch.Tensor
    until: torch.Tensor
    temperature: torch.Tensor | None
    uniforms: torch.Tensor
    eos: torch.Tensor

    @classmethod
    def of(cls, rows: list[DrawRow], limits: BatchLimits) -> _State:
        import torch

        device, count = limits.device, len(rows)
        longest = max(row.max_tokens for row in rows)
        numbers = np.zeros((count, longest))
        for place, row in enumerate(rows):
            numbers[place, : row.max_tokens] = row.uniforms
        heat = [row.temperature for row in rows]
        return cls(
            rows=rows,
            limits=limits,
            out=torch.full((count, longest), limits.pad, device=device),
            numbers=torch.arange(count, device=device),
            done=torch.zeros(count, dtype=torch.bool, device=device),
            until=torch.tensor([row.max_tokens for row in rows], device=device),
            temperature=torch.tensor(heat, device=device) if max(heat) > GREEDY else None,
            uniforms=torch.from_numpy(numbers).to(device),
            eos=torch.tensor(limits.eos, device=device),
        )

    def write(self, at: int, logits: torch.Tensor) -> torch.Tensor:
        """Choose the token at place `at` of each live row, and note which rows have ended."""
        import torch

        tokens = pick(logits, self.temperature, self.uniforms[:, at])
        self.out[self.numbers, at] = tokens
        self.done |= torch.isin(tokens, self.eos) | (self.until <= at + 1)
        return tokens

    def shrink(self, at: int) -> torch.Tensor | None:
        """Drop ended rows where that pays. Returns which places stay (none: all is done), or None for no change."""
        if (at + 1) % STOP_EVERY == 0:
            self._find_stops(at + 1)
        alive = (~self.done).nonzero()[:, 0]
        if len(alive) > SHRINK * len(self.done):
            return None
        self.numbers, self.done, self.until = self.numbers[alive], self.done[alive], self.until[alive]
        self.uniforms = self.uniforms[alive]
        self.temperature = None if self.temperature is None else self.temperature[alive]
        return alive

    def _find_stops(self, length: int) -> None:
        watched = [
            (place, number, ended)
            for place, (number, done) in enumerate(zip(self.numbers.tolist(), self.done.tolist(), strict=True))
            if not done and (ended := self.rows[number].ended) is not None
        ]
        if not watched:
            return
        texts = self.out[[number for _, number, _ in watched], :length].tolist()
        for (place, _, ended), ids in zip(watched, texts, strict=True):
            self.done[place] = ended(ids)


def _cut(ids: list[int], max_tokens: int, eos: tuple[int, ...]) -> list[int]:
    ends = (place + 1 for place, token in enumerate(ids[:max_tokens]) if token in eos)
    return ids[: next(ends, max_tokens)]
