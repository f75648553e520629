"""Write, per stage, the digests of the sources that it can reach: by this file the stage depends on its code."""

from __future__ import annotations

import json
from pathlib import Path

from parammem.checkout.places import code_digests
from parammem.checkout.source_digests import Sources, changed_sources, sources_of
from parammem.config import domains_in
from parammem.core import digest_of
from parammem.core.jsonl import write_text
from parammem.core.words import count
from parammem.domain_params import DomainParams

STAGES = ("tasks", "collect", "validate", "train", "evaluate", "report")
"""Each is the module of this name in this package."""
SHOWN = 5


def run(root: Path = Path()) -> list[str]:
    """Bring reports/code up to date with src. A file whose contents are right is not touched.

    Returns:
        Per stage whose code changed a line that names the sources.

    Raises:
        DataError: a source that a stage reaches is no Python.
    """
    sources, options, said = Sources(sources_of(root)), _options(root), []
    for stage in STAGES:
        file = code_digests(root, stage)
        digests = {f"src/{path}": digest for path, digest in sources.reachable(f"parammem.stages.{stage}").items()}
        digests |= options
        text = json.dumps(digests, indent=0) + "\n"
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        if text != before:
            write_text(file, text)
            said.append(f"{stage}: {_difference(before, digests)}")
    wanted = {code_digests(root, stage) for stage in STAGES}
    for other in set(code_digests(root, "").parent.iterdir()) - wanted:
        other.unlink(missing_ok=True)  # of a stage that is gone, or left by a run that was killed
    return said


def _options(root: Path) -> dict[str, str]:
    """Return the digests of what params.yaml says of its domains, by their place there; none of a domain whose name
    says all."""
    found = domains_in(root / "params.yaml")
    usual = {name: DomainParams(kind=one.kind) for name, one in found.items() if one.kind == name}
    return {
        f"params.yaml domains.{name}": digest_of(one.model_dump(mode="json"))
        for name, one in found.items()
        if one != usual.get(name)
    }


def _difference(before: str, digests: dict[str, str]) -> str:
    try:
        changed = changed_sources(json.loads(before), digests)
    except ValueError:
        return f"reaches {count(len(digests), 'source')}"
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return f"{count(len(changed), 'source')} changed: {', '.join(changed[:SHOWN])}{more}"
