"""A witness beside the demo: writes down what happened, by other means than those that later tell of it.

It shares no code with `lineage` (nor with anything else here): files are hashed with hashlib, git and `dvc get` are
asked as a person would ask them, rows are counted by the texts that the driver itself dropped, and who is champion
follows from what each turn said. An auditor's answers are compared with its record: tests/lineage/test_real_life.py.

witness.jsonl, one line per moment: `start`, then `batch` and `turn` for each season, then `rollback`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

WEIGHTS = "adapter_model.safetensors"


class Witness:
    """Watches one repository, whose turns go to one branch.

    Args:
        place: the file to write, outside the repository.
    """

    def __init__(self, root: Path, place: Path, domain: str, branch: str = "improve") -> None:
        self.root, self.place, self.domain, self.branch = root, place, domain, branch
        self.champions: list[str] = []
        """Digests of weights, as they became champion; empty: none."""
        self._commit = self._git("rev-parse", "HEAD")
        self._seasons: dict[tuple[str, str], int] = {}
        """Task id and text → season; the same text may be asked twice."""
        place.unlink(missing_ok=True)

    def start(self, params: dict[str, Any]) -> None:
        """What the driver set, before anything ran."""
        base = str(params["engine"]["model"])
        self._write(
            "start",
            commit=self._commit,
            params=params,
            base=base,
            base_files={f.name: _sha256(f) for f in sorted((self.root / base).iterdir()) if f.is_file()},
            pins=_pins(self.root / "constraints.txt"),
        )

    def batch(self, number: int, file: Path, advisor: Path | None) -> None:
        """A file that the driver has put into the inbox. `advisor`: the adapter's folder that it gave to the agent."""
        rows = _rows(file)
        by = _sha256(advisor / WEIGHTS) if advisor else ""
        said = Counter(
            row["task"]["task_id"] for row in rows for one in row["trajectory"]["reflections"] if by == one["author"]
        )
        self._seasons |= {(row["task"]["task_id"], row["task"]["text"]): number for row in rows}
        self._write(
            "batch",
            number=number,
            file=file.name,
            sha256=_sha256(file),
            rows=len(rows),
            right=sum(row["outcome"] for row in rows),
            advisor=by,
            pieces=said.total(),
            advised=dict(sorted(said.items())),
        )

    def turn(self, number: int, said: str) -> None:
        """What a turn that followed a batch left behind. `said`: its line, as the driver got it."""
        head = self._git("rev-parse", f"refs/heads/{self.branch}")
        made = self._git("rev-list", "--reverse", f"{self._commit}..{head}", "--", "dvc.lock").split()
        if not made:
            raise RuntimeError(f"the turn said {said!r} and committed no dvc.lock")
        commit, self._commit = made[0], head
        scratch = self.place.with_name("witness-scratch")
        data, models = self._fetch(commit, "data", scratch), self._fetch(commit, "models/reflectors", scratch)
        weights = _sha256(models / self.domain / WEIGHTS)
        answer = re.findall(rf"{self.domain}: (\w+)", said)[-1]
        if answer == "promote":
            self.champions.append(weights)
        rows = _rows(data / "validated" / f"{self.domain}.jsonl")
        self._write(
            "turn",
            number=number,
            said=said,
            answer=answer,
            commit=commit,
            head=head,
            adapter=weights,
            champion=self.champions[-1] if self.champions else "",
            rows=[_row_hash(row) for row in rows],
            seasons=self._by_season(rows),
            experience=self._files(data / "experience"),
            fresh=self._files(data / "fresh"),
            report=json.loads(self._git("show", f"{commit}:reports/validation/{self.domain}.json")),
            bound=self._bound(models / self.domain / "validation.json"),
            quarantined=len(_rows(data / "quarantine" / f"{self.domain}.jsonl")),
            judged=self._judged(commit),
            asked=self._asked(data),
            leaked=self._leaked(data, {row["task_text"] for row in rows}),
            tags=sorted(self._git("tag", "--list").split()),
        )
        shutil.rmtree(scratch)

    def rollback(self, said: str) -> None:
        """The driver asked for the champion before this one."""
        before = self.champions[-2] if len(self.champions) > 1 else ""
        self.champions.append(before)
        self._commit = self._git("rev-parse", f"refs/heads/{self.branch}")
        tags = sorted(self._git("tag", "--list").split())
        self._write("rollback", said=said, champion=before, head=self._commit, tags=tags)

    @staticmethod
    def _bound(file: Path) -> str:
        """Return the suite that the adapter's folder names; empty for adapters from before it named one."""
        return str(json.loads(file.read_text(encoding="utf-8"))["suite_digest"]) if file.is_file() else ""

    def _by_season(self, rows: list[dict[str, Any]]) -> dict[str, int]:
        """Return season → its rows; 0 for those of tasks that the driver never dropped, which are the pipeline's
        own."""
        asked = ((row["task_id"].rpartition("/")[2], row["task_text"]) for row in rows)  # ids get the batch in front
        return {str(season): n for season, n in sorted(Counter(self._seasons.get(one, 0) for one in asked).items())}

    def _files(self, folder: Path) -> dict[str, int | None]:
        """Return SHA-256 of each batch file → the season that its rows were dropped in."""
        found = {}
        for file in sorted(folder.glob("*.jsonl")):
            seasons = {self._seasons.get((row["task"]["task_id"], row["task"]["text"])) for row in _rows(file)}
            found[_sha256(file)] = seasons.pop() if len(seasons) == 1 else None
        return found

    def _judged(self, commit: str) -> dict[str, float]:
        """Return "<slice>.<arm>" → share solved, counted anew from the outcomes that came with this commit."""
        added = self._git("show", "--name-only", "--format=", "--diff-filter=A", commit, "--", "ledger/evidence")
        found = {}
        for path in added.split():
            evidence = json.loads(self._git("show", f"{commit}:{path}"))
            for part in evidence["slices"]:
                for arm in ("none", "champion", "challenger"):
                    if part.get(arm):
                        found[f"{part['name']}.{arm}"] = sum(part[arm]) / (len(part[arm]) * part["runs"])
        return found

    def _asked(self, data: Path) -> dict[str, int]:
        """Return how many questions of this domain there are to judge by, by split."""
        splits = {split: len(_rows(data / "tasks" / self.domain / f"{split}.jsonl")) for split in ("eval", "unseen")}
        return splits | {"fresh": sum(len(_rows(file)) for file in (data / "fresh").glob("*.jsonl"))}

    def _leaked(self, data: Path, trained: set[str]) -> int:
        """Return how many of these questions are trained on, word for word."""
        asked = [t["text"] for s in ("eval", "unseen") for t in _rows(data / "tasks" / self.domain / f"{s}.jsonl")]
        asked += [row["task"]["text"] for file in (data / "fresh").glob("*.jsonl") for row in _rows(file)]
        return sum(text in trained for text in asked)

    def _fetch(self, commit: str, path: str, scratch: Path) -> Path:
        to = scratch / path.replace("/", "-")
        shutil.rmtree(to, ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "dvc", "get", "-q", "--rev", commit, ".", path, "--out", str(to)]
        subprocess.run(command, cwd=self.root, check=True)
        return to

    def _git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def _write(self, saw: str, **facts: Any) -> None:
        with self.place.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"saw": saw, **facts}, sort_keys=True, ensure_ascii=False) + "\n")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _rows(file: Path) -> list[dict[str, Any]]:
    lines = file.read_bytes().split(b"\n") if file.is_file() else []  # as the reader of parammem.core does: at \n only
    return [json.loads(line) for line in lines if line.strip()]


def _row_hash(row: dict[str, Any]) -> str:
    """docs/audit.md: SHA-256 of domain, question and advice, as a JSON list without spaces."""
    text = json.dumps([row["domain"], row["task_text"], row["reflection"]], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _pins(file: Path) -> dict[str, str]:
    """Return package → version of lines `name==version`."""
    found = (re.match(r"([\w.-]+)==([^\s;]+)", line) for line in file.read_text(encoding="utf-8").splitlines())
    return {one[1]: one[2] for one in found if one}
