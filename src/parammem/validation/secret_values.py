"""Is a value a secret, or a word, an identifier, a placeholder, a hash? Asked by `secrets` about each candidate.

Every function looks at one short value; none searches a text.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from itertools import pairwise

RANDOM_BITS = 4.0
"""Bits a character: English words and identifiers stay below 3.9, base64 of random bytes lies above 4.3 from 32 on."""
RANDOM_CHANGES = 0.27
"""Changes between lower, upper and digit, a capitalised word counting as one: .45 in random text, .2 in camelCase."""
NAMED_CHANGES = 0.2
"""The same where a name such as `token` stands before the value."""
_LOOKED_AT = 200
_SPECIAL = frozenset("!@#$%^&*+?~")
EMPHASIS = "*_~"
"""Marks of Markdown around a word, which do not make it a password."""
_WORDS = frozenset(
    """
    password passwd passwort passphrase passcode pwd pass secret token key string str int integer number bool boolean
    none null nil true false undefined optional required missing hidden masked unknown default value text field input
    username user name admin valid invalid strong weak medium moderate correct incorrect wrong accepted rejected expired
    matched secure insecure protected encrypted hashed changed updated created generated letmein123456789
    """.split()
)
"""What stands after "password is" or "password:" without being one."""
_PLACEHOLDERS = (
    "your example placeholder changeme change_me change-me replace redacted removed insert enter xxxx **** .... <your"
).split()
_TERMS = ("base64", "base32", "base58", "sha1", "sha256", "sha512", "md5", "utf8", "utf-8", "utf16", "aes-", "aes1",
          "aes2", "rot13", "oauth2", "http2", "rfc", "iso-", "ascii")  # fmt: skip
_CODE_PATHS = ("self.", "this.", "os.", "process.", "config.", "settings.", "args.", "request.", "env.", "params.")
_RESERVED = (".example.com", ".example.org", ".example.net", ".localhost", ".test", ".example", ".invalid", ".local")
"""Domains without an owner (RFC 2606, RFC 6762)."""
_TLDS = frozenset(
    """
    com org net edu gov mil int info biz name pro aero coop museum jobs mobi travel app dev cloud online site store tech
    blog email xyz club shop live life world today agency company email group guru media money news social space team
    tools top website wiki work works zone academy art bank berlin business center chat city codes community consulting
    design digital education engineer expert finance fund global health host house institute international land law
    legal link london ltd management marketing network ninja ngo one ong page partners photography plus press paris
    press review school science services software solutions studio support systems technology university video
    """.split()
)
_HASHES = (
    "sha", "md5", "hash", "digest", "checksum", "commit", "revision", "rev ", "rev:", "git", "tree ", "parent ",
    "blob ", "merge", "fingerprint", "btih", "etag", "ripemd", "0x", "@", "object id", "hexdigest", "==", "/tree/",
)  # fmt: skip


_NAMES_OF_KEYS = ("wandb", "w&b", "biases", "api key", "api_key", "apikey", "password", "private_key")


def is_placeholder(value: str) -> bool:
    """Return true for what stands where a secret would: a variable, a word such as "password", `<token>`, asterisks."""
    low = value.lower().strip("\"'`")
    if low[:1] in "$<{[%" or any(mark in low for mark in ("${", "{{", "}}", "<", "%s")):
        return True
    if low in _WORDS or any(part in low for part in _PLACEHOLDERS):
        return True
    return len(set(low)) <= 2 or low.startswith(("my_", "my-", "some_", "the_", "{", "os.environ"))


def is_password(value: str, name: str, quoted: bool) -> bool:
    """Return true for a password beside its name: letters mixed with digits or signs; a long word too if it is
    quoted."""
    value = value if quoted else value.rstrip(".,;:!?").strip(EMPHASIS)
    if len(value) < 6 or any(map(str.isspace, value)) or is_placeholder(value) or _is_term(value):
        return False
    if not any(map(str.isalpha, value)):
        return False
    digits = sum(map(str.isdigit, value))
    stem = value.lower().rstrip(string.digits)
    if stem in (name.lower().strip("_"), *_WORDS) and digits < 3:
        return False
    if digits or any(mark in _SPECIAL for mark in value):
        return True
    return quoted and is_word(value)


def is_word(value: str, shortest: int = 8) -> bool:
    """Return true for one plain word that is none of those which speak about a password."""
    low = value.lower()
    if len(low) < shortest or not low.isascii() or not low.isalpha() or low in _WORDS:
        return False
    return not low.endswith(("ed", "ing", "ly", "able", "ible", "word", "empty", "wrong"))


def is_key(value: str) -> bool:
    """Return true for a key or token beside its name: eight characters or more, letters mixed with two digits or
    more."""
    if len(value) < 8 or any(map(str.isspace, value)) or is_placeholder(value) or _is_term(value):
        return False
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if not letters or (value[:4].isdigit() and value[4:5] == "-" and value[5:7].isdigit()):  # a date
        return False
    if any(mark in "()*|\\={}<>" for mark in value.rstrip("=")):
        return False
    if digits < 2:
        return len(value) >= 16 and _changes(value) >= NAMED_CHANGES
    stem = value.rstrip(string.digits)
    return not (stem.replace("_", "").isalpha() and len(value) - len(stem) <= 4 and len(value) < 24)


def is_told(value: str, quoted: bool) -> bool:
    """Return true for a password in prose ("the password is …"): letters with digits or signs within; quoted, a word
    too."""
    bare = value.rstrip(".,;:!?)")
    if len(bare) < 6 or is_placeholder(bare) or _is_term(bare) or not any(map(str.isalpha, bare)):
        return False
    if any(mark in "\\$(){}[]=_^|" for mark in bare):  # formulae and code
        return False
    if any(map(str.isdigit, bare)):
        head, _, tail = bare.partition("-")
        return not (head.isdigit() and tail.replace("-", "").isalpha())  # 8-character
    if any(mark in "!@#%&*+?" for mark in bare[1:]) and not bare.endswith("'s"):
        return "/" not in bare and "@" not in bare
    return quoted and is_word(bare, shortest=6)


def is_code(value: str, name: str, called: bool, after: str) -> bool:
    """Return true for an unquoted value that is an expression: `next_token`, `tokens[0]`, `get()`, `f(token=token)`."""
    if after[:1] in ("(", "[") or value.lower().startswith(_CODE_PATHS):
        return True
    parts = value.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    digits = sum(map(str.isdigit, value))
    if called or len(parts) > 1:
        return digits < 4 or called
    if not digits:
        return "_" in value
    stem = value.rstrip(string.digits + "_")
    snake = "_" in stem and digits <= 3 and (value.islower() or value.isupper())
    return snake or stem.lower() == name.lower().strip("_")


def is_wandb(before: str, after: str) -> bool:
    """Return true for 40 hex digits that are a key, as Weights & Biases has them, and no hash of a commit or a text.

    Standing alone in its line or value it is an id.
    """
    near = before[-60:].lower()
    if any(word in near for word in _NAMES_OF_KEYS):
        return True
    both = f"{before[-60:]}\n{after[:40]}".lower()
    if any(word in both for word in _HASHES):
        return False
    if any(word in near for word in ("key", "token", "secret", "login", "credential")):
        return True
    alone = not before.rpartition("\n")[2].strip(" \"',:[{") and not after.partition("\n")[0].strip(" \"',:]}")
    return not alone and not before.endswith(("/", "=", "-", "_")) and not after.startswith(("/", "-", "_", "."))


def is_random(run: str, before: str = "") -> bool:
    """Return true for a long run of letters and digits that looks random: no alphabet, no name, no hash, no picture."""
    run, low = run[:_LOOKED_AT].rstrip("="), before.lower()
    if any(sum(map(kind, run)) < 2 for kind in (str.islower, str.isupper, str.isdigit)):
        return False
    if low.endswith(("base64,", "sha256-", "sha384-", "sha512-", "sha1-", "sha256:", "h1:")):
        return False
    if run.startswith(("sha256-", "sha384-", "sha512-", "sha1-")) or _is_alphabet(run):
        return False
    counts = Counter(run)
    bits = -sum(n / len(run) * math.log2(n / len(run)) for n in counts.values())
    return bits >= RANDOM_BITS and _changes(run) >= RANDOM_CHANGES


def is_mail(address: str, before: str, after: str) -> bool:
    """Return true for the address of a person: no reserved domain, no `git@host:path`, no product of matrices."""
    local, _, domain = address.lower().rpartition("@")
    top = domain.rpartition(".")[2]
    if f".{domain}".endswith(_RESERVED) or not (len(top) == 2 or top in _TLDS):
        return False
    if after[:1] in ("(", "["):  # a method of a product of matrices
        return False
    if local in ("git", "hg", "svn") and (after[:1] in (":", "/") or before.endswith("//")):
        return False
    label = domain.partition(".")[0]
    if len(local) == 1 and len(label) == 1:  # A@B.to
        return False
    return any(map(str.isalnum, local)) and not before.endswith("/")


def _is_term(value: str) -> bool:
    return value.lower().startswith(_TERMS)


def _changes(run: str) -> float:
    """Return share of neighbouring characters that are of another class (lower, upper, digit) but for `Xx`."""
    kinds = [mark.islower() + 2 * mark.isupper() for mark in run if mark.isalnum()]
    changes = sum(a != b and (a, b) != (2, 1) for a, b in pairwise(kinds))
    return changes / max(1, len(kinds) - 1)


def _is_alphabet(run: str) -> bool:
    """Return true if no character comes twice, or most follow their neighbour in the alphabet: an alphabet of base64,
    say."""
    steps = sum(ord(b) - ord(a) == 1 for a, b in pairwise(run))
    return len(set(run)) == len(run) or steps >= 0.4 * len(run)
