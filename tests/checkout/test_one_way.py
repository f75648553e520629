"""git and DVC are called in checkout/ and nowhere else: a call beside it would neither hold the run's lock nor end with
whoever started it. Experiments watch from outside, and may. That the package `dvc` is imported in checkout/ alone is a
contract of import-linter."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"git", "dvc"}
HERE = ROOT / "src" / "parammem" / "checkout"


def sources() -> list[Path]:
    found = [*ROOT.glob("src/parammem/**/*.py"), *ROOT.glob("flows/**/*.py")]
    return sorted(path for path in found if HERE not in path.parents)


def commands(text: str) -> Iterator[str]:
    """The commands of git and DVC that a module writes down, as `line: command`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            words = [one.value if isinstance(one, ast.Constant) else None for one in node.elts]
            named = words[0] in PROGRAMS and isinstance(node, ast.List)
            module = any(pair[0] == "-m" and pair[1] in PROGRAMS for pair in pairwise(words))
            spread = any(isinstance(one, ast.Starred) and ast.unparse(one.value).endswith("DVC") for one in node.elts)
            if named or module or spread:
                yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and by_a_shell(node):
            yield f"{node.lineno}: {ast.unparse(node)}"


def by_a_shell(call: ast.Call) -> bool:
    """Whether a call gives its command to a shell, where nobody can tell what it runs."""
    if ast.unparse(call.func) in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"):
        return True
    return any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in call.keywords)


def test_git_and_dvc_are_called_in_checkout_alone():
    """A hook of the integrations runs its user's own test command, in the agent's folder."""
    ours = [path for path in sources() if path.parent.name != "integrations"]
    found = {str(path.relative_to(ROOT)): list(commands(path.read_text(encoding="utf-8"))) for path in ours}
    assert {name: lines for name, lines in found.items() if lines} == {}, "use parammem.checkout.git, or .dvc"


@pytest.mark.parametrize(
    "program",
    [
        'subprocess.run(["git", "-C", str(root), "status"])',
        'command = ["git", *words]',
        'run([sys.executable, "-m", "dvc", "repro"])',
        'run((python, "-m", "dvc"))',
        "run([*DVC, 'push'])",
        "run([*processes.DVC, 'push'])",
        'subprocess.run("git status", shell=True)',
        'os.system("git status")',
    ],
)
def test_a_call_elsewhere_is_seen(program):
    assert len(list(commands(program))) == 1


@pytest.mark.parametrize("name", ["git.py", "dvc.py"])
def test_what_is_looked_for_is_what_checkout_writes(name):
    assert list(commands((HERE / name).read_text(encoding="utf-8")))


def test_an_adapters_card_has_one_name_and_one_reader():
    """The verifier that goes into a bundle stands alone, and reads the card of a bundle."""
    named = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("src/parammem/**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and str(node.value).rpartition("/")[2] == "adapter.json"
    ]
    assert sorted(set(named)) == ["src/parammem/core/adapter.py", "src/parammem/lineage/bundle/verifier.py"]
