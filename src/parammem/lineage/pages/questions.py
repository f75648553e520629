"""One function per question: what is said of it in words, whether it holds, and the facts behind it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from parammem.checkout.places import FRESH, METRICS, MUTATION, places_of
from parammem.core.escape import shown
from parammem.core.event import Checked, Decided, Evaluated, RolledBack, TrialStarted
from parammem.core.jsonl import byte_lines
from parammem.core.record import Record, digest_of
from parammem.core.words import count
from parammem.lineage.checks.findings import Verification
from parammem.lineage.checks.manifest import BOUND, bound_report
from parammem.lineage.checks.tree import kind_of
from parammem.lineage.pages.adapter_code import changed_between, recipe_in_words, sources_of
from parammem.lineage.pages.answer_origin import advised_by
from parammem.lineage.pages.live_evidence_lines import live_evidence, trial_of
from parammem.lineage.past.events import Life, read_decision, trained
from parammem.lineage.past.history import Generation, History
from parammem.lineage.past.raw import missing_inputs, raw_inputs
from parammem.lineage.past.subject import Subject
from parammem.lineage.rebuilds.environment import pins_of
from parammem.lineage.rebuilds.rebuild_result import last_rebuild
from parammem.lineage.rows.datasets import datasets_of, flat, parsed_rows, row_hash
from parammem.tracking import flat_numbers

PACKAGES = ("torch", "transformers", "peft", "safetensors", "numpy", "dvc", "great-expectations")
LONGEST = 2000
"""Characters of a text that is shown: a reason, a recipe."""
LISTED = 10
"""Sources that a page names."""
SHOWN = 5
"""Trajectories that a page names."""
HEADLINE = ("base.pass_rate", "reflexion.pass_rate", "paramagent.pass_rate", "paramagent_plus.pass_rate")
Said = tuple[str, bool | None, dict[str, Any]]


class Answer(Record):
    """One of the ten answers."""

    number: int
    question: str
    says: str
    """In words; several lines."""
    holds: bool | None
    """For questions of yes or no. None: it is none, or what is needed to say is not here."""
    facts: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """All that was read for one page."""

    history: History
    life: Life
    subject: Subject
    generations: list[Generation]
    checked: Verification

    @property
    def rows(self) -> list[str] | None:
        return self.subject.rows()

    def records(self) -> dict[str, dict[str, Any]]:
        """Return row hash → row, of the validated dataset in this adapter's state; empty if it is not here."""
        path = places_of(self.subject.domain).validated.as_posix()
        try:
            return {row_hash(row): row for row in parsed_rows(self.subject.snapshot, path)}
        except (ValueError, KeyError, TypeError):
            return {}

    def fresh(self) -> dict[str, bytes]:
        """Return path → contents of the experience kept for judging: that of this adapter's state, and what is
        here."""
        store, state = self.history.store, self.subject.snapshot
        named = raw_inputs(store, state.commit) if state.commit else {}
        past = {path: store.bytes_of(md5) for path, md5 in named.items() if path.startswith(f"{FRESH.as_posix()}/")}
        files = sorted((self.history.repo / FRESH).glob("*.jsonl"))
        here = {file.relative_to(self.history.repo).as_posix(): file.read_bytes() for file in files}
        return {path: data for path, data in past.items() if data is not None} | here

    def text(self, path: str) -> bytes | None:
        """Return a file as it is in this adapter's state."""
        return self.subject.snapshot.read(path)


def data(case: Case) -> Said:
    adapter, rows, records = case.subject.adapter, case.rows, case.records()
    origins = Counter(records[row].get("origin", "collect") for row in rows or () if row in records)
    event = trained(case.life, adapter.digest)
    batches = []
    for origin, number in sorted(origins.items()):
        came = case.life.batch(origin)
        batches.append({"batch": origin, "rows": number, "source": came.fact.name if came else None})  # pyright: ignore
    files = datasets_of(case.subject.snapshot, case.subject.domain)
    tasks = len({records[row]["task_id"] for row in rows or () if row in records})
    many, digest = count(adapter.rows, "row"), adapter.data_digest[:16]
    lines = [f"{many} in the order of {case.subject.place}/rows.txt, digest {digest}"]
    if origins:
        named = ", ".join(f"{one['rows']} from {shown(one['source'] or one['batch'][:16])}" for one in batches)
        lines.append(f"over {count(tasks, 'task')}: {named}")
    lines += [f"{path} {md5}" for path, md5 in files.items()]
    facts = {"rows": adapter.rows, "data_digest": adapter.data_digest, "batches": batches, "datasets": files,
             "tasks": tasks, "ledger_batches": list(event.batches) if event else None, "row_hashes": rows}  # fmt: skip
    return "\n".join(lines), None, facts


def rules(case: Case) -> Said:
    domain = case.subject.domain
    report = _json(case.text(places_of(domain).validation.as_posix()))
    if report is None:
        return "not recorded: no validation report in its state", None, {}
    names = list(dict.fromkeys(rule["rule"] for rule in report.get("rules", [])))
    kept = report.get("kept", 0)
    kept = len(kept) if isinstance(kept, list) else kept
    records = case.records()
    bound = digest_of(list(records)) == report.get("kept_digest") if records else None
    ours = set(case.rows or ()) <= set(records) if records and case.rows else None
    tied = bound_report(case.text(f"{case.subject.place}/{BOUND}"), case.text(places_of(domain).validation.as_posix()))
    holds = bool(report.get("passed")) and False not in (bound, ours, tied)
    quarantined = len(report.get("quarantined", []))
    lines = [
        f"suite {report.get('suite_digest', '')[:16]} {'passed' if report.get('passed') else 'FAILED'}: "
        f"{count(len(names), 'rule')}, {kept} of {report.get('rows')} rows kept, {quarantined} quarantined",
        f"bound to this adapter: its report vouches for the validated rows ({_word(bound)}), "
        f"which hold every row of rows.txt ({_word(ours)}); suite and report are named in its folder ({_word(tied)})",
    ]
    mutation = _json(case.text(MUTATION.as_posix()))
    if mutation:
        lines.append(
            f"mutation score of the rules: {mutation['score']:.3f} over {mutation['kinds']} kinds of injected defect"
        )
    facts = {"suite_digest": report.get("suite_digest"), "passed": report.get("passed"), "rules": names, "kept": kept,
             "rows": report.get("rows"), "quarantined": quarantined, "vouches": bound, "holds_every_row": ours,
             "named_in_folder": tied, "mutation": mutation}  # fmt: skip
    return "\n".join(lines), holds, facts


def sharing(case: Case) -> Said:
    rows = set(case.rows or ())
    found = []
    for one in case.generations:
        if one.adapter and one.adapter.digest != case.subject.adapter.digest:
            shared = len(rows & set(one.rows() or ()))
            if shared:
                version = case.life.version_of(one.adapter.digest)
                found.append({"adapter": one.adapter.digest, "name": one.name, "version": version, "rows": shared})
    lines = [f"{_named(one)} saw {one['rows']} of its {count(len(rows), 'row')}" for one in found]
    lines = lines or ["no other adapter of this history"]
    return "\n".join([*lines, "for one row: parammem audit row HASH_OR_TEXT"]), None, {"adapters": found}


def rebuild(case: Case) -> Said:
    made, missing = case.subject.generation, []
    state = case.subject.snapshot
    if made is None:
        missing.append("a dvc.lock that names it")
    elif made.commit is None:
        missing.append("a commit: dvc.lock is not committed")
    stages = [name for name in state.lock if name.partition("@")[2] in ("", case.subject.domain)]
    for name in stages:
        for path, md5 in state.lock[name]["deps"].items():
            if state.maker(path) is None and kind_of(path) in ("experience", "model"):
                missing += [f"{lost} (dep of {name}); `dvc fetch` it" for lost in missing_inputs(state, path, md5)]
    last = last_rebuild(case.history.repo, case.subject.adapter.digest)
    says = ["everything that it needs is here" if not missing else "missing: " + "; ".join(dict.fromkeys(missing))]
    if last:
        says.append(f"last rebuilt {last['time']} on {last['machine']}: {last['verdict']}")
    else:
        says.append("it has not been rebuilt on this machine; `parammem audit rebuild` does it and says")
    holds = last["identical"] if last else None
    return "\n".join(says), holds, {"missing": missing, "last": last, "stages": stages}


def promotion(case: Case) -> Said:
    digest, lines = case.subject.adapter.digest, []
    facts: dict[str, Any] = {"decisions": [], "championships": [], "checks": [], "evaluations": [], "trials": []}
    for event in case.life.of(digest):
        fact = event.fact
        if isinstance(fact, TrialStarted):
            said, seen = trial_of(fact, digest)
            facts["trials"].append({"event": event.number, **seen})
            lines.append(f"event {event.number}, {event.time}, {event.actor}: {said}")
        elif isinstance(fact, Decided) and (fact.challenger == digest or (fact.live and not fact.challenger)):
            record = read_decision(case.history.repo, fact.decision)
            why = shown("; ".join(record.reasons), LONGEST) if record else "its record is missing"
            lines.append(f"event {event.number}, {event.time}, {event.actor}: {fact.answer}: {why}")
            if record and record.live:
                lines += live_evidence(record, record.live)
            else:
                spent = f"look {fact.look} at alpha {fact.alpha:g}"
                lines.append(f"  evidence: ledger/decisions/{fact.decision[:16]}….json, {spent}")
            inputs = record.inputs if record else {}
            seen = record.live.model_dump(mode="json") if record and record.live else None
            facts["decisions"].append({"event": event.number, "answer": fact.answer, "decision": fact.decision,
                                       "actor": event.actor, "inputs": inputs, "live": seen})  # fmt: skip
        elif isinstance(fact, Evaluated):
            role = next(arm for arm, adapter in fact.arms.items() if adapter == digest)
            shares = ", ".join(f"{name} {share:.1%}" for name, share in fact.solved.items())
            lines.append(f"event {event.number}: evaluated as {role}: {shares}")
            facts["evaluations"].append({"event": event.number, "as": role, "solved": fact.solved})
        elif isinstance(fact, Checked):
            facts["checks"].append({"event": event.number, "holds": fact.holds})
            lines.append(f"event {event.number}: nightly check of {fact.night}: {_word(fact.holds)}")
    for one in case.life.championships(case.subject.domain):
        if one.adapter == digest:
            lines.append(f"event {one.event}, {one.time}: champion as v{one.version} by {one.by}, {one.actor}")
            facts["championships"].append(
                {"event": one.event, "version": one.version, "by": one.by, "actor": one.actor}
            )
    facts["rolled_back"] = _rolled_back(case, lines)
    champion = case.life.champion(case.subject.domain)
    facts["champion_now"] = bool(champion and champion.adapter == digest)
    if lines:
        lines.append("it is champion now" if facts["champion_now"] else "it is not champion now")
    else:
        lines.append("nobody: the ledger has no decision about it")
    facts["measured"] = measured = _measured(case)
    rates = [f"{name.partition('.')[0]} {measured[name]:.3f}" for name in HEADLINE if name in measured]
    if rates:
        lines.append(f"solved of the pipeline's own evaluation tasks: {', '.join(rates)}")
    return "\n".join(lines), None, facts


def _rolled_back(case: Case, lines: list[str]) -> list[dict[str, Any]]:
    """Return who took the champion's place from it again, and why; said in `lines` too."""
    found = []
    for event in case.life.rollbacks_from(case.subject.domain, case.subject.version or -1):
        assert isinstance(event.fact, RolledBack)
        to = f"v{event.fact.version}" if event.fact.version else "none"
        why = shown(event.fact.reason, LONGEST)
        lines.append(f"event {event.number}, {event.time}, {event.actor}: rolled back to {to}: {why}")
        found.append({"event": event.number, "actor": event.actor, "to": to, "reason": event.fact.reason})
    return found


def _measured(case: Case) -> dict[str, float]:
    """Return the figures of reports/metrics.json that were measured with this adapter, dots for nesting; none if
    they were not: the evaluation that dvc.lock records read other bytes in its folder, or these bytes are
    recorded nowhere."""
    domain = case.subject.domain
    if case.subject.generation is None or not case.subject.evaluated:
        return {}
    found = (_json(case.text(METRICS.as_posix())) or {}).get(domain)
    return flat_numbers(found) if isinstance(found, dict) else {}


def advice(case: Case) -> Said:
    found = advised_by(case.history, case.subject.adapter.digest)
    pieces, named = sum(found.values()), list(found)[:SHOWN]
    places = count(len(found), "trajectory", "trajectories")
    lines = [f"{count(pieces, 'piece')} of advice with its digest in {places} of this repository"]
    if named:
        lines.append(f"trajectories: {', '.join(map(shown, named))}{', …' if len(found) > SHOWN else ''}")
    name = f"v{case.subject.version}" if case.subject.version else case.subject.adapter.digest[:12]
    lines.append(f"all of them: parammem audit answer --by {name} --domain {case.subject.domain}")
    lines.append("for one answer: parammem audit answer TRAJECTORY_ID")
    return "\n".join(lines), None, {"pieces": pieces, "trajectories": found}


def code(case: Case) -> Said:
    adapter, made = case.subject.adapter, case.subject.generation
    recorded = sources_of(case.subject.snapshot, case.subject.domain)
    before = next((one for one in case.generations if made and one.domain == made.domain
                   and one.number == made.number - 1), None)  # fmt: skip
    changed = changed_between(before.snapshot, case.subject.snapshot, case.subject.domain) if before else None
    pins = environment_of(case)
    commit = made.commit if made else None
    lines = [f"commit {commit.sha} of {commit.date}" if commit else "not committed"]
    lines.append(f"{count(len(recorded), 'code path')} hashed with its dvc.lock" if recorded else "code: not recorded")
    if before and changed is not None:
        named = f": {', '.join(changed[:LISTED])}{', …' if len(changed) > LISTED else ''}" if changed else ""
        lines.append(f"{count(len(changed), 'path')} changed since {before.name}{named}")
    elif before and before.commit:
        lines.append(
            f"{before.name} names its code in another way; `git diff {before.commit.sha[:12]} -- src` compares"
        )
    listed = ", ".join(f"{name} {pins[name]}" for name in PACKAGES if name in pins)
    lines.append(
        f"environment: {count(len(pins), 'pinned package')}, {listed}" if pins else "environment: not recorded"
    )
    event = trained(case.life, adapter.digest)
    machine = event.environment if event else {}
    if machine:
        lines.append(f"trained with {', '.join(f'{name} {value}' for name, value in sorted(machine.items()))}")
    lines.append(f"base model {shown(adapter.base_model)}, digest {adapter.base_digest[:16]}")
    ran = {key: adapter.recipe[key] for key in ("dtype", "device", "threads") if key in adapter.recipe}
    loss = "not recorded" if adapter.held_out_loss is None else f"{adapter.held_out_loss:.4f}"
    lines.append(f"{count(adapter.steps, 'step')}, held-out loss {loss}")
    lines.append(f"recipe: {shown(recipe_in_words(adapter.recipe), LONGEST)}")
    base = _json(case.text(f"{adapter.base_model}/recipe.json")) or {}
    facts = {"commit": commit.sha if commit else None, "code": recorded, "changed_code": changed,
             "environment": pins, "machine": machine,
             "recipe": adapter.recipe,
             "ran_with": ran, "base": {"name": adapter.base_model, "digest": adapter.base_digest,
                                       "recipe_digest": base.get("recipe_digest")}}  # fmt: skip
    return "\n".join(lines), None, facts


def environment_of(case: Case) -> dict[str, str]:
    """Return package → version that constraints.txt pinned in the adapter's commit."""
    made = case.subject.generation
    return pins_of(case.history.repo, made.commit.sha if made and made.commit else "HEAD")


def leakage(case: Case) -> Said:
    records = case.records()
    questions = {flat(records[row]["task_text"]) for row in case.rows or () if row in records}
    judged = _judged(case)
    looked = {path: len(tasks) for path, tasks in judged.items()}
    found = {path: [task["task_id"] for task in tasks if flat(task["text"]) in questions]
             for path, tasks in judged.items()}  # fmt: skip
    asked = {flat(task["text"]) for tasks in judged.values() for task in tasks}
    shared = len(asked & questions)
    facts = {"shared": found, "looked_at": looked, "questions": len(questions), "leaked": shared}
    elsewhere = len(set(case.rows or ()) - set(records))
    if looked and elsewhere and not shared:
        lacks = f"the validated data here lacks {count(elsewhere, 'row')} of its training"
        says = f"cannot be said: {lacks} (a control has its own)"
        return says, None, facts
    if not looked or not questions:
        return "cannot be said here: evaluation tasks or training rows are not here; `dvc pull`", None, facts
    trained_on = count(len(questions), "training question")
    says = f"{shared} of {count(len(asked), 'evaluation question')} found among its {trained_on}"
    named = [f"{path}: {', '.join(map(shown, ids[:5]))}" for path, ids in found.items() if ids]
    return "\n".join(["no: " + says if not shared else "LEAKED: " + says, *named]), shared == 0, facts


def _judged(case: Case) -> dict[str, list[dict[str, Any]]]:
    """Return path → tasks of the domain that judge: its evaluation splits, and experience kept for judging. Tasks of a
    domain of kind open are in both."""
    domain = case.subject.domain
    splits = [places_of(domain).tasks(split).as_posix() for split in ("eval", "unseen")]
    found = {path: [task for task in _lines(case.text(path)) if "text" in task] for path in splits}
    for path, text in case.fresh().items():
        tasks = [one.get("task", {}) for one in _lines(text)]
        found[path] = [task for task in tasks if task.get("domain") == domain]
    return {path: tasks for path, tasks in found.items() if tasks}


def changed(case: Case) -> Said:
    done = case.checked
    links = sum(done.checked.values())
    stale = [found for found in done.findings if found.holds is None]
    sound = f"nothing: {count(links, 'link')} checked, and {'it holds' if links == 1 else 'all hold'}"
    if stale:
        sound = f"nothing that can be seen here: {count(links, 'link')} checked, and {len(stale)} unknown"
    lines = [f"{len(done.broken)} of {links} links do not hold" if done.broken else sound]
    lines += [f"{found.path} [{found.stage}]: {found.detail}" for found in done.broken]
    lines += [f"unknown: {found.path} [{found.stage}]: {found.detail}" for found in stale[:5]]
    facts = {"links": links, "broken": [found.model_dump() for found in done.broken],
             "unknown": [found.model_dump() for found in stale]}  # fmt: skip
    return "\n".join(lines), not done.broken, facts


def recall(case: Case) -> Said:
    rows, digest = set(case.rows or ()), case.subject.adapter.digest
    withdrawn = sorted(rows & set(case.life.recalled()))
    sharers = [one for one in case.generations if one.adapter and rows & set(one.rows() or ())]
    named = [f"v{v}" if (v := case.life.version_of(one.adapter.digest)) else one.name for one in sharers if one.adapter]
    champion = case.life.champion(case.subject.domain)
    lines = [f"retrain, evaluate and judge again whichever of these saw it: {', '.join(named) or case.subject.title}"]
    if champion and champion.adapter == digest:
        lines.append("it is champion: the newest champion that never saw the row takes its place")
    if withdrawn:
        lines.append(
            f"rows of it that are recalled already ({len(withdrawn)}): {', '.join(row[:16] for row in withdrawn[:5])}"
        )
    lines.append("for one row: parammem audit recall --row HASH (changes nothing without --execute)")
    facts = {"recalled": withdrawn, "sharing": [one.digest for one in sharers]}
    return "\n".join(lines), None, facts


def _json(data: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(data) if data else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _lines(data: bytes | None) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in byte_lines(data or b"")]
    except ValueError:
        return []


def _word(holds: bool | None) -> str:
    return {True: "holds", False: "DOES NOT HOLD", None: "unknown"}[holds]


def _named(one: dict[str, Any]) -> str:
    return f"v{one['version']}" if one["version"] else one["name"]
