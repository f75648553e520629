"""How large the code is and how it hangs together: lines, files, long functions, imports between packages, circles.

python benchmarks/size.py [REVISION ...], say: python benchmarks/size.py v1 HEAD. A revision is anything that git
names; without one the working tree is measured. Prints a table with a column for each. Lines are counted in all of
src/parammem; "of code" leaves out blank lines, comments and docstrings. Imports are those of grimp, the graph that
import-linter reads, those inside functions included and those for the type checker alone left out.
"""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FUNCTION, FILE = 40, 250
"""The lengths that the table counts from: a function of more lines, a file of more lines."""
PACKAGE = "parammem"
SKIPPED = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def main() -> None:
    """Print the table of the revisions that the command line names."""
    revisions = sys.argv[1:] or ["working tree"]
    found = [_measured(None if name == "working tree" else name) for name in revisions]
    width = max(map(len, found[0]))
    print(" ".join([" " * width, *(name[-12:].rjust(12) for name in revisions)]))
    for figure in found[0]:
        print(" ".join([figure.ljust(width), *(f"{one[figure]:12,}" for one in found)]))


def _measured(revision: str | None) -> dict[str, int]:
    """Return the figures of a revision, or of the working tree; grimp needs a process for each, to import one each."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path("src").resolve()
        if revision:
            packed = subprocess.run(["git", "archive", revision, "src"], capture_output=True, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(folder, filter="data")
            source = Path(folder) / "src"
        program = "import json, size; print(json.dumps(size.figures()))"
        path = os.pathsep.join([str(source), str(Path(__file__).parent)])
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=source,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)


def figures() -> dict[str, int]:
    """Return the figures of the package below the current folder, which must be first on sys.path."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(Path(PACKAGE).rglob("*.py"))]
    files = sorted(len(text.splitlines()) for text in texts)
    functions = sorted(length for text in texts for length in function_lengths(text))
    return {
        "files": len(files),
        "lines": sum(files),
        "lines of code": sum(map(code_lines, texts)),
        "functions": len(functions),
        f"functions over {FUNCTION} lines": sum(length > FUNCTION for length in functions),
        f"files over {FILE} lines": sum(length > FILE for length in files),
        "nine tenths of functions have at most": functions[len(functions) * 9 // 10],
        "nine tenths of files have at most": files[len(files) * 9 // 10],
        **import_figures(),
    }


def function_lengths(text: str) -> Iterator[int]:
    """Yield the lines of each function and method, with its docstring and without its decorators."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def code_lines(text: str) -> int:
    """Return how many lines hold code: no blank line, no comment, no string that stands alone as a docstring does."""
    alone = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SKIPPED:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - alone)


def import_figures() -> dict[str, int]:
    """Return the arrows between packages and modules, and the circles among them."""
    import grimp
    import networkx

    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    modules = networkx.DiGraph(
        (module, other) for module in graph.modules for other in graph.find_modules_directly_imported_by(module)
    )
    packages = networkx.DiGraph((_package(a), _package(b)) for a, b in modules.edges if _package(a) != _package(b))
    return {
        "imports between modules": modules.number_of_edges(),
        "imports between packages": packages.number_of_edges(),
        "circles of modules": _circles(modules),
        "circles of packages": _circles(packages),
    }


def _package(module: str) -> str:
    """Return the package, or the module beside the packages, that a module lies in."""
    return ".".join(module.split(".")[:2])


def _circles(graph: Any) -> int:
    """Return how many groups of more than one member import each other round."""
    import networkx

    return sum(len(group) > 1 for group in networkx.strongly_connected_components(graph))


if __name__ == "__main__":
    main()
