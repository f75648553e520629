"""synthesise: new problems from a teacher, as a local benchmark file.

It stands beside the pipeline, not in dvc.yaml: its file is a source that `tasks` reads, and money was spent on it.
"""

from __future__ import annotations

import json
from pathlib import Path

from parammem.agents.synthesis import Synthesises, synthesised
from parammem.benchmarks.draw import draw_source
from parammem.checkout.places import BENCHMARK_ROWS
from parammem.config import Params
from parammem.core import digest_of
from parammem.core.jsonl import write_text
from parammem.errors import ConfigError
from parammem.stages.common import Engines
from parammem.stages.opening import open_domain


def run(params: Params, domain: str, count: int, out: Path, root: Path = Path(".")) -> int:
    """Write `out` (seen from data/benchmarks), a file for the benchmark `problems`; returns how many it holds.

    The problems given to the teacher are the train tasks of the other sources of params. Run again, it asks only for
    what is not in the completion cache.

    Raises:
        ConfigError: there are no such sources, or the domain has no prompt for it.
        EngineError: the teacher could not write.
    """
    p = params.benchmarks
    sources = [s for s in p.sources if (s.domain, s.split) == (domain, "train") and s.benchmark != "problems"]
    if not sources:
        raise ConfigError(f"benchmarks.sources: no train source of domain {domain!r} to take problems from; add one")
    prompts = open_domain(params, domain).prompts
    if not isinstance(prompts, Synthesises):
        raise ConfigError(f"domain {domain!r} has no prompt for new problems; code has")
    given = [item.task for source in sources for item in draw_source(source, root / BENCHMARK_ROWS, p.seed)]
    teacher = Engines(params, root).open(params.collect.teacher)
    agent, most = params.agent, params.engine.max_new_tokens
    texts = synthesised(teacher, prompts, given, count, agent.reflector_temperature, most, agent.max_failed_share)
    rows = [{"problem_id": digest_of(text)[:12], "question": text, "author": teacher.digest} for text in texts]
    write_text(root / BENCHMARK_ROWS / out, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    return len(rows)
