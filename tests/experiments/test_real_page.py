"""The page about the real model gets its figures from the reports of a run, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from experiments import real_page
from experiments.clones import FIGURES, LOCK
from parammem.checkout.hashes import file_hash
from parammem.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
MARKED = (
    "Before.\n<!-- real: table -->\nold\n<!-- /real -->\nBetween.\n<!-- real: comparisons -->\n<!-- /real -->\nEnd.\n"
)


@pytest.fixture
def run(tmp_path) -> Path:
    """The committed default run's figures in a folder that looks like a finished run."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_bytes((ROOT / "reports/metrics.json").read_bytes())
    recorded(tmp_path)
    return tmp_path


def recorded(folder: Path) -> None:
    """A lock that names the folder's figures as the report's."""
    md5 = file_hash(folder / FIGURES, "md5")
    stages = {"report": {"cmd": "parammem stage report", "outs": [{"path": FIGURES, "md5": md5}]}}
    (folder / LOCK).write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def test_only_what_stands_between_marks_is_written(run, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(MARKED)
    assert real_page.main(["--folder", str(run), "--page", str(page)]) == 0
    text = page.read_text()
    assert "old" not in text
    for kept in ("Before.\n<!-- real: table -->", "<!-- /real -->\nBetween.\n", "<!-- /real -->\nEnd.\n"):
        assert kept in text
    for row in (
        "| Reflexion | 41 (32–51) |",
        "| ParamAgent, untrained | 41 (32–51) |",
        "| ParamAgent − Reflexion | +47 (",
    ):
        assert row in text
    assert real_page.filled(text, run) == text


@pytest.mark.parametrize("domain", ["code", "english"])
def test_the_page_has_the_marks_that_are_filled(domain):
    page = (ROOT / "docs/real-model.md").read_text(encoding="utf-8")
    found = real_page.blocks_of(domain).finditer(page)
    assert {block[2] for block in found} == {"table", "comparisons", "reflections"}


def test_another_domain_has_marks_of_its_own(run, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(MARKED + MARKED.replace("real", "math"))
    assert real_page.main(["--folder", str(run), "--page", str(page), "--domain", "math"]) == 0
    text = page.read_text()
    assert text.startswith(MARKED)
    assert "<!-- math: table -->\n\n| arm |" in text
    assert text.count("old") == 1


def test_without_a_finished_run_the_page_stays(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(MARKED)
    assert real_page.main(["--folder", str(tmp_path), "--page", str(page)]) == DataError.exit_code
    assert "make real" in capsys.readouterr().err
    assert page.read_text() == MARKED


@pytest.mark.parametrize("lock", ["", "schema: '2.0'\nstages:\n  tasks@code:\n    cmd: parammem stage tasks\n"])
def test_figures_that_were_copied_with_the_working_tree_are_not_those_of_a_run(run, tmp_path, lock):
    """A run that was stopped after its first stage has the committed figures of the default run in its folder."""
    (run / LOCK).write_text(lock)
    with pytest.raises(DataError, match="no finished run"):
        real_page.filled(MARKED, run)
    recorded(run)
    (run / FIGURES).write_text("{}")
    with pytest.raises(DataError, match="no finished run"):
        real_page.filled(MARKED, run)
