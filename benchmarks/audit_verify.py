"""How long `audit verify` takes over a long life, and how much memory: generations are made up, all else is real.

    python benchmarks/audit_verify.py [--generations 1000] [--rows 1000] [--folder FOLDER]

Each generation has a dataset, an adapter with a manifest of its rows, a dvc.lock in a git commit, a validation report,
a decision, five ledger events and two tags. Printed are wall and CPU seconds and peak memory of a first verification
(which reads everything), of a second one (unchanged files are not read again), of `--full`, and of one after a byte was
flipped somewhere in the history, each in a process of its own; and of a first one over a tenth of the generations.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from parammem.core import Adapter, ReflectionExample, digest_of
from parammem.core.decision import Decision, ErrorBudget
from parammem.core.event import START, Decided, Evaluated, Event, Published, Trained, make_event
from parammem.registry.tags import wanted_tags

LEDGER_EVERY = 20
"""Generations per commit of the ledger: with every commit a whole copy of it, a thousand copies would be gigabytes."""
HEAD = ("generations", "row hashes", "links", "files read", "wall s", "CPU s", "MB")
CHILD = """
import json, resource, sys, time
from pathlib import Path
from parammem.lineage import verify
started = time.perf_counter()
done = verify(Path(sys.argv[1]), full=sys.argv[2] == "full")
use, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"wall": time.perf_counter() - started, "cpu": use.ru_utime + use.ru_stime + children.ru_utime
+ children.ru_stime, "mb": use.ru_maxrss / 1024, "links": sum(done.checked.values()), "rows": done.rows,
"generations": done.generations, "read": done.files_read, "broken": [f"{f.path} [{f.stage}]" for f in done.broken]}))
"""


class Maker:
    """Writes the repository."""

    def __init__(self, root: Path, rows: int) -> None:
        self.root, self.rows = root, rows
        self.cache = root / ".dvc/cache/files/md5"
        self.events: list[Event] = []
        self.champion = ""

    def generation(self, number: int) -> dict[str, bytes]:
        """One generation: objects into DVC's cache; returned are the files of its commit."""
        rows = [self._row(number, place) for place in range(self.rows)]
        hashes = [row.row_hash for row in rows]
        dataset = "".join(row.line() + "\n" for row in rows).encode()
        weights = _weights(number)
        card = Adapter(
            domain="code", digest=hashlib.sha256(weights).hexdigest(), base_model="models/base", base_digest="b" * 64,
            recipe={"rank": 4}, data_digest=digest_of(hashes), rows=len(rows), steps=9, held_out_loss=1.0,
        )  # fmt: skip
        validated = self._object(dataset)
        out = self._folder({
            "adapter.json": card.line().encode(),
            "adapter_model.safetensors": weights,
            "rows.txt": "".join(f"{row}\n" for row in hashes).encode(),
        })  # fmt: skip
        report = {"passed": True, "suite_digest": "5" * 64, "rows": len(rows), "kept": len(rows), "quarantined": [],
                  "kept_digest": digest_of(hashes), "rules": []}  # fmt: skip
        summary = json.dumps(report).encode()
        lock = _lock(validated, out, hashlib.md5(summary, usedforsecurity=False).hexdigest())
        decision = self._life(number, card, out)
        return {
            "dvc.lock": lock,
            "reports/validation/code.json": summary,
            f"ledger/decisions/{decision.digest}.json": decision.model_dump_json(indent=1).encode() + b"\n",
        }

    def _row(self, number: int, place: int) -> ReflectionExample:
        return ReflectionExample(
            domain="code", task_id=f"g{number}-{place}", task_text=f"keep {place} largest prices of shop {number} .",
            reflection="limit inside ; empty zero", label_source="experience", part="hindsight", author="a" * 64,
            trajectory_id="b" * 16, outcome="final",
        )  # fmt: skip

    def _object(self, data: bytes, end: str = "") -> str:
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() + end
        path = self.cache / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return md5

    def _folder(self, files: dict[str, bytes]) -> str:
        entries = [{"md5": self._object(data), "relpath": name} for name, data in sorted(files.items())]
        return self._object(json.dumps(entries, sort_keys=True).encode(), ".dir")

    def _life(self, number: int, card: Adapter, out: str) -> Decision:
        decision = Decision(
            domain="code", champion=self.champion, challenger=card.digest, answer="promote", reasons=("made up",),
            guards=(), slices=(), test=None, rule={}, rule_version=1,
            budget=ErrorBudget(total=0.04, look=number, alpha=0.0, spent_before=0.0, paid=True),
        )  # fmt: skip
        said: dict[str, Any] = {"domain": "code"}
        self._append(Trained(**said, adapter=card.digest, data_digest=card.data_digest, rows=card.rows,
                             base_digest=card.base_digest, recipe_digest="c" * 64))  # fmt: skip
        registered: dict[str, Any] = {**said, "version": number, "adapter": card.digest, "dvc": out}
        self._append(Published(**registered, stage="candidate", decision=""))
        self._append(Evaluated(**said, arms={"challenger": card.digest}, runs="9" * 64, solved={}))
        self._append(Decided(**said, decision=decision.digest, champion=self.champion, challenger=card.digest,
                             answer="promote", look=number, alpha=0.0))  # fmt: skip
        self._append(Published(**registered, stage="champion", decision=decision.digest))
        self.champion = card.digest
        return decision

    def _append(self, fact: Any) -> None:
        previous = self.events[-1].digest if self.events else START
        self.events.append(make_event(len(self.events) + 1, "2026-11-23T00:00:00Z", "flow made up", fact, previous))

    def ledger(self) -> bytes:
        return "".join(event.line() + "\n" for event in self.events).encode()


def _weights(number: int) -> bytes:
    head = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(head)) + head + struct.pack("<4f", *[float(number)] * 4)


def _lock(validated: str, out: str, report: str) -> bytes:
    def entry(path: str, md5: str) -> dict[str, str]:
        return {"path": path, "hash": "md5", "md5": md5}

    read = entry("data/validated/code.jsonl", validated)
    stages = {
        "validate@code": {"cmd": "v", "outs": [read, entry("reports/validation/code.json", report)]},
        "train@code": {"cmd": "t", "deps": [read], "outs": [entry("models/reflectors/code", out)]},
        "evaluate@code": {"cmd": "e", "deps": [entry("models/reflectors/code", out)]},
    }
    return yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False).encode()


def make_repository(root: Path, generations: int, rows: int) -> None:
    """Everything through one `git fast-import`."""
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    maker = Maker(root, rows)
    git = subprocess.Popen(["git", "fast-import", "--quiet"], cwd=root, stdin=subprocess.PIPE)
    assert git.stdin is not None
    for part in _stream(maker, generations):
        git.stdin.write(part)
    git.communicate()
    subprocess.run(["git", "reset", "-q", "--hard", "main"], cwd=root, check=True)
    os.sync()
    time.sleep(2.5)  # hashes of files that changed a moment ago are not remembered


def _stream(maker: Maker, generations: int) -> Iterator[bytes]:
    who = b"committer made up <made@up> %d +0000\n"
    commits: dict[str, int] = {}
    for number in range(1, generations + 1):
        files = maker.generation(number)
        if number % LEDGER_EVERY == 0 or number == generations:
            files["ledger/events.jsonl"] = maker.ledger()
            for event in maker.events:
                commits.setdefault(event.digest, number)
        yield b"commit refs/heads/main\nmark :%d\n" % number + who % (1_700_000_000 + number) + b"data 1\n.\n"
        for name, data in files.items():
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(data), data)
    for want in wanted_tags(maker.events):
        message = f"{want.message}\n\nEvent: {want.event.digest}\nActor: {want.event.actor}\n".encode()
        yield b"tag %s\nfrom :%d\n" % (want.name.encode(), commits[want.version_event])
        yield b"tagger made up <made@up> 1700000000 +0000\ndata %d\n%s\n" % (len(message), message)


def measured(root: Path, how: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", CHILD, str(root), how], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def flip_one_bit(root: Path) -> None:
    """One bit of one dataset, in the cache, of some generation."""
    files = sorted(path for path in (root / ".dvc/cache/files/md5").rglob("*") if path.is_file())
    largest = max(path.stat().st_size for path in files)
    path = next(path for path in files if path.stat().st_size > largest * 0.9)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000, help="per generation")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="audit-verify-", dir=given.folder))
    try:
        print(f"{'':24}" + "{:>12}{:>12}{:>9}{:>11}{:>8}{:>7}{:>6}".format(*HEAD))
        for share in (10, 1):
            root = folder / f"life-{share}"
            make_repository(root, max(1, given.generations // share), given.rows)
            runs = [("first", ""), ("again", ""), ("--full", "full"), ("after a flipped byte", "")]
            for name, how in runs if share == 1 else runs[:1]:
                if name.startswith("after"):
                    flip_one_bit(root)
                found = measured(root, how)
                shown = [found[key] for key in ("generations", "rows", "links", "read", "wall", "cpu", "mb")]
                numbers = "{:12,}{:12,}{:9,}{:11,}{:8.1f}{:7.1f}{:6.0f}".format(*shown)
                print(f"{name:24}{numbers}", *found["broken"], flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
