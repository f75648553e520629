"""A repository with a life: generations of a reflector made by fake_pipeline.py, with real git, dvc.lock, cache, ledger
and tags. `Truth` records beside it, independently, what happened; tests compare lineage with that."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from parammem.checkout.hashes import dvc_hash, files_below
from parammem.core import Adapter, Reflection, Task, Trajectory
from parammem.core.decision import Decision, ErrorBudget
from parammem.core.event import Decided, Evaluated, Ingested, Published, Trained
from parammem.core.experience import Experience
from parammem.core.jsonl import write_jsonl
from parammem.registry import Ledger
from parammem.registry.tags import sync_tags
from tests.lineage import fake_pipeline

FOLDER = Path("models/reflectors/code")
DVC_YAML: dict[str, Any] = {
    "stages": {
        "collect": {"foreach": ["code"], "do": {
            "cmd": "python pipe.py collect", "deps": ["data/experience", "pipe.py"],
            "outs": ["data/reflections/${item}.jsonl"]}},
        "validate": {"foreach": ["code"], "do": {
            "cmd": "python pipe.py validate",
            "deps": ["data/recalled.txt", "data/reflections/${item}.jsonl", "pipe.py"],
            "outs": ["data/quarantine/${item}.jsonl", "data/validated/${item}.jsonl"],
            "metrics": [{"reports/validation/${item}.json": {"cache": False}}]}},
        "train": {"foreach": ["code"], "do": {
            "cmd": "python pipe.py train", "deps": ["data/validated/${item}.jsonl", "models/base", "pipe.py"],
            "params": ["train"], "outs": ["models/reflectors/${item}"]}},
        "evaluate": {"foreach": ["code"], "do": {
            "cmd": "python pipe.py evaluate", "deps": ["models/reflectors/${item}", "pipe.py"],
            "outs": ["reports/evaluation/${item}"]}},
        "report": {"cmd": "python pipe.py report", "deps": ["pipe.py", "reports/evaluation"],
                   "metrics": [{"reports/metrics.json": {"cache": False}}]},
    }
}  # fmt: skip
IGNORED = ["/data/reflections/*.jsonl", "/data/validated/*.jsonl", "/data/quarantine/", "/models/reflectors/",
           "/reports/evaluation/", "/data/experience/*.jsonl", ".cache/", "__pycache__/"]  # fmt: skip


@dataclass
class Truth:
    """What happened, written down while it did."""

    batches: list[str] = field(default_factory=list)
    rows_of_batch: list[list[str]] = field(default_factory=list)
    adapters: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    """Per generation the rows it was trained on."""
    commits: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


class Life:
    """Builds the repository, one generation after another."""

    def __init__(self, root: Path) -> None:
        self.root, self.truth = root, Truth()
        self.ledger = Ledger(root, clock=lambda: "2026-11-23T00:00:00Z")
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        for key, value in {"user.name": "t", "user.email": "t@t", "commit.gpgsign": "false"}.items():
            self.git("config", key, value)
        base = root / "models/base"
        base.mkdir(parents=True)
        (base / "model.safetensors").write_bytes(b"base")
        (root / "pipe.py").write_text(Path(fake_pipeline.__file__).read_text())
        (root / "dvc.yaml").write_text(yaml.safe_dump(DVC_YAML, sort_keys=False))
        (root / "params.yaml").write_text("train:\n  learning_rate: 0.5\n")
        (root / "data/experience").mkdir(parents=True)
        (root / "data/recalled.txt").write_text("")
        (root / ".gitignore").write_text("\n".join(IGNORED) + "\n")
        (root / ".dvc").mkdir()
        (root / ".dvc/config").write_text("[core]\n    analytics = false\n")
        (root / ".dvc/.gitignore").write_text("/cache\n/tmp\n/config.local\n")

    def git(self, *words: str) -> str:
        date = f"2026-11-{1 + len(self.truth.adapters):02d}T00:00:00Z"
        env = {**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *words], cwd=self.root, env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def generation(self, rows: int = 4, answer: str = "promote", advice: str = "limit inside") -> str:
        """A batch comes in, an adapter is trained, judged and (if so answered) promoted. Returns its digest."""
        number = len(self.truth.adapters) + 1
        self.ingest(number, rows, advice)
        self.run_pipeline()
        return self.sign_off(number, answer)

    def ingest(self, number: int, rows: int, advice: str = "limit inside") -> str:
        content = [self._experience(number, place, advice) for place in range(rows)]
        text = "".join(one.line() + "\n" for one in content)
        batch = hashlib.sha256(text.encode()).hexdigest()
        path = self.root / f"data/experience/{batch}.jsonl"
        write_jsonl(path, content)
        self._cache(path)
        pointer = {"outs": [{"md5": dvc_hash(path), "size": len(text), "hash": "md5", "path": path.name}]}
        path.with_suffix(".jsonl.dvc").write_text(yaml.safe_dump(pointer))
        fact = Ingested(source=batch[::-1], name=f"batch-{number}.jsonl", format="parammem", batch=batch, fresh="",
                        rows=rows, kept=rows, held=0, duplicates=0, quarantined=0, domains={"code": rows})  # fmt: skip
        self.ledger.append(fact, "flow improve")
        self.truth.batches.append(batch)
        hashes = [fake_pipeline.digest(["code", e.task.text, e.trajectory.reflections[0].text]) for e in content]
        self.truth.rows_of_batch.append(hashes)
        return batch

    def _experience(self, number: int, place: int, advice: str) -> Experience:
        task = Task(task_id=f"t{number}-{place}", domain="code", text=f"keep the {number} times {place} largest .")
        said = Reflection(
            text=f"{advice} {number} {place}", source="self", author="a" * 64, iteration=1, temperature=1.0
        )
        path = Trajectory(task_id=task.task_id, domain="code", method="dot", protocol="strict", seed=1,
                          reflections=(said,), stop="visible-pass", submission=None)  # fmt: skip
        return Experience(task=task, trajectory=path, outcome=True)

    def run_pipeline(self, *only: str) -> None:
        """The stages (or only these), in this process, and dvc.lock as `dvc repro` would write it."""
        here = Path.cwd()
        os.chdir(self.root)
        try:
            for name, stage in fake_pipeline.STAGES.items():
                if not only or name in only:
                    stage()
        finally:
            os.chdir(here)
        lock, path = self._lock(), self.root / "dvc.lock"
        if only:
            before = yaml.safe_load(path.read_text())["stages"]
            lock["stages"] = before | {k: v for k, v in lock["stages"].items() if k.partition("@")[0] in only}
        path.write_text(yaml.safe_dump(lock, sort_keys=False))

    def _lock(self) -> dict[str, Any]:
        stages = {}
        for name, stage in DVC_YAML["stages"].items():
            do = json.loads(json.dumps(stage.get("do", stage)).replace("${item}", "code"))
            outs = [*do.get("outs", []), *(path for one in do.get("metrics", []) for path in one)]
            for path in do.get("outs", []):
                self._cache(self.root / path)
            made = {"cmd": do["cmd"], "deps": [self._entry(path) for path in sorted(do["deps"])]}
            if "params" in do:
                rate = yaml.safe_load((self.root / "params.yaml").read_text())["train"]
                made["params"] = {"params.yaml": {"train": rate}}
            made["outs"] = [self._entry(path) for path in sorted(outs)]
            stages[f"{name}@code" if "do" in stage else name] = made
        return {"schema": "2.0", "stages": stages}

    def _entry(self, path: str) -> dict[str, Any]:
        there = self.root / path
        found: dict[str, Any] = {"path": path, "hash": "md5", "md5": dvc_hash(there)}
        files = [file for _, file in files_below(there)] if there.is_dir() else [there]
        found["size"] = sum(file.stat().st_size for file in files)
        return found | ({"nfiles": len(files)} if there.is_dir() else {})

    def _cache(self, path: Path) -> None:
        """Put a file or folder into DVC's cache."""
        files = [file for _, file in files_below(path)] if path.is_dir() else [path]
        for file in files:
            self._object(str(dvc_hash(file)), file.read_bytes())
        if path.is_dir():
            entries = [{"md5": dvc_hash(file), "relpath": name} for name, file in files_below(path)]
            self._object(str(dvc_hash(path)), json.dumps(entries, sort_keys=True).encode())

    def _object(self, md5: str, data: bytes) -> None:
        place = self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def sign_off(self, number: int, answer: str) -> str:
        card = Adapter.model_validate_json((self.root / FOLDER / "adapter.json").read_text())
        lock = yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]["train@code"]
        dvc = {entry["path"]: entry["md5"] for entry in (*lock["deps"], *lock["outs"])}
        actor, champion = "flow improve", self._champion()
        self.ledger.append(
            Trained(domain="code", adapter=card.digest, data_digest=card.data_digest, rows=card.rows,
                    base_digest=card.base_digest, recipe_digest=fake_pipeline.digest(card.recipe),
                    batches=tuple(sorted(self.truth.batches)), dvc=dvc), actor,
        )  # fmt: skip
        out = dvc[FOLDER.as_posix()]
        self.ledger.append(
            Published(domain="code", version=number, adapter=card.digest, stage="candidate", decision="", dvc=out),
            actor,
        )
        arms = {"none": "", "champion": champion, "challenger": card.digest}
        self.ledger.append(Evaluated(domain="code", arms=arms, runs="9" * 64, solved={"anchor.challenger": 0.5}), actor)
        decision = Decision(
            domain="code", champion=champion, challenger=card.digest, answer=answer, reasons=("so it was",), guards=(),  # pyright: ignore
            slices=(), test=None, inputs={"validated rows": card.data_digest}, rule={}, rule_version=1,
            budget=ErrorBudget(total=0.04, look=number, alpha=0.01, spent_before=0.0, paid=True),
        )  # fmt: skip
        self.ledger.save_decision(decision)
        self.ledger.append(
            Decided(domain="code", decision=decision.digest, champion=champion, challenger=card.digest,
                    answer=answer, look=number, alpha=0.01), actor,  # pyright: ignore
        )  # fmt: skip
        if answer == "promote":
            fact = Published(domain="code", version=number, adapter=card.digest, stage="champion",
                             decision=decision.digest, dvc=out)  # fmt: skip
            self.ledger.append(fact, actor)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"generation {number}")
        sync_tags(self.root)
        truth = self.truth
        truth.adapters.append(card.digest)
        truth.rows.append([row for rows in truth.rows_of_batch for row in rows])
        truth.commits.append(self.git("rev-parse", "HEAD"))
        truth.decisions.append(decision.digest)
        truth.answers.append(answer)
        return card.digest

    def _champion(self) -> str:
        for adapter, answer in zip(reversed(self.truth.adapters), reversed(self.truth.answers), strict=True):
            if answer == "promote":
                return adapter
        return ""


def dvc(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A real `dvc`, with this interpreter as `python`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "DVC_SITE_CACHE_DIR": str(root / ".cache/dvc-site")}
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, env=env, capture_output=True, text=True)
