"""What can be seen in a text without a model: words, code, stray tokens, broken encoding, language, copied spans."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"\w+|[<>=+*/%^]")
_ROUND = re.compile(r"\w+")

# What may be long has a bound: from each place where a pattern begins it reads a few hundred characters at most, so
# that a search is linear in the text (tests/test_patterns.py).
# One of these is code wherever it stands.
_CODE_STRONG = re.compile(
    r"```|~~~|\bdef\s+\w+\s*\(|\blambda\s*+[\w ,]{0,300}+:|^[^\S\n]*(?:from\s+\w+\s+)?import\s+\w+|\bclass\s+\w+\s*[:(]"
    r"|\bfor\s+\w+\s+in\s[^.;]{0,300}:|^[^\S\n]*(?:if|while|elif)\b[^.;]{0,300}:\s*(?:$|\w+\s*=|return\b)"
    r"|^[^\S\n]*return\s+\w+\s*[\[(+*/=<>]",
    re.MULTILINE,
)
# These also occur in prose about code ("call sorted(xs)"), so prose may hold one or two of them.
_CODE_WEAK = re.compile(
    r"\b[A-Za-z_]\w*\s*[+*/-]?=(?!=)\s*\S|\b\w+\s?\([^)\w]{0,300}\w[^)]{0,300}\)|\w\[[^\]]{0,300}\]"
    r"|\w\s[*/+%]\s\(?\w|\w\s-\s\(?\w|[<>=]=|\breturn\s+\w+\s*$",
    re.MULTILINE,
)
_PROSE_WEAK_LIMIT = 3

_STRAY = re.compile(
    r"</?s>|<\|[^|>]{1,40}\|>|\[/?INST\]|<</?SYS>>|<(?:pad|unk|bos|eos|mask)>|\[(?:PAD|UNK|CLS|SEP|MASK)\]"
    r"|<(?:start|end)_of_turn>|\ufffd?<0x[0-9A-F]{2}>|</?think>|[ĠĊ▁]",
    re.IGNORECASE,
)
# UTF-8 read as Latin-1 or Windows-1252 leaves these pairs; the replacement character says that a decoder gave up.
_MOJIBAKE = re.compile("\ufffd|[ÃÂâÐÑ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ¡-¿]")

_FOREIGN = {
    "de": "der die das und ist nicht ein eine einen mit für auf von zu den dem wird werden auch wenn oder nur bei",
    "fr": "le la les des et est une pour dans que qui pas avec sur du au sont il elle nous vous cette mais ou",
    "es": "el los las una y es para con que por del se no lo como pero está son su al más cuando sin",
    "it": "il lo gli una e è per con che non di del della sono nel come ma anche se più questo alla",
    "pt": "o os as uma e é para com que não do da em se por mais como mas ao dos quando sem",
    "nl": "de het een en is niet van voor met op dat die te zijn wordt ook als maar bij naar",
}
_FOREIGN_WORDS = {name: frozenset(text.split()) for name, text in _FOREIGN.items()}
_ENGLISH_TEXT = (
    "the a an of to and in is are be for with that this if it not on or as at by from when you your should each all "
    "before after only into use make sure do"
)
_ENGLISH = frozenset(_ENGLISH_TEXT.split())
_ITEM_NUMBER = re.compile(r"^[^\S\n]*+\d{1,4}[.):]", re.MULTILINE)
LONG_TEXT, LONG_LINE = 12, 4
"""Words from which on a text alone, or a line among others, is expected to end as a sentence does."""
_START = r"(?:^|[.!?:] |^\d{1,2}[.)] )"
_WHICH = r"(?:first|second|failed|successful|other)"
# An attempt as a sentence's subject, or a run that is pointed at: "after a failed attempt to log in" is about the work.
_RUN = re.compile(
    rf"{_START}(?:the|this|that|both|these|those) (?:{_WHICH} )?attempts?\b"
    rf"|{_START}the {_WHICH} (?:agent|function|implementation|program|run)\b"
    rf"|\b(?:in|of|from|unlike|with) (?:this|that|these|those|both|the {_WHICH}) (?:attempts?|runs?)\b",
    re.IGNORECASE | re.MULTILINE,
)
FENCES = ("```", "~~~")
LONGEST_LOOP = 60
"""Words of the longest repeated part that is looked for."""
_PRIME = 2**127 - 1
_BASE = int.from_bytes(hashlib.blake2b(b"runs of words", digest_size=15).digest(), "big")


def words(text: str) -> list[str]:
    """Return lower-case words and comparison or arithmetic signs; other punctuation and all spacing is dropped.

    Signs stay because `a < b` and `a > b` are different questions.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def word_count(text: str) -> int:
    """Return how many words a person would count."""
    return len(_ROUND.findall(text))


def holds_code(text: str, plain: bool) -> bool:
    """Return true if the text writes code. `plain`: the language has no use for signs, so one sign of code is
    enough."""
    if _CODE_STRONG.search(text):
        return True
    found = len(_CODE_WEAK.findall(text))
    return found >= (1 if plain else _PROSE_WEAK_LIMIT)


def holds_answer(text: str) -> bool:
    """Return true if a line or clause is one of a solution in the pocket language, and no advice."""
    return any(words(part)[:1] in (["answer"], ["plan"], ["hop"]) for part in clauses(text))


def holds_stray_tokens(text: str) -> bool:
    """Return true if special tokens of a tokenizer or chat template are left in the text."""
    return _STRAY.search(text) is not None


def holds_control(text: str) -> bool:
    """Return true if there is an invisible character: controls but tab and newline, bidi marks, private
    use."""
    return any(unicodedata.category(mark) in {"Cc", "Cf", "Co", "Cs", "Cn"} and mark not in "\n\t" for mark in text)


def is_garbled(text: str) -> bool:
    """Return true if bytes were decoded wrongly, or under half of the visible characters are letters, digits or
    spaces."""
    if _MOJIBAKE.search(text):
        return True
    visible = [mark for mark in text if not mark.isspace()]
    return len(visible) > 8 and sum(mark.isalnum() for mark in visible) < 0.5 * len(visible)


def is_foreign(text: str) -> bool:
    """Return true if the text is not English: another script, or function words of another language outnumber English
    ones."""
    letters = [mark for mark in text if mark.isalpha()]
    if letters and sum(ord(mark) < 0x250 for mark in letters) < 0.8 * len(letters):
        return True
    found = _ROUND.findall(text.casefold())
    english = sum(word in _ENGLISH for word in found)
    other = max(sum(word in known for word in found) for known in _FOREIGN_WORDS.values())
    return other >= 3 and other > 2 * english


def copied_run(advice: str, task: str) -> int:
    """Return words in the longest run of the advice that stands word for word in the task."""
    left, right = words(advice), words(task)
    low, high = 0, min(len(left), len(right))
    while low < high:  # a shared run of n words holds shared runs of all smaller lengths
        size = (low + high + 1) // 2
        if _runs(left, size).isdisjoint(_runs(right, size)):
            high = size - 1
        else:
            low = size
    return low


def _runs(said: list[str], size: int) -> set[int]:
    """Return hashes of all runs of so many words, each made from the one before it: linear, whatever the size.

    Two different runs get the same 122-bit number with a chance below 1e-20, so that equal numbers are equal runs.
    """
    value, top = 0, pow(_BASE, size - 1, _PRIME)
    found = set()
    for place, word in enumerate(said):
        if place >= size:
            value -= _number(said[place - size]) * top
        value = (value * _BASE + _number(word)) % _PRIME
        if place >= size - 1:
            found.add(value)
    return found


@lru_cache(maxsize=100_000)
def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=15).digest(), "big")


def ends_sentence(text: str) -> bool:
    """Return true if the text ends as a sentence does."""
    return text.rstrip().rstrip("\"'`)]*").endswith((".", "?", "!", ":"))


def is_cut(text: str) -> bool:
    """Return true if prose stops in the middle: its last line ends no sentence, though it is long or the other lines
    do.

    Lists of phrases, whose lines end no sentences at all, and code blocks are whole. A block that is left open is not.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or ends_sentence(lines[-1].rstrip("$”’\\")):
        return False
    if sum(line.startswith(FENCES) for line in lines) % 2:
        return True
    if lines[-1].startswith(FENCES):
        return False
    earlier = [line for line in lines[:-1] if word_count(line) >= LONG_LINE]
    if not earlier:
        return len(lines) == 1 and word_count(text) >= LONG_TEXT
    return sum(map(ends_sentence, earlier)) > len(earlier) / 2


def holds_loop(text: str) -> bool:
    """Return true if the same words stand several times in a row, as in text of a model that runs in circles.

    Copies count when there are four or more, of a dozen words together, or three of eight words each. Numbers of list
    items are left out, since lists count on while they repeat themselves.
    """
    said = _ROUND.findall(_ITEM_NUMBER.sub("", text.casefold()))
    for period in range(1, min(LONGEST_LOOP, len(said) // 3) + 1):
        run = 0
        for place in range(period, len(said)):
            run = run + 1 if said[place] == said[place - period] else 0
            copies = run // period + 1
            if (copies >= 4 and copies * period >= 12) or (copies >= 3 and period >= 8):
                return True
    return False


def speaks_of_run(text: str) -> bool:
    """Return true if the text speaks of an attempt or a run, as of one that its reader has seen."""
    return _RUN.search(text) is not None


def clauses(advice: str) -> list[str]:
    """Return the parts of an advice in the pocket language."""
    return [part.strip() for part in re.split(r"[;\n]|\s\.(?:\s|$)", advice) if part.strip()]
