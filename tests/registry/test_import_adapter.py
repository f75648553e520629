"""Facts about `parammem registry import`: a PEFT folder from elsewhere becomes a version; bad folders are refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from parammem import cli
from parammem.core.adapter import read_card
from parammem.core.event import Imported, Trained
from parammem.engines.digests import model_digest
from parammem.errors import AdapterError, AdapterMismatchError, AdapterMissingError, DataError, ModelMissingError
from parammem.gate import guards
from parammem.lineage import audit_page, render_page, verify
from parammem.reflectors.parametric import ParamMem
from parammem.registry import Ledger
from parammem.registry.import_adapter import TakenIn, import_adapter
from parammem.registry.register import register_adapter
from parammem.registry.state import find_version
from parammem.registry.storage import fetch
from parammem.registry.tags import sync_tags
from tests.registry.repository import ENV, commit, make_repository
from tests.tiny import make_tiny_adapter, make_tiny_model

WHO = "person Ada"
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def published(base, tmp_path_factory) -> Path:
    """What PEFT writes, as it lies on a hub."""
    return make_tiny_adapter(base, tmp_path_factory.mktemp("hub") / "their-reflector")


@pytest.fixture
def foreign(published, tmp_path) -> Path:
    return shutil.copytree(published, tmp_path / "hub" / "their-reflector")


@pytest.fixture(scope="module")
def taken(base, published, tmp_path_factory) -> tuple[Path, TakenIn]:
    """A repository that has taken it in and committed it."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in ENV.items():
            patched.setenv(name, value)
        root = make_repository(tmp_path_factory.mktemp("imported") / "repository")
        (root / "params.yaml").write_text(yaml.safe_dump({"domains": {"code": {"kind": "code"}}}))
        made = import_adapter(root, "code", published, str(base), WHO)
        commit(root, "an adapter from elsewhere")
        sync_tags(root)
        return root, made


def test_its_card_says_what_is_known_and_leaves_the_rest_empty(taken, base):
    root, made = taken
    card = read_card(root / made.place)
    assert (card.domain, card.base_digest, card.imported) == ("code", model_digest(base), "their-reflector")
    assert (card.rows, card.steps, card.held_out_loss, card.recipe) == (0, 0, None, {})
    assert str(base) not in card.base_model


def test_the_ledger_says_imported_and_never_trained(taken):
    root, made = taken
    facts = [event.fact for event in Ledger(root).read()]
    assert [fact.kind for fact in facts] == ["import", "publish"]
    assert not any(isinstance(fact, Trained) for fact in facts)
    (fact,) = (fact for fact in facts if isinstance(fact, Imported))
    assert (fact.source, fact.adapter) == ("their-reflector", made.card.digest)


def test_once_more_is_no_second_version(taken, published, base):
    root, made = taken
    again = import_adapter(root, "code", published, str(base), WHO)
    assert again.version.number == made.version.number == 1
    assert len(Ledger(root).read()) == 2


def test_it_gives_the_advice_that_its_weights_give(taken, base):
    root, made = taken
    advice = ParamMem.load(root / made.place, base_model=base, device="cpu", max_tokens=8).reflect("Add.", n=2)
    assert len({one.text for one in advice}) == 2
    assert {one.author for one in advice} == {made.card.digest}


def test_its_version_is_fetched_from_dvc(taken, tmp_path):
    root, made = taken
    got = fetch(root, "code", find_version(Ledger(root).read(), "code", "v1"), tmp_path / "got")
    assert read_card(got) == made.card


def test_the_audit_answers_all_ten_and_says_what_cannot_be_known(taken):
    root, _ = taken
    page = audit_page(root, "v1")
    said = {one.number: one.says for one in page.answers}
    assert len(said) == 10
    assert all("cannot be known: imported" in said[number] for number in (1, 2, 3, 4, 7, 8, 10))
    assert "their-reflector" in said[1]
    assert "nobody: the ledger has no decision" in said[5]
    assert page.answers[8].holds, said[9]
    assert "LEAKED" not in render_page(page)


def test_verify_finds_weights_that_were_changed_after_the_import(taken, tmp_path):
    root = shutil.copytree(taken[0], tmp_path / "copy", symlinks=True)
    assert not verify(root).broken
    weights = root / taken[1].place / WEIGHTS
    weights.chmod(0o644)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.unlink()  # DVC may have linked it to its cache
    weights.write_bytes(bytes(data))
    assert any(WEIGHTS in found.path for found in verify(root).broken)


def test_registering_it_as_if_it_were_trained_here_is_refused(taken):
    root, made = taken
    with pytest.raises(AdapterError, match="imported adapter"):
        register_adapter(root, "code", root / made.place, WHO)


def test_the_gate_says_that_its_rows_are_not_known_until_somebody_answers_for_it():
    held, passed = guards.unknown("no-leakage", False), guards.unknown("no-leakage", True)
    assert (held.passed, passed.passed) == (None, True)
    assert "gate.accept_imported" in held.detail
    assert "accepted" in passed.detail


def edited(folder: Path, **changed) -> None:
    path = folder / SETTINGS
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_base_that_is_not_here_is_not_fetched_and_its_digest_stays_empty(foreign, tmp_path, base, monkeypatch):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    edited(foreign, base_model_name_or_path="authors/llama-of-theirs")
    root = make_repository(tmp_path / "repository")
    made = import_adapter(root, "code", foreign, "", WHO)
    assert (made.card.base_model, made.card.base_digest) == ("authors/llama-of-theirs", "")
    assert ParamMem.load(root / made.place, base_model=base, device="cpu", max_tokens=4).reflect("Add.", n=1)


def test_settings_name_no_base_outside_the_repository(foreign, tmp_path, base, monkeypatch):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    root = make_repository(tmp_path / "repository")
    shutil.copytree(base, tmp_path / "outside")
    edited(foreign, base_model_name_or_path="../outside")
    assert import_adapter(root, "code", foreign, "", WHO).card.base_digest == ""
    shutil.copytree(base, root / "inside")
    other = shutil.copytree(foreign, tmp_path / "hub" / "other")
    make_tiny_adapter(base, other, seed=2)
    edited(other, base_model_name_or_path="inside")
    assert import_adapter(root, "code", other, "", WHO).card.base_digest == model_digest(base)


def refused(folder: Path, root: Path, base: str, error: type[Exception]) -> str:
    """Return the message with which an import is refused, which leaves nothing behind."""
    with pytest.raises(error) as caught:
        import_adapter(root, "code", folder, base, WHO)
    assert list(root.iterdir()) == [], "nothing is left behind"
    return str(caught.value)


@pytest.fixture
def empty(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_a_folder_without_settings_is_refused(foreign, empty, base):
    (foreign / SETTINGS).unlink()
    assert re.search(f"no {SETTINGS}.*no PEFT adapter", refused(foreign, empty, str(base), AdapterMissingError))
    assert re.search("no folder", refused(foreign / "nowhere", empty, str(base), AdapterMissingError))


def test_another_kind_than_lora_is_refused(foreign, empty, base):
    edited(foreign, peft_type="IA3")
    assert re.search("of the kind 'IA3'", refused(foreign, empty, str(base), AdapterError))


def test_pickled_weights_are_refused_and_never_read(foreign, empty, base):
    (foreign / WEIGHTS).rename(foreign / "adapter_model.bin")
    assert re.search("pickle .*can run code", refused(foreign, empty, str(base), AdapterError))


@pytest.mark.parametrize("name", [WEIGHTS, SETTINGS])
def test_a_link_that_leads_out_is_refused(foreign, empty, base, name, tmp_path):
    (foreign / name).rename(tmp_path / name)
    (foreign / name).symlink_to(tmp_path / name)
    assert re.search("leads out of its folder", refused(foreign, empty, str(base), AdapterError))


def test_a_snapshot_of_the_hub_s_cache_may_link_to_its_own_blobs(foreign, tmp_path, base, monkeypatch):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    cache = tmp_path / "models--authors--reflector"
    snapshot = cache / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for name in (WEIGHTS, SETTINGS):
        (foreign / name).rename(cache / "blobs" / name)
        (snapshot / name).symlink_to(Path("../../blobs") / name)
    root = make_repository(tmp_path / "repository")
    made = import_adapter(root, "code", snapshot, str(base), WHO)
    assert (root / made.place / WEIGHTS).read_bytes() == (cache / "blobs" / WEIGHTS).read_bytes()


def test_another_base_is_refused_by_the_module_that_does_not_fit(foreign, empty, tmp_path):
    wider = make_tiny_model(tmp_path / "wider", hidden=64)
    assert re.search(r"\w+_proj has the sides", refused(foreign, empty, str(wider), AdapterMismatchError))
    flat = make_tiny_model(tmp_path / "flat", layers=1)
    assert re.search(r"layers\.1\.\S+ is not in it", refused(foreign, empty, str(flat), AdapterMismatchError))
    assert re.search("nowhere", refused(foreign, empty, str(tmp_path / "nowhere"), ModelMissingError))


def test_broken_weights_and_pointers_are_refused(foreign, empty, base):
    data = (foreign / WEIGHTS).read_bytes()
    (foreign / WEIGHTS).write_bytes(data[: len(data) // 2])
    assert re.search("no whole safetensors file", refused(foreign, empty, str(base), AdapterError))
    (foreign / WEIGHTS).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert re.search("git-lfs pointer", refused(foreign, empty, str(base), AdapterMissingError))


def test_an_adapter_of_this_project_is_not_imported(taken, empty, base):
    assert re.search("parammem registry register", refused(taken[0] / taken[1].place, empty, str(base), AdapterError))


def test_the_same_weights_with_other_settings_are_refused_and_the_first_stay(taken, foreign, base):
    root, made = taken
    edited(foreign, lora_alpha=64)
    with pytest.raises(DataError, match="which one is meant"):
        import_adapter(root, "code", foreign, str(base), WHO)
    assert read_card(root / made.place) == made.card


def test_the_command_says_what_cannot_be_known_and_what_comes_next(foreign, base, tmp_path, monkeypatch):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    root = make_repository(tmp_path / "repository")
    shutil.copy(Path(__file__).parents[2] / "params.yaml", root)
    monkeypatch.chdir(root)
    done = CliRunner().invoke(cli.app, ["registry", "import", str(foreign), "-d", "code", "--base-model", str(base)])
    assert done.exit_code == 0, done.output
    assert "code v1: adapter" in done.output
    assert "cannot be known: imported" in done.output
    done = CliRunner().invoke(cli.app, ["registry", "history", "-d", "code"])
    assert "imported from their-reflector" in done.output
