"""One folder or zip for an outsider: all about an adapter, signed, with a verifier that needs nothing of ours."""

from __future__ import annotations

import io
import json
import zipfile
from html import escape
from pathlib import Path
from typing import Any

from parammem.checkout.hashes import files_below
from parammem.checkout.places import LIVE, METRICS, places_of
from parammem.core.decision import Decision
from parammem.core.event import Decided
from parammem.core.record import Record
from parammem.errors import LineageError
from parammem.lineage.bundle.counted_runs import FOLDER
from parammem.lineage.bundle.materials import bill_of_materials, lineage_events
from parammem.lineage.bundle.standalone import script
from parammem.lineage.bundle.statements import KEY, Notary, outcome_of, provenance
from parammem.lineage.bundle.verifier import KINDS, LIST, PROVENANCE
from parammem.lineage.checks.evidence import evidence_bytes, evidence_place
from parammem.lineage.checks.live_runs import runs_bytes, runs_inputs
from parammem.lineage.pages.graph import graph_svg
from parammem.lineage.pages.page import Page, audit_page
from parammem.lineage.past.events import Life, decision_bytes, ledger_bytes, read_decision, read_life
from parammem.lineage.past.history import History
from parammem.lineage.past.subject import Subject, find_subject
from parammem.lineage.rebuilds.rebuild import stages_before
from parammem.lineage.rows.datasets import row_hashes

UNDATED = "1980-01-01T00:00:00+00:00"
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#223}
pre{white-space:pre-wrap;background:#f5f6f8;padding:.6em;border-radius:6px}h2{font-size:1.05em;margin-bottom:.2em}
.yes{color:#176}.no{color:#c22;font-weight:600}svg{max-width:100%;height:auto}"""


class Exported(Record):
    """What was written."""

    place: str
    files: tuple[str, ...]
    key: str
    """The public key, 64 hex digits: give it to the outsider by another way than the bundle."""


def export(repo: Path, adapter: str | None, out: Path, domain: str = "code", key_file: Path | None = None) -> Exported:
    """Write the bundle.

    Args:
        out: a folder that is empty or not there, or a file that ends in .zip.
        key_file: PEM PKCS#8 Ed25519 key; None: the one below .cache/audit/, made when it is not there.

    Raises:
        LineageError: a link does not hold, bytes are not here, or the place is taken. Nothing is written then.
    """
    if (out.suffix == ".zip" and out.exists()) or (out.is_dir() and any(out.iterdir())):
        raise LineageError(f"{out} is there already; name a new zip or an empty folder")
    page = audit_page(repo, adapter, domain)
    if page.broken:
        named = ", ".join(f"{found.path} [{found.stage}]" for found in page.broken[:5])
        raise LineageError(f"{page.title}: nobody should sign what does not hold: {named}; see `parammem audit verify`")
    notary = Notary(key_file or repo / KEY)
    files = bundle_files(repo, page, notary)
    if out.suffix == ".zip":
        out.write_bytes(_zipped(files))
    else:
        for name, data in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return Exported(place=str(out), files=tuple(sorted(files)), key=notary.public)


def bundle_files(repo: Path, page: Page, notary: Notary) -> dict[str, bytes]:
    """Return name → contents of every file, the signed statements among them."""
    plain = page.model_dump(mode="json")
    with History.open(repo) as history:
        life = read_life(history.repo)
        subject = find_subject(history, life, page.digest, page.domain)
        files = {**_adapter(subject), **_records(subject), **_decisions(history, life, subject)}
        made = subject.generation
        date = made.commit.date if made and made.commit else UNDATED
        commit = page.commit or ""
        maker = subject.snapshot.maker(subject.place)
        order = stages_before(subject.snapshot.lock, maker) if maker else []
        rest = [name for name in subject.snapshot.lock if name.partition("@")[2] in ("", page.domain)]
        lock = {name: subject.snapshot.lock[name] for name in dict.fromkeys([*order, *rest])}
    svg = graph_svg(repo, page.digest, page.domain)
    files |= {
        "index.html": _html(page, svg).encode(),
        "lineage.svg": svg.encode(),
        "audit.json": (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode(),
        "sbom.cdx.json": bill_of_materials(plain, date),
        "openlineage.ndjson": lineage_events(lock, commit, date),
        "verify.py": script(),
        "key.txt": f"{notary.public}\n".encode(),
    }
    files |= _statements(files, plain, lock, commit, notary)
    files[LIST] = notary.envelope(files, KINDS[LIST][0], {"adapter": page.digest, "files": len(files)})
    return files


def _adapter(subject: Subject) -> dict[str, bytes]:
    """Return the adapter's folder, its model card among it. Raises LineageError if bytes are not here."""
    names = list(subject.snapshot.files(subject.place) or ())
    folder = subject.snapshot.store.repo / subject.place
    names = names or [name for name, _ in files_below(folder)]
    found = {}
    for name in names:
        data = subject.snapshot.read(f"{subject.place}/{name}")
        if data is None:
            raise LineageError(f"{subject.place}/{name} of {subject.title} is not here; `dvc fetch --all-commits`")
        found[f"adapter/{name}"] = data
    if "adapter/README.md" in found:
        found["MODEL_CARD.md"] = found["adapter/README.md"]
    return found


def _records(subject: Subject) -> dict[str, bytes]:
    """Return validation, evaluation, metrics, params and pins, as they were in the adapter's state. No row of data
    itself."""
    domain, state = subject.domain, subject.snapshot
    found: dict[str, bytes | None] = {
        "validation/report.json": state.read(places_of(domain).validation.as_posix()),
        "environment/constraints.txt": state.read("constraints.txt"),
        "environment/params.yaml": state.read("params.yaml"),
        "environment/dvc.lock": state.read("dvc.lock"),
    }
    validated = places_of(domain).validated.as_posix()
    md5 = state.hash(validated)
    kept = row_hashes(state, validated, md5) if md5 else None
    if kept is not None:
        found["validation/kept_rows.txt"] = "".join(f"{row}\n" for row in kept).encode()
    else:
        found.pop("validation/report.json")
    evaluation = state.files(places_of(domain).evaluation.as_posix()) if subject.evaluated else None
    if subject.evaluated:
        found["evaluation/metrics.json"] = state.read(METRICS.as_posix())
    for name in evaluation or ():
        found[f"evaluation/{name}"] = state.read((places_of(domain).evaluation / name).as_posix())
    return {name: data for name, data in found.items() if data is not None}


def _decisions(history: History, life: Life, subject: Subject) -> dict[str, bytes]:
    """Return the ledger, the decisions about the adapter, and the outcomes or runs that they were made on."""
    repo, found = history.repo, {}
    ledger = ledger_bytes(repo)
    if ledger:
        found["ledger/events.jsonl"] = ledger
    for event in life.of(subject.adapter.digest):
        if isinstance(event.fact, Decided):
            data = decision_bytes(repo, event.fact.decision)
            if data is not None:
                found[f"decision/{event.fact.decision}.json"] = data
            record = read_decision(repo, event.fact.decision)
            place = evidence_place(record) if record else None
            outcomes = evidence_bytes(history, place) if place else None
            if place and outcomes is not None:
                found[f"evidence/{Path(place).name}"] = outcomes
            if record and record.live:
                found |= _runs(history, record)
    return found


def _runs(history: History, decision: Decision) -> dict[str, bytes]:
    """Return the runs in use that a decision was made on: no text of theirs, but their ids. Raises LineageError if they
    are not here."""
    found = {}
    for name, digest in runs_inputs(decision).items():
        data = runs_bytes(history, digest)
        if data is None:
            place = f"{LIVE.as_posix()}/{digest}.jsonl"
            raise LineageError(
                f"{name}, on which decision {decision.digest[:16]} was made, are not here; `dvc pull {place}`"
            )
        found[f"{FOLDER}{digest}.jsonl"] = data
    return found


def _statements(
    files: dict[str, bytes], page: dict[str, Any], lock: dict[str, Any], commit: str, notary: Notary
) -> dict[str, bytes]:
    """Return the statements about parts of the bundle. Which one is about which files is said in the verifier's
    KINDS."""
    facts = {one["number"]: one["facts"] for one in page["answers"]}
    rules = {"rules": facts[2].get("rules"), "adapter": page["digest"]}
    said = {
        PROVENANCE: lambda: provenance(page, lock, commit),
        "statements/validation.dsse.json": lambda: outcome_of(
            bool(facts[2]["passed"]), str(facts[2]["suite_digest"]), rules
        ),
        "statements/evaluation.dsse.json": lambda: outcome_of(
            True, "evaluation ran to its end", {"adapter": page["digest"]}
        ),
        "statements/decision.dsse.json": lambda: {
            "decisions": facts[5]["decisions"], "champion_now": facts[5]["champion_now"],
        },
    }  # fmt: skip
    made = {}
    for name, predicate in said.items():
        kind, folders = KINDS[name]
        about = {file: data for file, data in files.items() if file.startswith(folders)}
        if about:
            made[name] = notary.envelope(about, kind, predicate())
    return made


def _html(page: Page, svg: str) -> str:
    signs = {True: '<span class="yes">ok</span>', False: '<span class="no">FAILED</span>', None: ""}
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(page.title)}</title>',
        f"<style>{STYLE}</style></head><body><h1>Reflector {escape(page.title)}</h1>",
        f"<p>digest <code>{page.digest}</code><br>commit <code>{page.commit or 'not committed'}</code></p>{svg}",
    ]
    for one in page.answers:
        parts.append(f"<h2>{one.number}. {escape(one.question)} {signs[one.holds]}</h2><pre>{escape(one.says)}</pre>")
    parts.append(
        "<p>Model card: <a href='MODEL_CARD.md'>MODEL_CARD.md</a>; bill of materials: "
        "<a href='sbom.cdx.json'>CycloneDX</a>; "
        "to check all of this: <code>python verify.py --key KEY</code>, with the key that the sender gave you.</p>"
        "</body></html>\n"
    )
    return "\n".join(parts)


def _zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in sorted(files.items()):
            bundle.writestr(zipfile.ZipInfo(name), data, compress_type=zipfile.ZIP_DEFLATED)
    return out.getvalue()
