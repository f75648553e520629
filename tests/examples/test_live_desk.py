"""Facts about `make desk-live`: what it prints and draws, and that it reads the service as the service is."""

from __future__ import annotations

import pytest

from examples.sql_desk import live
from examples.sql_desk.live import LiveOutcome
from tests.service.proxies import SAY, V1, proxied

DONE = [
    *(LiveOutcome("before", "champion", n % 5 == 0) for n in range(50)),
    *(LiveOutcome("trial 1", ("champion", "challenger")[n % 2], n % 2 == 1) for n in range(100)),
]


def test_the_table_has_a_line_for_each_phase_and_arm_that_had_runs():
    assert live.table(DONE).splitlines()[2:] == [
        "| before | champion | 20 (11–33) | 50 |",
        "| trial 1 | champion | 0 (0–7) | 50 |",
        "| trial 1 | challenger | 100 (93–100) | 50 |",
    ]


def test_the_picture_is_drawn(tmp_path):
    assert live.draw(DONE, tmp_path / "live.svg").read_bytes().startswith(b"<?xml")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    with proxied(tmp_path) as up:
        made = live.Desk.__new__(live.Desk)
        made._address, made._root = up.url, up.root
        yield up, made


def test_who_advises_is_read_from_the_service_s_metrics(desk):
    up, made = desk
    up.post(SAY)
    made._until(lambda: ("champion", V1) in made._advising(), "the champion")
    assert made.wait_for("champion") == V1


def test_runs_that_lie_in_the_inbox_are_counted(desk):
    _, made = desk
    folder = made._root / "data/live/in"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").write_text("{}\n{}\n")
    assert made._handed_over() == 2
    assert not made.on_trial()
