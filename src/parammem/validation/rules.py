"""The suite as a table: every rule with its expectation, bounds and reason. What a rule means is all on its line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from parammem.config import ValidateParams
from parammem.core.record import Record, digest_of
from parammem.validation.frame import PARTS, PROVENANCE
from parammem.validation.shift import FALSE_ALARMS

HEX = r"^[0-9a-f]{64}$"
BATCH = r"^(?:collect|[0-9a-f]{12,64})$"
TRAJECTORY = r"^(?:|[0-9a-f]{16,64})$"
USUAL_PARTS = {"feedback", "hindsight", "in_context", "task"}
"""Parts of a row that every suite allows; others it allows where they were asked for."""
COLLAPSE = 0.5
"""No single advice, and no single task, may be more than this share of the kept rows …"""
COLLAPSE_FROM = 50
"""… once there are so many."""


class DataRule(Record):
    """One expectation of the suite. See RuleResult for what the fields mean."""

    rule: str
    expectation: str
    column: str
    kwargs: dict[str, Any]
    scope: Literal["row", "table"] = "row"
    stage: Literal["rows", "repeats", "totals"] = "rows"
    """Which table it looks at: the rows themselves; the sound ones beside each other; or the one line of totals."""
    defect: bool = True
    why: str

    @property
    def key(self) -> str:
        return f"{self.rule}/{self.expectation}/{self.column}"


def suite_rules(
    params: ValidateParams, domain: str, claimed: bool, known: frozenset[str] | None = None
) -> list[DataRule]:
    """Return all rules for one domain.

    Args:
        claimed: advice can be parsed into claims.
        known: further parts that rows may have, where the runs behind them are known; None: they are not.
    """
    runs = _runs(claimed) if known is not None else []
    columns = [rule.column for rule in runs]
    rules = [
        *_schema(claimed, columns), *_provenance(domain, known or frozenset()), *_bounds(params), *_format(params),
        *_evaluation(params),
    ]  # fmt: skip
    rules += (
        _claims() if claimed else [_never("loops", "advice_loops", "words that go round in circles teach to do so")]
    )
    rules += runs
    return [*rules, *_repeats(params), *_totals(params)]


def suite_digest(rules: Sequence[DataRule]) -> str:
    """Return digest of names, bounds and reasons: it changes when the suite does."""
    return digest_of([rule.model_dump(mode="json") for rule in rules])


def _never(rule: str, column: str, why: str, defect: bool = True) -> DataRule:
    return DataRule(rule=rule, expectation="ExpectColumnValuesToBeInSet", column=column, kwargs={"value_set": [False]},
                defect=defect, why=why)  # fmt: skip


def _always(rule: str, column: str, why: str) -> DataRule:
    return DataRule(rule=rule, expectation="ExpectColumnValuesToBeInSet", column=column, kwargs={"value_set": [True]},
                why=why)  # fmt: skip


def _between(rule: str, column: str, low: float | None, high: float | None, why: str) -> DataRule:
    kwargs = {"min_value": low, "max_value": high}
    return DataRule(rule=rule, expectation="ExpectColumnValuesToBeBetween", column=column, why=why,
                kwargs={name: value for name, value in kwargs.items() if value is not None})  # fmt: skip


def _member(column: str, values: list[str], why: str) -> DataRule:
    return DataRule(rule=column, expectation="ExpectColumnValuesToBeInSet", column=column, kwargs={"value_set": values},
                why=why)  # fmt: skip


def _matches(column: str, regex: str, why: str) -> DataRule:
    return DataRule(rule=column, expectation="ExpectColumnValuesToMatchRegex", column=column, kwargs={"regex": regex},
                why=why)  # fmt: skip


def _schema(claimed: bool, others: list[str]) -> list[DataRule]:
    columns = [*PROVENANCE, "row", "row_hash", *_SIGNALS, *(_CLAIM_SIGNALS if claimed else _PROSE_SIGNALS), *others]
    table = DataRule(
        rule="schema", expectation="ExpectTableColumnsToMatchSet", column="", scope="table",
        kwargs={"column_set": sorted(columns), "exact_match": True}, why="the table has the columns the suite is about",
    )  # fmt: skip
    types = [
        DataRule(rule="types", expectation="ExpectColumnValuesToBeOfType", column=name, kwargs={"type_": "str"},
             scope="table", why="provenance is text")
        for name in PROVENANCE
    ]  # fmt: skip
    present = [
        DataRule(rule="missing_value", expectation="ExpectColumnValuesToNotBeNull", column=name, kwargs={},
             why="every row says where it came from")
        for name in PROVENANCE
    ]  # fmt: skip
    return [table, *types, *present]


def _provenance(domain: str, parts: frozenset[str]) -> list[DataRule]:
    return [
        _member("domain", [domain], "a row of another domain teaches the wrong reflector"),
        _matches("task_id", r"^\S+$", "the task can be found again"),
        _member("label_source", sorted(PARTS), "it is known which labelling rule wrote the advice"),
        _member("part", sorted(USUAL_PARTS | parts), "it is known which part of the rule wrote it"),
        _always("part", "part_fits_label", "this labelling rule writes such a part"),
        _matches("author", HEX, "the model that wrote the advice is named by a SHA-256 digest"),
        _matches("trajectory_id", TRAJECTORY, "the trajectory is named by a digest"),
        _always("trajectory_id", "trajectory_named", "labels name their trajectory, task-only labels have none"),
        _member("outcome", ["final", "none", "visible"], "it is known what counted as success"),
        _always("outcome", "outcome_fits_label", "labels from experience come from a success"),
        _matches("origin", BATCH, "collect, or the digest of an experience batch"),
    ]


def _bounds(params: ValidateParams) -> list[DataRule]:
    return [
        _between(
            "advice_length", "advice_words", params.min_words, params.max_words, "advice is neither empty nor an essay"
        ),
        _between("task_length", "task_words", 1, params.max_task_words, "the question fits the prompt"),
        _never("truncated", "advice_cut", "advice that stops in the middle teaches to stop there"),
        _never("truncated", "task_cut", "half a question is another question"),
    ]


def _format(params: ValidateParams) -> list[DataRule]:
    # A sixteen-word advice has no room for a quotation; a two-hundred-word one may quote a clause.
    copied = params.max_copied or min(12, max(6, params.max_words // 4)) - 1
    code = [_never("code", "advice_code", "advice that writes the program gives the answer away")]
    return [
        *([] if params.allow_code else code),
        _between("copies_task", "copied_words", None, copied, "advice that repeats the question identifies the task"),
        _never("stray_tokens", "stray_tokens", "special tokens would end or derail a prompt"),
        _never("control_characters", "control_characters", "what nobody can see nobody can review"),
        _never("encoding", "garbled", "the bytes were decoded as what they are"),
        _never("language", "foreign", "the text is English, as the prompts are"),
        _never("secret", "secret", "weights cannot forget a key, a password or an address"),
    ]


def _evaluation(params: ValidateParams) -> list[DataRule]:
    near = f"from {params.near_duplicate:g} shared word 3-shingles on"
    return [
        _never("evaluation_overlap", "evaluation_task", "no evaluation task is trained on"),
        _never("evaluation_overlap", "evaluation_near", f"nor anything nearly like one, {near}"),
    ]


def _repeats(params: ValidateParams) -> list[DataRule]:
    near = f"from {params.near_duplicate:g} shared word 3-shingles on"
    rules = [
        _never("task_id", "task_id_reused", "one task id means one question"),
        _never("trajectory_id", "trajectory_reused", "one trajectory is about one task"),
        _never("exact_duplicate", "exact_duplicate", "a row counts once", defect=False),
        _never("near_duplicate", "near_duplicate", f"nor a copy with other spelling, {near}", defect=False),
        _never("distribution_shift", "shifted", _shift(params.max_shift), defect=False),
    ]
    return [rule.model_copy(update={"stage": "repeats"}) for rule in rules]


def _shift(limit: float) -> str:
    return (
        f"a batch whose lengths are {limit:g} or more apart from all earlier rows' comes from elsewhere "
        f"(by chance at most {FALSE_ALARMS:g} of batches)"
    )


def _runs(claimed: bool) -> list[DataRule]:
    advice = "advice that the run had been given is no experience of it"
    answer = "advice that says what was handed over gives the answer away"
    about = "who reads the advice has not seen the run that only its labeller saw"
    prose = [
        _never("repeats_answer", "repeats_answer", answer),
        _never("speaks_of_run", "speaks_of_run", about),
    ]
    return [_never("repeats_advice", "repeats_advice", advice, defect=False), *([] if claimed else prose)]


def _claims() -> list[DataRule]:
    return [
        _between("claims_nothing", "claims", 1, None, "advice says something that can be followed"),
        _never("other_label", "other_label", "advice about another kind of question was written for another row"),
        _never("answer", "advice_answer", "advice that says what to answer is no advice"),
        _between("contradiction", "contradictions", None, 0, "advice does not say two things of one convention"),
    ]


def _totals(params: ValidateParams) -> list[DataRule]:
    def total(rule: str, column: str, low: float | None, high: float | None, why: str) -> DataRule:
        return _between(rule, column, low, high, why).model_copy(update={"scope": "table", "stage": "totals"})

    return [
        total(
            "min_rows", "kept", params.min_rows, None, "too few rows teach nothing; collect more tasks or trajectories"
        ),
        total(
            "max_quarantined", "defect_share", None, params.max_quarantined, "so many broken rows mean a broken source"
        ),
        total("label_mix", "label_sources", None, 1, "one collection uses one labelling rule"),
        total("advice_collapse", "top_advice_share", None, COLLAPSE, "one advice for everything teaches a constant"),
        total("task_collapse", "top_task_share", None, COLLAPSE, "one task is not a world"),
    ]


_SIGNALS = (
    "task_words", "advice_words", "advice_code", "stray_tokens", "control_characters", "garbled", "foreign", "secret",
    "copied_words", "part_fits_label", "trajectory_named", "outcome_fits_label", "advice_cut",
    "evaluation_task", "evaluation_near", "task_cut",
)  # fmt: skip
_CLAIM_SIGNALS = ("claims", "contradictions", "other_label", "advice_answer")
_PROSE_SIGNALS = ("advice_loops",)
