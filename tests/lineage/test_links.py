"""Each recorded link from data to an adapter is checked, and the one that does not hold is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from parammem.checkout.hashes import dvc_hash
from parammem.core import Adapter, ReflectionExample, digest_of, write_jsonl
from parammem.engines.adapters import settings_digest
from parammem.engines.digests import model_digest
from parammem.errors import AdapterMissingError, LineageError
from parammem.lineage import Finding, Page, audit_page, trace_rows
from parammem.lineage.checks.manifest import manifest_checks
from parammem.lineage.past.history import Generation, History

ADAPTER = Path("models/reflectors/code")
RECIPE = {"rank": 4, "learning_rate": 0.002, "target_modules": ["q_proj"]}


def make_rows(count: int = 6) -> list[ReflectionExample]:
    return [
        ReflectionExample(
            domain="code",
            task_id=f"code-{n}",
            task_text=f"keep the {n} largest prices .",
            reflection="limit inside ; empty zero" if n % 2 else "repeats once ; empty none",
            label_source="experience",
            part="hindsight",
            author="a" * 64,
            trajectory_id=f"{n:016x}",
            outcome="final",
        )
        for n in range(count)
    ]


def make_adapter(root: Path, folder: Path, hashes: list[str], weights: bytes = b"weights") -> None:
    path = root / folder
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(weights)
    (path / "rows.txt").write_text("".join(f"{row}\n" for row in hashes))
    card = Adapter(
        domain="code",
        digest=hashlib.sha256(weights).hexdigest(),
        base_model="models/base",
        base_digest=model_digest(root / "models/base"),
        recipe={**RECIPE, "dtype": "float32"},
        data_digest=digest_of(hashes),
        rows=len(hashes),
        steps=9,
        held_out_loss=1.25,
    )
    (path / "adapter.json").write_text(card.model_dump_json())


def entry(root: Path, path: str) -> dict:
    return {"path": path, "hash": "md5", "md5": dvc_hash(root / path)}


def write_lock(root: Path) -> None:
    validated, reports = "data/validated/code.jsonl", "reports/validation/code.json"
    stages = {
        "validate@code": {"cmd": "v", "outs": [entry(root, validated), entry(root, reports)]},
        "train@code": {
            "cmd": "t",
            "deps": [entry(root, validated), entry(root, "src/recipe.py"), entry(root, "models/base")],
            "params": {"params.yaml": {"train": RECIPE}},
            "outs": [entry(root, str(ADAPTER))],
        },
        "evaluate@code": {"cmd": "e", "deps": [entry(root, str(ADAPTER))], "outs": []},
        "train@math": {"cmd": "t", "outs": [{"path": "models/reflectors/math", "md5": "0" * 32 + ".dir"}]},
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def git(root: Path, *words: str) -> str:
    who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1", **who}
    done = subprocess.run(["git", *words], cwd=root, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A small repository as the pipeline leaves it, committed."""
    root = tmp_path / "repo"
    base = root / "models" / "base"
    base.mkdir(parents=True)
    (base / "model.safetensors").write_bytes(b"base")
    (base / "recipe.json").write_text(json.dumps({"recipe_digest": "c0ffee" * 8}))
    rows = make_rows()
    hashes = [row.row_hash for row in rows]
    write_jsonl(root / "data/validated/code.jsonl", rows)
    report = {
        "passed": True, "suite_digest": "5" * 64, "rows": 7, "kept": 6, "kept_digest": digest_of(hashes),
        "quarantined": [{"row": 6, "row_hash": "f" * 64, "reasons": ["secret"]}],
        "rules": [{"rule": "secret"}, {"rule": "schema"}, {"rule": "schema"}],
    }  # fmt: skip
    (root / "reports/validation").mkdir(parents=True)
    (root / "reports/validation/code.json").write_text(json.dumps(report))
    (root / "reports/metrics.json").write_text(json.dumps({"code": {"paramagent": {"pass_rate": 0.4}}}))
    (root / "src").mkdir()
    (root / "src/recipe.py").write_text("x = 1\n")
    make_adapter(root, ADAPTER, hashes[1:])
    write_lock(root)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "made")
    return root


def page_of(root: Path, folder: Path = ADAPTER) -> Page:
    return audit_page(root, str(folder))


def broken(root: Path, folder: Path = ADAPTER) -> set[str]:
    return {f"{found.path} [{found.stage}]" for found in page_of(root, folder).broken}


def test_page_names_commit_rows_rules_params_base_and_metrics(repo):
    page = page_of(repo)
    facts = {one.number: one.facts for one in page.answers}
    assert page.commit == git(repo, "rev-parse", "HEAD")
    assert page.broken == ()
    assert facts[1]["rows"] == len(facts[1]["row_hashes"]) == 5
    assert (facts[2]["passed"], facts[2]["kept"], facts[2]["quarantined"]) == (True, 6, 1)
    assert facts[2]["rules"] == ["secret", "schema"]
    assert facts[5]["measured"] == {"paramagent.pass_rate": 0.4}
    assert "paramagent 0.400" in page.answers[4].says
    assert facts[7]["recipe"]["rank"] == 4
    assert facts[7]["base"]["recipe_digest"] == "c0ffee" * 8
    assert "9 steps, held-out loss 1.2500" in page.answers[6].says


def test_scores_of_the_adapter_that_lay_there_before_are_not_credited(repo):
    """After a training and before the next evaluation the evaluation's record names the bytes of the old adapter."""
    lock = yaml.safe_load((repo / "dvc.lock").read_text())
    lock["stages"]["evaluate@code"]["deps"][0]["md5"] = "1" * 32 + ".dir"
    (repo / "dvc.lock").write_text(yaml.safe_dump(lock))
    found = page_of(repo).answers[4]
    assert found.facts["measured"] == {}
    assert "0.400" not in found.says


def change_weights(root: Path) -> None:
    (root / ADAPTER / "adapter_model.safetensors").write_bytes(b"other")


def drop_a_row(root: Path) -> None:
    rows = root / ADAPTER / "rows.txt"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))


def reorder_rows(root: Path) -> None:
    rows = root / ADAPTER / "rows.txt"
    rows.write_text("".join(reversed(rows.read_text().splitlines(keepends=True))))


def recall_a_row(root: Path) -> None:
    write_jsonl(root / "data/validated/code.jsonl", make_rows()[:-1])


def fail_the_suite(root: Path) -> None:
    path = root / "reports/validation/code.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"passed": False}))


def change_base(root: Path) -> None:
    (root / "models/base/model.safetensors").write_bytes(b"another base")


def edit_lock(root: Path, change) -> None:
    path = root / "dvc.lock"
    lock = yaml.safe_load(path.read_text())
    change(lock["stages"])
    path.write_text(yaml.safe_dump(lock))


def other_params(root: Path) -> None:
    edit_lock(root, lambda stages: stages["train@code"]["params"]["params.yaml"]["train"].update(rank=8))


def other_evaluation(root: Path) -> None:
    edit_lock(root, lambda stages: stages["evaluate@code"]["deps"][0].update(md5="0" * 32 + ".dir"))


LOCK, REPORT, VALIDATED = "dvc.lock", "reports/validation/code.json", "data/validated/code.jsonl"


@pytest.mark.parametrize(
    ("tamper", "link"),
    [
        (change_weights, f"{ADAPTER}/adapter_model.safetensors [train@code]"),
        (change_weights, f"{ADAPTER} [train@code]"),
        (drop_a_row, f"{ADAPTER}/rows.txt [train@code]"),
        (reorder_rows, f"{ADAPTER}/rows.txt [train@code]"),
        (recall_a_row, f"{VALIDATED} [train@code]"),
        (recall_a_row, f"{VALIDATED} [validate@code]"),
        (recall_a_row, f"{REPORT} [train@code]"),
        (fail_the_suite, f"{REPORT} [train@code]"),
        (change_base, "models/base [train]"),
        (other_params, f"{ADAPTER}/adapter.json [train@code]"),
        (other_evaluation, f"{LOCK} [evaluate@code]"),
    ],
)
def test_tampered_link_is_the_one_that_is_named(repo, tamper, link):
    tamper(repo)
    assert link in broken(repo)


def test_changed_code_makes_the_pipeline_stale_and_breaks_no_link(repo):
    (repo / "src/recipe.py").write_text("x = 2\n")
    page = page_of(repo)
    assert page.broken == ()
    assert "src/recipe.py" in page.answers[8].says


def test_missing_optional_parts_are_unknown_or_not_recorded(repo):
    for path in ("dvc.lock", "reports/validation/code.json", "reports/metrics.json", "data/validated/code.jsonl"):
        (repo / path).unlink()
    (repo / "models/base/model.safetensors").unlink()
    (repo / ADAPTER / "rows.txt").unlink()
    git(repo, "commit", "-qam", "gone")
    page = page_of(repo)
    assert page.broken == ()
    assert [one.holds for one in page.answers if one.number in (2, 4, 8)] == [None] * 3
    for number in (2, 7):
        assert "not " in page.answers[number - 1].says


def test_an_adapter_of_the_same_name_below_the_working_directory_is_not_the_repositorys(repo, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    elsewhere = tmp_path / ADAPTER
    shutil.copytree(repo / ADAPTER, elsewhere)
    monkeypatch.chdir(tmp_path)
    assert page_of(repo).folder == str(ADAPTER)
    shutil.rmtree(repo / ADAPTER)
    with pytest.raises(AdapterMissingError):
        page_of(repo)
    assert page_of(repo, elsewhere).folder == str(elsewhere)


def test_outside_git_the_commit_is_not_recorded(repo, tmp_path):
    bare = tmp_path / "copy"
    (repo / ".git").rename(tmp_path / "git")
    repo.rename(bare)
    page = page_of(bare)
    assert page.commit is None
    assert page.broken == ()
    change_weights(bare)
    assert f"{ADAPTER}/adapter_model.safetensors [train@code]" in broken(bare)


def test_clean_clone_gives_the_same_answers(repo, tmp_path):
    git(tmp_path, "clone", "-q", str(repo), "clone")
    assert page_of(tmp_path / "clone") == page_of(repo)


CONTROL = Path("models/controls/code/shuffled")


def test_control_adapter_may_have_rows_of_its_own_and_is_held_to_its_card(repo):
    make_adapter(repo, CONTROL, ["1" * 64, "2" * 64], b"control")
    assert broken(repo, CONTROL) == set()
    assert page_of(repo, CONTROL).answers[7].holds is None
    (repo / CONTROL / "rows.txt").write_text("1" * 64 + "\n")
    assert broken(repo, CONTROL) == {f"{CONTROL}/rows.txt [train]"}


def test_no_adapter_says_what_to_do(repo):
    with pytest.raises(AdapterMissingError, match="dvc pull"):
        audit_page(repo, None, "qa")


def test_broken_lock_file_is_named(repo):
    (repo / "dvc.lock").write_text("stages: [")
    with pytest.raises(LineageError, match=r"dvc\.lock cannot be read"):
        page_of(repo)


def test_a_row_is_found_in_the_adapters_that_saw_it_by_hash_and_by_text(repo):
    rows = make_rows()
    make_adapter(repo, CONTROL, [rows[1].row_hash, rows[1].row_hash], b"control")
    [seen] = trace_rows(repo, rows[1].row_hash)
    assert {(one.folder, one.lines) for one in seen.adapters} == {(str(CONTROL), (1, 2)), (str(ADAPTER), (1,))}
    for query in (rows[1].row_hash[:12], "Keep the  1 largest", "code-1"):
        assert trace_rows(repo, query) == [seen]


def test_known_row_that_no_adapter_saw_gives_none_and_unknown_text_is_an_error(repo):
    assert [one.adapters for one in trace_rows(repo, "code-0")] == [()]
    with pytest.raises(LineageError, match="no row is or holds 'nowhere'"):
        trace_rows(repo, "nowhere")


@pytest.mark.integration
def test_hashes_are_those_that_dvc_records(tmp_path):
    git(tmp_path, "init", "-q")
    env = {**os.environ, "HOME": str(tmp_path / "home"), "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    env["DVC_NO_ANALYTICS"] = "1"
    dvc = [sys.executable, "-m", "dvc"]
    (tmp_path / "make.py").write_text(
        "from pathlib import Path\n"
        "for n in ('out/b.txt', 'out/a/z.bin', 'out/a-b.txt', 'out/ü.txt'):\n"
        "    Path(n).parent.mkdir(parents=True, exist_ok=True); Path(n).write_bytes(n.encode() + b'\\r\\n')\n"
        "Path('one.txt').write_text('one')\n"
    )
    stage = {"cmd": f"{sys.executable} make.py", "deps": ["make.py"], "outs": ["out", "one.txt"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"make": stage}}))
    for words in (["init", "-q"], ["repro", "-q"]):
        subprocess.run([*dvc, *words], cwd=tmp_path, env=env, check=True, capture_output=True)
    lock = yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]["make"]
    recorded = {item["path"]: item["md5"] for item in [*lock["deps"], *lock["outs"]]}
    assert recorded == {path: dvc_hash(tmp_path / path) for path in ("make.py", "out", "one.txt")}


SETTINGS = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ["q_proj"]}


def with_settings(root: Path, form: int, recipe: dict | None = None, **changed: object) -> None:
    """The adapter's settings beside its weights, as its card says them, and then changed."""
    path = root / ADAPTER / "adapter.json"
    card = json.loads(path.read_text()) | ({"recipe": recipe} if recipe is not None else {})
    card |= {"form": 2, "settings_digest": settings_digest(SETTINGS)} if form == 2 else {}
    path.write_text(json.dumps(card))
    (root / ADAPTER / "adapter_config.json").write_text(json.dumps(SETTINGS | changed))
    write_lock(root)


def settings_found(root: Path) -> Finding:
    with History.open(root) as history:
        found = list(manifest_checks(Generation("code", 0, str(ADAPTER), "", None, history.here(), card_of(root))))
    (one,) = [one for one in found if one.path == f"{ADAPTER}/adapter_config.json"]
    return one


def card_of(root: Path) -> Adapter:
    return Adapter.model_validate_json((root / ADAPTER / "adapter.json").read_text())


def test_changed_settings_of_an_adapter_are_named(repo):
    with_settings(repo, 2)
    assert settings_found(repo).holds is True
    with_settings(repo, 2, lora_alpha=-640)
    assert settings_found(repo).holds is False
    assert f"{ADAPTER}/adapter_config.json [train@code]" in broken(repo)


def test_settings_that_an_older_card_does_not_cover_are_said_to_be_so(repo):
    with_settings(repo, 1, {})
    assert settings_found(repo).holds is None
    assert "settings not covered" in settings_found(repo).detail
    recipe = {"rank": 4, "alpha": 16, "dropout": 0.0, "target_modules": ["q_proj"]}
    with_settings(repo, 1, recipe)
    assert settings_found(repo).holds is None
    assert "it agrees with the recipe" in settings_found(repo).detail
    with_settings(repo, 1, recipe, target_modules=["v_proj"])
    assert settings_found(repo).holds is False
