"""A bundle verifies with the standard library alone, and whatever is changed in it is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from parammem.errors import LineageError
from parammem.lineage import export
from parammem.lineage.bundle.signature import signature_holds
from parammem.lineage.bundle.standalone import script
from parammem.lineage.bundle.statements import Notary
from tests.lineage.test_verify import flip, judged


@pytest.fixture(scope="module")
def bundle(original, tmp_path_factory) -> tuple[Path, str]:
    """The champion's bundle and its public key."""
    folder = tmp_path_factory.mktemp("export")
    root = folder / "repo"
    shutil.copytree(original.root, root)
    done = export(root, "champion", folder / "bundle", key_file=folder / "key.pem")
    return folder / "bundle", done.key


@pytest.fixture
def copy(bundle, tmp_path) -> tuple[Path, str]:
    shutil.copytree(bundle[0], tmp_path / "bundle")
    return tmp_path / "bundle", bundle[1]


def verified(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Isolated from site-packages: -I -S."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "verify.py"
        file.write_bytes(script())
        command = [sys.executable, "-I", "-S", str(file), str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_bundle_holds_what_an_outsider_needs(bundle):
    folder, _ = bundle
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert names >= {
        "index.html", "MODEL_CARD.md", "validation/report.json", "evaluation/metrics.json", "evaluation/runs.jsonl",
        "sbom.cdx.json", "openlineage.ndjson", "verify.py", "key.txt", "statements/provenance.dsse.json",
        "statements/validation.dsse.json", "statements/evaluation.dsse.json", "statements/decision.dsse.json",
        "statements/bundle.dsse.json", "adapter/adapter_model.safetensors", "adapter/rows.txt", "ledger/events.jsonl",
    }  # fmt: skip
    assert any(name.startswith("decision/") for name in names)
    page = (folder / "index.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_an_untouched_bundle_verifies_by_its_own_script_and_by_the_given_key(bundle):
    folder, key = bundle
    done = verified(folder, "--key", key)
    assert done.returncode == 0, done.stdout
    assert "all signatures, files and links hold" in done.stdout
    own = subprocess.run([sys.executable, "-I", "-S", "verify.py"], cwd=folder, capture_output=True, text=True)
    assert own.returncode == 0, own.stdout
    assert "compare it with" in own.stdout


FILES = ("adapter/adapter_model.safetensors", "adapter/rows.txt", "adapter/adapter.json", "MODEL_CARD.md",
         "validation/report.json", "validation/kept_rows.txt", "evaluation/metrics.json", "evaluation/runs.jsonl",
         "sbom.cdx.json", "openlineage.ndjson", "index.html", "ledger/events.jsonl", "environment/params.yaml",
         "verify.py", "audit.json", "statements/decision.dsse.json", "statements/bundle.dsse.json")  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_in_any_file_is_named(copy, name):
    folder, key = copy
    flip(folder / name, (folder / name).stat().st_size // 2)
    done = verified(folder, "--key", key)
    assert done.returncode == 1
    assert f"TAMPERED {name}" in done.stdout


def test_every_file_of_the_bundle_is_under_a_signature(bundle):
    import base64

    folder, _ = bundle
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    envelope = json.loads((folder / "statements/bundle.dsse.json").read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert {one["name"] for one in statement["subject"]} == names - {"statements/bundle.dsse.json"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"


def test_missing_added_and_resigned_files_are_named(copy, tmp_path):
    folder, key = copy
    (folder / "lineage.svg").unlink()
    (folder / "extra.txt").write_text("x")
    said = verified(folder, "--key", key).stdout
    assert "TAMPERED lineage.svg: it is missing" in said
    assert "TAMPERED extra.txt: it was added" in said
    other = Notary(tmp_path / "other.pem")
    assert verified(folder, "--key", other.public).stdout.count("its signature does not hold under this key") == 5


def test_a_swapped_dataset_that_was_signed_again_still_contradicts_the_adapter(copy, tmp_path):
    """Whoever has a key can sign anything; the links between the files do not bend."""
    folder, _ = copy
    rows = (folder / "adapter/rows.txt").read_text().splitlines(keepends=True)
    (folder / "adapter/rows.txt").write_text("".join(rows[1:]))
    assert "TAMPERED adapter/rows.txt: its digest is not the one in adapter.json" in verified(folder).stdout


def test_the_outcomes_that_a_decision_was_made_on_are_in_the_bundle_and_held_to_it(lived, tmp_path):
    root, truth = lived
    path = judged(root, truth)
    done = export(root, "champion", tmp_path / "bundle", key_file=tmp_path / "key.pem")
    name = f"evidence/{path.name}"
    assert name in done.files
    assert verified(tmp_path / "bundle", "--key", done.key).returncode == 0
    there = tmp_path / "bundle" / name
    for old, new, what in (("[2]", "[1]", "the digest of its outcomes"), ("as its card", "as a card", "its guards")):
        there.write_text(path.read_text().replace(old, new))
        said = verified(tmp_path / "bundle").stdout
        assert f"TAMPERED {name}: it was changed" in said
        assert f"TAMPERED {name}: {what}" in said


def test_a_zip_is_verified_as_it_is_and_equal_inputs_give_equal_bytes(lived, tmp_path):
    root, _ = lived
    done = [export(root, "v1", tmp_path / f"{n}.zip", key_file=tmp_path / "key.pem") for n in range(2)]
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    assert verified(tmp_path / "0.zip", "--key", done[0].key).returncode == 0
    with zipfile.ZipFile(tmp_path / "0.zip") as bundle:
        card = json.loads(bundle.read("adapter/adapter.json"))
    assert card["digest"] == lived[1].adapters[0]


def test_nothing_is_signed_that_does_not_hold_and_nothing_is_overwritten(lived, tmp_path):
    root, _ = lived
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(LineageError, match="is there already"):
        export(root, "champion", tmp_path / "full")
    flip(root / "data/validated/code.jsonl", 30)
    with pytest.raises(LineageError, match=r"data/validated/code\.jsonl \[validate@code\]"):
        export(root, "champion", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    first, again = Notary(tmp_path / "key.pem"), Notary(tmp_path / "key.pem")
    assert first.public == again.public
    assert os.stat(tmp_path / "key.pem").st_mode & 0o077 == 0
    (tmp_path / "bad.pem").write_text("no key")
    with pytest.raises(LineageError, match="is no PEM key"):
        Notary(tmp_path / "bad.pem")


# RFC 8032, section 7.1, tests 1 to 3
VECTORS = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_verifiers_own_ed25519_is_that_of_rfc_8032(key, message, signature):
    data = [bytes.fromhex(one) for one in (key, message, signature)]
    assert signature_holds(*data)
    for place in (0, 40, 63):
        broken = bytearray(data[2])
        broken[place] ^= 1
        assert not signature_holds(data[0], data[1], bytes(broken))
    assert not signature_holds(data[0], data[1] + b"x", data[2])


def test_the_bill_of_materials_is_valid_cyclonedx(bundle):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    pytest.importorskip("jsonschema")
    text = (bundle[0] / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    plain = json.loads(text)
    assert plain["metadata"]["component"]["type"] == "machine-learning-model"
    assert plain["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"] == [{"ref": "training-rows"}]


def test_lineage_events_tie_outputs_to_inputs(bundle):
    events = [json.loads(line) for line in (bundle[0] / "openlineage.ndjson").read_text().splitlines()]
    by_name = {event["job"]["name"]: event for event in events}
    assert list(by_name)[:3] == ["collect@code", "validate@code", "train@code"]
    made = {one["name"]: one["facets"]["version"]["datasetVersion"] for one in by_name["validate@code"]["outputs"]}
    read = {one["name"]: one["facets"]["version"]["datasetVersion"] for one in by_name["train@code"]["inputs"]}
    assert read["data/validated/code.jsonl"] == made["data/validated/code.jsonl"]
    assert all(event["eventType"] == "COMPLETE" for event in events)
