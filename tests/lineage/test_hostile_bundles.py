"""Whatever is done to a bundle is found, by the bundle's own verify.py and by `parammem audit check` alike."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from parammem.engines.adapters import settings_digest
from parammem.errors import DataError
from parammem.lineage import check_bundle, export, render_checked
from parammem.lineage.bundle.standalone import script
from parammem.lineage.bundle.statements import Notary
from parammem.lineage.bundle.verifier import KINDS, LIST, PROVENANCE
from tests.memory import memory_bound

LIMITED = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20)); "
"""The interpreter itself takes 20 MB of address space or more."""


@pytest.fixture(scope="module")
def original_bundle(original, tmp_path_factory) -> tuple[Path, str, Notary]:
    folder = tmp_path_factory.mktemp("export")
    shutil.copytree(original.root, folder / "repo")
    done = export(folder / "repo", "champion", folder / "bundle", key_file=folder / "key.pem")
    (folder / "verify.py").write_bytes(script())
    return folder / "bundle", done.key, Notary(folder / "key.pem")


@pytest.fixture
def bundle(original_bundle, tmp_path) -> Path:
    return shutil.copytree(original_bundle[0], tmp_path / "bundle")


def both(place: Path, key: str, verify: Path) -> tuple[list[str], list[str]]:
    """What the two say, line by line. The script has 5 s and 600 MB, and may not end in a traceback."""
    program = f"{LIMITED} sys.argv = {['verify.py', str(place), '--key', key]!r}; import runpy; "
    command = [sys.executable, "-I", "-S", "-c", program + f"runpy.run_path({str(verify)!r}, run_name='__main__')"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    checked = check_bundle(place, key)
    assert (done.returncode == 0) == (checked.faults == ())
    return done.stdout.splitlines(), render_checked(checked).splitlines()


def swap_list(folder: Path, notary: Notary) -> None:
    """The published attack: a statement that is signed, and not the list, in the list's place."""
    shutil.copy(folder / PROVENANCE, folder / LIST)
    for path in folder.iterdir():
        if path.name not in ("adapter", "statements", "key.txt"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (folder / "statements").iterdir():
        if path.name not in (Path(LIST).name, Path(PROVENANCE).name):
            path.unlink()


def swap_list_alone(folder: Path, notary: Notary) -> None:
    swap_list(folder, notary)
    (folder / PROVENANCE).unlink()
    (folder / "key.txt").unlink()


def exchange(one: str, other: str) -> Callable[[Path, Notary], None]:
    def tamper(folder: Path, notary: Notary) -> None:
        first, second = (folder / one).read_bytes(), (folder / other).read_bytes()
        (folder / one).write_bytes(second)
        (folder / other).write_bytes(first)

    return tamper


def remove(name: str) -> Callable[[Path, Notary], None]:
    def tamper(folder: Path, notary: Notary) -> None:
        (folder / name).unlink()

    return tamper


def resign(name: str, kind: str | None = None, drop: str = "", add: str = "", predicate: dict | None = None):
    """A statement that its owner signed, and that says something else: what the key alone does not vouch for."""

    def tamper(folder: Path, notary: Notary) -> None:
        envelope = json.loads((folder / name).read_text())
        statement = json.loads(base64.b64decode(envelope["payload"]))
        names = {one["name"] for one in statement["subject"]} - {drop} | ({add} if add else set())
        files = {one: (folder / one).read_bytes() for one in names}
        said = statement["predicate"] if predicate is None else predicate
        (folder / name).write_bytes(notary.envelope(files, kind or statement["predicateType"], said))
        if name != LIST:
            resign(LIST)(folder, notary)

    return tamper


def edit_envelope(change: Callable[[dict], None]) -> Callable[[Path, Notary], None]:
    def tamper(folder: Path, notary: Notary) -> None:
        envelope = json.loads((folder / LIST).read_text())
        change(envelope)
        (folder / LIST).write_text(json.dumps(envelope, indent=1, sort_keys=True) + "\n")

    return tamper


def double_signature(envelope: dict) -> None:
    envelope["signatures"] *= 2


def link_out(folder: Path, notary: Notary) -> None:
    """The weights lie elsewhere: what is verified now is not what is loaded later."""
    weights = folder / "adapter/adapter_model.safetensors"
    shutil.move(weights, folder.parent / "elsewhere")
    weights.symlink_to(folder.parent / "elsewhere")


def link_folder(folder: Path, notary: Notary) -> None:
    shutil.move(folder / "adapter", folder.parent / "adapter")
    (folder / "adapter").symlink_to(folder.parent / "adapter", target_is_directory=True)


def huge(folder: Path, notary: Notary) -> None:
    with (folder / LIST).open("r+b") as file:
        file.truncate(300 << 20)


def deep(folder: Path, notary: Notary) -> None:
    (folder / PROVENANCE).write_text("[" * 200_000)


def many_signatures(folder: Path, notary: Notary) -> None:
    edit_envelope(lambda envelope: envelope.update(signatures=envelope["signatures"] * 20_000))(folder, notary)


def no_bytes(folder: Path, notary: Notary) -> None:
    os.mkfifo(folder / "pipe")


def into_pipe(folder: Path, notary: Notary) -> None:
    (folder / "adapter/adapter.json").unlink()
    os.mkfifo(folder / "adapter/adapter.json")


def write(name: str | bytes, data: bytes) -> Callable[[Path, Notary], None]:
    def tamper(folder: Path, notary: Notary) -> None:
        place = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else name.encode())
        with open(place, "wb") as file:
            file.write(data)

    return tamper


def other_settings(folder: Path, notary: Notary) -> None:
    """Settings that the card does not vouch for, signed all the same."""
    card = json.loads((folder / "adapter/adapter.json").read_text())
    card |= {"form": 2, "settings_digest": settings_digest({"r": 4, "target_modules": ["v", "q"]})}
    (folder / "adapter/adapter.json").write_text(json.dumps(card))
    settings_of = {"r": 4, "target_modules": ["q", "v"], "lora_alpha": -640, "peft_version": "1"}
    (folder / "adapter/adapter_config.json").write_text(json.dumps(settings_of))
    resign(PROVENANCE, add="adapter/adapter_config.json")(folder, notary)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {LIST}
    files = {name: (folder / name).read_bytes() for name in names}
    said = {"adapter": card["digest"], "files": len(files)}
    (folder / LIST).write_bytes(notary.envelope(files, KINDS[LIST][0], said))


FOLDERS: dict[str, Callable[[Path, Notary], None]] = {
    "list replaced by provenance": swap_list,
    "list replaced by provenance, which is gone": swap_list_alone,
    "evaluation for validation": exchange("statements/evaluation.dsse.json", "statements/validation.dsse.json"),
    "list for decision": exchange(LIST, "statements/decision.dsse.json"),
    **{f"without {name}": remove(name) for name in KINDS},
    "without the card": remove("adapter/adapter.json"),
    "without rows.txt": remove("adapter/rows.txt"),
    "list of another kind": resign(LIST, kind=KINDS[PROVENANCE][0]),
    "provenance of another kind": resign(PROVENANCE, kind="urn:other"),
    "list without a file": resign(LIST, drop="adapter/rows.txt"),
    "list with itself": resign(LIST, add=LIST),
    "provenance without a file": resign(PROVENANCE, drop="adapter/adapter.json"),
    "provenance about more": resign(PROVENANCE, add="audit.json"),
    "list of another adapter": resign(LIST, predicate={"adapter": "f" * 64, "files": 1}),
    "list without what it is about": resign(LIST, predicate={"files": 1}),
    "provenance of other data": resign(
        PROVENANCE, predicate={"buildDefinition": {"externalParameters": {"data_digest": "0" * 64}}}
    ),
    "evaluation of another adapter": resign(
        "statements/evaluation.dsse.json", predicate={"result": "PASSED", "facts": {"adapter": "f" * 64}}
    ),
    "settings of another adapter": other_settings,
    "another payload type": edit_envelope(lambda one: one.update(payloadType="text/plain")),
    "a key id of another": edit_envelope(lambda one: one["signatures"][0].update(keyid="0" * 64)),
    "more in the envelope": edit_envelope(lambda one: one.update(more=1)),
    "two signatures": edit_envelope(double_signature),
    "no signature": edit_envelope(lambda one: one.update(signatures=[])),
    "signatures that are a number": edit_envelope(lambda one: one.update(signatures=5)),
    "twenty thousand signatures": many_signatures,
    "weights that are a link": link_out,
    "a folder that is a link": link_folder,
    "a dangling link": lambda folder, notary: (folder / "more").symlink_to(folder / "nowhere"),
    "a link to itself": lambda folder, notary: (folder / "adapter/up").symlink_to(folder),
    "a pipe": no_bytes,
    "a pipe for the card": into_pipe,
    "a list of 300 MB": huge,
    "deep JSON": deep,
    "a huge number": write("adapter/adapter.json", b"9" * 100_000),
    "half a surrogate": write("adapter/adapter.json", b'{"digest": "\\ud800"}'),
    "no JSON": write("validation/report.json", b"\xff\xfe"),
    "a list for a card": write("adapter/adapter.json", b"[]"),
    "a number for a decision": write("decision/" + "0" * 64 + ".json", b"3"),
    "a file more": write("extra", b""),
    "a statement more": write("statements/more.dsse.json", b"{}"),
    "a name that is no text": write(b"\xff\xfe.txt", b"x"),
    "a name that commands the terminal": write("\x1b[2Jall holds", b"x"),
    "an event without its end": lambda folder, notary: cut(folder / "ledger/events.jsonl"),
    "an event before a bare CR": lambda folder, notary: returned(folder / "ledger/events.jsonl"),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def returned(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n", 1))


def test_settings_are_the_only_fault_where_only_they_are_wrong(original_bundle, bundle):
    _, key, notary = original_bundle
    other_settings(bundle, notary)
    (fault,) = check_bundle(bundle, key).faults
    assert fault.file == "adapter/adapter_config.json"
    settings_of = {"r": 4, "target_modules": ["q", "v"], "peft_version": "1"}
    (bundle / "adapter/adapter_config.json").write_text(json.dumps(settings_of))
    resign(PROVENANCE)(bundle, notary)
    assert check_bundle(bundle, key).faults == ()


@pytest.mark.parametrize("case", FOLDERS)
def test_a_tampered_folder_is_found_by_both_verifiers(original_bundle, bundle, case):
    folder, key, notary = original_bundle
    FOLDERS[case](bundle, notary)
    standalone, own = both(bundle, key, folder.parent / "verify.py")
    assert standalone == own
    assert any(line.startswith("TAMPERED ") for line in own)
    assert all(line.isprintable() for line in own)


def zipped(folder: Path, out: Path) -> Path:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
    return out


def add_to(name: str, data: bytes = b"x", mode: int = 0o100644) -> Callable[[Path], None]:
    def tamper(file: Path) -> None:
        with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = zipfile.ZipInfo(name)
            info.filename = info.orig_filename = name  # zipfile itself cuts a name at NUL
            info.external_attr = mode << 16
            archive.writestr(info, data)

    return tamper


def bytes_of(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def tamper(file: Path) -> None:
        file.write_bytes(change(file.read_bytes()))

    return tamper


def bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as out:
        for _ in range(200):
            out.write(bytes(1 << 20))


def overlapping(file: Path) -> None:
    """A thousand entries in the list for the bytes of one."""
    data = file.read_bytes()
    start = int.from_bytes(data[-6:-2], "little")
    length = 46 + int.from_bytes(data[start + 28 : start + 30], "little")
    entry = data[start : start + length]
    entries = b"".join(entry[:46] + b"%04d" % n + entry[50:] for n in range(1000)) + data[start:-22]
    count = (int.from_bytes(data[-14:-12], "little") + 1000).to_bytes(2, "little") * 2
    tail = data[-22:-14] + count + len(entries).to_bytes(4, "little") + data[-6:]
    file.write_bytes(data[:start] + entries + tail)


def between(file: Path) -> None:
    data = file.read_bytes()
    start = int.from_bytes(data[-6:-2], "little")
    moved = (start + 4).to_bytes(4, "little")
    file.write_bytes(data[:start] + b"more" + data[start:-6] + moved + data[-2:])


def other_name(file: Path) -> None:
    """A field that gives an entry another name, which some programs follow."""
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("index.htm")
        info.extra = b"\x75\x70\x0e\x00\x01\x00\x00\x00\x00index.html"[:18]
        archive.writestr(info, b"x")


ZIPS: dict[str, Callable[[Path], None]] = {
    "a name twice": add_to("index.html", b"another"),
    "a name that ends at NUL": add_to("index.html\0.txt"),
    "a name upwards": add_to("../outside"),
    "a name upwards inside": add_to("adapter/../../outside"),
    "an absolute name": add_to("/outside"),
    "a drive": add_to("C:/outside"),
    "a backslash": add_to("adapter\\outside"),
    "an empty part": add_to("adapter//outside"),
    "a link": add_to("adapter/link", b"/etc/passwd", 0o120777),
    "a pipe": add_to("adapter/pipe", b"", 0o010644),
    "a device": add_to("adapter/device", b"", 0o020644),
    "a folder with contents": add_to("adapter/", b"x", 0o040755),
    "a file more": add_to("extra"),
    "data before it": bytes_of(lambda data: b"#!/bin/sh\nexit\n" + data),
    "data behind it": bytes_of(lambda data: data + b"more"),
    "a comment": bytes_of(lambda data: data[:-2] + b"\x04\x00more"),
    "data before the list": between,
    "a cut": bytes_of(lambda data: data[: len(data) // 2]),
    "no zip": bytes_of(lambda data: b"hello"),
    "nothing": bytes_of(lambda data: b""),
    "another checksum": bytes_of(lambda data: data[:14] + bytes(4) + data[18:]),
    "an unknown packing": bytes_of(lambda data: data[:8] + b"\x5f\x00" + data[10:]),
    "another name in a field": other_name,
    "a bomb": bomb,
    "entries that overlap": overlapping,
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_tampered_zip_is_found_by_both_verifiers(original_bundle, tmp_path, case):
    folder, key, _ = original_bundle
    file = zipped(folder, tmp_path / "bundle.zip")
    ZIPS[case](file)
    before = sorted(tmp_path.rglob("*"))
    standalone, own = both(file, key, folder.parent / "verify.py")
    assert standalone == own
    assert any(line.startswith("TAMPERED ") for line in own)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_untouched_bundle_holds_as_folder_zip_and_zip_with_folders(original_bundle, tmp_path):
    folder, key, _ = original_bundle
    file = zipped(folder, tmp_path / "one.zip")
    shutil.make_archive(str(tmp_path / "two"), "zip", folder)
    for place in (folder, file, tmp_path / "two.zip"):
        standalone, own = both(place, key, folder.parent / "verify.py")
        assert standalone == own
        assert own[-1] == "all signatures, files and links hold"


def keys(notary: Notary, folder: Path) -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    other = rsa.generate_private_key(65537, 2048).public_key()
    (folder / "rsa.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "bytes").write_bytes(bytes(range(256)))
    (folder / "empty").write_bytes(b"")
    return {
        "short": notary.public[:-1], "not hex": "g" * 64, "empty": "", "words": "the key",
        "rsa": str(folder / "rsa.pem"), "bytes": str(folder / "bytes"), "empty file": str(folder / "empty"),
        "private": str(folder.parent / "key.pem"), "no point": "ff" * 32, "identity": "01" + "00" * 31,
        "zero": "00" * 32, "long": "a" * 5000,
    }  # fmt: skip


def test_what_is_no_key_is_refused_and_the_bundles_own_never_stands_in(original_bundle, tmp_path):
    folder, _, notary = original_bundle
    shutil.copy(folder.parent / "key.pem", tmp_path / "key.pem")
    (tmp_path / "keys").mkdir()
    for name, key in keys(notary, tmp_path / "keys").items():
        with pytest.raises(DataError, match="no key to verify with"):
            check_bundle(folder, key)
        command = [sys.executable, "-I", "-S", str(folder.parent / "verify.py"), str(folder), "--key", key]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (2, ""), name
        assert "no key to verify with" in done.stdout


def test_a_key_option_without_a_value_is_a_usage_error(original_bundle):
    folder, _, _ = original_bundle
    command = [sys.executable, "-I", "-S", str(folder.parent / "verify.py"), str(folder), "--key"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected one argument" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_in_pem_is_read(original_bundle, tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    folder, key, _ = original_bundle
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    (tmp_path / "key.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert check_bundle(folder, str(tmp_path / "key.pem")).faults == ()


def test_what_cannot_be_read_is_a_fault_and_nothing_else_is_lost(original_bundle, bundle, monkeypatch):
    _, key, _ = original_bundle
    real = os.open

    def refusing(path, *words, **named):
        if str(path).endswith("index.html"):
            raise PermissionError(13, "Permission denied")
        return real(path, *words, **named)

    monkeypatch.setattr("os.open", refusing)
    (fault,) = check_bundle(bundle, key).faults
    assert fault.file == "index.html"
    assert "Permission denied" in fault.what


@pytest.mark.parametrize("place", ["nowhere", "pipe"])
def test_where_no_bundle_is_nothing_is_verified(tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="nothing to verify"):
        check_bundle(tmp_path / place, None)


def test_the_command_says_what_verify_py_says(original_bundle, bundle):
    from parammem.cli import app

    folder, key, _ = original_bundle
    done = CliRunner().invoke(app, ["audit", "check", str(folder), "--key", key])
    assert done.exit_code == 0
    assert "all signatures, files and links hold" in done.output
    (bundle / "extra").touch()
    done = CliRunner().invoke(app, ["audit", "check", str(bundle), "--key", key])
    assert "TAMPERED extra" in done.output
    assert done.exit_code != 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_to_a_file_or_zip_is_found_in_bounded_time(original_bundle, tmp_path, data):
    """One byte changed, bytes cut out or put in, anywhere: no traceback, and never "all holds"."""
    folder, key, _ = original_bundle
    place = tmp_path / "fuzzed"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if data.draw(st.booleans()):
        target = zipped(folder, place / "bundle.zip")
        verified = target
    else:
        shutil.copytree(folder, place / "bundle")
        verified = place / "bundle"
        names = sorted(path.relative_to(verified).as_posix() for path in verified.rglob("*") if path.is_file())
        target = verified / data.draw(st.sampled_from(names))
    old = target.read_bytes()
    start = data.draw(st.integers(0, len(old)))
    gone = data.draw(st.integers(0, 8))
    new = old[:start] + data.draw(st.binary(max_size=8)) + old[start + gone :]
    target.write_bytes(new)
    before = sorted(tmp_path.rglob("*"))
    began = time.process_time()
    with memory_bound():
        checked = check_bundle(verified, key)
    assert time.process_time() - began < 5
    same = _same_contents(verified, folder) if verified.suffix == ".zip" else new == old
    assert same or checked.faults
    assert sorted(tmp_path.rglob("*")) == before


def _same_contents(file: Path, folder: Path) -> bool:
    """Dates and the like in a zip say nothing of the files."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:
        return False
    return found == {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
