"""The way from experience to decision as a picture: SVG that opens anywhere and offline."""

from __future__ import annotations

import json
from pathlib import Path

from parammem.checkout.places import BATCHES, EVALUATION, METRICS, TRAJECTORIES, VALIDATION, places_of
from parammem.core.words import count
from parammem.evaluation.boxes import Box, draw
from parammem.lineage.checks.findings import Verification
from parammem.lineage.checks.verify import verify_history
from parammem.lineage.past.events import Championship, Life, read_decision, read_life
from parammem.lineage.past.history import History
from parammem.lineage.past.subject import Subject, find_subject

MANY = 8
"""More batches than this are drawn as one box."""


def graph_svg(repo: Path, adapter: str | None = None, domain: str = "code") -> str:
    """Return an adapter's lineage as one `<svg>` element, which can stand in a page. Boxes with a broken link are red.

    Raises:
        AdapterMissingError: there is no such adapter.
    """
    with History.open(repo) as history:
        life = read_life(history.repo)
        subject = find_subject(history, life, adapter, domain)
        boxes, edges = lineage_of(history.repo, life, subject, verify_history(history, life, subject))
        return draw(boxes, edges, f"What made {subject.title}")


def lineage_of(
    repo: Path, life: Life, subject: Subject, checked: Verification
) -> tuple[list[Box], list[tuple[str, str]]]:
    """Return the boxes and the arrows between them."""
    broken = {found.path for found in checked.broken}
    hit = lambda *starts: any(path.startswith(starts) for path in broken)  # noqa: E731
    domain, state, adapter = subject.domain, subject.snapshot, subject.adapter
    boxes, edges = _batches(life, subject, broken)
    validated = places_of(domain).validated.as_posix()
    reflections = places_of(domain).reflections.as_posix()
    boxes += [
        Box("reflections", 1, "reflection rows", (state.hash(reflections) or "not recorded")[:16], hit(reflections)),
        Box("validated", 1, "validated rows", (state.hash(validated) or "not recorded")[:16], hit(validated)),
        Box("rules", 2, "validation suite", _suite(subject), hit(VALIDATION.as_posix())),
        Box("base", 2, adapter.base_model, adapter.base_digest[:16], hit(adapter.base_model)),
        Box("adapter", 3, subject.title.partition(" (")[0], adapter.digest[:16], hit(subject.place)),
        Box("evaluation", 4, "evaluation", _evaluation(life, subject),
            hit(EVALUATION.as_posix(), METRICS.with_suffix("").as_posix())),
    ]  # fmt: skip
    edges += [("reflections", "validated"), ("validated", "rules"), ("validated", "adapter"), ("rules", "adapter"),
              ("base", "adapter"), ("adapter", "evaluation")]  # fmt: skip
    for event in life.of(adapter.digest):
        fact = event.fact
        if fact.kind == "decide" and fact.challenger == adapter.digest:
            record = read_decision(repo, fact.decision)
            key = f"decision {event.number}"
            boxes.append(Box(key, 5, f"decided: {fact.answer}", fact.decision[:16], record is None))
            edges.append(("evaluation", key))
    for championship in life.championships(domain):
        if championship.adapter == adapter.digest:
            key = f"championship {championship.event}"
            boxes.append(Box(key, 5, *_championship(life, championship), hit("tag ")))
            edges.append(("adapter", key))
    return boxes, edges


def _suite(subject: Subject) -> str:
    """Return the digest of the rules, as the validation report of its state names it."""
    data = subject.snapshot.read(places_of(subject.domain).validation.as_posix())
    try:
        return str(json.loads(data or b"")["suite_digest"])[:16]
    except (ValueError, KeyError, TypeError):
        return "not recorded"


def _evaluation(life: Life, subject: Subject) -> str:
    """Return the hash of the pipeline's evaluation where its state has one; the gate's, which the ledger has,
    otherwise."""
    found = subject.snapshot.hash(places_of(subject.domain).evaluation.as_posix())
    if found and subject.evaluated:
        return found[:16]
    events = [event.number for event in life.of(subject.adapter.digest) if event.fact.kind == "evaluate"]
    named = ", ".join(map(str, events[:3])) + (", …" if len(events) > 3 else "")
    noun = "event" if len(events) == 1 else "events"
    return f"by the gate, {noun} {named}" if events else "not recorded"


def _championship(life: Life, championship: Championship) -> tuple[str, str]:
    """Return title and text of the box about a champion: whether it still is one, and what ended its time."""
    after = life.ended(championship)
    if after is None:
        return f"champion v{championship.version}", f"by {championship.by}, event {championship.event}"
    to = f"v{after.version}" if after.adapter else "none"
    how = "rolled back to" if after.by == "rollback" else "followed by"
    return f"was champion v{championship.version}", f"event {championship.event}; {how} {to}"


def _batches(life: Life, subject: Subject, broken: set[str]) -> tuple[list[Box], list[tuple[str, str]]]:
    event = next((e.fact for e in life.of(subject.adapter.digest) if e.fact.kind == "train"), None)
    batches = list(event.batches) if event else []
    hit = {name for name in batches if any(name in path for path in broken)}
    boxes = []
    if len(batches) > MANY:
        many = count(len(batches), "experience batch", "experience batches")
        boxes.append(Box("batches", 0, many, BATCHES.as_posix(), bool(hit)))
    else:
        for name in batches:
            came = life.batch(name)
            title = str(getattr(came.fact, "name", name[:16])) if came else name[:16]
            boxes.append(Box(name, 0, title, name[:16], name in hit))
    if not boxes:
        boxes.append(Box("collect", 0, "the pipeline's own agents", TRAJECTORIES.as_posix()))
    return boxes, [(box.key, "reflections") for box in boxes]
