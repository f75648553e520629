"""Facts about the inbox: reports lie in it whole, a sweep takes them once, and what fails stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import parammem
from parammem import cli
from parammem.core import write_jsonl
from parammem.errors import DataError
from parammem.experience.inbox import clear, report, waiting, watch
from parammem.experience.ingest import ingest
from parammem.registry import Ledger
from tests.experience.rows import key, line, row, rows_in, store, task, write

ROOT = Path(__file__).resolve().parents[2]


def tell(number: int, inbox: Path) -> Path:
    one = row(number)
    return report(one.trajectory, one.task, outcome=True, inbox=inbox)


def test_report_is_a_call_of_the_package():
    assert parammem.report is report


def test_a_report_lies_in_the_inbox_whole_and_the_same_report_once(tmp_path):
    assert tell(1, tmp_path) == tell(1, tmp_path)
    tell(2, tmp_path)
    (source,) = waiting(tmp_path)
    assert source.name == "2 reports"
    outcome = ingest(source, store(tmp_path / "repository"), "person ada")
    assert sorted(one.task.task_id for one in rows_in(tmp_path / "repository/data/experience")) == ["t-1", "t-2"]
    assert outcome.event.kept == 2


def test_the_environment_names_the_inbox_of_agents_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PARAMMEM_INBOX", str(tmp_path / "far"))
    one = row(1)
    assert report(one).parent == tmp_path / "far"
    assert report(one.trajectory, one.task, True, key(1)).read_text().count('"gold"') == 1


def test_a_report_without_its_task_is_an_error():
    with pytest.raises(DataError, match="with its task"):
        report(row(1).trajectory)
    with pytest.raises(DataError, match="not the trajectory's"):
        report(row(1).trajectory, task(2))


def test_what_is_being_written_waits(tmp_path):
    write(tmp_path / ".partial.jsonl", [line(row(1))])
    write(tmp_path / "fresh.jsonl", [line(row(2))])
    (tmp_path / "empty.jsonl").touch()
    assert waiting(tmp_path) == []
    assert [one.name for one in waiting(tmp_path, settled=-1)] == ["fresh.jsonl"]
    assert waiting(tmp_path / "nowhere") == []


def test_a_cleared_source_is_moved_and_never_overwrites_another(tmp_path):
    for text in ("one", "two"):
        file = write(tmp_path / "in.jsonl", [text])
        os.utime(file, (0, 0))
        (source,) = waiting(tmp_path)
        assert clear(tmp_path, source, source.digest())
    assert waiting(tmp_path) == []
    assert sorted(file.read_text() for file in (tmp_path / "done").iterdir()) == ["one\n", "two\n"]


def test_watching_yields_what_comes_in_and_stops_when_told(tmp_path):
    tell(1, tmp_path)
    rounds = iter([False, False, True, True])
    found = list(watch(tmp_path, 0.01, lambda: next(rounds)))
    assert [one.name for one in found] == ["1 report"]


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A folder with params and evaluation tasks, and no git or DVC."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for domain in ("code", "math", "qa"):
        for split in ("eval", "unseen"):
            write_jsonl(tmp_path / "data" / "tasks" / domain / f"{split}.jsonl", [task(900, domain)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_ingests_files_and_says_what_came_of_them(repository):
    write(repository / "in.jsonl", [*[line(row(n)) for n in range(20)], line(row(900)), "broken"])
    result = CliRunner().invoke(cli.app, ["ingest", "in.jsonl"])
    assert result.exit_code == 0, result.output
    assert "22 rows" in result.output
    assert "1 evaluation-task" in result.output
    assert "nothing to do" in CliRunner().invoke(cli.app, ["ingest", "in.jsonl"]).output


def test_the_command_sweeps_the_inbox_and_a_bad_file_stays_there(repository, monkeypatch):
    inbox = repository / "data" / "inbox"
    tell(1, inbox)
    for name in ("a.jsonl", "b.jsonl"):
        os.utime(write(inbox / name, [line(row(2))] if name == "b.jsonl" else ["  "]), (0, 0))
    result = CliRunner().invoke(cli.app, ["ingest"])
    assert isinstance(result.exception, DataError)
    assert "1 of 3 could not be ingested" in str(result.exception)
    assert [one.name for one in waiting(inbox)] == ["a.jsonl"]
    assert sum(event.fact.kept + event.fact.held for event in Ledger().read()) == 2  # pyright: ignore
    (inbox / "a.jsonl").unlink()
    assert "nothing waits" in CliRunner().invoke(cli.app, ["ingest"]).output


def test_a_file_without_any_fit_row_ends_with_the_data_code(repository):
    write(repository / "in.jsonl", ["broken", line(row(900))])
    result = CliRunner().invoke(cli.app, ["ingest", "in.jsonl"])
    assert isinstance(result.exception, DataError)
    assert "not-json" in result.output


def test_without_evaluation_tasks_nothing_is_let_in(repository):
    (repository / "data/tasks/code/eval.jsonl").unlink()
    write(repository / "in.jsonl", [line(row(1))])
    result = CliRunner().invoke(cli.app, ["ingest", "in.jsonl"])
    assert isinstance(result.exception, DataError)
    assert "dvc repro tasks@code" in str(result.exception)


@pytest.mark.integration
def test_batches_are_tracked_by_dvc_and_come_back_from_its_cache(repository):
    from tests.registry.repository import call, dvc

    call(repository, "git", "init", "-q", "-b", "main")
    dvc(repository, "init", "-q")
    shutil.copy(ROOT / ".gitignore", repository)
    write(repository / "in.jsonl", [line(row(n), key=key(n).model_dump()) for n in range(30)])
    result = CliRunner().invoke(cli.app, ["ingest", "in.jsonl"])
    assert result.exit_code == 0, result.output
    (event,) = Ledger().read()
    batch = repository / "data/experience" / f"{event.fact.batch}.jsonl"  # pyright: ignore
    before = batch.read_bytes()
    assert [one.name for one in batch.parent.iterdir() if one.suffix == ".dvc"] == [f"{batch.name}.dvc"]
    seen = call(repository, "git", "status", "--porcelain", "--untracked-files=all")
    assert f"{batch.name}.dvc" in seen
    assert f"{batch.name}\n" not in seen
    batch.unlink()
    dvc(repository, "checkout", "-q", f"{batch.relative_to(repository)}.dvc")
    assert batch.read_bytes() == before


@pytest.mark.integration
def test_a_watched_inbox_takes_reports_in_until_it_is_stopped(repository):
    command = [sys.executable, "-m", "parammem.cli", "ingest", "--watch", "--every", "0.2"]
    watcher = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        tell(1, repository / "data" / "inbox")
        until = time.monotonic() + 60
        while not Ledger(repository).read() and time.monotonic() < until:
            time.sleep(0.2)
        assert len(Ledger(repository).read()) == 1
    finally:
        watcher.terminate()
        watcher.wait(30)
