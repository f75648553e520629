"""Facts about the event on new data."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from flows import watch as watching


class Looks:
    """The inbox at each look, a clock that a look moves on, and what was told of."""

    def __init__(self, monkeypatch, looks: list[set[str]], seconds: float) -> None:
        self.told: list[list[str]] = []
        self.stop = threading.Event()
        self._left, self._now, self._seconds = list(looks), 0.0, seconds
        monkeypatch.setattr(watching, "names", lambda _: self._look())
        monkeypatch.setattr(watching, "left_in_words", lambda _: "")
        monkeypatch.setattr(watching, "tell", lambda _, new: self.told.append(new))
        monkeypatch.setattr(watching.time, "monotonic", lambda: self._now)

    def _look(self) -> set[str]:
        self._now += self._seconds
        if len(self._left) == 1:
            self.stop.set()
        found = self._left.pop(0)
        if found == {"broken"}:
            raise OSError("no such folder")
        return found

    def run(self) -> list[list[str]]:
        watching.watch(Path(), 0, self.stop)
        return self.told


def test_each_file_is_told_of_once(monkeypatch):
    looks = Looks(monkeypatch, [{"a"}, {"a"}, {"a", "b", "c"}, {"c"}, set(), {"a"}], 1)
    assert looks.run() == [["a"], ["b", "c"], ["a"]]


def test_a_file_that_stays_is_told_of_again_since_an_event_can_be_lost(monkeypatch):
    assert Looks(monkeypatch, [{"a"}] * 5, watching.AGAIN / 2).run() == [["a"]] * 3


def test_a_look_that_fails_forgets_nothing(monkeypatch, capsys):
    assert Looks(monkeypatch, [{"a"}, {"broken"}, {"a"}], 1).run() == [["a"]]
    assert "cannot be looked into: no such folder" in capsys.readouterr().err


def test_who_is_told_to_stop_does_not_look(monkeypatch):
    looks = Looks(monkeypatch, [{"a"}], 1)
    looks.stop.set()
    assert looks.run() == []


def test_files_wait_in_words_while_the_server_is_away_and_are_told_of_when_it_is_back(monkeypatch, capsys):
    up = iter([False, False, True, True])
    monkeypatch.setattr(watching, "configured_server", lambda: "http://127.0.0.1:9/api")
    monkeypatch.setattr(watching, "answers", lambda _: next(up))
    assert Looks(monkeypatch, [{"a"}, {"a"}, {"a", "b"}, {"a", "b"}], 1).run() == [["a", "b"]]
    said = capsys.readouterr().err
    assert said.count("does not answer") == 1, "two looks find the same"
    assert "1 file in the inbox" in said


def test_an_outage_is_told_again_when_it_lasts_and_when_it_comes_back(monkeypatch, capsys):
    up = iter([False] * 40 + [True, False])
    monkeypatch.setattr(watching, "configured_server", lambda: "http://127.0.0.1:9/api")
    monkeypatch.setattr(watching, "answers", lambda _: next(up))
    looks = [{"a"} for _ in range(41)] + [{"b"}]
    assert Looks(monkeypatch, looks, watching.AGAIN / 20).run() == [["a"]]
    assert capsys.readouterr().err.count("does not answer") == 2 + 1, "at once, after ten minutes, and the second time"


def test_a_file_that_is_never_taken_is_named_once(monkeypatch, capsys, tmp_path, repo_root):
    inbox = tmp_path / "data/inbox"
    inbox.mkdir(parents=True)
    shutil.copy(repo_root / "params.yaml", tmp_path / "params.yaml")
    (inbox / "notes.csv").write_text("a,b")
    os.utime(inbox / "notes.csv", (0, 0))
    said = watching.left_in_words(tmp_path)
    assert said.startswith("left in the inbox: notes.csv: not one of .jsonl")
    looks = Looks(monkeypatch, [set() for _ in range(5)], 1)
    monkeypatch.setattr(watching, "left_in_words", lambda _: said)
    looks.run()
    assert capsys.readouterr().err.count("notes.csv") == 1


def test_files_that_no_run_takes_are_named_with_what_to_look_at(monkeypatch, capsys):
    Looks(monkeypatch, [{"a"}] * 4, watching.AGAIN / 2).run()
    assert "1 file still in the inbox 10 minutes after Prefect was told: no run took it" in capsys.readouterr().err
