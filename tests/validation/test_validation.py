"""The suite catches what injectors break, leaves clean rows alone, and loses nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from experiments.mutation.injectors import ROW_INJECTORS, TABLE_INJECTORS, clean_rows, row
from experiments.mutation.languages import LANGUAGES
from experiments.mutation.lessons import LESSON_INJECTORS, clean_lessons
from experiments.mutation.score import (
    EXPECTED,
    REFERENCE,
    UNCAUGHT,
    MutationScore,
    all_defects,
    all_lessons,
    evaluation_texts,
    expected,
    floor_of,
    judge_lessons,
    mutation_score,
)
from parammem.core import ReflectionExample
from parammem.errors import DataError, ValidationFailed
from parammem.validation import ValidationResult, explain, summary, validate_rows
from parammem.validation.labels import label_of, of_another_kind
from parammem.validation.suite import SuiteRunner

PARAMS = REFERENCE
LANGUAGE = LANGUAGES["code"]
EVALUATION = evaluation_texts()
CLEAN = clean_rows(150, seed=1, taken=frozenset(EVALUATION))


def run(rows, params=PARAMS, docs=None, evaluation=EVALUATION, read=LANGUAGE.claims) -> ValidationResult:
    return validate_rows(rows, evaluation, params, "code", read, docs, LANGUAGE.kinds)


@pytest.fixture(scope="module")
def defects():
    return {domain: all_defects(4, domain) for domain in LANGUAGES}


def test_every_injector_has_an_expected_rule():
    assert set(EXPECTED) == set(ROW_INJECTORS)
    assert len(ROW_INJECTORS) + len(TABLE_INJECTORS) >= 12


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - UNCAUGHT.keys()))
@pytest.mark.parametrize("domain", sorted(LANGUAGES))
def test_injected_defect_is_caught_by_its_rule_and_its_neighbours_are_kept(domain, name, defects):
    broken, reasons, block = defects[domain]
    assert len(broken[name]) >= 5
    assert block[name] & set(reasons) == broken[name]
    assert all(expected(domain, name) in reasons[place] for place in broken[name])


@pytest.mark.parametrize("domain", sorted(LANGUAGES))
def test_flipped_claims_are_injected_and_are_told_to_be_missed(domain, defects):
    """An honest report: what no rule can see is in the score, and not left out of it."""
    broken, reasons, block = defects[domain]
    assert len(broken["labels_flipped"]) == 5
    assert block["labels_flipped"] & set(reasons) == set()


def test_broken_lessons_are_caught_by_their_rules_and_their_neighbours_are_kept():
    broken, reasons = all_lessons(5)
    assert set(broken) == set(LESSON_INJECTORS)
    assert set(reasons) == set().union(*broken.values())
    missed = {
        name for name, places in broken.items() for n in places if LESSON_INJECTORS[name][1] not in reasons.get(n, ())
    }
    assert not missed


def test_clean_lessons_are_kept():
    verdict = judge_lessons(clean_lessons(600, seed=6))
    assert len(verdict.kept) == 600, explain(verdict)


def test_the_score_of_lessons_drops_with_a_rule_that_lets_a_kind_through(monkeypatch):
    from parammem.validation import validate
    from parammem.validation.rules import suite_rules

    def blind(params, domain, claimed, known=None):
        return [rule for rule in suite_rules(params, domain, claimed, known) if rule.rule != "repeats_advice"]

    monkeypatch.setattr(validate, "suite_rules", blind)
    found = mutation_score(seeds=(1,), domains=["desk"])
    assert found.missed == ("desk: advice_repeated", "desk: advice_repeated_among_more", "desk: note_repeated")
    assert (found.below, found.false_alarms) == (("desk",), 0)


@pytest.mark.parametrize("rule", sorted(TABLE_INJECTORS))
def test_defect_of_the_whole_set_fails_the_suite(rule):
    verdict = run(TABLE_INJECTORS[rule](list(CLEAN)))
    assert not verdict.passed
    assert rule in {result.rule for result in verdict.broken}


@pytest.mark.integration
def test_all_but_what_is_told_is_caught_over_several_seeds_in_every_domain():
    found = mutation_score(seeds=(1, 2, 3))
    assert found.missed == tuple(f"{domain}: {kind}" for domain in LANGUAGES for kind in UNCAUGHT)
    assert found.kinds == 3 * (len(ROW_INJECTORS) + len(TABLE_INJECTORS)) + len(LESSON_INJECTORS) == 3 * 48 + 15
    assert found.score == pytest.approx(found.floor) == pytest.approx(156 / 159)
    assert found.domains["code"].floor == floor_of(48) == pytest.approx(47 / 48)
    assert (found.false_alarms, found.below) == (0, ())


def test_the_mutation_score_drops_with_a_rule_that_lets_a_kind_through(monkeypatch):
    """The score is no constant: a suite that has lost its rule about secrets no longer gets 1."""
    from parammem.validation import validate

    def blind(params, domain, claimed, known=None):
        return [rule for rule in suite_rules(params, domain, claimed, known) if rule.rule != "secret"]

    from parammem.validation.rules import suite_rules

    monkeypatch.setattr(validate, "suite_rules", blind)
    found = mutation_score(seeds=(1,), tables=False, domains=["math"])
    missed = {"private_key", "secret_key", "secret_mail", "secret_password", "labels_flipped"}
    assert set(found.missed) == {f"math: {name}" for name in missed}
    assert found.score == pytest.approx(38 / 43)
    assert found.below == ("math",)


def test_one_domain_below_its_floor_fails_the_stage_and_names_what_slips_through(monkeypatch, tmp_path):
    from experiments.mutation import run as stage
    from experiments.mutation import score
    from parammem.validation import validate
    from parammem.validation.rules import suite_rules

    def blind(params, domain, claimed, known=None):
        rules = suite_rules(params, domain, claimed, known)
        return [rule for rule in rules if domain != "qa" or rule.rule != "other_label"]

    monkeypatch.setattr(validate, "suite_rules", blind)
    scored = mutation_score(seeds=(1,), tables=False, domains=["math", "qa"])
    monkeypatch.setattr(score, "mutation_score", lambda: scored)
    with pytest.raises(
        ValidationFailed, match=r"below the floor of 0\.977 in qa; .* slip through: qa: labels_exchanged;"
    ):
        stage.run(tmp_path)
    assert MutationScore.model_validate_json((tmp_path / stage.PLACE).read_text()).below == ("qa",)


def test_the_reference_bounds_are_those_of_params_yaml():
    import yaml

    text = (Path(__file__).parents[2] / "params.yaml").read_text()
    assert REFERENCE.model_dump() == yaml.safe_load(text)["validate"]


def test_the_recorded_score_is_that_of_this_suite():
    path = Path(__file__).parents[2] / "reports/validation/mutation.json"
    recorded = MutationScore.model_validate_json(path.read_text())
    from parammem.validation.rules import suite_digest, suite_rules

    assert recorded.suite_digest == suite_digest(suite_rules(REFERENCE, "code", True))
    assert recorded.score >= recorded.floor


def test_clean_rows_raise_at_most_half_a_percent_false_positives():
    """Stated rate: at most 0.5% on rows like the pocket world's; measured: 0 of 2,000."""
    rows = clean_rows(2000, seed=77, taken=frozenset(EVALUATION))
    verdict = run(rows)
    assert verdict.passed, explain(verdict)
    assert len(verdict.quarantined) <= 0.005 * len(rows), explain(verdict)


def test_no_row_is_lost_even_when_most_are_quarantined():
    rows = [r.model_copy(update={"author": "x"}) if n % 3 else r for n, r in enumerate(clean_rows(900, seed=5))]
    verdict = run(rows)
    out = [item.row for item in verdict.quarantined]
    assert len(out) == 600  # more than the 200 that unexpected_list holds
    assert sorted([*verdict.kept, *out]) == list(range(len(rows)))
    assert all(item.row_hash == rows[item.row].row_hash for item in verdict.quarantined)


def test_rows_of_one_task_with_different_advice_are_all_kept():
    dice = random.Random(1)
    advices = ["limit inside ; empty zero", "limit outside ; empty zero", "repeats once ; empty none"]
    extra = [row("one", CLEAN[0].task_text + " do it now .", advice, dice) for advice in advices]
    assert len(run([*CLEAN, *extra]).kept) == len(CLEAN) + 3


def test_threshold_decides_whether_one_inserted_word_is_a_copy():
    # The text is long, as one word must weigh little, and not templated, as its clean neighbours must be unlike it.
    dice = random.Random(2)
    long = (
        "write f(xs, k) . " + " ".join(f"{a}{n}" for n, a in enumerate(["alpha", "beta", "gamma", "delta"] * 10)) + " ."
    )
    pair = [
        row("l1", long, "limit inside ; empty zero", dice),
        row("l2", long.replace("gamma6", "gamma6 then"), "limit inside ; empty zero", dice),
    ]
    strict, loose = run([*CLEAN, *pair]), run([*CLEAN, *pair], PARAMS.model_copy(update={"near_duplicate": 0.88}))
    last = len(CLEAN) + 1
    assert last in strict.kept
    assert {item.row: item.reasons for item in loose.quarantined}[last] == ("near_duplicate",)


def test_duplicates_are_set_aside_without_counting_as_broken():
    verdict = run([*CLEAN, *CLEAN])
    assert verdict.passed
    assert len(verdict.quarantined) == len(CLEAN)


def test_first_of_equal_rows_stays():
    assert run([*CLEAN, *CLEAN]).kept == tuple(range(len(CLEAN)))


def test_broken_row_does_not_displace_its_sound_copy_or_speak_for_its_task():
    broken = CLEAN[0].model_copy(update={"author": "x"})
    other_text = CLEAN[1].model_copy(update={"task_text": "a\x00b ."})
    verdict = run([broken, other_text, *CLEAN])
    assert verdict.kept == tuple(range(2, len(CLEAN) + 2))


def test_no_rows_fail_with_a_reason_and_not_a_crash():
    verdict = run([])
    assert {result.rule for result in verdict.broken} == {"min_rows"}


def test_failing_suite_raises_a_readable_reason_without_values():
    rows = [r.model_copy(update={"reflection": "password=hunter2butlonger"}) for r in CLEAN]
    verdict = run(rows)
    assert not verdict.passed
    text = explain(verdict)
    assert "hunter2" not in text
    assert all(part in text for part in ("secret", "max_quarantined", "rows 0, 1, 2", "what to do", "params.yaml"))


@pytest.fixture(scope="module")
def clean_verdict():
    return run(CLEAN)


def test_equal_input_gives_equal_bytes(clean_verdict):
    assert run(CLEAN).line() == clean_verdict.line()


def test_suite_digest_follows_the_bounds_and_not_the_rows(clean_verdict):
    from parammem.validation.rules import suite_digest, suite_rules

    assert suite_digest(suite_rules(PARAMS, "code", True)) == clean_verdict.suite_digest
    other = suite_rules(PARAMS.model_copy(update={"max_words": 15}), "code", True)
    assert suite_digest(other) != clean_verdict.suite_digest


def test_summary_counts_reasons_and_holds_no_text():
    rows, places = ROW_INJECTORS["secret_key"](list(CLEAN), EVALUATION, random.Random(1))
    plain = summary(run(rows))
    assert plain["kept"] + len(plain["quarantined"]) == plain["rows"] == len(rows)
    assert plain["reasons"]["secret"] == len(places)
    key = next(part for part in rows[min(places)].task_text.split() if part.startswith("sk-"))
    assert key not in str(plain)
    assert CLEAN[0].task_text not in str(plain)


def test_data_docs_and_offline_page_are_written_and_leak_nothing(tmp_path: Path):
    rows, _ = ROW_INJECTORS["secret_password"](list(CLEAN), EVALUATION, random.Random(1))
    rows[0] = rows[0].model_copy(update={"author": "ghp_" + "a1B2" * 9})
    verdict = run(rows, docs=tmp_path / "docs")
    assert 0 in {item.row for item in verdict.quarantined}
    page = (tmp_path / "docs" / "summary.html").read_text()
    assert "http" not in page
    assert "secret" in page
    assert (tmp_path / "docs" / "index.html").is_file()
    for file in (tmp_path / "docs").rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        assert b"hunter2" not in data
        assert b"ghp_a1B2" not in data
        assert b"keep those up to" not in data


@pytest.mark.integration
def test_docs_of_an_earlier_run_are_replaced(tmp_path: Path):
    run(CLEAN, docs=tmp_path)
    run(CLEAN, docs=tmp_path)
    assert len(list((tmp_path / "validations").rglob("*.html"))) == 3  # rows, repeats and totals


def test_missing_column_is_a_clear_error():
    import pandas

    from parammem.validation.rules import suite_rules

    rules = [rule for rule in suite_rules(PARAMS, "code", True) if rule.stage == "rows"]
    with pytest.raises(DataError, match=r"lack.*'author'"):
        SuiteRunner(None).run("rows", pandas.DataFrame({"row": [1]}), rules)


def test_free_prose_is_judged_without_claims():
    dice = random.Random(0)
    params = PARAMS.model_copy(update={"max_words": 60})
    prose = (
        "Check that the bound itself is included, since the tests call sorted() on lists that hold it. "
        "Watch out for an empty list of {} {}, and round only at the end."
    )
    rows = [
        row(f"p{n}", LANGUAGE.question(random.Random(n)), prose.format(dice.choice(["old", "new"]), n), dice)
        for n in range(60)
    ]
    rows = list({r.task_text: r for r in rows}.values())
    cut = rows[0].model_copy(update={"reflection": prose[:110]})
    verdict = run([*rows[1:], cut], params, read=None)
    assert [item.row for item in verdict.quarantined] == [len(rows) - 1]
    assert verdict.quarantined[0].reasons == ("truncated",)
    at_the_limit = rows[0].model_copy(update={"cut": True})
    circles = rows[1].model_copy(update={"reflection": "It is " + "not only efficient but also " * 6 + "right."})
    found = run([at_the_limit, circles, *rows[2:]], params, read=None).quarantined
    assert [(item.row, item.reasons) for item in found] == [(0, ("truncated",)), (1, ("loops",))]


def test_a_pocket_label_that_ran_into_the_limit_is_set_aside():
    cut = CLEAN[0].model_copy(update={"cut": True})
    assert [(item.row, item.reasons) for item in run([cut, *CLEAN[1:]]).quarantined] == [(0, ("truncated",))]


@pytest.mark.parametrize("rho", [0.9, 0.5, 0.0])
@pytest.mark.parametrize("domain", sorted(LANGUAGES))
def test_rows_of_the_real_pocket_world_that_name_their_kind_are_kept_and_exchanged_ones_are_not(domain, rho):
    """At rho 0 rows of one kind rightly say different things, and none of them is set aside for it."""
    from parammem.domains.conventions import kinds_of, parse_claims
    from parammem.pocket.mixture import advice_text
    from parammem.pocket.world import World, draw_splits

    drawn = draw_splits(domain, World(seed=3, rho=rho), {"train": 300, "eval": 20})
    dice, evaluation = random.Random(0), [one.task.text for one in drawn["eval"]]
    rows = [
        row(one.task.task_id, one.task.text, advice_text(one.key.tags["kind"], one.key.facts), dice, domain)
        for one in drawn["train"]
    ]
    assert {label_of(one.reflection) for one in rows} < set(kinds_of(domain)), "one is kept for the unseen"

    def judged():
        kinds = kinds_of(domain)
        return validate_rows(rows, evaluation, PARAMS, domain, lambda text: parse_claims(domain, text), kinds=kinds)

    verdict = judged()
    assert verdict.quarantined == (), explain(verdict)
    first = rows[0]
    place = next(n for n, one in enumerate(rows) if label_of(one.reflection) != label_of(first.reflection))
    for n, said in ((0, rows[place].reflection), (place, first.reflection)):
        rows[n] = rows[n].model_copy(update={"reflection": said})
    found = judged().quarantined
    assert [(one.row, one.reasons) for one in found] == [(0, ("other_label",)), (place, ("other_label",))]


@pytest.mark.parametrize("domain", ["code", "math", "qa"])
def test_true_advice_on_the_real_pocket_world_is_kept(domain):
    from parammem.domains.conventions import parse_claims, phrase
    from parammem.pocket.world import World, draw_splits

    splits = draw_splits(domain, World(seed=1, rho=0.9), {"train": 100, "eval": 50})
    dice = random.Random(0)
    rows = [row(drawn.task.task_id, drawn.task.text, phrase(drawn.key.facts), dice) for drawn in splits["train"]]
    rows = [r.model_copy(update={"domain": domain}) for r in rows]
    evaluation = [drawn.task.text for drawn in splits["eval"]]
    cut = f"{rows[0].reflection} ; {rows[0].reflection.split()[0]}"
    rows = [rows[0].model_copy(update={"reflection": cut}), *rows]
    verdict = validate_rows(rows, evaluation, PARAMS, domain, lambda text: parse_claims(domain, text))
    assert [(item.row, item.reasons) for item in verdict.quarantined] == [(0, ("truncated",))], explain(verdict)


def test_a_label_that_is_no_kind_and_a_question_of_no_kind_are_nobodys_fault():
    kinds = {"money": ("prices", "fares"), "mass": ("loads",)}
    assert of_another_kind("xs are prices .", "mass ; limit inside", kinds)
    assert not of_another_kind("xs are prices .", "Money ; limit inside", kinds)
    assert not of_another_kind("xs are prices and loads .", "mass ; limit inside", kinds)
    assert not of_another_kind("xs are apples .", "mass ; limit inside", kinds)
    assert not of_another_kind("xs are prices .", "numbers ; limit inside", kinds)
    assert not of_another_kind("xs are prices .", "limit inside", kinds)


def test_a_row_is_what_core_says():
    """The injectors build rows by hand; they must stay valid records."""
    assert all(ReflectionExample.model_validate(r.model_dump()) == r for r in CLEAN)
