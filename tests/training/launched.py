"""What tests run under `accelerate launch`: the recipe on the tests' rows, and what each process did.

python -m tests.training.launched FOLDER BASE SETTINGS, where SETTINGS is JSON: changes of the params, `rows`, and
`kill`, the [process, step] after which a process kills itself. Process N leaves seen.N.json in FOLDER: the files that
it opened for writing or moved, the losses it was told, and the rows that it computed, as token ids.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from parammem.engines.base import chat
from parammem.training import fit
from parammem.training.distributed import Team, joined_team
from parammem.training.lora_sft import follow, train_lora
from tests.training.rows import make_rows, train_params

ROWS = 41
"""All of them learned, they make batches of 16, 16 and 9; so with two processes that take 4 rows at once, the last of a
process's two passes is left with one row, or none."""
WRITING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.chmod"}


def main(folder: Path, base: str, settings: dict[str, Any]) -> None:
    kill, rows = settings.pop("kill", None), settings.pop("rows", ROWS)
    params = train_params(**settings)
    rank = int(os.environ.get("RANK", "0"))
    seen: dict[str, Any] = {"base": base, "wrote": [], "losses": [], "rows": []}

    def watch(event: str, details: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(details[1], str) and set(details[1]) & set("wax+")
        if (opened or event in WRITING) and str(folder) in str(details[0]):
            seen["wrote"].append(str(details[0]))

    def on_step(done: int, loss: float, rate: float) -> None:
        seen["losses"].append(loss)
        if kill == [rank, done]:
            os.kill(os.getpid(), signal.SIGKILL)

    whole = fit.loss_sum

    def watched(run: Any, rows: Any) -> Any:
        if run.model.training:
            seen["rows"].append([len(seen["losses"]) + 1, [row.ids for row in rows]])
        return whole(run, rows)

    fit.loss_sum = watched
    sys.addaudithook(watch)
    with joined_team(params.launch.processes, params.launch.strategy, "cpu") as team:
        work(folder, base, rows, params, team, on_step)
    (folder / f"seen.{rank}.json").write_text(json.dumps({**seen, "wrote": list(seen["wrote"])}))


def work(folder: Path, base: str, rows: int, params: Any, team: Team, on_step: fit.OnStep) -> None:
    if not team.leads:
        follow(team, "cpu", on_step)
        return
    places = folder / "out", folder / "checkpoints"
    train_lora(
        make_rows(rows), chat, base, params, *places, "cpu", progress=False, threads=1, on_step=on_step, team=team
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
