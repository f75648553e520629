"""Facts about the SQL desk: its actor can be helped and harmed, its logs say the same in three formats, its judge is
the only one who knows the house, and one command leads from `parammem init` to a decision."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from examples.sql_desk import run as play
from examples.sql_desk.lessons import lessons, lessons_on_failures
from examples.sql_desk.results import result_of, table
from parammem.experience.admission import Admission
from parammem.experience.outcomes import OutcomeTable, read_outcomes
from parammem.experience.preview import Preview, preview
from parammem.experience.source_files import Source
from parammem.experience.store import ExperienceStore

from desk import agent, english, judge, logs, model, shop  # isort: skip  # play puts its folder on the path

HOUSE = shop.draw_house(random.Random("a house"))
QUESTIONS = shop.draw_questions(random.Random("questions"), 40)
DESK = Path(play.__file__).parent / "desk"


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    shop.make_database(path, 1)
    return path


def solved(database: Path, advice: Callable[[shop.Question], str]) -> int:
    found = 0
    for question in QUESTIONS:
        done = agent.work(question.text, advice(question), 7, model.reply, agent.tools_of(database))
        found += judge.is_right(question.text, done[-1]["content"], HOUSE, database)
    return found


def told(question: shop.Question, rules: dict[str, str]) -> str:
    return english.say(question.department, rules, question.open_rules, random.Random(question.text))


def opposite(rules: dict[str, str]) -> dict[str, str]:
    return {rule: next(v for v in shop.RULES[rule] if v != value) for rule, value in rules.items()}


def test_a_question_is_read_as_it_was_meant():
    assert [shop.parse_question(question.text) for question in QUESTIONS] == QUESTIONS
    assert shop.parse_question("Please refund order 12.") is None


@pytest.mark.parametrize(("rule", "value"), english.SAID)
def test_every_sentence_is_read_as_the_rule_that_it_says(rule, value):
    for sentence in english.SAID[rule, value]:
        assert english.read(f"For sales: {sentence.capitalize()}.") == {rule: value}


def test_of_two_rules_that_contradict_each_other_the_last_one_counts():
    assert english.read("Give amounts net. No: give amounts gross.") == {"amount": "gross"}
    assert english.read("Look twice before you answer.") == {}


def test_right_advice_helps_wrong_advice_harms_and_foreign_advice_changes_nothing(database):
    wrong = {
        department: {
            rule: next(v for v in values if v != HOUSE[department][rule]) for rule, values in shop.RULES.items()
        }
        for department in shop.DEPARTMENTS
    }
    alone = solved(database, lambda q: "")
    assert solved(database, lambda q: told(q, HOUSE[q.department])) == len(QUESTIONS)
    assert solved(database, lambda q: told(q, wrong[q.department])) <= 2
    assert 2 < alone < len(QUESTIONS) // 2
    assert solved(database, lambda q: "Be careful and check your work.") == alone


def test_the_agent_never_reads_the_house(database, tmp_path):
    """With and without the file: the same bytes."""
    (tmp_path / "desk").mkdir()
    for file in (*DESK.glob("*.py"), database):
        (tmp_path / "desk" / file.name).write_bytes(file.read_bytes())
    asked = json.dumps({"task_id": "t", "task": QUESTIONS[0].text, "advice": "", "seed": 3})

    def answer() -> str:
        command = [sys.executable, "-m", "desk.agent"]
        return subprocess.run(command, cwd=tmp_path, input=asked, capture_output=True, text=True, check=True).stdout

    without = answer()
    (tmp_path / shop.HOUSE).write_text(json.dumps(HOUSE))
    assert answer() == without
    assert [step["role"] for step in json.loads(without)["steps"]].count("tool") == 2


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), model.Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/v1"
        listening.shutdown()


def test_a_base_url_changes_nothing_but_where_the_model_is(database, server, monkeypatch):
    use = agent.tools_of(database)
    direct = agent.work(QUESTIONS[0].text, "Give amounts net.", 5, agent.chosen_model(), use)
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    assert agent.work(QUESTIONS[0].text, "Give amounts net.", 5, agent.chosen_model(), use) == direct


def test_advice_is_read_wherever_it_stands(database):
    """A proxy may put it into the user's message, as a marked block."""
    question = next(q for q in QUESTIONS if q.measure == "money")
    block = "<parammem-advice digest=d draw=1>Give amounts gross. Leave cancelled orders out.</parammem-advice>"
    for place in (0, 1):
        messages = [{"role": "system", "content": "You answer."}, {"role": "user", "content": question.text}]
        messages[place]["content"] = f"{block}\n\n{messages[place]['content']}"
        messages += [{"role": "assistant", "content": ""}] * 2
        assert "sum(o.gross)" in model.reply(messages, 1)["content"]
        assert "cancelled" in model.reply(messages, 1)["content"]


def test_the_tools_only_read_and_an_endless_query_ends(database):
    with pytest.raises(sqlite3.OperationalError):
        agent.run_query("delete from orders", database)
    endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n"
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        agent.run_query(endless, database)
    assert agent.tools_of(database)("run_sql", '{"sql": "select nothing"}').startswith("error: ")
    assert agent.tools_of(database)("drop", "{}") == "error: there is no tool drop"


@pytest.mark.parametrize(
    "answer", ["", "I do not know.", "select", "select 1", "```sql\nselect count(*) from orders\n```"]
)
def test_an_answer_without_the_right_rows_is_wrong(database, answer):
    assert not judge.is_right(QUESTIONS[0].text, answer, HOUSE, database)


def test_a_query_in_a_fence_or_behind_words_is_judged(database):
    right = shop.query(QUESTIONS[0], HOUSE[QUESTIONS[0].department])
    for answer in (f"Here it is:\n```sql\n{right};\n```\nBest regards", f"The query is {right};"):
        assert judge.is_right(QUESTIONS[0].text, answer, HOUSE, database)


@pytest.fixture(scope="module")
def week(database) -> list[logs.Run]:
    done = []
    for number, question in enumerate(QUESTIONS[:8]):
        messages = agent.work(question.text, "", 3, model.reply, agent.tools_of(database))
        done.append(logs.Run(f"r-{number}", messages, number % 2 == 0))
    return done


def seen(folder: Path, text: str, outcomes: OutcomeTable | None = None) -> list[Preview]:
    file = folder / "log.jsonl"
    file.write_text(text, encoding="utf-8")
    admission = Admission.against([], 0.9, kinds={play.NAME: "open"})
    where = ExperienceStore(
        root=folder, admission=admission, fresh_share=0.0, domain=play.NAME, outcomes=outcomes or OutcomeTable()
    )
    return list(preview(Source.of(file), where))


def test_a_run_is_the_same_in_each_format(week, tmp_path):
    (tmp_path / "outcomes.csv").write_text(logs.outcome_table(week))
    table = read_outcomes(tmp_path / "outcomes.csv")
    told = {
        "openai": seen(tmp_path, logs.openai_lines(week)),
        "otel": seen(tmp_path, logs.otel_lines(week)),
        "atif": seen(tmp_path, logs.atif_lines(week), table),
    }
    for form, found in told.items():
        assert [one.form for one in found] == [form] * len(week)
        assert [one.reasons for one in found] == [()] * len(week)
        assert [one.task for one in found] == [question.text for question in QUESTIONS[:8]]
        assert [one.outcome for one in found] == [run.passed for run in week]
        for one, run in zip(found, week, strict=True):
            (attempt,) = one.attempts
            assert attempt.candidate == run.messages[-1]["content"]
            assert [step.model_dump() for step in attempt.steps] == [
                step.model_dump() for step in told["openai"][found.index(one)].attempts[0].steps
            ]
            assert [step.call.name for step in attempt.steps if step.call] == ["schema", "run_sql"]


def test_the_small_model_s_lessons_know_no_house():
    """Each department is told each value about as often as the other."""
    found = [(shop.parse_question(one.prompt[-1].content), english.read(one.answer)) for one in lessons(3000, 5)]
    for department in shop.DEPARTMENTS:
        for rule, (first, second) in shop.RULES.items():
            said = [rules[rule] for asked, rules in found if asked and asked.department == department and rule in rules]
            assert set(said) == {first, second}
            assert abs(said.count(first) / len(said) - 0.5) < 0.15


def queries_in(prompt: str) -> list[str]:
    """What was handed over in each of the attempts that a prompt shows."""
    return re.findall(r"^agent: (select .*)$", prompt, re.MULTILINE)


def follows(query: str, rules: dict[str, str]) -> bool:
    said = {
        "cancelled": "out" if "<> 'cancelled'" in query else "in",
        "day": "paid" if "paid_on" in query else "ordered",
    }
    return all(rules[rule] == value for rule, value in said.items())


def test_the_lessons_say_what_the_query_does():
    found = [one for one in lessons(300, 6) if "was done well" in one.prompt[-1].content.split("\n")[0]]
    assert len(found) > 50
    for one in found:
        (handed,) = queries_in(one.prompt[-1].content)
        assert follows(handed, english.read(one.answer))


def test_a_lesson_on_a_failure_beside_a_success_at_the_same_task_says_what_the_success_did():
    found = [one for one in lessons_on_failures(100, 6) if "that succeeded at the same task" in one.prompt[-1].content]
    assert len(found) > 10
    for one in found:
        failed, succeeded = queries_in(one.prompt[-1].content)
        assert failed != succeeded
        assert follows(succeeded, english.read(one.answer))


def test_the_lessons_on_failures_do_not_know_more_than_that_something_was_wrong():
    """An answer differs from the query that failed; any one rule of it may have been right."""
    found = [one for one in lessons_on_failures(300, 6) if "tell it what goes wrong here" in one.prompt[-1].content]
    kept = 0
    for one in found:
        (failed,) = queries_in(one.prompt[-1].content)
        kept += ("<> 'cancelled'" in failed) == (english.read(one.answer)["cancelled"] == "out")
    assert 0.2 < kept / len(found) < 0.5


@pytest.mark.integration
@pytest.mark.timeout(2400)
def test_from_init_to_a_decision_about_a_reflector_that_helps(tmp_path, capfd, monkeypatch):
    """What `make desk` does, on one house."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert play.main(["--folder", str(tmp_path / "desk"), "--houses", "1"]) == 0
    said = capfd.readouterr().out
    found = result_of(tmp_path / "desk" / "house-1-hindsight" / play.NAME, 1, ("hindsight",))
    assert found.answer in ("promote", "undecided"), "other processors train a little otherwise"
    share = {arm: sum(r.passed for r in found.runs if r.arm == arm) for arm in {r.arm for r in found.runs}}
    assert share["paramagent"] > max(share["base"], share["paramagent.untrained"])
    assert not any(run.failed for run in found.runs)
    assert ("champion: v1" in said) == (found.answer == "promote")
    assert all(f"\n{number:2}. " in said for number in range(1, 11)), "the audit answers its ten questions"
    assert re.search(r"ParamMem − no advice \(holdout\): \+\d+\.\d points", said)
    assert table([found]) in said
    assert play.main(["--folder", str(tmp_path / "desk"), "--houses", "1"]) == 0
    assert "$ parammem" not in capfd.readouterr().out, "a house that has ended is not run again"
