"""Whether two mathematical answers are the same: kind by kind, member by member, values by their exact worth.

Every comparison gives True, False or None (it cannot be told), with the rule that said so. What it takes sympy to tell
is asked of a function that the caller gives (`MathGrader`: a process that can be killed).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from parammem.domains.math_layout import on_one_line
from parammem.domains.math_sets import FLIPPED, interval_of, left_out, union_of
from parammem.domains.math_shape import Shape, is_name, matrix_of, plain_words, shape_of
from parammem.domains.math_tidy import tidy
from parammem.domains.math_twice import measured
from parammem.domains.math_units import is_improper, number, split_unit, units_agree, without_letter

Ask = Callable[[str, str, str], "bool | int | None"]
"""(question, left, right) → the answer; None if it could not be told. Questions: value, proportional."""
Told = bool | None
_LOOSE = re.compile(r"(?<![A-Za-z\\]) | (?![A-Za-z])|(?<=[^A-Za-z][A-Za-z]) (?=[A-Za-z])")
_CHOICE = re.compile(r"(?:\\text\{)?\s*\(?([A-Z])(?:\)|[.:])(?:\s*\}\s*|\s+)[A-Za-z0-9\\$]")


@dataclass
class AnswerComparison:
    """One comparison of two answers; `rule` is what decided last."""

    ask: Ask
    rule: str = "nothing"
    asked: list[str] = field(default_factory=list)

    def same(self, gold: str, answer: str) -> Told:
        """Compare two answers as they were written."""
        return self._shapes(shape_of(tidy(on_one_line(gold))), shape_of(tidy(on_one_line(answer))))

    def _shapes(self, gold: Shape, answer: Shape) -> Told:
        if gold.kind != answer.kind or gold.kind == "relation":
            without = left_out(gold), left_out(answer)
            if without[0] is not None and without[1] is not None:
                return self._unordered(without[0], without[1])
        if "relation" in (gold.kind, answer.kind):
            return self._relations(gold, answer)
        if gold.also and answer.kind == "list":
            gold = gold.also
        if answer.also and gold.kind == "list":
            answer = answer.also
        if "text" in (gold.kind, answer.kind):
            said = plain_words(answer.text)
            if len(plain_words(gold.text)) == 1 and (choice := _CHOICE.match(answer.text)):
                said = choice.group(1).lower()  # (B) 12
            return self._said("words", plain_words(gold.text) == said)
        if "base" in (gold.kind, answer.kind):
            return self._bases(gold, answer)
        if {gold.kind, answer.kind} == {"matrix", "tuple"}:
            gold, answer = matrix_of(gold), matrix_of(answer)
        if {gold.kind, answer.kind} <= {"list", "set"} or ("set" in (gold.kind, answer.kind) and _single(gold, answer)):
            return self._unordered(_members(gold), _members(answer))
        if gold.kind == "value" and answer.kind == "list" and len({member.text for member in answer.items}) > 1:
            return self._all((gold, member) for member in answer.items)  # 3/4 or 0.75
        if re.fullmatch(r"[A-E]", gold.text) and (choice := _CHOICE.match(answer.text)):
            return self._said("the same choice", choice.group(1) == gold.text)
        if "union" in (gold.kind, answer.kind):
            gold, answer = union_of(gold), union_of(answer)  # x < 1 or x > 3
        if gold.kind != answer.kind:
            return self._said(f"a {gold.kind} is no {answer.kind}", False)
        if gold.kind == "value":
            return self._values(gold.text, answer.text)
        if gold.kind in ("union", "cases"):
            return self._unordered(gold.items, answer.items)
        if gold.marks != answer.marks or len(gold.items) != len(answer.items):
            return self._said(f"another form of {gold.kind}", False)
        return self._all(zip(gold.items, answer.items, strict=True))

    def _said(self, rule: str, told: Told) -> Told:
        self.rule = rule
        return told

    def _all(self, pairs) -> Told:
        """Return whether all pairs are the same. The first that is not decides."""
        unknown = False
        for left, right in pairs:
            told = self._shapes(left, right)
            if told is False:
                return False
            unknown = unknown or told is None
        return None if unknown else True

    def _unordered(self, gold: Sequence[Shape], answer: Sequence[Shape]) -> Told:
        """Return whether each member of one has its own in the other."""
        if len(gold) != len(answer):
            return self._said("another number of members", False)
        left, unknown = list(answer), False
        for member in gold:
            for place, other in enumerate(left):
                told = self._shapes(member, other)
                if told:
                    del left[place]
                    break
                unknown = unknown or told is None
            else:
                self.rule = f"no member is {member.text[:40]}"
                return None if unknown else False
        return self._said("the same members", True)

    def _bases(self, gold: Shape, answer: Shape) -> Told:
        """Return digits and base. An answer may leave the base out that the question names; it may add none."""
        if gold.kind == answer.kind:
            return self._said("digits and base", (gold.text, gold.marks) == (answer.text, answer.marks))
        if answer.kind == "value":
            plain = answer.text.replace(" ", "").upper().lstrip("0") or "0"
            return self._said("digits in the base of the gold answer", plain == gold.text)
        if gold.kind == "value" and answer.marks == ("10",):
            return self._values(gold.text, answer.text)
        return self._said("a number in another base", False)

    def _values(self, gold: str, answer: str) -> Told:
        """Compare two values exactly; units and percent signs may be left out, but not be others."""
        if gold == answer:
            return self._said("the same text", True)
        left, unit, factor = split_unit(gold)
        right, unit_there, factor_there = split_unit(answer)
        if unit and unit_there and (here := measured(gold)) is not None and here == measured(answer):
            return self._said("one quantity in two units", True)
        if not units_agree(unit, unit_there):
            return self._said(f"{unit} is not {unit_there}", False)
        left = left if unit else without_letter(left, unit_there)
        right = right if unit_there else without_letter(right, unit)
        numbers = number(left), number(right)
        if numbers[0] is not None and numbers[1] is not None:
            here, there = numbers[0] * factor, numbers[1] * factor_there
            equal = here == there
            if (unit == "percent") != (unit_there == "percent"):  # 44% may be written 44 or 0.44
                equal = equal or (here / 100 == there if unit == "percent" else here == there / 100)
            if not unit and unit_there == "cent":  # 0.75 may be written 75 cents
                equal = equal or here == there / 100
            return self._said("exact numbers", equal)
        if any(found is None and is_improper(side) for found, side in zip(numbers, (left, right), strict=True)):
            return self._said("a whole number before a fraction that is none", False)
        if factor != factor_there:
            return self._said("another factor", None)
        if _LOOSE.sub("", left) == _LOOSE.sub("", right):
            return self._said("the same text", True)
        self.asked.append(right)
        told = self.ask("value", left, right)
        return self._said("value" if told is not None else "value not read", None if told is None else bool(told))

    def _relations(self, gold: Shape, answer: Shape) -> Told:
        """Return equations and inequalities; `x = 5` is 5 where the other side names nothing else."""
        if gold.kind in ("base", "value") and answer.marks == ("=",) and _in_two_bases(answer):
            return any(self._shapes(gold, side) for side in answer.items)
        if "|" in gold.text + answer.text:  # |x| < 3 is -3 < x < 3
            sets = [interval_of(side) or union_of(side) for side in (gold, answer)]
            if all(side.kind in ("tuple", "union") for side in sets):
                return self._shapes(*sets)
        (name, left), (name_there, right) = _named(gold), _named(answer)
        if left.kind != "relation" and right.kind != "relation":
            if name and name_there and not _same_name(name, name_there):
                return self._said(f"{name} is not {name_there}", False)
            return self._shapes(left, right)
        if "relation" in (left.kind, right.kind) and {left.kind, right.kind} & {"tuple", "union"}:
            left, right = (interval_of(side) or union_of(side) for side in (left, right))
            if "relation" not in (left.kind, right.kind):
                return self._shapes(left, right)
        if gold.kind == "value" and _states(answer):
            return self._shapes(gold, answer.items[1])
        if "relation" not in (gold.kind, answer.kind) or gold.kind != answer.kind:
            return self._said(f"a {gold.kind} is no {answer.kind}", False)
        return self._equations(gold, answer)

    def _equations(self, gold: Shape, answer: Shape) -> Told:
        """Compare two relations of the same signs, perhaps turned round; two-sided ones up to a factor."""
        turned = Shape(
            "relation", answer.text, answer.items[::-1], tuple(FLIPPED.get(mark, "?") for mark in answer.marks[::-1])
        )
        unknown = False
        for one in (answer, turned):
            if one.marks == gold.marks:
                told = self._all(zip(gold.items, one.items, strict=True))
                if told:
                    return self._said("the same relation", True)
                unknown = unknown or told is None
                if len(gold.marks) == 1:
                    told = self._proportional(gold, one)
                    if told is not None:
                        return told
        return self._said("another relation", None if unknown else False)

    def _proportional(self, gold: Shape, answer: Shape) -> Told:
        sides = [f"({one.items[0].text})-({one.items[1].text})" for one in (gold, answer)]
        self.asked.append(answer.text)
        told = self.ask("proportional", *sides)
        if told is None:
            return self._said("relation not read", None)
        right = told != 0 if gold.marks[0] in ("=", "\\ne") else told > 0
        return self._said("the same relation up to a factor" if right else "another relation", right)


def _in_two_bases(equation: Shape) -> bool:
    """Return whether an equation says one number in two bases, and is true: 30_4 = 12_{10}, 1101_2 = 13."""
    values = [
        int(side.text, int(side.marks[0])) if side.kind == "base" and "." not in side.text else number(side.text)
        for side in equation.items
    ]
    return any(side.kind == "base" for side in equation.items) and values[0] is not None and values[0] == values[1]


def _single(gold: Shape, answer: Shape) -> bool:
    """Return whether a set stands against a value, as {5} against 5."""
    return {gold.kind, answer.kind} == {"set", "value"} and max(len(gold.items), len(answer.items)) == 1


def _members(shape: Shape) -> Sequence[Shape]:
    """Return the members of a list or set; of a set each once (as far as their text tells)."""
    if shape.kind not in ("list", "set"):
        return (shape,)
    if shape.kind == "set":
        return tuple({member.text: member for member in shape.items}.values())
    named = [_named(member) for member in shape.items]
    names = {re.sub(r"_\{?\w+\}?$", "", name) for name, _ in named}
    if len(names) == 1 and "" not in names and all(member.kind == "relation" for member in shape.items):
        return tuple(value for _, value in named)  # x = 2 or x = 3; x_1 = 2, x_2 = 3
    return shape.items


def _named(shape: Shape) -> tuple[str, Shape]:
    """Return name and value: `x = 5` → ("x", 5); `5 + 3 = 8` → ("", 8); what says no more than itself → ("",
    itself)."""
    if shape.kind != "relation" or not set(shape.marks) <= {"=", "\\in", "\\approx"}:
        return "", shape
    exact = shape.marks.index("\\approx") if "\\approx" in shape.marks else len(shape.marks)
    first = shape.items[0]
    last = shape.items[max(exact, 1) if is_name(first.text) else exact]
    if is_name(first.text):
        return re.sub(r"\s", "", first.text), last
    if is_name(last.text) and _numeric(first.text):
        return re.sub(r"\s", "", last.text), first
    if all(_numeric(side.text) for side in shape.items):  # 5 + 3 = 8; 5√2 ≈ 7.07
        return "", last
    return "", shape


def _states(shape: Shape) -> bool:
    """Return whether an equation says what some expression comes to: a + b + c = 14, \\sin A + \\sin B = 1. An equation
    of x and y alone, or with nothing on its right side, may be one that is still to be solved."""
    if shape.kind != "relation" or shape.marks != ("=",) or not _numeric(shape.items[1].text):
        return False
    left = re.sub(r"\\[a-zA-Z]+|\([^()]*\)|\{[^{}]*\}", " ", shape.items[0].text)
    return number(shape.items[1].text) != 0 and not re.search(r"[xyz]", left)


def _numeric(text: str) -> bool:
    """Return whether a side holds no variable."""
    bare = re.sub(r"\\text\{[^{}]*\}|\\(?:frac|sqrt|pi|cdot|times|div|left|right|log|ln)(?![a-z])", "", text)
    return bool(re.search(r"\d|\\pi", text)) and not re.search(r"[A-Za-z\\]", re.sub(r"\s[A-Za-z]{3,}|[$%]", "", bare))


def _same_name(left: str, right: str) -> bool:
    """Return whether two names may mean the same: x and X; y and f(x)."""
    functions = {"y"} | {f"{letter}(x)" for letter in "fghpq"}
    return left.lower() == right.lower() or {left.lower(), right.lower()} <= functions
