"""The process in which sympy works: lines of JSON in, a line of JSON out. `MathGrader` starts it, and kills it when an
answer takes too long. Run as `python -m parammem.domains.math_worker`.

Answers are read by math-verify's parser (latex2sympy2_extended). They are not compared by its `verify`, which rounds:
there 1/2^99 and 1/2^98 are one number. Values are compared exactly where they are rational, else to 60 digits, those
with variables at several points; letters keep their case.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

MEMORY_BYTES = 440 * 2**20
"""Address space; a tower of powers must not take the machine's memory. The worker with sympy has about 80 MB."""
DIGITS = 60
LARGEST = 50_000
"""Decimal digits of a number that is worked out."""
POINTS = (
    (1237, 1009), (2311, 1381), (577, 1931), (3301, 887), (1709, 761), (-1423, 1093), (-2843, 1213), (-491, 1747),
)  # fmt: skip
"""Numerators and denominators of what variables are set to, five positive ones first."""

_UNREAD = re.compile(r"[=<>]|\|\|\||\d\s+\d|\\ldots|[?'\"@#&]|\\(?:begin|text\{[^{}]{2,}\}|not|pm|mp)")

_BARE_ARGUMENT = re.compile(
    r"(?P<head>\\(?:sin|cos|tan|cot|sec|csc|ln|log)(?:\s*\^\s*\{?-?\d\}?)?)\s*(?P<of>\d*\s?(?:[A-Za-z]|"
    r"\\(?!cdot|times)[a-z]+|\d))\s*"
    r"(?=\\cdot|\\times|\*)"
)
"""`\\sin y \\cdot x` is x sin y; the parser would take the whole product for the argument."""


class CannotTell(Exception):
    """The two cannot be compared."""


def compare(question: str, left: str, right: str) -> bool | int:
    """Return the answer to a question about two tidy LaTeX expressions. Raises whatever it raises where it cannot be
    told.

    value: are they equal? proportional: the sign of the constant c ≠ 0 with left = c·right, 0 if there is none.
    """
    first, second = read(left), read(right)
    if question == "value" and None not in (powers := [prime_powers(one) for one in (first, second)]):
        return powers[0] == powers[1]
    bounded(first)
    bounded(second)
    return equal(first, second) if question == "value" else proportional(first, second)


def read(text: str) -> Any:
    """Return a tidy answer as a sympy expression, with plain symbols and exact numbers."""
    import sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

    config = ConversionConfig(lowercase_symbols=False)
    text = prepared(text)
    found: Any = latex2sympy(text, is_real=True, normalization_config=None, conversion_config=config)
    if not isinstance(found, sympy.Expr):
        raise CannotTell(f"{type(found).__name__} is no value")
    named = [(symbol, str(symbol)) for symbol in found.free_symbols]
    names: dict[Any, Any] = {symbol: sympy.I if name == "i" else sympy.Symbol(name) for symbol, name in named}
    return found.xreplace(names)


def prime_powers(node: Any) -> dict[int, int] | None:
    """Return a product of powers of whole numbers by its primes, -1 among them, so that 2^{1000000} and 4^{500000} are
    compared without being worked out; None for anything else."""
    import sympy

    if isinstance(node, sympy.Rational):
        small = node != 0 and max(abs(node.p), node.q) < 10**12
        factors: Any = sympy.factorrat(node) if small else {}
        return {int(prime): int(times) for prime, times in factors.items() if prime != 1} if small else None
    if isinstance(node, sympy.Mul):
        parts = [prime_powers(part) for part in node.args]
    elif isinstance(node, sympy.Pow):
        exponent = _whole(node.exp)
        base = prime_powers(node.base) if exponent is not None else None
        parts = [base and {prime: times * (exponent or 0) for prime, times in base.items()}]
    else:
        return None
    found: dict[int, int] = {}
    for part in parts:
        if part is None:
            return None
        for prime, times in part.items():
            found[prime] = found.get(prime, 0) + times
    if -1 in found:
        found[-1] %= 2
    return {prime: times for prime, times in found.items() if times}


def _whole(node: Any) -> int | None:
    """Return an exponent that is a whole number of at most some thirty digits; None for another one."""
    import sympy

    if isinstance(node, sympy.Integer):
        return int(node)
    if node.free_symbols or not node.args:
        return None
    powers = prime_powers(node)
    if powers is None or any(times < 0 for times in powers.values()) or sum(powers.values()) > 100:
        return None
    value = 1
    for prime, times in powers.items():
        value *= prime**times
    return value


def prepared(text: str) -> str:
    """Return what the parser would misread, said otherwise. Raises CannotTell for what it would drop without a word."""
    if _UNREAD.search(re.sub(r"_\s*(?:\d+|\{\d+\})", "_a", text)):
        raise CannotTell("not a formula")
    if _depth(text) > 12 or re.search(r"\\binom\s*(?:\{[^{}]*(?:\d{4}|[\^!])|.{0,40}\d{4})|choose", text):
        raise CannotTell("a formula too deep or too large to read")
    text = re.sub(r"\\text\{([A-Za-z])\}", r"\1", text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*\^\\circ", r"(\\frac{\1\\pi}{180})", text)
    text = re.sub(r"(?<![\d.])(\d*)\.(\d+)(?![\d.])", _exact, text)  # a float would round
    text = re.sub(r"^\{(\\frac\{\d+\}\{\d+\})\}$", r"\1", text)  # braces around the whole are a set to the parser
    text = re.sub(r"(?<![A-Za-z\\])(sqrt|sin|cos|tan|ln|log|pi)(?![A-Za-z])", r"\\\1 ", text)
    text = _BARE_ARGUMENT.sub(r"\g<head>(\g<of>) ", text)
    return text.replace("%", "\\%")


def _depth(text: str) -> int:
    """Return how deep brackets are nested; the parser takes exponentially long over deep ones."""
    depth = deepest = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _exact(found: re.Match[str]) -> str:
    whole, part = found.groups()
    return f"{{\\frac{{{int(whole + part)}}}{{{10 ** len(part)}}}}}"


def bounded(found: Any) -> None:
    """Refuse numbers that are too large to write down, before anything is worked out. Raises CannotTell."""
    import sympy

    for node in sympy.preorder_traversal(found):
        if isinstance(node, sympy.Sum | sympy.Product | sympy.Integral | sympy.Limit | sympy.Derivative):
            raise CannotTell(f"a {type(node).__name__.lower()} is not worked out")
    _size(found)


def _size(node: Any) -> float:
    """Return about the decimal logarithm of the largest number that a formula can come to, its variables being of the
    order of ten. Raises CannotTell when some part of it is too large."""
    import math

    import sympy

    if isinstance(node, sympy.Rational):
        size = max(abs(node.p).bit_length(), node.q.bit_length()) * 0.302
    elif isinstance(node, sympy.Pow | sympy.exp):
        base, exponent = node.as_base_exp()
        size = 10 ** min(_size(exponent), 12) * max(_size(base), 0.5)
    elif isinstance(node, sympy.factorial):
        size = _size(node.args[0])
        size = 10 ** min(size, 12) * max(size, 1)
    elif isinstance(node, sympy.Mul):
        size = sum(_size(part) for part in node.args)
    elif node.args:
        size = max(_size(part) for part in node.args) + math.log10(len(node.args))
        if isinstance(node, sympy.Function) and not isinstance(node, sympy.Abs) and size > 400:
            raise CannotTell("a function of a number too large to compare")
    else:
        size = 0.6 if node.is_number else 1.0
    if size > LARGEST:
        raise CannotTell("a number too large to compare")
    return size


def equal(left: Any, right: Any) -> bool:
    """Return whether two expressions have the same value (for all values of their variables)."""
    if left == right:
        return True
    ratio = agreement(left, right)
    if ratio is not None:
        return ratio
    left, right = left.doit(), right.doit()
    return left == right or bool((left - right).expand() == 0)


def agreement(left: Any, right: Any) -> bool | None:
    """Return whether two expressions agree at all points where both can be worked out; None if there are too few."""
    import sympy

    symbols = sorted(left.free_symbols | right.free_symbols, key=lambda symbol: symbol.name)
    if not symbols:
        exact = left.doit(), right.doit()
        if all(isinstance(value, sympy.Rational) for value in exact):
            return bool(exact[0] == exact[1])
        return _close(_value(exact[0]), _value(exact[1]))
    agreed = 0
    for turn in range(len(POINTS)):
        here = {
            symbol: sympy.Rational(*POINTS[(turn + place) % 5 if turn < 5 else 5 + (turn + place) % 3])
            + sympy.Rational(place, 7)
            for place, symbol in enumerate(symbols)
        }
        values = [_value(one.subs(here).doit()) for one in (left, right)]
        if turn >= 5 and not all(value is not None and value.is_real for value in values):
            continue  # roots and logarithms of negative numbers
        same = _close(*values)
        if same is False:
            return False
        agreed += same is True
    return True if agreed >= 4 else None


def _value(found: Any) -> Any:
    """Return the number that an expression is, to 60 digits; None if it is none."""
    import sympy

    value = found.evalf(DIGITS, maxn=4 * DIGITS) if not isinstance(found, sympy.Rational) else found
    return value if value.is_number and value.is_finite is not False and not value.has(sympy.nan, sympy.zoo) else None


def _close(left: Any, right: Any) -> bool | None:
    """Return whether two numbers are the same up to the error of their last digits, as a part of the larger; None if
    one is none."""
    import sympy

    if left is None or right is None:
        return None
    if not (_worked_out(left) and _worked_out(right)):
        return None
    if not (_precise(left) and _precise(right)):
        raise CannotTell("a value that may be nothing")
    size = max(abs(left), abs(right))
    return size == 0 or bool(abs(left - right) / size < sympy.Float("1e-45"))


def _worked_out(value: Any) -> bool:
    import sympy

    return all(isinstance(part, sympy.Number) for part in value.as_real_imag())


def _precise(value: Any) -> bool:
    """Return whether the digits of a number are known; of one that may be 0 sympy gives none."""
    import sympy

    return all(part._prec > 150 for part in value.atoms(sympy.Float))


def proportional(left: Any, right: Any) -> int:
    """Return the sign of c where left = c·right for a constant c; 0 if there is no such constant."""
    import sympy

    if not left.free_symbols or left.free_symbols != right.free_symbols:
        raise CannotTell("other variables")
    symbols = sorted(left.free_symbols, key=lambda symbol: symbol.name)
    ratios = []
    for turn in range(5):
        here = {s: sympy.Rational(*POINTS[(turn + n) % 5]) + sympy.Rational(n, 7) for n, s in enumerate(symbols)}
        above, below = (_value(one.subs(here).doit()) for one in (left, right))
        if above is None or below is None or not (_worked_out(above) and _worked_out(below)) or below == 0:
            continue
        ratios.append(above / below)
    if len(ratios) < 3:
        raise CannotTell("too few points")
    if not all(_close(ratio, ratios[0]) for ratio in ratios[1:]) or not ratios[0].is_real:
        return 0
    return 1 if ratios[0] > 0 else -1


def main() -> None:
    """Serve until stdin closes. The first line out says that the worker is ready."""
    logging.disable(logging.CRITICAL)
    compare("value", "x+1", "1+x")  # builds the parser's tables: the second it takes belongs to no answer
    _limit_memory()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"told": compare(request["question"], request["left"], request["right"]), "why": ""}
        except Exception as error:
            reply = {"told": None, "why": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(reply), flush=True)


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        return


if __name__ == "__main__":
    main()
