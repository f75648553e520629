"""Facts about YAML from outside: bounded in size, depth, aliases and numbers, and nothing said twice."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from parammem.core.plain_yaml import DEEPEST, LARGEST, MOST, plain_yaml

ROOT = Path(__file__).parents[2]
LETTERS = "abcdefghijklmno"
ALIASES = "a: &a [1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise(LETTERS)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in pairwise(LETTERS)
)
HOSTILE = {
    "a text of more than the bound": "a: " + "x" * LARGEST,
    "more values than the bound": "[" + "1," * MOST + "1]",
    "aliases of aliases": ALIASES,
    "merge keys of merge keys": MERGES,
    "an alias of what holds it": "a: &a {b: *a}",
    "brackets": "[" * (LARGEST // 2) + "]" * (LARGEST // 2),
    "dashes": "- " * (LARGEST // 3) + "x",
    "braces that are open": "{a: " * (LARGEST // 5),
    "one level too many": "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2),
    "a number of many digits": "a: " + "9" * 100_000,
    "a number in base 16": "a: 0x" + "f" * 100_000,
    "a number in base 60": "a: " + ":".join(["59"] * 300_000),
    "a fraction in base 60": "a: " + ":".join(["59"] * 300_000) + ".5",
    "a tag that says it is a number": 'a: !!int "' + "1" * 5000 + '"',
    "a key twice": "a: 1\nb: 2\na: 3\n",
    "a key twice, deep down": "x: [{y: {'a': 1, a: 3}}]",
    "an object of Python": "!!python/object/apply:os.system [x]",
    "no date": "a: 2024-13-45",
    "two documents": "a: 1\n---\na: 2\n",
    "a byte that is no text": b"a: \xff",
    "half a pair": 'a: "\\ud800"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_out_of_bounds_is_an_error_in_words(name: str):
    with pytest.raises(ValueError) as caught:
        plain_yaml(HOSTILE[name])
    assert 0 < len(str(caught.value)) < 2000


@pytest.mark.parametrize("name", ["a key twice", "a key twice, deep down"])
def test_a_key_that_is_there_twice_is_named_with_its_line(name: str):
    with pytest.raises(ValueError, match=r"'a' twice, line \d"):
        plain_yaml(HOSTILE[name])


def test_no_text_takes_long_or_much_memory_or_breaks_the_interpreter(tmp_path: Path):
    """In a process of its own: what went wrong before were a crash of the interpreter, minutes, and gigabytes."""
    (tmp_path / "texts.py").write_text(f"TEXTS = {list(HOSTILE.values())!r}\n")
    script = (
        "import resource, sys; from texts import TEXTS; from parammem.core.plain_yaml import plain_yaml\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "for text in TEXTS:\n    try: plain_yaml(text)\n    except ValueError: pass\n    else: sys.exit('read')\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(int(status['VmHWM'].split()[0]) // 1024)\n"  # ru_maxrss is that of the process that started it, too
    )
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 500


def test_what_people_write_is_read_as_yaml_reads_it():
    for file in (
        ROOT / "params.yaml",
        ROOT / "dvc.yaml",
        ROOT / "dvc.lock",
        ROOT / "study.yaml",
        ROOT / "variants.yaml",
    ):
        assert plain_yaml(file.read_bytes()) == yaml.safe_load(file.read_text(encoding="utf-8")), file
    merged = "base: &base {rate: 1, seed: 2}\nmine:\n  <<: *base\n  rate: 3\n"
    assert plain_yaml(merged)["mine"] == {"rate": 3, "seed": 2}
    assert plain_yaml("") is None
    assert plain_yaml("\ufeffa: 1:30") == {"a": 90}


def test_yaml_is_read_in_one_place():
    """A caller of yaml.load of its own would have no bounds."""
    found = set()
    rooms = ("src", "flows", "benchmarks", "experiments")
    for file in [file for room in rooms for file in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and "load" in node.attr and getattr(node.value, "id", "") == "yaml":
                found.add(file.relative_to(ROOT).as_posix())
    assert found == set()
