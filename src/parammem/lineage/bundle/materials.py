"""The bill of materials (CycloneDX ML-BOM) and the lineage as OpenLineage events. Equal inputs give equal bytes."""

# The library's class decorator hides its constructors from the type checker.
# pyright: reportCallIssue=false

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

PRODUCER = "urn:parammem"
OPENLINEAGE = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
VERSION_FACET = (
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
)


def bill_of_materials(page: Mapping[str, Any], date: str) -> bytes:
    """Return CycloneDX 1.6 JSON: the adapter as a model with its card, its base model, its data, and pinned
    packages."""
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    facts = {one["number"]: one["facts"] for one in page["answers"]}
    name = f"{page['domain']}-reflector"
    version = f"v{page['version']}" if page["version"] else page["digest"][:16]
    model: Any = Component(
        name=name, version=version, type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref="adapter",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=page["digest"])],
        properties=[Property(name="parammem:commit", value=str(page["commit"]))],
    )  # fmt: skip
    base = facts[7]["base"]
    parts: list[Any] = [
        Component(name=base["name"], type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref="base-model",
                  properties=[Property(name="parammem:model_digest", value=base["digest"])]),
        Component(name=f"{page['domain']} training rows", type=ComponentType.DATA, bom_ref="training-rows",
                  hashes=[HashType(alg=HashAlgorithm.SHA_256, content=facts[1]["data_digest"])]),
    ]  # fmt: skip
    for path, md5 in sorted(facts[1]["datasets"].items()):
        hashes = [HashType(alg=HashAlgorithm.MD5, content=md5)]
        parts.append(Component(name=path, type=ComponentType.DATA, bom_ref=path, hashes=hashes))
    for package, pinned in sorted(facts[7]["environment"].items()):
        purl = PackageURL("pypi", None, package.lower(), pinned)
        parts.append(Component(name=package, version=pinned, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl)))
    bom: Any = Bom(components=parts, serial_number=uuid5(NAMESPACE_URL, f"{PRODUCER}:{page['digest']}"))
    bom.metadata.component = model
    bom.metadata.timestamp = datetime.fromisoformat(date)
    bom.register_dependency(model, parts)
    plain = json.loads(JsonV1Dot6(bom).output_as_string())
    plain["metadata"]["component"]["modelCard"] = _card(facts)
    return (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode()


def _card(facts: Mapping[int, Any]) -> dict[str, Any]:
    """Return the modelCard of CycloneDX, which the library's own records do not have yet."""
    rows = {"ref": "training-rows"}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "advice for an agent on its next attempt",
            "architectureFamily": "LoRA adapter",
            "datasets": [rows],
        },
        "considerations": {
            "technicalLimitations": ["of no use outside the kind of tasks that its experience was about"],
        },
        "properties": [
            {"name": "parammem:rows", "value": str(facts[1]["rows"])},
            {"name": "parammem:suite", "value": str(facts[2].get("suite_digest"))},
        ],
    }


def lineage_events(lock: Mapping[str, Any], commit: str, date: str) -> bytes:
    """Return one OpenLineage COMPLETE event per stage, as NDJSON, in the order of dvc.lock."""
    lines = []
    for name, stage in lock.items():
        event = {
            "eventType": "COMPLETE",
            "eventTime": date,
            "producer": PRODUCER,
            "schemaURL": OPENLINEAGE,
            "run": {"runId": str(uuid5(NAMESPACE_URL, f"{PRODUCER}:{commit}:{name}")), "facets": {}},
            "job": {"namespace": "parammem", "name": name, "facets": {}},
            "inputs": [_dataset(path, md5) for path, md5 in stage["deps"].items()],
            "outputs": [_dataset(path, md5) for path, md5 in stage["outs"].items()],
        }
        lines.append(json.dumps(event, sort_keys=True))
    return ("\n".join(lines) + "\n").encode()


def _dataset(path: str, md5: str) -> dict[str, Any]:
    version = {"_producer": PRODUCER, "_schemaURL": VERSION_FACET, "datasetVersion": md5}
    return {"namespace": "parammem", "name": path, "facets": {"version": version}}
