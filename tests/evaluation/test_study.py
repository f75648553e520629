"""The study over worlds: the world is the unit, and what does not add up is refused."""

from __future__ import annotations

import copy
import json

import pytest

from experiments.study_tables import study_accuracy, study_json, study_rates, study_table
from parammem.evaluation.study import study_comparisons, study_figure
from tests.evaluation.synthetic import make_worlds

WORLDS = make_worlds(worlds=8, tasks=40)


def pick(rows: list[dict], rho: float, domain: str, right: str) -> dict:
    return next(r for r in rows if (r["rho"], r["domain"], r["right"]) == (rho, domain, right))


def test_a_planted_lift_is_found_and_its_absence_is_not_invented() -> None:
    rows = study_comparisons(WORLDS, bootstrap=500)
    strong = pick(rows, 0.9, "code", "paramagent.untrained")
    assert strong["low"] > 0
    assert (strong["wins"], strong["worlds"], strong["tasks"]) == (8, 8, 320)
    assert strong["p"] == pytest.approx(2 / 2**8, abs=1e-5)
    none = pick(rows, 0.0, "all", "paramagent.untrained")
    assert none["low"] < 0 < none["high"]
    assert none["worlds"] == 24


def test_holm_corrects_within_a_rho_and_domain() -> None:
    rows = study_comparisons(WORLDS, bootstrap=200)
    assert all(row["p_holm"] >= row["p"] for row in rows)
    assert pick(rows, 0.9, "qa", "reflexion")["p_holm"] == pytest.approx(min(1.0, 8 * 2 / 2**8), abs=1e-4)


def test_arms_that_only_some_worlds_ran_are_compared_there() -> None:
    worlds = copy.deepcopy(WORLDS)
    for entry in worlds[:3]:
        for part in ("arms", "vectors"):
            entry[part].pop("retrieved")
    row = pick(study_comparisons(worlds, bootstrap=200), 0.0, "code", "retrieved")
    assert row["worlds"] == 7


def test_the_file_holds_what_its_comparisons_can_be_recomputed_from() -> None:
    study = json.loads(json.dumps(study_json(WORLDS, "strict", {"worlds": [1, 2]}, bootstrap=200)))
    assert study["comparisons"] == study_comparisons(study["worlds"], bootstrap=200)
    assert (study["protocol"], study["seeds"]) == ("strict", {"worlds": [1, 2]})


def test_vectors_that_contradict_their_counts_are_refused() -> None:
    worlds = copy.deepcopy(WORLDS)
    worlds[4]["arms"]["reflexion"]["passed"] += 1
    with pytest.raises(ValueError, match=r"world \d, rho 0.0, math: arm 'reflexion'"):
        study_comparisons(worlds)


def test_vectors_of_different_length_are_refused() -> None:
    worlds = copy.deepcopy(WORLDS)
    worlds[0]["vectors"]["dot"] = worlds[0]["vectors"]["dot"][:-1]
    with pytest.raises(ValueError, match="differ in length"):
        study_table(worlds)


def test_rates_and_accuracy_cover_every_cell() -> None:
    rates = study_rates(WORLDS, bootstrap=200)
    assert len(rates) == 3 * 3 * 12
    assert all(row["low"] <= row["pass_rate"] <= row["high"] and row["worlds"] == 8 for row in rates)
    accuracy = study_accuracy(WORLDS)
    assert {(r["rho"], r["accuracy"]) for r in accuracy if r["reflector"] == "trained"} == {
        (0.0, 0.4),
        (0.5, 0.6),
        (0.9, 0.76),
    }


def test_the_markdown_table_names_every_rho_and_arm_and_is_stable() -> None:
    text = study_table(WORLDS, bootstrap=200)
    assert text == study_table(WORLDS, bootstrap=200)
    for words in ("**ρ = 0.9**", "**ρ = 0**", "| ParamAgent-plus − DoT-bank |", "| Majority advice |", "Multi-hop QA"):
        assert words in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {5, 6}


def test_the_figure_comes_as_png_as_file_and_for_the_page() -> None:
    few = [entry for entry in WORLDS if entry["domain"] == "code"]
    png = study_figure(few, bootstrap=100, kind="png")
    assert isinstance(png, bytes)
    assert png.startswith(b"\x89PNG")
    assert png == study_figure(few, bootstrap=100, kind="png")
    assert str(study_figure(few, bootstrap=100)).startswith("<?xml")
    assert str(study_figure(few, bootstrap=100, kind="page")).startswith("<svg")
