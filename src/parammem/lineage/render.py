"""An adapter's card for people (plain text) and for programs (JSON)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parammem.lineage.records import AdapterCard, Commit
from parammem.lineage.show import show
from parammem.lineage.trace import RowTrace

NOT_RECORDED = "not recorded"
SIGNS = {True: "holds", False: "BROKEN", None: "unknown"}
HEADLINE = ("base.pass_rate", "reflexion.pass_rate", "paramagent.pass_rate", "paramagent_plus.pass_rate",
            "reflector.trained.advice_accuracy")  # fmt: skip


def show_json(repo: Path, adapter_dir: Path, strict: bool = True) -> str:
    """The card as one JSON object with sorted keys. Raises as `show` does."""
    return json.dumps(show(repo, adapter_dir, strict).model_dump(mode="json"), indent=2, sort_keys=True)


def render(card: AdapterCard) -> str:
    """The card in plain text: what the adapter is, what made it, and the state of each link."""
    lines = [f"Adapter {card.digest[:16]} ({card.folder})", *_facts(card), "", "Links"]
    width = max(len(link.name) for link in card.links)
    lines += [f"  {SIGNS[link.holds]:8}{link.name:{width}}  {link.detail}" for link in card.links]
    if card.changed_code:
        lines += ["", "Code that changed since (a repro would run again): " + ", ".join(card.changed_code)]
    return "\n".join(lines)


def _facts(card: AdapterCard) -> list[str]:
    validated = NOT_RECORDED if card.rows.validated is None else f"{card.rows.validated} validated"
    loss = NOT_RECORDED if card.held_out_loss is None else f"{card.held_out_loss:.4f}"
    facts = {
        "domain": card.domain,
        "commit": _commit(card.commit),
        "rows": f"{card.rows.count} of {validated}, digest {card.rows.digest[:16]}",
        "rules": _rules(card),
        "params": ", ".join(f"{key} {_plain(value)}" for key, value in sorted(card.recipe.items())) or NOT_RECORDED,
        "base": f"{card.base.name}, digest {card.base.digest[:16]}",
        "base recipe": (card.base.recipe_digest or NOT_RECORDED)[:16],
        "training": f"{card.steps} steps, held-out loss {loss}",
        "metrics": _metrics(card),
    }
    return [f"  {name:12}{value}" for name, value in facts.items()]


def _commit(commit: Commit | None) -> str:
    if commit is None:
        return NOT_RECORDED
    made = f"dvc.lock of {commit.lock[:12]} ({commit.lock_date})" if commit.lock else "dvc.lock was never committed"
    dirty = f"{len(commit.changed)} tracked file(s) changed since" if commit.changed else "clean tree"
    return f"{made}; HEAD {commit.head[:12]}, {dirty}"


def _rules(card: AdapterCard) -> str:
    rules = card.rules
    if rules is None:
        return NOT_RECORDED
    word = "passed" if rules.passed else "FAILED"
    return (
        f"suite {rules.suite_digest[:16]} {word}: {len(rules.rules)} rules, {rules.kept} of {rules.rows} rows kept, "
        f"{rules.quarantined} quarantined"
    )


def _metrics(card: AdapterCard) -> str:
    shown = [f"{name} {card.metrics[name]:.3f}" for name in HEADLINE if name in card.metrics]
    if not card.metrics:
        return NOT_RECORDED
    return ", ".join(shown) if shown else f"{len(card.metrics)} figures in reports/metrics.json"


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def render_trace(trace: RowTrace) -> str:
    """What one row touched, for people."""
    lines = [
        f"Row {trace.row_hash}",
        f"  {trace.domain or 'domain not recorded'}, task {trace.task_id or 'not recorded'}",
    ]
    if trace.recalled:
        lines.append(f"  RECALLED by event {trace.recalled}")
    parts: dict[str, list[str]] = {
        "batches": [f"{b.batch[:16]} {b.source or ''} {b.time or ''}".rstrip() for b in trace.batches],
        "datasets": [f"{d.path} {d.md5[:12]}, from {d.commit[:12] if d.commit else 'here'}" for d in trace.datasets],
        "quarantined": list(trace.quarantined),
        "adapters": [
            f"{f'v{a.version}' if a.version else a.folder} {a.digest[:16]}, rows.txt:{','.join(map(str, a.lines))}"
            for a in trace.adapters
        ],
        "evaluations": [f"{e.adapter[:16]}: {e.what}" for e in trace.evaluations],
        "promotions": [f"{p.adapter[:16]}: event {p.event}, {p.what}" for p in trace.promotions],
    }
    for name, said in parts.items():
        lines.append(f"  {name}: {'none' if not said else ''}".rstrip())
        lines += [f"    {line}" for line in said]
    return "\n".join(lines)
