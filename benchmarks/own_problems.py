"""Small problems of our own with a solution each, for benchmarks that publish none: functions, and programs that read
and print. A case is what goes in and what must come out, as LiveCodeBench writes them."""

# the lines quote programs
from __future__ import annotations

Cases = list[tuple[str, str]]
FUNCTIONS: list[tuple[str, Cases]] = [
    ("def f(xs): return sorted(xs)", [("[3, 1, 2]", "[1, 2, 3]"), ("[]", "[]")]),
    ("def f(n): return n * n", [("3", "9"), ("-2", "4")]),
    ("def f(n): return n / 4", [("3", "0.75"), ("4", "1.0")]),
    ("def f(a, b): return a + b", [("[1]\n[2]", "[1, 2]"), ('"a"\n"b"', '"ab"')]),
    ("def f(s): return s[::-1]", [('"abc"', '"cba"'), ('""', '""')]),
    ("def f(n): return n % 2 == 0", [("2", "true"), ("3", "false")]),
    ("def f(xs): return [[x, x] for x in xs]", [("[1, 2]", "[[1, 1], [2, 2]]")]),
    ("def f(n): return None", [("1", "null")]),
    ("def f(s): return Counter(s)", [('"aab"', '{"a": 2, "b": 1}')]),
    ("def f(xs): return {str(x): x for x in xs}", [("[1, 2]", '{"1": 1, "2": 2}')]),
    ("def f(xs): return max(xs)", [("[1, 5]", "5")]),
    ("def f(xs): return [x / 2 for x in xs]", [("[1, 2]", "[0.5, 1.0]")]),
    ("def f(m): return [list(row) for row in zip(*m)]", [("[[1, 2], [3, 4]]", "[[1, 3], [2, 4]]")]),
    ("def f(s): return s.split()", [('"a b"', '["a", "b"]')]),
    ("def f(xs): return len(set(xs))", [("[1, 1, 2]", "2")]),
    ("def f(n): return 2 ** n", [("100", "1267650600228229401496703205376")]),
    ("def f(xs): return any(xs)", [("[0, 1]", "true")]),
    ("def f(n):\n    def g(n): return 0 if n == 0 else 1 + g(n - 1)\n    return g(n)", [("500", "500")]),
    ("def f(xs): return [str(x) for x in xs]", [("[1, 2]", '["1", "2"]')]),
    ("def f(xs, k): return [x for x in xs if x > k]", [("[1, 2, 3]\n1", "[2, 3]"), ("[1]\n5", "[]")]),
]
PROGRAMS: list[tuple[str, Cases]] = [
    ("n = int(input())\nprint(sum(map(int, input().split())))", [("3\n1 2 3\n", "6\n"), ("1\n5\n", "5\n")]),
    ("print(input()[::-1])", [("abc\n", "cba\n")]),
    ("print(int(input()) / 4)", [("3\n", "0.75\n"), ("4\n", "1.00\n")]),
    (
        "for _ in range(int(input())):\n    a, b = map(int, input().split())\n    print(a * b)",
        [("2\n1 2\n3 4\n", "2\n12\n")],
    ),
    (
        "import sys\nfor line in sys.stdin.read().split('\\n'):\n    if line: print(line.upper())",
        [("a\nb\n", "A\nB\n")],
    ),
    ("import sys\nxs = sys.stdin.readlines()\nprint(len([x for x in xs if x.strip()]))", [("a\nb\n", "2\n")]),
    ("import sys\ninput = sys.stdin.readline\nprint(int(input()) + int(input()))", [("1\n2\n", "3\n")]),
    ("print('YES' if int(input()) % 2 == 0 else 'NO')", [("2\n", "YES\n"), ("3\n", "NO\n")]),
    ("print(*sorted(map(int, input().split())))", [("3 1 2\n", "1 2 3\n")]),
    ("n = int(input())\nfor i in range(n):\n    print(' ' * i + '*')", [("3\n", "*\n *\n  *\n")]),
    ("from collections import Counter\nprint(Counter(input()).most_common(1)[0][0])", [("aab\n", "a\n")]),
    ("def solve(n):\n    return n * (n + 1) // 2\nprint(solve(int(input())))", [("4\n", "10\n")]),
    ("import sys\ndata = sys.stdin.buffer.read().split()\nprint(len(data))", [("1 2\n3\n", "3\n")]),
    ("print('%.6f' % (int(input()) / 3))", [("1\n", "0.333333\n"), ("2\n", "0.666667\n")]),
    (
        "n = int(input())\ncount = 0\ndef bump():\n    global count\n    count += n\nbump()\nprint(count)",
        [("4\n", "4\n")],
    ),
    ("try:\n    while True:\n        print(int(input()) + 1)\nexcept EOFError:\n    pass", [("1\n2\n", "2\n3\n")]),
    ("import sys\nfor line in sys.stdin:\n    print(line.strip() + '!')", [("a\nb\n", "a!\nb!\n")]),
    ("print(open(0).read().count('a'))", [("aba\n", "2\n")]),
    ("class A:\n    def __init__(self, n): self.n = n\nprint(A(int(input())).n)", [("7\n", "7\n")]),
    ("import sys\nsys.stdout.write(str(int(input()) + 1) + '\\n')", [("1\n", "2\n")]),
]
