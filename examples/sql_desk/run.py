"""`make desk`: from `parammem init` to a decision about a reflector for the SQL desk, offline.

    python -m examples.sql_desk.run [--houses 1 2 3] [--model DIR] [--folder DIR] [--parts hindsight]

For each house (the rules of another imagined company, drawn from its number) it makes a repository, lets the desk's
agent work for a week without advice, brings its logs in, in three formats, and lets one turn of `parammem improve`
train, evaluate, judge and promote. Then it prints what every arm solved. A house that has ended is not run again.
Exit code 1 where a step failed; a reflector that the gate does not promote is a result, and no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))  # `desk` is the user's own package: nothing of ParamMem

from desk import agent, judge, logs, shop  # noqa: E402
from examples.sql_desk.lessons import NAME  # noqa: E402
from examples.sql_desk.results import ENDED, House, result_of, table  # noqa: E402
from examples.sql_desk.small_model import make_model  # noqa: E402
from parammem.core.words import count  # noqa: E402
from parammem.overlays import changes_of, written_over  # noqa: E402

TASKS, TRIES = 300, 3
WHO = {f"GIT_{who}_{what}": f"desk{at}" for who in ("AUTHOR", "COMMITTER")
       for what, at in (("NAME", ""), ("EMAIL", "@localhost"))}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it. Returns the exit code of the step that failed, or 0."""
    parser = argparse.ArgumentParser(prog="python -m examples.sql_desk.run", description="The SQL desk.")
    parser.add_argument("--houses", type=int, nargs="+", default=[1], help="numbers of the houses")
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "desk", help="where it works")
    parser.add_argument("--model", type=Path, help="folder of the model that learns; default: a small one")
    parser.add_argument("--parts", default="hindsight", help="collect.parts: what is learned from, with commas between")
    parser.add_argument("--tasks", type=int, default=TASKS, help="questions of a house")
    parser.add_argument("--settings", type=Path, help="a YAML file laid over params.yaml of the example")
    given = parser.parse_args(arguments)
    parts = tuple(given.parts.split(","))
    failures = bool({"failure", "contrast"} & set(parts))
    model = given.model or make_model(given.folder / f"small-model{'-failures' if failures else ''}", failures)
    found: list[House] = []
    for number in given.houses:
        root = given.folder / f"house-{number}-{'-'.join(parts)}" / NAME
        try:
            if not (root / ENDED).is_file():
                shutil.rmtree(root.parent, ignore_errors=True)
                play(root, number, model.resolve(), parts, given.tasks, given.settings)
        except subprocess.CalledProcessError as error:
            print(f"error: {shlex.join(map(str, error.cmd))} ended with exit code {error.returncode}", file=sys.stderr)
            return error.returncode
        found.append(result_of(root, number, parts))
    print(table(found))
    return 0


def play(root: Path, number: int, model: Path, parts: Sequence[str], tasks: int, settings: Path | None) -> None:
    """Do with one house what docs/sql-desk.md tells its reader to do. Raises CalledProcessError: a step failed."""
    started = time.monotonic()
    root.parent.mkdir(parents=True)
    command(root.parent, "init", NAME, "--domain", NAME, "--model", str(model))
    open_desk(root, number, parts, settings)
    for named in logs.write_week(root.parent / "week", week(root, number, tasks)):
        command(root, "ingest", *named)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A week of the desk")
    command(root, "improve", "--force")
    git(root, "merge", "--quiet", "--ff-only", "improve")
    run(root, "dvc", "checkout", "--quiet")
    command(root, "registry", "history")
    command(root, "audit", "show")
    ended = {"house": number, "parts": list(parts), "minutes": round((time.monotonic() - started) / 60, 1)}
    (root / ENDED).write_text(json.dumps(ended) + "\n", encoding="utf-8")


def open_desk(root: Path, number: int, parts: Sequence[str], settings: Path | None = None) -> None:
    """Put the user's agent, judge, database and params into a new repository."""
    shutil.copytree(HERE / "desk", root / "desk", ignore=shutil.ignore_patterns("__pycache__"))
    shop.make_database(root / shop.DATABASE, number)
    house = shop.draw_house(random.Random(f"house/{number}"))
    (root / shop.HOUSE).write_text(json.dumps(house, indent=1) + "\n", encoding="utf-8")
    params = root / "params.yaml"
    text = written_over(params.read_text(encoding="utf-8"), changes_of(HERE / "params.yaml"))
    text = written_over(text, {"collect": {"parts": list(parts)}, "train": {"seed": number}})
    if settings:
        text = written_over(text, changes_of(settings))
    params.write_text(text, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "The desk: agent, judge, database")


def week(root: Path, number: int, tasks: int) -> list[logs.Run]:
    """Let the agent work without advice, several times on each question, and note how each run ended."""
    questions = shop.draw_questions(random.Random(f"questions/{number}"), tasks)
    house = json.loads((root / shop.HOUSE).read_text(encoding="utf-8"))
    database, ask, done = root / shop.DATABASE, agent.chosen_model(), list[logs.Run]()
    for attempt in range(TRIES):
        for place, question in enumerate(questions):
            seed = number * 1000 + attempt
            messages = agent.work(question.text, "", seed, ask, agent.tools_of(database))
            passed = judge.is_right(question.text, messages[-1].get("content") or "", house, database)
            done.append(logs.Run(f"run-{place}-{attempt}", messages, passed))
    print(f"house {number}: {count(len(done), 'run')} without advice, {sum(r.passed for r in done)} right", flush=True)
    return done


def command(root: Path, *words: str) -> None:
    """Run `parammem …`, and show it."""
    run(root, "parammem.cli", *words)


def run(root: Path, module: str, *words: str) -> None:
    """Run a module's command in the repository, as its user would. Raises CalledProcessError."""
    print(f"$ {module.removesuffix('.cli')} {shlex.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", module, *words], cwd=root, env=environment(root), check=True)


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, env=environment(root), check=True)


def environment(root: Path) -> dict[str, str]:
    """Return what commands see: this project's package, an identity for git, nothing that leads elsewhere."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "DVC_SITE_CACHE_DIR": str(root / ".cache" / "dvc-site")}
    return {**os.environ, **WHO, **own}


if __name__ == "__main__":
    sys.exit(main())
