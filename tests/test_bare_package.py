"""`pip install parammem` into an empty environment: small, light, and enough for the client and for reading logs."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.client.stub_service import StubService, serve

pytestmark = pytest.mark.integration
HEAVY = ("torch", "transformers", "dvc", "prefect", "great_expectations", "wandb", "fastapi", "starlette", "pandas",
         "numpy", "scipy", "sklearn", "httpx", "typer", "rich", "re2", "ray")  # fmt: skip
MOST_BYTES = 30_000_000
MOST_CPU_SECONDS = 15.0
"""Of the installation, the index included: some four are usual, and a single heavy package costs more than the rest."""
RUN = [
    {"role": "user", "content": "Refund order 12"},
    {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "refund", "arguments": '{"order": 12}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    {"role": "assistant", "content": "Done"},
]


class Bare:
    """An environment that holds the bare package."""

    def __init__(self, place: Path) -> None:
        self.bin = place / "env" / "bin"
        self.folder = place / "work"
        self.folder.mkdir()
        self.cpu_seconds = self.bytes = 0.0

    def run(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PARAMMEM_SPOOL": str(self.folder / "spool")}
        command = [self.bin / program, *arguments]
        return subprocess.run(command, cwd=self.folder, env=kept | environment, capture_output=True, text=True)

    def python(self, program: str, **environment: str) -> str:
        done = self.run("python", "-c", program, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repo_root: Path) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"  # a copy: a build leaves files behind
    shutil.copytree(repo_root / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repo_root / name, source / name)
    built = subprocess.run([*PIP, "wheel", "--no-deps", "-w", place, source], capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"the wheel could not be built here: {built.stderr.strip().splitlines()[-1]}")
    (found,) = place.glob("*.whl")
    return found


def installed(place: Path, wheel: Path, *pins: str) -> Bare:
    """An environment with nothing but the bare package. Skips where nothing can be installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "env"], check=True)
    found = Bare(place)
    (packages,) = (place / "env" / "lib").glob("python*/site-packages")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*PIP, "--python", place / "env" / "bin" / "python", "install", wheel, *pins]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing could be installed here: {done.stderr.strip().splitlines()[-1]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found.bytes = size_of(packages)
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory, wheel) -> Bare:
    return installed(tmp_path_factory.mktemp("bare"), wheel)


def lowest(requirement: str) -> str:
    """The oldest version that a requirement allows, pinned."""
    name, _, versions = requirement.partition(">=")
    return f"{name}=={versions.partition(',')[0]}"


def test_it_is_small_and_quickly_installed(bare):
    print(f"bare package: {bare.bytes / 1e6:.1f} MB, {bare.cpu_seconds:.1f} s of CPU time")
    assert bare.bytes < MOST_BYTES
    assert bare.cpu_seconds < MOST_CPU_SECONDS


def test_the_client_works_and_imports_nothing_heavy(bare):
    program = f"""
import sys, parammem
assert not [name for name in sys.modules if name.startswith(("pydantic", "parammem."))]
with parammem.run("Refund order 12", domain="support") as run:
    run.add_steps([{{"role": "assistant", "text": "Done"}}])
    run.outcome(True, source="test")
print(run.given.text, [name for name in {HEAVY!r} if name in sys.modules])
"""
    with serve(StubService()) as service:
        assert bare.python(program, PARAMMEM_URL=service.url) == "be kind []"
    assert service.only.outcomes == [{"passed": True, "source": "test"}]


def test_logs_are_shown_as_they_are_read(bare):
    rows = [{"messages": RUN, "outcome": True}, {"messages": [*RUN[:1], RUN[3]], "domain": "math", "outcome": False},
            {"messages": [RUN[0], {"role": "assistant", "content": "```python\ndef f(): ...\n```"}], "domain": "code",
             "outcome": None}, {"messages": 7}]  # fmt: skip
    (bare.folder / "week.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = bare.run("parammem", "ingest", "week.jsonl", "--dry-run", "--domain", "support", "--json")
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["becomes"] for one in shown] == ["readable", "readable", "readable", "refused"]
    assert [one["domain"] for one in shown[:3]] == ["support", "math", "code"]
    assert [step["role"] for step in shown[0]["attempts"][0]["steps"]] == ["assistant", "tool", "assistant"]
    assert "were not looked for" in done.stderr
    text = bare.run("parammem", "ingest", "week.jsonl", "--dry-run", "-d", "support").stdout
    assert "week.jsonl:1: readable (openai, support, " in text
    assert "refused" in text


def test_the_oldest_libraries_that_it_allows_will_do(tmp_path, wheel, repo_root):
    project = tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = [lowest(one) for one in project["dependencies"] if not one.startswith("pyyaml")]  # 6.0 has no wheel
    assert len(pins) == 2
    old = installed(tmp_path, wheel, *pins)
    program = """
import pydantic, parammem
with parammem.run("Refund order 12") as run:
    run.add_steps([{"role": "assistant", "text": "Done"}])
    run.outcome(None, value=0.5, source="reward")
print(pydantic.VERSION, bool(run.advice))
"""
    with serve(StubService()) as service:
        assert old.python(program, PARAMMEM_URL=service.url) == f"{pins[0].partition('==')[2]}.0 True"
    assert service.only.outcomes == [{"passed": None, "value": 0.5, "source": "reward"}]
    assert service.only.steps[0].text == "Done"
    (old.folder / "week.jsonl").write_text(json.dumps({"messages": RUN, "outcome": True}))
    assert "readable (openai" in old.run("parammem", "ingest", "week.jsonl", "--dry-run", "-d", "support").stdout


def test_a_run_can_be_left_in_an_inbox(bare):
    program = """
from parammem import report
from parammem.core import Attempt, Feedback, Task, Trajectory
task = Task(task_id="t1", domain="support", text="Refund order 12")
tried = Attempt(number=1, text="Done", candidate="Done", temperature=0, feedback=Feedback(passed=None, text=""))
kept = dict(task_id="t1", domain="support", method="mine", protocol="foreign", seed=0)
print(report(Trajectory(**kept, attempts=(tried,), stop="iterations", submission=1), task, outcome=True).name)
"""
    assert bare.python(program).startswith("report-")


@pytest.mark.parametrize("command", [["up"], ["stage", "train"], ["ingest", "week.jsonl"], ["doctor"]])
def test_what_needs_the_pipeline_says_so(bare, command):
    done = bare.run("parammem", *command)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'pip install "parammem[pipeline]"' in done.stderr


def test_wrong_files_are_told_in_a_line_each(bare):
    (bare.folder / "bad.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    (bare.folder / "table.parquet.jsonl").write_bytes(b"PAR1....")
    done = bare.run("parammem", "ingest", "--dry-run", "none.jsonl", "bad.jsonl.gz", "table.parquet.jsonl")
    assert done.returncode == 4
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error"] * 3 + ["note"]
    assert "Traceback" not in done.stderr


def test_version_and_help(bare):
    assert bare.run("parammem", "--version").stdout == "parammem 0.1.0\n"
    assert "parammem[pipeline]" in bare.run("parammem").stdout
