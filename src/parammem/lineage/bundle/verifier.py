"""Verify an exported bundle with nothing but Python's standard library, and name what was tampered with.

    python verify.py [FOLDER_OR_ZIP] [--key PUBLIC_KEY_HEX_OR_FILE]

Checks every signature (Ed25519 over DSSE envelopes of in-toto statements), that every statement is of its own kind and
about its own files, that the signed list has every file and no other, and the links between them: weights and manifest
against the adapter's card, the ledger's chain, the decision and the outcomes or runs that it was made on, the rules.
Without --key it believes the key in the bundle, so anyone could have signed it: compare the printed key with the one
that the sender gave you by another way. For the same reason take this script from the project and not from the bundle,
if you do not trust the sender. Exit code 0: all holds; 1: something does not; 2: nothing to verify.
"""

import base64
import json
import re
import sys
from pathlib import Path

from parammem.lineage.bundle.counted_runs import FOLDER, runs_faults
from parammem.lineage.bundle.reading import BROKEN, Bundle, digest_of, parse
from parammem.lineage.bundle.signature import is_weak, signature_holds

KEY_FILE = "key.txt"
PAYLOAD, STATEMENT = "application/vnd.in-toto+json", "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
LIST, PROVENANCE = "statements/bundle.dsse.json", "statements/provenance.dsse.json"
KINDS = {
    LIST: ("urn:parammem:bundle:v1", ("",)),
    PROVENANCE: ("https://slsa.dev/provenance/v1", ("adapter/",)),
    "statements/validation.dsse.json": (TEST_RESULT, ("validation/",)),
    "statements/evaluation.dsse.json": (TEST_RESULT, ("evaluation/",)),
    "statements/decision.dsse.json": ("urn:parammem:decision:v1", ("decision/", "evidence/", "ledger/", FOLDER)),
}
"""Statement: the type of its predicate, and the folders whose files it is about."""
ADDRESS = ("base_model_name_or_path", "revision", "peft_version", "inference_mode")
"""Settings of an adapter that say where it is and what wrote it."""
MOST_ROWS, MOST_SHOWN = 32 << 20, 200
"""Bytes of a list of hashes or events; faults that are printed."""
ROWS = re.compile(rb"(?:[0-9a-f]{64}\n)*")


class Nothing(Exception):
    """There is nothing to verify, or no key to verify it with."""


def statement_of(data, key, kind):
    """Return the statement of this kind in an envelope with one signature. Raises ValueError saying what is wrong."""
    envelope = parse(data)
    (signed,) = envelope["signatures"]
    payload, signature = (base64.b64decode(text, validate=True) for text in (envelope["payload"], signed["sig"]))
    said = envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(said), said, len(payload), payload)
    if not signature_holds(key, message, signature):
        raise ValueError("its signature does not hold under this key")
    public = {"keytype": "ed25519", "keyval": {"public": key.hex()}, "scheme": "ed25519"}
    one = {"keyid": digest_of(public), "sig": base64.b64encode(signature).decode()}
    whole = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD, "signatures": [one]}
    if (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode() != data:
        raise ValueError(f"it is no envelope around {PAYLOAD}, or there is more in it than that")
    statement = parse(payload)
    if (statement["_type"], statement["predicateType"]) != (STATEMENT, kind):
        raise ValueError(f"it is a statement of the kind {statement['predicateType']!r}, and not {kind!r}")
    return statement


def check(bundle, key):
    """Check a bundle under a key; return every fault as (file, what). Empty: all holds."""
    faults, statements = list(bundle.faults), {}
    for name, (kind, parts) in KINDS.items():
        about = {one for one in bundle.names if one.startswith(parts) and one != LIST}
        if name not in bundle.names:
            if about or name in (LIST, PROVENANCE):
                faults.append((name, "this signed statement is missing"))
            continue
        try:
            statements[name] = statement_of(bundle.read(name), key, kind)
            listed = [(one["name"], one["digest"]["sha256"]) for one in statements[name]["subject"]]
            faults += _files(bundle, about, listed, name)
        except BROKEN as error:
            faults.append((name, str(error) or repr(error)))
    strange = [one for one in bundle.names if one.startswith("statements/") and one not in KINDS]
    faults += [(name, "it is no statement that a bundle has") for name in strange]
    for said in (_adapter, _chain, _decision, _evidence, _runs, _rules, _predicates(statements)):
        try:
            faults += said(bundle)
        except BROKEN as error:
            faults.append((said.__name__.strip("_"), f"it cannot be read: {error!r}"))
    return list(dict.fromkeys(faults))


def _files(bundle, about, listed, statement):
    """Compare the files that a statement is about with those that it lists: it must list all of them, and no other."""
    found, names = [], dict(listed)
    if len(names) != len(listed):
        found.append((statement, "it lists a file twice"))
    for name in sorted(about - names.keys()):
        found.append((name, f"it was added: {statement} does not have it"))
    for name, digest in sorted(names.items()):
        if name not in bundle.names:
            found.append((name, f"it is missing: {statement} lists it"))
            continue
        if name not in about:
            found.append((statement, f"it lists {name}, which it should not be about"))
        try:
            if bundle.sha256(name) != digest:
                found.append((name, "it was changed: its SHA-256 is not the signed one"))
        except BROKEN as error:
            found.append((name, f"it cannot be read: {error}"))
    return found


# --- what the files say of each other, whoever signed them -----------------------------------------------------------


def _rows(bundle, name):
    data = bundle.read(name, MOST_ROWS)
    if not ROWS.fullmatch(data):
        raise ValueError(f"{name} is no list of row hashes")
    return data.decode().split()


def _predicates(statements):
    def predicates(bundle):
        card, found = bundle.json("adapter/adapter.json"), []
        for name, statement in statements.items():
            said = statement["predicate"]
            if name == LIST:
                holds = (said["adapter"], said["files"]) == (card["digest"], len(statement["subject"]))
            elif name == PROVENANCE:
                holds = said["buildDefinition"]["externalParameters"]["data_digest"] == card["data_digest"]
            else:
                holds = said.get("facts", {}).get("adapter", card["digest"]) == card["digest"]
            if not holds:
                found.append((name, "it is about another adapter than the one in the bundle"))
        return found

    return predicates


def _adapter(bundle):
    found, card = [], bundle.json("adapter/adapter.json")
    if bundle.sha256("adapter/adapter_model.safetensors") != card["digest"]:
        found.append(("adapter/adapter_model.safetensors", "its SHA-256 is not the one in adapter.json"))
    if card.get("form", 1) >= 2:  # older cards lack it
        settings = {
            key: value for key, value in bundle.json("adapter/adapter_config.json").items() if key not in ADDRESS
        }
        if isinstance(settings.get("target_modules"), list):
            settings["target_modules"].sort(key=str)
        if digest_of(settings) != card["settings_digest"]:
            found.append(("adapter/adapter_config.json", "its settings are not those that adapter.json vouches for"))
    rows = _rows(bundle, "adapter/rows.txt")
    if digest_of(rows) != card["data_digest"] or len(rows) != card["rows"]:
        found.append(("adapter/rows.txt", "its digest is not the one in adapter.json"))
    return found


def _chain(bundle):
    name, previous, found = "ledger/events.jsonl", "0" * 64, []
    if name not in bundle.names:
        return found
    lines = bundle.read(name, MOST_ROWS).split(b"\n")
    if lines.pop():
        found.append((name, "its last line has no end"))
    for number, line in enumerate(lines, 1):
        event = parse(line)
        whole = json.dumps(event, sort_keys=True, ensure_ascii=False).encode()
        digest = event.pop("digest")
        fits = (event["previous"], event["number"]) == (previous, number)
        if whole != line or not fits or digest_of(event) != digest:
            found.append((name, f"line {number} does not fit its digest or the line before it"))
        previous = digest
    return found


def _decision(bundle):
    card, found = bundle.json("adapter/adapter.json"), []
    for name in [name for name in bundle.names if name.startswith("decision/")]:
        record = bundle.json(name)
        if digest_of(record) != Path(name).stem:
            found.append((name, "its digest is not its name"))
        if card["digest"] not in (record["challenger"], record["champion"]):
            found.append((name, "it is about another adapter"))
    return found


def _evidence(bundle):
    """Check the evidence of decisions. Outcomes are named by their digest, which a decision names too. Decisions of
    people may have none beside them."""
    decisions = [bundle.json(name) for name in bundle.names if name.startswith("decision/")]
    named, found = {one["inputs"].get("outcomes") for one in decisions}, []
    for name in [name for name in bundle.names if name.startswith("evidence/")]:
        said = bundle.json(name)
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


def _runs(bundle):
    ledger = bundle.read("ledger/events.jsonl", MOST_ROWS) if "ledger/events.jsonl" in bundle.names else b""
    records = {name: bundle.json(name) for name in bundle.names if name.startswith("decision/")}
    return runs_faults(bundle, [parse(line) for line in ledger.splitlines()], records)


def _rules(bundle):
    name = "validation/report.json"
    if name not in bundle.names:
        return []
    report, kept = bundle.json(name), _rows(bundle, "validation/kept_rows.txt")
    found = [] if report["passed"] else [(name, "the suite did not pass")]
    if digest_of(kept) != report["kept_digest"]:
        found.append(("validation/kept_rows.txt", "its digest is not the one that the report vouches for"))
    strange = set(_rows(bundle, "adapter/rows.txt")) - set(kept)
    if strange:
        found.append(("adapter/rows.txt", f"{len(strange)} rows were not among those that were validated"))
    return found


# --- the command line ------------------------------------------------------------------------------------------------


def public_key(text):
    """Return the 32 bytes of a public key: 64 hex digits, or PEM. Raises ValueError saying what it is instead."""
    if "PRIVATE KEY" in text:
        raise ValueError("it is a private key, which only the sender should have: give the public one")
    if "BEGIN PUBLIC KEY" in text:
        data = base64.b64decode("".join(line for line in text.split("\n") if "-----" not in line), validate=True)
        hexed = data.hex().removeprefix("302a300506032b6570032100")
    else:
        hexed = (text.split() or [""])[0]
    if not re.fullmatch("[0-9a-fA-F]{64}", hexed):
        raise ValueError("it is no Ed25519 public key: 64 hex digits, as `parammem audit export` prints them")
    key = bytes.fromhex(hexed)
    if is_weak(key):
        raise ValueError("it is no key that anyone can sign with")
    return key


def verify(path, given=None):
    """Check a bundle; return (faults, public key in hex, bundle). `given` is a key, or a file with one; None: the key
    in the bundle.

    Raises Nothing: there is no bundle, or what was given is no key.
    """
    path = Path(path)
    if not (path.is_file() or path.is_dir()):
        raise Nothing(
            f"nothing to verify: {shown(str(path))} is neither a folder nor a zip; give the bundle that you were sent"
        )
    if given is not None:
        try:
            file = Path(given)
            key = public_key(file.open("rb").read(9999).decode() if file.is_file() else given)
        except (ValueError, OSError) as error:
            raise Nothing(f"no key to verify with: --key {shown(given)}: {error}") from None
    bundle = Bundle(path)
    if given is None:
        try:
            key = public_key(bundle.read(KEY_FILE).decode())
        except BROKEN as error:
            return [*bundle.faults, (KEY_FILE, f"there is no key to verify with ({error})")], "", bundle
    return check(bundle, key), key.hex(), bundle


def shown(text):
    """Return text from outside as a terminal may print it: without control characters."""
    return text if text.isprintable() and text.isascii() else ascii(text)[1:-1]


def main(arguments):
    import argparse

    parser = argparse.ArgumentParser(description="Verify an exported bundle.")
    parser.add_argument("place", nargs="?", default=str(Path(__file__).resolve().parent), help="the folder or zip")
    parser.add_argument("--key", help="the sender's public key, or a file with it")
    asked = parser.parse_args(arguments)
    try:
        faults, key, bundle = verify(asked.place, asked.key)
    except Nothing as error:
        print(error)
        return 2
    for name, what in faults[:MOST_SHOWN]:
        print(f"TAMPERED {shown(name)}: {shown(what)}")
    print(f"{len(bundle.names)} files, key {key or 'unknown'}")
    if asked.key is None:
        print("this key came with the bundle: compare it with the one that the sender gave you by another way")
    print(
        f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"
        if faults
        else "all signatures, files and links hold"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
