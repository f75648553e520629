"""The `parammem` command of any installation: the whole command line, or what the bare package can do of it.

The bare package (`pip install parammem`) shows how logs are read: `parammem ingest FILES --dry-run`. Everything else is
in the extra `pipeline`, and a command that lacks it says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from parammem import __version__
from parammem.core.domain_names import BUILT_IN, USUAL_KINDS, checked_name
from parammem.core.escape import printable, shown
from parammem.core.extras import install_command
from parammem.errors import ConfigError, ParamMemError

NEEDED = ("typer", "re2", "filelock", "dvc")
"""Packages without which the command line cannot start, read rows with care, or keep anything."""
PARAMS = Path("params.yaml")
OPEN = "open"
"""Kind of a domain that no params.yaml describes, and the name of the one that is not named either."""
NOT_CHECKED = "read only: secrets, personal data, duplicates and evaluation tasks were not looked for; that needs"


def main() -> None:
    """Run the console script."""
    if all(find_spec(name) for name in NEEDED):
        from parammem.cli import main as whole

        whole()
        return
    sys.exit(bare(sys.argv[1:]))


def bare(arguments: Sequence[str]) -> int:
    """Run a command with the bare package. Returns the exit code."""
    parser = _parser()
    if arguments and arguments[0] != "ingest" and not arguments[0].startswith("-"):
        _complain(f"`parammem {shown(arguments[0])}` needs the pipeline: {install_command()}")
        return 1
    given = parser.parse_args(arguments)
    if not given.files:
        parser.print_help()
        return 2 if arguments else 0
    if not given.dry_run:
        _complain(
            f"ingesting needs the pipeline: {install_command()}; with --dry-run this shows how the files are read"
        )
        return 1
    try:
        return _show(given)
    except ParamMemError as error:
        _complain(str(error))
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parammem",
        description="The bare package: `parammem ingest FILES --dry-run` shows how logs of agents are read. "
        f"All other commands: {install_command()}",
    )
    parser.add_argument("--version", action="version", version=f"parammem {__version__}")
    parser.set_defaults(files=[])
    ingest = parser.add_subparsers().add_parser("ingest", help="show how logs are read")
    ingest.add_argument("files", nargs="+", type=Path)
    ingest.add_argument("--dry-run", action="store_true", help="show what each row would become, and write nothing")
    ingest.add_argument("--domain", "-d", default="", help="domain of logs that do not name theirs")
    ingest.add_argument("--format", default="auto", help="name of a format; auto finds it for each row")
    ingest.add_argument("--outcomes", type=Path, help="CSV or JSON lines with run_id,passed,value: how runs ended")
    ingest.add_argument("--json", action="store_true", help="an object a row")
    ingest.add_argument("--params", type=Path, default=PARAMS, help="params.yaml, for its domains, if there is one")
    return parser


def _show(given: argparse.Namespace) -> int:
    """Print every row of the files as it is read. Returns 4 where a file cannot be read, else 0."""
    from parammem.experience.admission import Admission
    from parammem.experience.convert import NAMES
    from parammem.experience.outcomes import NONE, read_outcomes
    from parammem.experience.preview import read_only, row_as_text
    from parammem.experience.source_files import Source
    from parammem.experience.store import ExperienceStore

    if given.format not in ("auto", *NAMES):
        raise ConfigError(f"format {given.format!r} is not one of auto, {', '.join(NAMES)}")
    domain, kinds, least = _domains(given.domain, given.params)
    outcomes = read_outcomes(given.outcomes) if given.outcomes else NONE
    store = ExperienceStore(Path(), Admission.against([], 1.0, kinds=kinds), 0.0, domain, outcomes, least)
    failed = 0
    for file in given.files:
        source = Source(shown(file.name), (file,))
        try:
            source.opened(file).close()
            for row in read_only(source, store, None if given.format == "auto" else given.format):
                _say(json.dumps(row.model_dump(mode="json")) if given.json else row_as_text(row))
        except (ParamMemError, OSError) as error:
            failed = 4
            _complain(str(error) if source.name in str(error) else f"{source.name}: {error}")
    _complain(f"{NOT_CHECKED} {install_command()}", "note")
    return failed


def _domains(named: str, params: Path) -> tuple[str, Mapping[str, str], Mapping[str, float]]:
    """Return the domain of logs that name none, the kind of every domain, and from which value on outcomes pass where
    a domain says it. Raises ConfigError."""
    if params.is_file():
        from parammem.config import load_params

        loaded = load_params(params)
        kinds, default = loaded.kinds(), loaded.experience.domain or ""
        if named and named not in kinds:
            raise ConfigError(f"{named!r} is no domain of {str(params)!r}; there are {', '.join(kinds)}")
        return named or default, kinds, loaded.passes_at()
    try:
        name = checked_name(named or OPEN)
    except ValueError as error:
        raise ConfigError(f"--domain {named!r}: {error}") from None
    return name, USUAL_KINDS if name in BUILT_IN else {**USUAL_KINDS, name: OPEN}, {}


def _say(text: str) -> None:
    print(printable(text))


def _complain(text: str, what: str = "error") -> None:
    print(printable(f"{what}: {text}"), file=sys.stderr)
