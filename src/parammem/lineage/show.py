"""Put together what is known of one adapter, and refuse to vouch for it when a recorded link does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parammem.errors import LineageError
from parammem.lineage.files import read_adapter, read_commit, read_mapping, read_row_hashes
from parammem.lineage.links import Evidence, changed_code, check_links, locked_hashes
from parammem.lineage.records import AdapterCard, Base, Rows, Rules
from parammem.tracking import flat_numbers


def show(repo: Path, adapter_dir: Path, strict: bool = True) -> AdapterCard:
    """The commit, rows, rules, params, base and metrics behind an adapter, every link checked again.

    Args:
        repo: root of the repository.
        adapter_dir: the adapter's folder: absolute, or relative to `repo` or, if that has none, to the working
            directory.
        strict: raise if a link does not hold; False returns the card, whose `broken` names them.

    Raises:
        AdapterMissingError, AdapterError: there is no adapter card to start from.
        LineageError: names each link that does not hold, or a file that cannot be read.
    """
    repo = repo.resolve()
    folder = _folder(repo, adapter_dir)
    adapter = read_adapter(folder)
    found = Evidence(
        repo=repo,
        folder=folder,
        place=folder.relative_to(repo).as_posix() if folder.is_relative_to(repo) else str(folder),
        adapter=adapter,
        rows=read_row_hashes(folder),
        report=read_mapping(repo / "reports" / "validation" / f"{adapter.domain}.json"),
        lock=read_mapping(repo / "dvc.lock"),
    )
    links = check_links(found)
    metrics = (read_mapping(repo / "reports" / "metrics.json") or {}).get(adapter.domain, {})
    card = AdapterCard(
        folder=found.place,
        domain=adapter.domain,
        digest=adapter.digest,
        steps=adapter.steps,
        held_out_loss=adapter.held_out_loss,
        commit=read_commit(repo),
        rows=Rows(count=adapter.rows, digest=adapter.data_digest, validated=_count_lines(found.validated)),
        rules=_rules(found.report),
        recipe=adapter.recipe,
        base=Base(name=adapter.base_model, digest=adapter.base_digest, recipe_digest=_recipe_digest(found.base)),
        dvc=locked_hashes(found),
        changed_code=changed_code(found),
        metrics=flat_numbers(metrics),
        links=links,
    )
    if strict and card.broken:
        raise LineageError(_complaint(card))
    return card


def _folder(repo: Path, adapter_dir: Path) -> Path:
    inside = (repo / adapter_dir).resolve()
    return inside if inside.exists() or not adapter_dir.exists() else adapter_dir.resolve()


def _rules(report: Mapping[str, Any] | None) -> Rules | None:
    if report is None:
        return None
    quarantined, kept = report.get("quarantined", []), report.get("kept", 0)
    return Rules(
        passed=bool(report.get("passed")),
        suite_digest=str(report.get("suite_digest", "")),
        rows=int(report.get("rows", 0)),
        kept=len(kept) if isinstance(kept, list) else int(kept),
        quarantined=len(quarantined),
        rules=tuple(dict.fromkeys(rule["rule"] for rule in report.get("rules", []))),
    )


def _recipe_digest(base: Path) -> str | None:
    recipe = read_mapping(base / "recipe.json") or {}
    return recipe.get("recipe_digest")


def _count_lines(path: Path) -> int | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as lines:
        return sum(bool(line.strip()) for line in lines)


def _complaint(card: AdapterCard) -> str:
    lines = [f"  - {link.name}: {link.detail}" for link in card.broken]
    return (
        f"{card.folder}: {len(lines)} recorded link(s) do not hold:\n" + "\n".join(lines) + "\n"
        "the adapter is not what its records say; `dvc checkout` restores the recorded files, `dvc repro` makes new"
    )
