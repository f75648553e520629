"""Refuses a tokenizer's files that ask for more memory or time than any tokenizer needs, before a library reads them.

A tokenizer.json is a small program: steps that rewrite a text, cut it, and put tokens around it. An untrusted one can
make one character into gigabytes, repeat a text without end, or add a billion tokens. What the steps may add is
therefore bounded here. How long a pattern takes on a text cannot be seen from the pattern: tokenizing.py bounds it.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from parammem.engines.digests import LARGEST_SETTINGS

Step = dict[str, Any]
MOST_STEPS = 64
"""Of one tokenizer; the longest known have about a dozen."""
LONGEST_TEXT = 256
"""Bytes of any text that a step puts in, and of a special token."""
LONGEST_PATTERN = 4000
"""Characters; the longest known have some 700."""
LARGEST_NUMBER = 10_000
MOST_EXTRA = 1000
"""Of any number in tokenizer_config.json that may make tokens; T5 has 100."""
MOST_GROWTH = 1000
"""Times that all steps together may make a text longer; the known ones stay under 100."""
MOST_ADDED = 100_000
"""Tokens beside the vocabulary: models of pictures have 33,000."""
KINDS = {
    "normalizer": ("normalizers", (
        "Sequence", "BertNormalizer", "Strip", "StripAccents", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt",
        "Precompiled", "Replace", "Prepend", "ByteLevel",
    )),
    "pre_tokenizer": ("pretokenizers", (
        "Sequence", "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Metaspace", "Whitespace", "Split",
        "Punctuation", "WhitespaceSplit", "Digits", "UnicodeScripts", "FixedLength",
    )),
    "post_processor": ("processors", (
        "Sequence", "RobertaProcessing", "BertProcessing", "ByteLevel", "TemplateProcessing",
    )),
    "decoder": ("decoders", (
        "Sequence", "BPEDecoder", "ByteLevel", "WordPiece", "Metaspace", "CTC", "Replace", "Fuse", "Strip",
        "ByteFallback",
    )),
}  # fmt: skip
"""Each part's steps: under which name a sequence lists them, and the kinds whose cost is known."""
GROWTH = {"NFC": 3, "NFD": 4, "NFKC": 11, "NFKD": 11, "Lowercase": 2, "BertNormalizer": 3, "ByteLevel": 2,
          "Metaspace": 4}  # fmt: skip
"""Times that a step of this kind makes a text longer at most; all others leave its length, or say what they put in."""
TOKENS = ("_id", ".sep", ".cls")
"""Ends of names in tokenizer.json whose numbers name tokens."""
FREE_NUMBERS = ("length", "_len", "_id", "size", "version")
"""Ends of names in tokenizer_config.json whose numbers nothing is made by."""


def check_tokenizer_json(path: Path) -> None:
    """See that a tokenizer.json costs what tokenizers cost. Raises ValueError saying what in it does not."""
    if path.stat().st_size > LARGEST_SETTINGS:
        raise ValueError(f"it is larger than {LARGEST_SETTINGS >> 20} MiB")
    check_tokenizer(path.read_bytes())


def check_tokenizer(data: bytes | str) -> None:
    """See that a tokenizer costs what tokenizers cost.

    Args:
        data: what a tokenizer.json holds.

    Raises:
        ValueError: what in it does not, or that it is no JSON object.
    """
    try:
        found = json.loads(data, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    _check_added(found.get("added_tokens"))
    _check_model(found.get("model"))
    steps = [(part, step) for part in KINDS for step in _steps(part, found.get(part))]
    if len(steps) > MOST_STEPS:
        raise ValueError(f"it has {len(steps)} steps; at most {MOST_STEPS} are taken")
    growth = {"texts": 1.0, "decoder": 1.0}
    for part, step in steps:
        growth["decoder" if part == "decoder" else "texts"] *= _cost(part, step)
    if max(growth.values()) > MOST_GROWTH:
        raise ValueError(
            f"its steps may make a text {max(growth.values()):,.0f} times as long; at most {MOST_GROWTH:,} is taken"
        )


def check_tokenizer_settings(settings: dict[str, Any]) -> None:
    """See that a tokenizer_config.json makes no tokens without end. Raises ValueError naming the setting."""
    for name, value in settings.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not abs(value) <= MOST_EXTRA and not name.endswith(FREE_NUMBERS):
            raise ValueError(f"{name} is {value:g}; at most {MOST_EXTRA:,} is taken")
        if isinstance(value, dict | list) and len(value) > MOST_ADDED:
            raise ValueError(f"{name} has {len(value):,} entries; at most {MOST_ADDED:,} are taken")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's pairs as a mapping. Raises ValueError where a name is there twice: a library may take
    another one of two equal names than was checked."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name in it stands twice in one object")
    return made


def _check_added(tokens: Any) -> None:
    if tokens is None:
        return
    if not isinstance(tokens, list) or len(tokens) > MOST_ADDED:
        raise ValueError(f"its added_tokens are no list of at most {MOST_ADDED:,} tokens")
    for token in tokens:
        _text("added_tokens", token.get("content") if isinstance(token, dict) else token)


def _check_model(model: Any) -> None:
    if not isinstance(model, dict):
        raise ValueError("it has no model")
    if model.get("dropout"):
        raise ValueError("its model has a dropout, so that equal texts become other tokens each time; set it to null")
    for name, value in model.items():
        if name not in ("vocab", "merges"):
            _bounded(f"model.{name}", value)


def _steps(part: str, given: Any, depth: int = 0) -> Iterator[Step]:
    """Yield the steps of one part in their order, sequences unfolded."""
    if given is None:
        return
    inner, kinds = KINDS[part]
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in kinds:
        raise ValueError(f"its {part} has a step of the kind {str(kind)[:40]!r}; known are {', '.join(kinds)}")
    if kind != "Sequence":
        yield given
        return
    listed = given.get(inner)
    if not isinstance(listed, list) or len(listed) > MOST_STEPS or depth > MOST_STEPS:
        raise ValueError(f"its {part} has a sequence that is no list of at most {MOST_STEPS} steps")
    for step in listed:
        yield from _steps(part, step, depth + 1)


def _cost(part: str, step: Step) -> float:
    """Return how many times longer a step makes a text at most. Raises ValueError for one that asks for too much."""
    kind = step["type"]
    special: dict[str, Callable[[Step], float]] = {
        "Precompiled": _precompiled,
        "TemplateProcessing": _template,
        "Split": _split,
        "Replace": _replace_decoder if part == "decoder" else _replace,
    }
    if kind in special:
        return special[kind](step)
    for name, value in step.items():
        _bounded(f"{part}.{name}", value)
    if kind == "FixedLength" and step.get("length") == 0:
        raise ValueError("its pre_tokenizer cuts texts into pieces of length 0")
    return GROWTH.get(kind, 1)


def _precompiled(step: Step) -> float:
    """Return how many times longer a text becomes by a table from SentencePiece: a search tree, then the texts to put
    in, each ended by a NUL."""
    try:
        table = base64.b64decode(step["precompiled_charsmap"] or "", validate=True)
        (size,) = struct.unpack_from("<I", table) if table else (0,)
    except (ValueError, KeyError, TypeError, struct.error):
        raise ValueError("the table of its normalizer cannot be read") from None
    longest = max(map(len, table[4 + size :].split(b"\0")))
    if longest > LONGEST_TEXT:
        raise ValueError(f"its normalizer puts in a text of {longest:,} bytes; at most {LONGEST_TEXT} are taken")
    return max(1.0, longest / 3)  # ﷺ, the longest in Unicode, has three bytes and becomes 33


def _replace(step: Step) -> float:
    pattern, literal = _pattern(step)
    put = len(_text("Replace", step.get("content")).encode())
    if literal and pattern:
        return max(1.0, put / len(pattern.encode()))
    return 1.0 + put  # a regular expression may find nothing between any two characters


def _replace_decoder(step: Step) -> float:
    """Return how many times longer a decoder's replacement makes a text. Tokens can be as long as the file, and no
    known decoder looks for regular expressions in them."""
    if not _pattern(step)[1]:
        raise ValueError("its decoder replaces by a regular expression; only plain texts are taken there")
    return _replace(step)


def _split(step: Step) -> float:
    _pattern(step)
    return 1


def _pattern(step: Step) -> tuple[str, bool]:
    """Return what a step looks for, and whether that is a plain text."""
    pattern = step.get("pattern")
    if not isinstance(pattern, dict) or len(pattern) != 1 or not {*pattern} <= {"String", "Regex"}:
        raise ValueError(f"a pattern of the step {step['type']} is neither a String nor a Regex")
    ((kind, text),) = pattern.items()
    if not isinstance(text, str) or len(text) > LONGEST_PATTERN:
        raise ValueError(f"a pattern of the step {step['type']} is no text of at most {LONGEST_PATTERN} characters")
    return text, kind == "String"


def _template(step: Step) -> float:
    """Return how many times longer a text becomes by what is put around it: the text once, and a few tokens."""
    for name, texts in (("single", "A"), ("pair", "AB")):
        pieces = step.get(name)
        if not isinstance(pieces, list) or len(pieces) > MOST_STEPS or not all(isinstance(one, dict) for one in pieces):
            raise ValueError(f"{name} of its post_processor is no list of at most {MOST_STEPS} pieces")
        found = [str((one.get("Sequence") or {}).get("id")) for one in pieces if "Sequence" in one]
        if len(found) != len(set(found)) or not {*found} <= {*texts}:
            raise ValueError(f"{name} of its post_processor repeats a text ({', '.join(found)[:40]})")
    tokens = step.get("special_tokens")
    if not isinstance(tokens, dict) or len(tokens) > MOST_STEPS:
        raise ValueError(f"special_tokens of its post_processor are not at most {MOST_STEPS}")
    for token in tokens.values():
        _bounded("special_tokens", {key: value for key, value in dict(token).items() if key != "ids"})
        if not isinstance(token.get("ids"), list) or len(token["ids"]) > MOST_STEPS:
            raise ValueError(f"a special token of its post_processor stands for more than {MOST_STEPS} tokens")
    return 1


def _bounded(name: str, value: Any) -> None:
    """Check that texts, numbers and lists of a step, however nested, have a size that a tokenizer needs."""
    if isinstance(value, str):
        _text(name, value)
    elif isinstance(value, dict | list):
        if len(value) > MOST_STEPS:
            raise ValueError(f"{name} has {len(value):,} entries; at most {MOST_STEPS} are taken")
        for one in value.values() if isinstance(value, dict) else value:
            _bounded(name, one)
    elif isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER and not name.endswith(TOKENS):
        raise ValueError(f"{name} is {value:g}; at most {LARGEST_NUMBER:,} is taken")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(f"a text of {name} is none of at most {LONGEST_TEXT} characters")
    return value
