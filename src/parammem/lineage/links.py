"""Check each recorded link from data to model again, by hashing what it names. One small function per link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.core import Adapter, ReflectionExample, digest_of, read_jsonl
from parammem.engines.digests import model_digest
from parammem.errors import ModelMissingError
from parammem.lineage.files import WEIGHTS, dvc_hash, file_hash
from parammem.lineage.records import Link

ARTEFACTS = ("data/", "models/", "reports/")
"""Where deps are data and not code: if one of these differs from dvc.lock, a link is broken and not merely stale."""


@dataclass(frozen=True)
class Evidence:
    """All that was read about one adapter."""

    repo: Path
    folder: Path
    place: str
    """The folder relative to the repository, as dvc.lock writes it."""
    adapter: Adapter
    rows: list[str] | None
    report: Mapping[str, Any] | None
    lock: Mapping[str, Any] | None

    @property
    def validated(self) -> Path:
        return self.repo / "data" / "validated" / f"{self.adapter.domain}.jsonl"

    @property
    def base(self) -> Path:
        return self.repo / self.adapter.base_model

    @property
    def primary(self) -> bool:
        """True for the domain's own reflector; a control is trained on rows that were made for it."""
        return self.place == f"models/reflectors/{self.adapter.domain}"

    def stages(self) -> dict[str, Any]:
        """The stages of dvc.lock on this adapter's way: of its domain, or without one."""
        every = (self.lock or {}).get("stages", {})
        return {name: value for name, value in every.items() if name.partition("@")[2] in ("", self.adapter.domain)}

    def maker(self) -> tuple[str, Any] | None:
        """The stage with an out that is this folder or holds it."""
        for name, stage in (self.lock or {}).get("stages", {}).items():
            for out in stage.get("outs", []):
                if self.place == out["path"] or self.place.startswith(out["path"].rstrip("/") + "/"):
                    return name, stage
        return None


def check_links(found: Evidence) -> tuple[Link, ...]:
    """Every link, in the order from the weights back to the data."""
    checks = (_weights, _rows, _validated, _report, _base, _params, _evaluated)
    return (*(check(found) for check in checks), *_locked(found))


def locked_hashes(found: Evidence) -> dict[str, str]:
    """Path → hash of the deps and outs of `found.stages()`."""
    entries = [e for s in found.stages().values() for e in (*s.get("deps", []), *s.get("outs", []))]
    return {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}


def changed_code(found: Evidence) -> tuple[str, ...]:
    """Deps that are no artefacts and differ from dvc.lock."""
    code = {path: value for path, value in locked_hashes(found).items() if not path.startswith(ARTEFACTS)}
    return tuple(sorted(path for path, value in code.items() if dvc_hash(found.repo / path) != value))


def _weights(found: Evidence) -> Link:
    path = found.folder / WEIGHTS
    if not path.is_file():
        return Link(name="weights", holds=False, detail=f"{WEIGHTS} is missing; `dvc pull`")
    digest = file_hash(path, "sha256")
    return _equal("weights", digest, found.adapter.digest, f"SHA-256 of {WEIGHTS}", "adapter.json")


def _rows(found: Evidence) -> Link:
    if found.rows is None:
        return Link(name="rows", holds=None, detail="rows.txt: not recorded")
    if len(found.rows) != found.adapter.rows:
        return Link(
            name="rows",
            holds=False,
            detail=f"rows.txt has {len(found.rows)} rows, adapter.json says {found.adapter.rows}",
        )
    return _equal("rows", digest_of(found.rows), found.adapter.data_digest, "digest of rows.txt", "adapter.json")


def _validated(found: Evidence) -> Link:
    hashes = _validated_hashes(found)
    if hashes is None or found.rows is None:
        return Link(name="validated rows", holds=None, detail=f"{found.validated.name} or rows.txt: not recorded")
    known = set(hashes)
    strange = [row for row in found.rows if row not in known]
    if strange and not found.primary:
        return Link(name="validated rows", holds=None, detail=f"{len(strange)} rows are a control's own")
    if strange:
        return Link(
            name="validated rows",
            holds=False,
            detail=f"{len(strange)} of {len(found.rows)} rows are not in {_short(found)}, first {strange[0][:16]}",
        )
    return Link(name="validated rows", holds=True, detail=f"all {len(found.rows)} rows are in {_short(found)}")


def _short(found: Evidence) -> str:
    return found.validated.relative_to(found.repo).as_posix()


def _validated_hashes(found: Evidence) -> list[str] | None:
    if not found.validated.is_file():
        return None
    return [row.row_hash for row in read_jsonl(found.validated, ReflectionExample)]


def _report(found: Evidence) -> Link:
    name = "validation"
    if found.report is None:
        return Link(name=name, holds=None, detail="validation report: not recorded")
    if not found.report.get("passed"):
        return Link(name=name, holds=False, detail="the suite did not pass on these rows")
    hashes = _validated_hashes(found)
    recorded = found.report.get("kept_digest")
    if hashes is None or not recorded:
        return Link(name=name, holds=None, detail="validated file or its digest: not recorded")
    return _equal(name, digest_of(hashes), recorded, f"digest of the rows in {_short(found)}", "the validation report")


def _base(found: Evidence) -> Link:
    try:
        digest = model_digest(found.base)
    except ModelMissingError:
        return Link(name="base model", holds=None, detail=f"{found.adapter.base_model} is not in this repository")
    return _equal(
        "base model", digest, found.adapter.base_digest, f"digest of {found.adapter.base_model}", "adapter.json"
    )


def _params(found: Evidence) -> Link:
    maker = found.maker()
    recorded = (maker[1].get("params") or {}).get("params.yaml") if maker else None
    if not recorded:
        return Link(name="params", holds=None, detail="training params in dvc.lock: not recorded")
    section = dict(recorded.get("train") or {})
    section |= {key.removeprefix("train."): value for key, value in recorded.items() if key.startswith("train.")}
    shared = sorted(section.keys() & found.adapter.recipe.keys())
    differ = [key for key in shared if section[key] != found.adapter.recipe[key]]
    if differ:
        return Link(name="params", holds=False, detail=f"adapter.json and dvc.lock differ in {', '.join(differ)}")
    if not shared:
        return Link(name="params", holds=None, detail="training params in dvc.lock: not recorded")
    return Link(name="params", holds=True, detail=f"{len(shared)} training params are those of dvc.lock")


def _evaluated(found: Evidence) -> Link:
    """That the metrics were measured on this adapter: evaluate's dep is train's out."""
    stages = (found.lock or {}).get("stages", {})
    evaluate = stages.get(f"evaluate@{found.adapter.domain}")
    made = found.maker()
    if not evaluate or not made:
        return Link(name="evaluation", holds=None, detail="evaluation of this adapter in dvc.lock: not recorded")
    outs = {entry["path"]: entry.get("md5") for entry in made[1].get("outs", [])}
    for dep in evaluate.get("deps", []):
        if dep["path"] in outs and (found.place + "/").startswith(dep["path"].rstrip("/") + "/"):
            return _equal(
                "evaluation",
                str(dep.get("md5")),
                str(outs[dep["path"]]),
                "the adapter that evaluate read",
                f"the one {made[0]} wrote",
            )
    return Link(name="evaluation", holds=None, detail="evaluate does not read this adapter")


def _locked(found: Evidence) -> list[Link]:
    """Each artefact of dvc.lock on this adapter's way, hashed again. Without dvc.lock one link says so."""
    if found.lock is None:
        return [Link(name="dvc.lock", holds=None, detail="dvc.lock: not recorded")]
    links = []
    for path, recorded in sorted(locked_hashes(found).items()):
        if not path.startswith(ARTEFACTS):
            continue
        here = dvc_hash(found.repo / path)
        name = f"dvc.lock: {path}"
        if here is None:
            links.append(Link(name=name, holds=None, detail="not here; `dvc pull` fetches it"))
        else:
            links.append(_equal(name, here, recorded, "its hash", "dvc.lock"))
    return links


def _equal(name: str, here: str, recorded: str, what: str, where: str) -> Link:
    if here == recorded:
        return Link(name=name, holds=True, detail=f"{what} is {here[:16]}, as {where} says")
    return Link(name=name, holds=False, detail=f"{what} is {here[:16]}, but {where} says {recorded[:16]}")
