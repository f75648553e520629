"""In-toto statements about an adapter, signed offline with a local Ed25519 key in DSSE envelopes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parammem.checkout.places import AUDIT
from parammem.errors import LineageError
from parammem.lineage.bundle.verifier import PAYLOAD

KEY = AUDIT / "signing-key.pem"


class Notary:
    """Signs statements with one key."""

    def __init__(self, key_file: Path) -> None:
        """Read the key, PEM PKCS#8 Ed25519; makes one (mode 600) if the file is not there.

        Raises:
            LineageError: it is no such key.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner  # pyright: ignore[reportPrivateImportUsage]

        if not key_file.is_file():
            key_file.parent.mkdir(parents=True, exist_ok=True)
            key_file.touch(mode=0o600)
            key_file.write_bytes(CryptoSigner.generate_ed25519().private_bytes)
        try:
            key = load_pem_private_key(key_file.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise LineageError(f"{key_file} is no PEM key without a password: {error}; name another") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise LineageError(f"{key_file} is no Ed25519 key; make one with `openssl genpkey -algorithm ed25519`")
        self._signer = CryptoSigner(key)

    @property
    def public(self) -> str:
        """The public key, 64 hex digits."""
        return str(self._signer.public_key.keyval["public"])

    def envelope(self, files: Mapping[str, bytes], predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
        """Return a signed statement about these files."""
        from google.protobuf.json_format import MessageToDict
        from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
        from in_toto_attestation.v1.statement import Statement
        from securesystemslib.dsse import Envelope

        digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        subjects = [ResourceDescriptor(name=name, digest={"sha256": digest}).pb for name, digest in digests.items()]
        statement = Statement(subjects, predicate_type, dict(predicate))
        statement.validate()
        payload = json.dumps(MessageToDict(statement.pb), sort_keys=True).encode()
        signed = Envelope(payload, PAYLOAD, {})
        signed.sign(self._signer)
        return (json.dumps(signed.to_dict(), indent=1, sort_keys=True) + "\n").encode()


def provenance(page: Mapping[str, Any], lock: Mapping[str, Any], commit: str) -> dict[str, Any]:
    """Return SLSA provenance: what the adapter was built from, and how."""
    facts = {one["number"]: one["facts"] for one in page["answers"]}
    deps = {path: md5 for stage in lock.values() for path, md5 in stage["deps"].items()}
    resolved = [{"name": path, "digest": {"md5": md5.removesuffix(".dir")}} for path, md5 in sorted(deps.items())]
    resolved.append({"uri": "git", "digest": {"gitCommit": commit}})
    return {
        "buildDefinition": {
            "buildType": "urn:parammem:dvc-pipeline:v1",
            "externalParameters": {"recipe": facts[7]["recipe"], "data_digest": facts[1]["data_digest"]},
            "resolvedDependencies": resolved,
        },
        "runDetails": {"builder": {"id": "urn:parammem:dvc"}, "metadata": {"invocationId": commit}},
    }


def outcome_of(passed: bool, configuration: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the in-toto form of a test's outcome."""
    return {
        "result": "PASSED" if passed else "FAILED",
        "configuration": [{"name": configuration}],
        "facts": dict(facts),
    }
