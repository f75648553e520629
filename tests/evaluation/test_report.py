"""The report: what it holds, that equal inputs give equal bytes, and that missing parts are left out."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from parammem.core.record import digest_of
from parammem.evaluation.inputs import ARMS, Made, ReportInputs
from parammem.evaluation.methods import OverMethods
from parammem.evaluation.report import Report, build_report, headline_json, verdict, write_report
from parammem.evaluation.statistics import Comparison
from parammem.evaluation.summary import comparisons, metrics_json
from parammem.evaluation.tables import solved_csv
from tests.evaluation.synthetic import make_inputs, make_run


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    return make_inputs(tasks=12, unseen=5, study=True, domains=("math", "qa"))


@pytest.fixture(scope="module")
def report(inputs: ReportInputs) -> Report:
    return build_report(inputs)


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in tree.items():
        found |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def test_metrics_flatten_to_the_names_that_dvc_shows(report: Report) -> None:
    flat = flatten(report.metrics)
    for key in (
        "qa.paramagent.pass_rate",
        "qa.paramagent.pass_rate_low",
        "qa.paramagent.pass_rate_high",
        "math.reflexion.visible_pass_rate",
        "qa.resample.prompt_tokens",
        "qa.resample.completion_tokens",
        "qa.dot_bank.token_ratio",
        "qa.reflexion.repetition",
        "qa.reflexion.repetition_of",
        "qa.paramagent.untrained.pass_rate",
        "qa.paramagent.unseen_pass_rate",
        "math.reflector.trained.advice_accuracy",
        "math.reflector.trained.advice_accuracy_unseen",
        "qa.ceiling.spec",
        "qa.ceiling.visible_regularities",
        "qa.ceiling_unseen.regularities",
        "qa.diversity.trained.entropy",
        "qa.diversity.with_success.distinct.n",
        "qa.paramagent_vs_reflexion.difference",
        "qa.paramagent_vs_untrained.p",
        "qa.paramagent_plus_vs_dot_bank.p_holm",
    ):
        assert key in flat, key
    assert all(isinstance(value, (int, float)) for value in flat.values())


def test_pass_rates_are_counted_on_the_eval_slice_alone(inputs: ReportInputs, report: Report) -> None:
    runs = [r for r in inputs.runs if (r.domain, r.arm, r.slice) == ("math", "paramagent", "eval")]
    assert report.metrics["math"]["paramagent"]["pass_rate"] == pytest.approx(
        sum(r.passed for r in runs) / 12, abs=1e-6
    )
    assert report.metrics["math"]["paramagent"]["tasks"] == 12
    assert report.metrics["math"]["paramagent"]["unseen_tasks"] == 5


@pytest.mark.integration
def test_equal_inputs_give_equal_bytes(inputs: ReportInputs, report: Report) -> None:
    again = build_report(ReportInputs.model_validate_json(inputs.model_dump_json()))
    assert digest_of(again.line()) == digest_of(report.line())


def test_the_page_names_protocol_sandbox_world_seeds_and_cost(report: Report) -> None:
    words = " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", report.html, flags=re.DOTALL).split())
    for text in (
        "protocol strict",
        "sandbox strict",
        "world 1",
        "ρ = 0.9",
        "seed train 7",
        "123,456 tokens",
        "qa: train and eval 0",
        "The study: many worlds",
    ):
        assert text in words, text


def test_the_page_opens_offline_and_has_one_picture_per_question(report: Report) -> None:
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", report.html)
    assert not re.search(r"(src|href)=\"(?!#)", without_names)
    assert "@import" not in report.html
    assert "<script" not in report.html
    assert report.html.count("<svg") == 8
    assert "currentColor" in report.html
    assert not re.search(r"20\d\d-\d\d-\d\dT", report.html)


@pytest.fixture
def unpictured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds; tests of words do without."""
    drawn = dict.fromkeys(("passed", "solved", "repetition", "accuracy", "temperature", "cost", "loss", "study"), "")
    monkeypatch.setattr("parammem.evaluation.report._pictures", lambda *_: drawn)


class _Balanced(HTMLParser):
    VOID = ("meta", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_balanced_and_no_two_pictures_share_an_id(report: Report) -> None:
    page = _Balanced()
    page.feed(report.html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.usefixtures("unpictured")
def test_notes_and_names_are_escaped() -> None:
    few = make_inputs(tasks=3, unseen=0, domains=("code",))
    html = build_report(few.model_copy(update={"model": "<b>x</b>", "notes": ("<script>alert(1)</script>",)})).html
    assert "<script" not in html
    assert "&lt;b&gt;x" in html


@pytest.mark.usefixtures("unpictured")
def test_an_open_sandbox_and_overlapping_splits_are_said_loudly() -> None:
    few = make_inputs(tasks=3, unseen=0, domains=("code",))
    loud = build_report(few.model_copy(update={"sandbox_level": "none", "overlaps": {"train and eval": 2}})).html
    assert "The sandbox was <b>off</b>" in loud
    assert "Splits overlap" in loud
    assert "Splits overlap" not in build_report(few).html


def test_parts_that_were_not_run_are_left_out_and_nothing_breaks() -> None:
    bare = ReportInputs(
        protocol="strict",
        sandbox_level="strict",
        model="m",
        world=1,
        rho=0.0,
        iterations=2,
        runs=tuple(make_run(index % 2 == 0, task_id=str(index), arm="base") for index in range(4)),
    )
    built = build_report(bare)
    assert list(built.metrics["code"]) == ["base"]
    for heading in ("Is the advice right", "The study", "Training", "Diversity and success", "Paired comparisons"):
        assert heading not in built.html


def test_a_report_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no runs to report"):
        build_report(make_inputs(tasks=1, unseen=0).model_copy(update={"runs": ()}))


@pytest.mark.usefixtures("unpictured")
def test_a_failed_run_counts_as_unsolved_and_is_mentioned() -> None:
    few = make_inputs(tasks=3, unseen=0, domains=("code",))
    broken = few.runs[0].model_copy(update={"failed": True, "passed": False, "solved_at": None, "stop": "failed"})
    html = build_report(few.model_copy(update={"runs": (broken, *few.runs[1:])})).html
    assert "1 of 36 runs ended in an exception" in html


def test_holm_counts_the_comparisons_of_a_domain(inputs: ReportInputs) -> None:
    found = [c for c in comparisons(inputs) if c.domain == "math"]
    assert len(found) == 8
    smallest = min(found, key=lambda c: c.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 8 * smallest.p))


def comparison(low: float, high: float, p: float) -> Comparison:
    return Comparison(
        domain="code",
        left="a",
        right="b",
        difference=(low + high) / 2,
        low=low,
        high=high,
        p=p,
        n=100,
        left_only=9,
        right_only=1,
        clusters=100,
        unit="task",
        wins=9,
        losses=1,
        test="mcnemar",
    )


def test_a_verdict_needs_interval_and_test_to_agree() -> None:
    assert verdict(comparison(0.1, 0.3, 0.01)) == "better"
    assert verdict(comparison(-0.3, -0.1, 0.01)) == "worse"
    assert verdict(comparison(0.01, 0.3, 0.11)) == "unclear"
    assert verdict(comparison(-0.1, 0.3, 0.04)) == "unclear"


def test_csv_files_read_back(inputs: ReportInputs, report: Report) -> None:
    solved = list(csv.DictReader(io.StringIO(report.plots["solved_per_iteration.csv"])))
    ours = [row for row in solved if (row["domain"], row["arm"]) == ("qa", "paramagent")]
    assert [row["iteration"] for row in ours] == ["1", "2", "3", "4", "5"]
    assert float(ours[-1]["solved"]) == pytest.approx(report.metrics["qa"]["paramagent"]["pass_rate"])
    assert len(solved) == 5 * 2 * len(ARMS)
    assert solved_csv(inputs) == report.plots["solved_per_iteration.csv"]
    curve = list(csv.DictReader(io.StringIO(report.plots["diversity_temperature.csv"])))
    assert [float(row["temperature"]) for row in curve if row["domain"] == "qa"] == [0.2, 0.6, 1.0, 1.4]
    assert all(row["distance"] == "" and row["distinct"] for row in curve)


def test_the_table_fits_a_terminal(report: Report) -> None:
    assert max(len(line) for line in report.table.splitlines()) <= 118
    assert "…\n" not in report.table
    for words in ("ParamAgent-plus", "Paired comparisons", "Bayes floor and ceilings", "protocol strict"):
        assert words in report.table


def test_written_files_are_what_was_built(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "reports")
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == [
        "reports/headline.json",
        "reports/metrics.json",
        "reports/plots/diversity_temperature.csv",
        "reports/plots/solved_per_iteration.csv",
        "reports/report.html",
        "reports/table.txt",
    ]
    assert json.loads((tmp_path / "reports/metrics.json").read_text()) == report.metrics


def test_the_headline_is_a_few_shares_that_a_terminal_shows(report: Report) -> None:
    few = headline_json(report.metrics)
    assert sum(map(len, few.values())) <= 10
    assert few["qa"]["paramagent"] == report.metrics["qa"]["paramagent"]["pass_rate"]
    assert few["qa"]["untrained"] == report.metrics["qa"]["paramagent"]["untrained"]["pass_rate"]
    assert headline_json({"support": {"base": {}}}) == {"support": {}}


def test_metrics_do_not_depend_on_the_order_of_runs(inputs: ReportInputs) -> None:
    turned = inputs.model_copy(update={"runs": inputs.runs[::-1]})
    assert metrics_json(inputs) == metrics_json(turned)


@pytest.mark.usefixtures("unpictured")
def test_the_page_shows_what_made_a_reflector_and_the_mutation_score() -> None:
    made = Made(domain="code", adapter="a" * 64, data_digest="d" * 64, rows=812, base_model="models/<x>",
                base_digest="b" * 64, suite_digest="5" * 64, passed=False, kept=812, quarantined=3)  # fmt: skip
    mutation = {"score": 0.976, "kinds": 42, "caught": 41, "missed": ["secret_mail"], "defects": 370,
                "quarantined": 365, "false_alarms": 0}  # fmt: skip
    few = make_inputs(tasks=2, unseen=0)
    assert "Mutation score" not in build_report(few).html
    html = build_report(few.model_copy(update={"made": (made,), "mutation": mutation})).html
    for said in ("812 training rows", "rules FAILED", "models/&lt;x&gt;", "0.976", "missed: secret_mail"):
        assert said in html


def test_the_correlation_over_methods_stands_in_metrics_and_page_and_is_no_reflector(inputs: ReportInputs) -> None:
    both = {"domain": "qa", "methods": ("dot", "reflexion", "paramagent"), "parametric": True}
    found = (
        OverMethods(measure="distance", pearson=0.5512, low=0.25, high=0.75, **both),
        OverMethods(measure="distinct", pearson=None, low=None, high=None, **both),
    )
    report = build_report(inputs.model_copy(update={"over_methods": found}))
    over = report.metrics["qa"]["diversity_over_methods"]
    assert over["distance"]["all_methods"] == {"pearson": 0.5512, "pearson_low": 0.25, "pearson_high": 0.75, "n": 3}
    assert "+0.55" in report.html
    assert "+0.25 … +0.75" in report.html
    plain = build_report(inputs)
    assert report.table == plain.table, "the tables of arms and reflectors know nothing of it"
    assert "diversity_over_methods" not in plain.metrics["qa"]
