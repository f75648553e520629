"""Verify an exported bundle with nothing but Python's standard library, and name what was tampered with.

    python verify.py [FOLDER_OR_ZIP] [--key PUBLIC_KEY_HEX_OR_FILE]

Checks every signature (Ed25519 over DSSE envelopes of in-toto statements), every file against the signed list, and the
links between them: weights and manifest against the adapter's card, the ledger's chain, the decision and the outcomes
that it was made on, the rules.
Without --key it believes the key in the bundle, so anyone could have signed it: compare the printed key with the one
that the sender gave you by another way. For the same reason take this script from the project and not from the bundle,
if you do not trust the sender. Exit code 0: all holds; 1: something does not; 2: nothing to verify.
"""

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path

LIST = "statements/bundle.dsse.json"
KEY_FILE = "key.txt"
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


# --- Ed25519 (RFC 8032, section 5.1), verification only --------------------------------------------------------------


def _add(one, other):
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(scalar, point):
    found = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point = _add(point, point)
        scalar >>= 1
    return found


def _equal(one, other):
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def _recover(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def _point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = _recover(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE_X = _recover(_BASE_Y, 0)
BASE = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)  # pyright: ignore[reportOptionalOperand]


def signature_holds(key, message, signature):
    """Is this the Ed25519 signature of a message under a public key? All bytes; key 32, signature 64."""
    if len(key) != 32 or len(signature) != 64:
        return False
    owner, commitment = _point(key), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if owner is None or commitment is None or scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return _equal(_times(scalar, BASE), _add(commitment, _times(challenge, owner)))


# --- the bundle ----------------------------------------------------------------------------------------------------


class Bundle:
    """A folder or zip, read by name."""

    def __init__(self, path):
        self.folder = Path(path)
        self.zip = zipfile.ZipFile(path) if self.folder.is_file() else None

    def names(self):
        if self.zip:
            return sorted(name for name in self.zip.namelist() if not name.endswith("/"))
        files = (file for file in self.folder.rglob("*") if file.is_file())
        return sorted(file.relative_to(self.folder).as_posix() for file in files)

    def read(self, name):
        return self.zip.read(name) if self.zip else (self.folder / name).read_bytes()

    def has(self, name):
        return name in self.names()


def digest_of(value):
    """SHA-256 of a value as canonical JSON: ParamMem's way to name rows, events and decisions."""
    data = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()


def statement_of(data, key):
    """The statement in an envelope. Raises ValueError saying what is wrong."""
    envelope = json.loads(data)
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    signatures = [base64.b64decode(one["sig"]) for one in envelope["signatures"]]
    if not any(signature_holds(key, message, one) for one in signatures):
        raise ValueError("its signature does not hold under this key")
    return json.loads(payload)


def check(bundle, key):
    """Every fault as (file, what). Empty: all holds."""
    faults, names = [], bundle.names()
    subjects = {}
    for name in [name for name in names if name.startswith("statements/")]:
        try:
            statement = statement_of(bundle.read(name), key)
        except (ValueError, KeyError, TypeError) as error:
            faults.append((name, str(error)))
            continue
        listed = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
        if name == LIST:
            subjects = listed
        faults += _files(bundle, names, listed, name)
    if LIST not in names:
        faults.append((LIST, "the signed list of files is missing"))
    for name in names:
        if subjects and name not in subjects and name != LIST:
            faults.append((name, "it was added: the signed list does not have it"))
    return [*dict.fromkeys(faults), *_links(bundle)]


def _files(bundle, names, listed, statement):
    found = []
    for name, digest in sorted(listed.items()):
        if name not in names:
            found.append((name, f"it is missing: {statement} lists it"))
        elif hashlib.sha256(bundle.read(name)).hexdigest() != digest:
            found.append((name, "it was changed: its SHA-256 is not the signed one"))
    return found


def _links(bundle):
    """What the files say of each other, whoever signed them."""
    found = []
    for about in (_adapter, _chain, _decision, _evidence, _rules):
        try:
            found += about(bundle)
        except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
            found.append((about.__name__.strip("_"), f"it cannot be read: {error!r}"))
    return found


def _adapter(bundle):
    found = []
    card = json.loads(bundle.read("adapter/adapter.json"))
    weights = bundle.read("adapter/adapter_model.safetensors")
    if hashlib.sha256(weights).hexdigest() != card["digest"]:
        found.append(("adapter/adapter_model.safetensors", "its SHA-256 is not the one in adapter.json"))
    rows = bundle.read("adapter/rows.txt").decode().split()
    if digest_of(rows) != card["data_digest"] or len(rows) != card["rows"]:
        found.append(("adapter/rows.txt", "its digest is not the one in adapter.json"))
    return found


def _chain(bundle):
    name, previous, found = "ledger/events.jsonl", "0" * 64, []
    if not bundle.has(name):
        return found
    for number, line in enumerate(bundle.read(name).splitlines(), 1):
        event = json.loads(line)
        digest = event.pop("digest")
        if digest_of(event) != digest or event["previous"] != previous or event["number"] != number:
            found.append((name, f"line {number} does not fit its digest or the line before it"))
        previous = digest
    return found


def _decision(bundle):
    card, found = json.loads(bundle.read("adapter/adapter.json")), []
    for name in [name for name in bundle.names() if name.startswith("decision/")]:
        record = json.loads(bundle.read(name))
        if digest_of(record) != Path(name).stem:
            found.append((name, "its digest is not its name"))
        if card["digest"] not in (record["challenger"], record["champion"]):
            found.append((name, "it is about another adapter"))
    return found


def _evidence(bundle):
    """Outcomes are named by their digest, which a decision names too. Decisions of people may have none beside them."""
    decisions = [json.loads(bundle.read(name)) for name in bundle.names() if name.startswith("decision/")]
    named, found = {one["inputs"].get("outcomes") for one in decisions}, []
    for name in [name for name in bundle.names() if name.startswith("evidence/")]:
        said = json.loads(bundle.read(name))
        outcomes = digest_of(said["slices"])
        if outcomes != Path(name).stem:
            found.append((name, "the digest of its outcomes is not its name"))
        if outcomes not in named:
            found.append((name, "no decision was made on its outcomes"))
        arms = (said["champion"], said["challenger"], outcomes)
        about = [
            one for one in decisions if (one["champion"], one["challenger"], one["inputs"].get("outcomes")) == arms
        ]
        if about and all(one["guards"] != said["guards"] for one in about):
            found.append((name, "its guards are not those of the decision"))
    return found


def _rules(bundle):
    name = "validation/report.json"
    if not bundle.has(name):
        return []
    report, kept = json.loads(bundle.read(name)), bundle.read("validation/kept_rows.txt").decode().split()
    found = [] if report["passed"] else [(name, "the suite did not pass")]
    if digest_of(kept) != report["kept_digest"]:
        found.append(("validation/kept_rows.txt", "its digest is not the one that the report vouches for"))
    strange = set(bundle.read("adapter/rows.txt").decode().split()) - set(kept)
    if strange:
        found.append(("adapter/rows.txt", f"{len(strange)} rows were not among those that were validated"))
    return found


def main(arguments):
    given = arguments[arguments.index("--key") + 1] if "--key" in arguments else None
    places = [one for one in arguments if one not in ("--key", given)]
    path = Path(places[0]) if places else Path(__file__).resolve().parent
    if not path.exists():
        print(f"nothing to verify: {path} is not there")
        return 2
    bundle = Bundle(path)
    if given and Path(given).is_file():
        given = Path(given).read_text()
    try:
        text = (given or bundle.read(KEY_FILE).decode()).split()[0]
        key = bytes.fromhex(text)
    except (KeyError, OSError, ValueError, IndexError) as error:
        print(f"TAMPERED {KEY_FILE}: there is no key to verify with ({error})")
        return 1
    faults = check(bundle, key)
    for name, what in faults:
        print(f"TAMPERED {name}: {what}")
    print(f"{len(bundle.names())} files, key {text}")
    if not given:
        print("this key came with the bundle: compare it with the one that the sender gave you by another way")
    print(f"{len(faults)} faults" if faults else "all signatures, files and links hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
