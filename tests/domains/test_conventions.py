from __future__ import annotations

from parammem.domains.conventions import CONVENTIONS, KINDS, PEOPLE, PLACES, parse_claims, phrase


def test_every_value_has_a_cue_word_of_its_own():
    values = [value for table in CONVENTIONS.values() for values in table.values() for value in values]
    assert len(set(values)) == len(values)


def test_there_are_ten_to_fourteen_conventions_of_two_or_three_values():
    tables = [values for table in CONVENTIONS.values() for values in table.values()]
    assert 10 <= len(tables) <= 14
    assert {len(values) for values in tables} <= {2, 3}


def test_names_and_nouns_are_used_once():
    words = [*PEOPLE, *PLACES, *(n for kinds in KINDS.values() for nouns in kinds.values() for n in nouns)]
    assert len(set(words)) == len(words)


def test_claims_are_parsed_and_contradictions_claim_nothing():
    assert parse_claims("code", "money ; limit inside ; empty zero") == {"limit=inside", "empty=zero"}
    assert parse_claims("code", "limit inside ; limit outside ; round up") == {"round=up"}
    assert parse_claims("code", "limit sideways ; what ever") == frozenset()
    assert parse_claims("math", "limit inside") == frozenset()


def test_what_phrase_says_parse_claims_reads():
    assert parse_claims("qa", phrase({"home": "lives", "head": "chief"})) == {"home=lives", "head=chief"}
