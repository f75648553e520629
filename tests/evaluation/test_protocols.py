"""Protocols side by side: each score under its own rules, in metrics, page and terminal."""

from __future__ import annotations

from parammem.core import Usage
from parammem.evaluation.inputs import ReportInputs
from parammem.evaluation.protocols import protocol_figures, protocol_tables, protocols_of
from parammem.evaluation.report import build_report
from tests.evaluation.synthetic import make_run


def runs_under(protocol: str, arm: str, solved: int, calls: int, tasks: int = 4):
    usage = {"actor": Usage(calls=calls, prompt_tokens=10, completion_tokens=5)}
    return [
        make_run(n < solved, task_id=f"t{n}", arm=arm, usage=usage).model_copy(update={"protocol": protocol})
        for n in range(tasks)
    ]


def inputs_of(*others) -> ReportInputs:
    runs = [*runs_under("strict", "reflexion", 1, 5), *runs_under("strict", "paramagent", 2, 5)]
    return ReportInputs(
        protocol="strict", sandbox_level="strict", model="m", world=1, rho=0.5, iterations=5, runs=tuple(runs),
        protocol_runs=tuple(others), bootstrap=100,
    )  # fmt: skip


OTHERS = [
    *runs_under("released-code", "reflexion", 1, 5),
    *runs_under("released-code", "paramagent", 4, 24),
    *runs_under("oracle", "paramagent", 3, 5),
]


def test_each_protocol_has_its_own_shares_and_calls():
    figures = protocol_figures(inputs_of(*OTHERS), "code")
    assert list(figures) == ["strict", "oracle", "released-code"]
    assert figures["strict"]["paramagent"] == {"pass_rate": 0.5, "actor_calls": 5, "tasks": 4}
    assert figures["released-code"]["paramagent"] == {"pass_rate": 1.0, "actor_calls": 24, "tasks": 4}
    assert "reflexion" not in figures["oracle"]


def test_other_protocols_never_enter_the_main_figures():
    with_others, without = build_report(inputs_of(*OTHERS)), build_report(inputs_of())
    assert with_others.metrics["code"]["paramagent"] == without.metrics["code"]["paramagent"]
    assert with_others.metrics["code"]["protocol"]["oracle"]["paramagent"]["pass_rate"] == 0.75
    assert with_others.plots == without.plots


def test_the_table_has_a_row_per_arm_and_says_where_an_arm_did_not_run():
    ((name, (head, rows)),) = protocol_tables(inputs_of(*OTHERS))
    assert name == "Code"
    assert head[1:3] == ["strict: solved", "strict: calls"]
    assert rows[0] == ["Reflexion", "25.0%", "5.0", "–", "–", "25.0%", "5.0"]


def test_page_and_terminal_show_it_only_where_there_is_something_to_compare():
    report, alone = build_report(inputs_of(*OTHERS)), build_report(inputs_of())
    assert "What the protocol is worth" in report.html
    assert "Code: protocols side by side" in report.table
    assert "…" not in report.table.split("side by side")[1].split("Paired")[0], "no head and no cell is cut off"
    assert "25.0% (5.0)" in report.table
    assert max(map(len, report.table.splitlines())) <= 118
    assert protocols_of(inputs_of()) == []
    assert "What the protocol is worth" not in alone.html
    assert "protocols" not in alone.table
    assert "protocol" not in alone.metrics["code"]
