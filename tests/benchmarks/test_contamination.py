"""Contest statements: stock phrases that all of them share are no contamination; a copied story is."""

from __future__ import annotations

import pytest

from parammem.benchmarks.contamination import contacts
from tests.benchmarks import rows

ATCODER = r"""{story}

Constraints
- 2 \leq N \leq 2 \times 10^5
- 1 \leq A_i \leq 10^9
- All values in input are integers.

Input
The input is given from Standard Input in the following format:
N
A_1 A_2 \ldots A_N

Output
Print the answer.

Sample Input 1
3
1 2 3

Sample Output 1
{answer}
"""
STICKS = """Snuke has N sticks on his desk, and the i-th of them is A_i centimetres long. Whenever he likes he glues two
of them together, which costs him as many yen as the longer of the two is long, and then the glued pair counts as one
stick for every later step of his work. What is the cheapest way to end with a single stick?"""
DAMS = """There are N mountains in a circle, called Mountain 1 to Mountain N in clockwise order, and a dam stands in
each valley. Rain fell on Mountain i, A_i litres of it, half of which ran down on either side into the next dams.
How many pairs of neighbouring dams hold equally much water once the storm is over?"""
CODEFORCES = r"""{story}

-----Input-----

Each test contains multiple test cases. The first line contains the number of test cases $t$ ($1 \le t \le 10^4$). The
description of the test cases follows.

The first line of each test case contains a single integer $n$ ($1 \le n \le 2 \cdot 10^5$). The second line of each
test case contains $n$ integers $a_1, a_2, \ldots, a_n$ ($1 \le a_i \le 10^9$).

It is guaranteed that the sum of $n$ over all test cases does not exceed $2 \cdot 10^5$.

-----Output-----

For each test case, print a single integer {answer}."""
LEETCODE = """You are given a 0-indexed integer array nums of length n and an integer k. {story}

Constraints:

1 <= nums.length <= 10^5
1 <= nums[i] <= 10^9
1 <= k <= 10^9
"""
LAYOUTS = {"atcoder": ATCODER, "codeforces": CODEFORCES, "leetcode": LEETCODE}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_unrelated_statements_of_one_site_are_not_in_contact(layout):
    evaluation = [("sticks", layout.format(story=STICKS, answer="9"))]
    assert contacts([("dams", layout.format(story=DAMS, answer="2"))], evaluation, 13, 0.8) == []


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_copied_story_is_found_under_any_other_ending(layout):
    evaluation = [("sticks", layout.format(story=STICKS, answer="9")), ("dams", layout.format(story=DAMS, answer="2"))]
    half = " ".join(STICKS.split()[14:40])
    train = [("copy", f"Recall this problem. {half} Now write a program for it, and mind the empty desk.")]
    (found,) = contacts(train, evaluation, 13, 0.8)
    assert (found.eval_id, found.kind) == ("sticks", "ngram")
    assert found.shared in half.lower().replace(",", "").replace(".", "")
    (whole,) = contacts([("same", layout.format(story=STICKS, answer="9"))], evaluation, 13, 0.8)
    assert (whole.eval_id, whole.kind) == ("sticks", "same")


def test_a_statement_of_formulae_alone_is_still_found_whole():
    terse = ATCODER.format(story="Find A_1 + A_2.", answer="3")
    found = contacts([("t", f"Try this. {terse} It is easy.")], [("e", terse)], 13, 0.8)
    assert [contact.kind for contact in found] == ["near"]


def test_questions_that_are_no_contest_statements_keep_every_n_gram():
    formulae = "Let f(x) = x^2 + 3x + 5 and g(x) = x - 2. Find the value of f(g(1)) + g(f(1))."
    half = "f(x) = x^2 + 3x + 5 and g(x) = x - 2"
    (found,) = contacts([("t", f"We know that {half} so what?")], [("e", formulae)], 13, 0.8)
    assert found.kind == "ngram"


@pytest.mark.integration
def test_real_statements_keep_n_grams_and_share_none():
    folder = rows.real_data() / "apps"
    texts = [(path.parent.name, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/question.txt"))]
    for place, one in enumerate(texts):
        assert contacts(texts[:place] + texts[place + 1 :], [one], 13, 0.8) == []
        middle = one[1].split()[5:40]
        assert [c.kind for c in contacts([("t", " ".join(middle))], [one], 13, 0.8)] == ["ngram"], one[0]
