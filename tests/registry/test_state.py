"""Facts about versions and champions, read out of the ledger."""

from __future__ import annotations

import pytest

from parammem.core.event import Checked
from parammem.errors import LedgerError
from parammem.gate.nightly_check import failed_in_a_row
from parammem.registry import Ledger
from parammem.registry.ledger_text import as_text, check
from parammem.registry.state import add_version, champion, find_version, make_champion, one_before, roll_back, versions
from tests.registry.repository import promoting

WHO = "person ada"


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def promote(ledger: Ledger, adapter: str) -> None:
    version = add_version(ledger, "code", adapter, "", WHO)
    decision = promoting(adapter)
    ledger.save_decision(decision)
    make_champion(ledger, version, decision.digest, WHO)


def test_versions_are_counted_by_domain_and_an_adapter_keeps_its_own(ledger):
    assert add_version(ledger, "code", "a" * 64, "", WHO).number == 1
    assert add_version(ledger, "math", "b" * 64, "", WHO).number == 1
    assert add_version(ledger, "code", "c" * 64, "", WHO).number == 2
    assert add_version(ledger, "code", "a" * 64, "", WHO).number == 1
    assert [v.number for v in versions(ledger.read(), "code")] == [1, 2]


def test_a_candidate_is_no_champion(ledger):
    add_version(ledger, "code", "a" * 64, "", WHO)
    assert champion(ledger.read(), "code") is None


def test_only_a_decision_that_promotes_this_adapter_makes_a_champion(ledger):
    version = add_version(ledger, "code", "a" * 64, "", WHO)
    with pytest.raises(LedgerError, match="no decision"):
        make_champion(ledger, version, "f" * 64, WHO)
    other = promoting("b" * 64)
    refused = promoting("a" * 64).model_copy(update={"answer": "refuse"})
    for decision in (other, refused):
        ledger.save_decision(decision)
        with pytest.raises(LedgerError, match="promotes no v1"):
            make_champion(ledger, version, decision.digest, WHO)
    assert champion(ledger.read(), "code") is None


def test_rollback_goes_to_an_earlier_champion_and_a_second_one_is_a_no_op(ledger):
    for letter in "abc":
        promote(ledger, letter * 64)
    assert one_before(ledger.read(), "code") == "v2"
    target = roll_back(ledger, "code", "v2", "worse", WHO)
    assert target is not None
    assert target.number == 2
    assert champion(ledger.read(), "code") == target
    before = len(ledger.read())
    roll_back(ledger, "code", "v2", "worse", WHO)
    assert len(ledger.read()) == before
    assert one_before(ledger.read(), "code") == "v1"


def test_rollback_to_none_leaves_no_champion(ledger):
    promote(ledger, "a" * 64)
    assert one_before(ledger.read(), "code") == "none"
    assert roll_back(ledger, "code", "none", "harmful", WHO) is None
    assert champion(ledger.read(), "code") is None


def test_rollback_to_what_never_reigned_is_refused(ledger):
    promote(ledger, "a" * 64)
    add_version(ledger, "code", "b" * 64, "", WHO)
    with pytest.raises(LedgerError, match="never was champion"):
        roll_back(ledger, "code", "v2", "hm", WHO)
    with pytest.raises(LedgerError, match="there are: v1, v2"):
        roll_back(ledger, "code", "v9", "hm", WHO)


@pytest.mark.parametrize("name", ["v2", "2", "champion", "bbbbbbbb"])
def test_a_version_is_found_by_any_of_its_names(ledger, name):
    add_version(ledger, "code", "a" * 64, "", WHO)
    promote(ledger, "b" * 64)
    assert find_version(ledger.read(), "code", name).number == 2


def checked(night: str, holds: bool | None) -> Checked:
    return Checked(
        domain="code", version=1, adapter="a" * 64, holds=holds, solved=0.3, expected=0.4, p=0.001, night=night
    )


def test_failed_checks_are_counted_in_a_row_and_start_anew_with_a_champion(ledger):
    promote(ledger, "a" * 64)
    for night, (holds, expected) in enumerate([(False, 1), (True, 0), (False, 1), (None, 1), (False, 2)]):
        ledger.append(checked(f"2026-01-{night + 1:02}", holds), "flow evaluate_champion")
        assert failed_in_a_row(ledger.read(), "code") == expected
    promote(ledger, "b" * 64)
    assert failed_in_a_row(ledger.read(), "code") == 0


def test_the_same_night_is_checked_once(ledger):
    ledger.append(checked("2026-01-01", False), "flow evaluate_champion")
    ledger.append(checked("2026-01-01", False), "flow evaluate_champion")
    assert failed_in_a_row(ledger.read(), "code") == 1


def test_history_tells_a_life_in_words(ledger):
    promote(ledger, "a" * 64)
    promote(ledger, "b" * 64)
    ledger.append(checked("2026-01-01", False), "flow evaluate_champion")
    roll_back(ledger, "code", "v1", "failed twice", "flow rollback")
    told = as_text(ledger.read(), "code")
    for part in ("v1 is candidate", "v2 is champion", "check of v1: FAILED", "from v2 to v1: failed twice"):
        assert part in told
    assert told.splitlines()[-1].startswith("champion: v1")
    assert as_text(ledger.read(), "math") == "champion: none"


def test_check_reads_every_decision_again(ledger):
    add_version(ledger, "code", "a" * 64, "", WHO)
    assert check(ledger.root).startswith("ledger/events.jsonl: 1 event, 0 decisions: the chain is unbroken\n")
    ledger.path.write_text(ledger.path.read_text().replace("ada", "eve"))
    with pytest.raises(LedgerError, match="line 1"):
        check(ledger.root)
