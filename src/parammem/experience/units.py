"""Rows of a source as runs. Formats that spread a run over many rows are put together on disk, so memory stays flat.

Every row is a unit: whatever is raised while one is read is a refusal of that row, by a rule's name.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.core import AnswerKey
from parammem.core.experience import Experience
from parammem.core.jsonl import Line
from parammem.experience.admission import BrokenRule
from parammem.experience.convert import OURS, form_of, own_row, parsed, read_runs
from parammem.experience.formats import FORMATS
from parammem.experience.formats.base import ReadOptions, Unreadable, refuse_many
from parammem.experience.source_files import LONGEST_LINE, Source, longest_of
from parammem.experience.store import ExperienceStore

LONGEST_RUN = 8 * LONGEST_LINE
"""Bytes of all rows of one run together."""


@dataclass(frozen=True)
class Judged:
    """One run with the row, or the rows, that it was read from, and what the rules say of it."""

    line: Line
    """Of a run that is spread over rows: the first one, with the data of all."""
    row: Experience | None = None
    """None: it could not be read."""
    key: AnswerKey | None = None
    form: str | None = None
    broken: tuple[BrokenRule, ...] = ()
    """Empty: it may come in."""


def read_source(source: Source, store: ExperienceStore, form: str | None = None) -> Iterator[Judged]:
    """Yield every run of a source: those of one row in their order, then those that are spread over rows.

    Raises:
        DataError: as `Source.lines`.
    """
    gathered = _Gathered()
    try:
        for line in source.lines():
            yield from _read(line, store, form, gathered)
        yield from gathered.runs(store)
    finally:
        gathered.close()


def _reading(line: Line, store: ExperienceStore) -> ReadOptions:
    name = line.file.name.partition(".")[0]
    return ReadOptions(store.domain, name, store.admission.kinds, store.passes_at)


def _read(line: Line, store: ExperienceStore, form: str | None, gathered: _Gathered) -> Iterator[Judged]:
    if line.too_long:
        yield Judged(
            line,
            broken=(BrokenRule("too-long", f"{line.size} bytes; a row of this file may have {longest_of(line.file)}"),),
        )
        return
    found = form
    try:
        row = parsed(line.data)
        found = form or form_of(row, line.data)
        if found == OURS:
            one, key = own_row(row, line.data)
            ended = one.outcome.decided(store.passes_at.get(one.task.domain))
            yield Judged(line, one.model_copy(update={"outcome": ended}), key, OURS)
        elif FORMATS[found].parts:
            gathered.add(found, row, line)
        else:
            runs = read_runs([row], found, _reading(line, store), store.outcomes, line.data)
            if not runs:
                raise Unreadable("not-a-record", "no run is in it")
            yield from (Judged(line, one, None, found) for one in runs)
    except Unreadable as error:
        yield Judged(line, form=found, broken=(BrokenRule(error.rule, error.detail),))
    except sqlite3.Error:
        raise
    except Exception as error:
        yield Judged(line, broken=(failed(error, "read"),))


def failed(error: Exception, what: str) -> BrokenRule:
    """Return a refusal for what no rule foresaw. Messages of libraries may hold values of the row: none is shown."""
    return BrokenRule("cannot-be-judged", f"{type(error).__name__} while it was {what}; please report a row like it")


class _Gathered:
    """Parts of runs in a temporary database, by format and run."""

    def __init__(self) -> None:
        self._base: sqlite3.Connection | None = None
        self._last: dict[Path, str] = {}
        """File → the run of its last row that named one."""
        self._copied: dict[Path, str] = {}
        """File → the run of which that run begins with a copy."""

    def add(self, form: str, row: dict[str, Any], line: Line) -> None:
        """Keep what a row adds to runs. Raises Unreadable."""
        base = self._base = self._base or _opened()
        cut = FORMATS[form].parts
        assert cut is not None
        for name, piece in cut(row):
            if name is None or name == self._copied.get(line.file):
                run = self._last.get(line.file) or f"{form} file {str(line.file)!a}"
            else:
                run = self._last[line.file] = f"{form} {_key(name)}"
            if name and "copy_of" in piece:
                self._copied[line.file] = piece["copy_of"]
            if same := piece.get("same_as"):
                base.execute("INSERT OR IGNORE INTO same VALUES (?, ?)", (run, f"{form} {_key(same)}"))
            data = json.dumps(piece)  # in ASCII: half a surrogate pair is no text of SQLite's
            place = os.fsencode(line.file)  # nor is a name that is not UTF-8
            base.execute("INSERT INTO parts VALUES (?, ?, ?, ?, ?)", (run, form, line.number, place, data))

    def runs(self, store: ExperienceStore) -> Iterator[Judged]:
        """Yield every run, in the order of their first rows."""
        if self._base is None:
            return
        order = (
            "SELECT COALESCE(same.main, run), MIN(parts.rowid), SUM(LENGTH(data)), form, number, file FROM parts "
            "LEFT JOIN same USING (run) GROUP BY 1 ORDER BY 2"
        )
        self._base.execute("CREATE INDEX by_run ON parts (run)")
        self._base.execute("CREATE INDEX by_main ON same (main)")
        for name, _, size, form, number, file in self._base.execute(order):
            line = Line(number, b"", size, Path(os.fsdecode(file)), -1)
            if size > LONGEST_RUN:
                detail = f"{size} bytes in the rows of one run; it may have {LONGEST_RUN}"
                yield Judged(line._replace(size=0), form=form, broken=(BrokenRule("too-long", detail),))
            else:
                yield from self._run(name, form, line, store)

    def _run(self, name: str, form: str, line: Line, store: ExperienceStore) -> Iterator[Judged]:
        assert self._base is not None
        rows = self._base.execute(
            "SELECT data FROM parts WHERE run = ? OR run IN (SELECT run FROM same WHERE main = ?) ORDER BY rowid",
            (name, name),
        )
        texts = [text for (text,) in rows]
        data = "\n".join(texts).encode()
        line = line._replace(data=data, size=len(data))
        try:
            refuse_many(data)
            pieces = [json.loads(text) for text in texts]
            found = read_runs(pieces, form, _reading(line, store), store.outcomes, data)
            yield from (Judged(line, one, None, form) for one in found)
        except Unreadable as error:
            yield Judged(line, form=form, broken=(BrokenRule(error.rule, error.detail),))
        except Exception as error:
            yield Judged(line, form=form, broken=(failed(error, "read"),))

    def close(self) -> None:
        """Throw the parts away."""
        if self._base is not None:
            self._base.close()


def _key(name: str) -> str:
    """Return a run's name as SQLite may have it: half a surrogate pair as an escape."""
    return name.encode("utf-8", "backslashreplace").decode()


def _opened() -> sqlite3.Connection:
    base = sqlite3.connect("")  # a file that the system removes
    base.execute("PRAGMA synchronous=OFF")
    base.execute("PRAGMA cache_size=-16384")
    base.execute("CREATE TABLE parts (run TEXT, form TEXT, number INTEGER, file BLOB, data TEXT)")
    base.execute("CREATE TABLE same (run TEXT PRIMARY KEY, main TEXT)")
    return base
