"""The detectors by themselves: the fast duplicate search against brute force, secrets, code, encoding, language."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parammem.validation import duplicates, similarity_index
from parammem.validation import text as look
from parammem.validation.duplicates import jaccard, near_duplicates, overlaps, shingles
from parammem.validation.secrets import holds_secret

WORDS = st.lists(st.sampled_from("abcdef"), min_size=0, max_size=14).map(" ".join)


def brute_force(items, threshold):
    expected: dict[int, int] = {}
    for place, item in enumerate(items):
        earlier = [old for old in range(place) if old not in expected and jaccard(item, items[old]) >= threshold]
        if earlier:
            expected[place] = earlier[0]
    return expected


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=12), st.sampled_from([0.3, 0.5, 0.8, 0.9, 0.98, 1.0]), st.sampled_from([0, 1, 4]))
def test_near_duplicates_are_exactly_those_of_brute_force(texts, threshold, many):
    items = [shingles(text) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity_index, "MANY", many)  # so that few rows make indexes within indexes, too
        assert near_duplicates(items, threshold) == brute_force(items, threshold)


def of_one_template(count, names, slots=4, extra=0.2):
    """Rows that differ in a noun at each slot, some of them cut or with a word more."""
    dice = random.Random(count)
    frame = [f"b{number}" for number in range(24)]
    for _ in range(count):
        row = list(frame)
        for slot in range(slots):
            row[slot * 6 + 2] = f"n{dice.randrange(names)}"
        if dice.random() < extra:
            row = row[: dice.randrange(3, len(row))] + [f"n{dice.randrange(names)}"]
        yield " ".join(row)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9, 0.98])
@pytest.mark.parametrize("names", [4, 15, 60])
def test_near_duplicates_of_one_template_are_exactly_those_of_brute_force(names, threshold):
    items = [shingles(text) for text in of_one_template(400, names)]
    found = near_duplicates(items, threshold)
    assert found == brute_force(items, threshold)
    assert found or names == 60


def test_rows_of_one_template_are_compared_with_few_others_however_many_there_are(monkeypatch):
    """Ten times the rows share each noun with ten times as many: by their rarest shingles alone 100 times the work."""
    verified = []
    honest = duplicates.jaccard
    monkeypatch.setattr(duplicates, "jaccard", lambda a, b: verified.append(1) or honest(a, b))
    for rows in (800, 8000):
        verified.clear()
        assert near_duplicates([shingles(text) for text in of_one_template(rows, 100, extra=0)], 0.8) == {}
        assert len(verified) <= 5 * rows


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=8), st.lists(WORDS, max_size=5), st.sampled_from([0.5, 0.8, 0.98, 1.0]))
def test_overlaps_are_exactly_those_of_brute_force(texts, references, threshold):
    items, known = [shingles(text) for text in texts], [shingles(text) for text in references]

    def holds(item, reference):
        long = len(reference) >= 8 and len(item & reference) >= threshold * len(reference)
        return long or jaccard(item, reference) >= threshold

    expected = {n for n, item in enumerate(items) if any(holds(item, reference) for reference in known)}
    assert overlaps(items, known, threshold) == expected


def test_search_compares_few_pairs_of_many_templated_rows(monkeypatch):
    """4,000 rows have 8 million pairs; what is verified grows with the rows, not with their square."""
    verified = []
    honest = duplicates.jaccard
    monkeypatch.setattr(duplicates, "jaccard", lambda a, b: verified.append(1) or honest(a, b))
    dice = random.Random(0)
    items = [
        shingles(
            f"write f of the {dice.randrange(10**6)} {dice.choice('abcdefgh')} prices and handle empty lists",
            str(dice.random()),
        )
        for _ in range(4000)
    ]
    assert near_duplicates(items, 0.98) == {}
    assert len(verified) < 4000


def test_signs_are_kept_apart_and_spelling_is_not():
    assert shingles("is a < b or not") != shingles("is a > b or not")
    assert shingles("Is  A < b, or NOT?") == shingles("is a < b or not")


@pytest.mark.parametrize(
    "text",
    [
        "use AKIAIOSFODNN7EXAMPLE here",
        "ghp_abcdefghijklmnopqrstuvwxyz012345",
        "sk-proj-abcDEF0123456789abcd",
        "sk-ant-api03-abcDEF0123456789abcd",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "xoxb-1234567890-abcdef",
        "-----BEGIN PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2Q",
        "postgres://root:letmein@db/main",
        "Authorization: Bearer abcdefgh12345678ijkl",
        "write to a.b+c@mail.brightwater-school.net",
        "password=correcthorse",
        'API_KEY: "a8f5f167f44f4964e6c998dee827110c"',
        "db_password = 'tr0ub4dor&3'",
        "blob Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MHFXZVJ0WXVJ end",
    ],
)
def test_secrets_are_found(text):
    assert holds_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "limit inside ; repeats once",
        "the password must have at least eight letters",
        "token: the next word of the sentence",
        "split the secret message by spaces",
        "longest_common_subsequence_of_two_strings_recursive",
        "call f(xs, k) with key=lambda row: row[0]",
        "SHA-256 of a row is 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "tokens = tokens[0]",
    ],
)
def test_prose_about_secrets_is_none(text):
    assert not holds_secret(text)


@pytest.mark.parametrize(
    ("text", "plain", "code"),
    [
        ("limit inside ; empty zero", True, False),
        ("round half up", True, False),
        ("share before tax ; price per item", True, False),
        ("total = price * count", True, True),
        ("sum(xs)", True, True),
        ("( price - discount ) * n", True, True),
        ("call sorted(xs) first", False, False),
        ("Return the value (rounded), a non-empty list and/or None.", False, False),
        ("For each word in the list, check its length.", False, False),
        ("use:\ndef f(x):\n    return x", False, True),
        ("```", False, True),
        ("x = 1; y = x + 2; return y", False, True),
    ],
)
def test_code_is_told_from_prose(text, plain, code):
    assert look.holds_code(text, plain) is code


def test_broken_encoding_is_told_from_accents():
    assert look.is_garbled("caf\u00c3\u00a9 au lait")
    assert look.is_garbled("a \ufffd b")
    assert not look.is_garbled("café au lait, señor, Übung")


def test_other_languages_are_told_from_english():
    assert look.is_foreign("il faut que la liste ne soit pas vide pour le calcul")
    assert look.is_foreign("対象のリストを確認してください")
    assert not look.is_foreign("Check that the list is not empty before you divide, as in the café example.")
    assert not look.is_foreign("limit inside ; repeats once")


def test_control_characters_are_seen_and_newlines_are_not():
    assert look.holds_control("a\u200bb")
    assert look.holds_control("a\x07b")
    assert not look.holds_control("a\n\tb é 日")


@settings(max_examples=200, deadline=None)
@given(WORDS, WORDS)
def test_copied_run_is_that_of_brute_force(advice, task):
    left, right = advice.split(), task.split()
    spans = {tuple(right[a:b]) for a in range(len(right)) for b in range(a + 1, len(right) + 1)}
    ours = [b - a for a in range(len(left)) for b in range(a + 1, len(left) + 1) if tuple(left[a:b]) in spans]
    assert look.copied_run(advice, task) == max(ours, default=0)


def test_copied_run_of_long_texts_takes_linear_time():
    text = "alpha beta gamma delta " * 20_000
    start = time.process_time()
    assert look.copied_run(text, "x " + text) == 80_000
    assert time.process_time() - start < 20


def test_copied_run_is_the_longest_common_span():
    assert look.copied_run("so keep those up to k now", "xs . Keep those up to k .") == 5
    assert look.copied_run("", "a b") == 0


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Check the bound of the range.\nRead the empty list as it stands.\nThen the answer is", True),
        ("1. Check the bound of the range.\n2. Return the values in the order of the", True),
        ("Look at this:\n```python\nreturn sorted(xs", True),
        ("Look at the flawed program:\n```python\nreturn sorted(xs)\n```", False),
        ("1. the bound of the range\n2. the sign of the sum\n3. the empty list of values", False),
        ("Check the bound of the range.\nRead the empty list as it stands.", False),
        ("The sum of all of these values is the one $x + 1$.\nThe answer is $x$.", False),
        ("use the bound", False),
    ],
)
def test_prose_that_stops_in_the_middle(text, cut):
    assert look.is_cut(text) is cut


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("It is " + "not only efficient but also " * 6, True),
        ("\n".join(f"{n}. The function does not handle the case of an empty list." for n in range(1, 5)), True),
        ("the " * 12, True),
        ("It is not only efficient but also short, and not only short but also clear.", False),
        ("\n".join(f"{n}. The function {n * n} reads {n + 7} of the values first." for n in range(1, 9)), False),
        ("no no no, the bound is wrong", False),
        ("", False),
    ],
)
def test_words_that_go_round_in_circles(text, loops):
    assert look.holds_loop(text) is loops
