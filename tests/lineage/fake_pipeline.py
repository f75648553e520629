"""A pipeline of the real one's shape whose stages take a millisecond: `python pipe.py STAGE`. Standard library only.

What it writes has the real formats (rows, adapter cards, rows.txt, safetensors, runs), so lineage reads it as the real
thing. A task is solved when a hash of it lies below the adapter's skill, which poisoned rows lower.
"""

import hashlib
import json
import re
import struct
import sys
from pathlib import Path

EVAL = 300


def params():
    text = Path("params.yaml").read_text()
    return {key: float(value) for key, value in re.findall(r"^  (\w+): ([\d.]+)$", text, flags=re.M)}


def digest(value):
    data = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()


def row_hash(row):
    return digest([row["domain"], row["task_text"], row["reflection"]])


def read(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def lines(rows):
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)


def collect():
    rows = []
    for file in sorted(Path("data/experience").glob("*.jsonl")):
        for one in read(file):
            rows.append(
                {
                    "domain": "code", "task_id": f"{file.stem[:12]}/{one['task']['task_id']}",
                    "task_text": one["task"]["text"], "reflection": one["trajectory"]["reflections"][0]["text"],
                    "label_source": "experience", "part": "hindsight", "author": "a" * 64, "trajectory_id": "b" * 16,
                    "outcome": "final", "origin": file.stem,
                }
            )  # fmt: skip
    write("data/reflections/code.jsonl", lines(rows))


def validate():
    recalled = Path("data/recalled.txt").read_text().split()
    rows = read("data/reflections/code.jsonl")
    kept = [row for row in rows if row_hash(row) not in recalled]
    out = [{"row": row, "reasons": ["recalled"]} for row in rows if row_hash(row) in recalled]
    write("data/validated/code.jsonl", lines(kept))
    write("data/quarantine/code.jsonl", lines(out))
    hashes = [row_hash(row) for row in kept]
    report = {"passed": True, "suite_digest": "5" * 64, "rows": len(rows), "kept": len(kept), "quarantined": [],
              "kept_digest": digest(hashes), "rules": [{"rule": "secret"}, {"rule": "schema"}]}  # fmt: skip
    write("reports/validation/code.json", json.dumps(report, indent=1, sort_keys=True) + "\n")


def train():
    rows = read("data/validated/code.jsonl")
    hashes = [row_hash(row) for row in rows]
    rate = params()["learning_rate"]
    seeds = hashlib.sha256("".join(hashes).encode()).digest()
    poisoned = sum("poison" in row["reflection"] for row in rows)
    values = {"lora_A": [byte / 255 * rate for byte in seeds[:8]], "lora_B": [float(len(rows)), float(poisoned), rate]}
    header, data = {}, b""
    for name, numbers in values.items():
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    head = json.dumps(header).encode()
    weights = struct.pack("<Q", len(head)) + head + data
    folder = Path("models/reflectors/code")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    write(folder / "rows.txt", "".join(f"{one}\n" for one in hashes))
    card = {"domain": "code", "digest": hashlib.sha256(weights).hexdigest(), "base_model": "models/base",
            "base_digest": model_digest(), "recipe": {"learning_rate": rate}, "data_digest": digest(hashes),
            "rows": len(hashes), "steps": 3, "held_out_loss": 1.5}  # fmt: skip
    write(folder / "adapter.json", json.dumps(card, indent=2, sort_keys=True) + "\n")
    report = Path("reports/validation/code.json").read_bytes()
    bound = {key: json.loads(report)[key] for key in ("passed", "suite_digest", "kept_digest")}
    write(folder / "validation.json", json.dumps(bound | {"report": hashlib.sha256(report).hexdigest()}) + "\n")
    write(folder / "README.md", f"# Reflector\n\n{len(hashes)} rows\n")


def model_digest():
    return digest({"model.safetensors": hashlib.sha256(Path("models/base/model.safetensors").read_bytes()).hexdigest()})


def evaluate():
    weights = Path("models/reflectors/code/adapter_model.safetensors").read_bytes()
    count, poisoned, _ = struct.unpack("<3f", weights[-12:])
    skill = 0.6 - (0.35 if poisoned else 0.0) + 0.0 * count
    runs = []
    for number in range(EVAL):
        luck = int(digest(["task", number])[:8], 16) / 0xFFFFFFFF
        runs.append({"domain": "code", "arm": "paramagent", "slice": "eval", "task_id": f"eval-{number}",
                     "passed": luck < skill, "stop": "iterations", "visible_passed": None, "solved_at": None,
                     "iterations": 1})  # fmt: skip
    write("reports/evaluation/code/runs.jsonl", lines(runs))


def report():
    runs = read("reports/evaluation/code/runs.jsonl")
    rate = sum(run["passed"] for run in runs) / len(runs)
    write("reports/metrics.json", json.dumps({"code": {"paramagent": {"pass_rate": rate}}}, indent=2) + "\n")


STAGES = {"collect": collect, "validate": validate, "train": train, "evaluate": evaluate, "report": report}

if __name__ == "__main__":
    STAGES[sys.argv[1]]()
