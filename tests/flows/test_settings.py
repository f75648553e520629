"""Facts about which Prefect server the flows use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from flows import ROOT

ASK = """
import flows, os, json
print(json.dumps([flows.configured_server(), os.environ.get("PREFECT_HOME", "")]))
"""
PROFILE = 'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:4999/api"\n[profiles.other]\n'


def asked(home, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(
        command, cwd=ROOT, env={**clean, "HOME": str(home), **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".prefect").mkdir()
    return tmp_path


def test_the_server_of_the_persons_profile_is_used_with_all_that_the_profile_says(home):
    (home / ".prefect" / "profiles.toml").write_text(PROFILE)
    assert asked(home) == ["http://127.0.0.1:4999/api", ""]


def test_the_environment_goes_before_the_profile(home):
    (home / ".prefect" / "profiles.toml").write_text(PROFILE)
    url = "http://127.0.0.1:5000/api"
    assert asked(home, PREFECT_API_URL=url) == [url, str(ROOT / ".cache" / "prefect")]
    assert asked(home, PREFECT_PROFILE="other") == ["", str(ROOT / ".cache" / "prefect")]


@pytest.mark.parametrize("text", ["", "no toml [", 'active = "gone"\n', "active = 3\nprofiles = 4\n", "\x00"])
def test_without_a_usable_profile_the_database_is_the_repositorys(home, text):
    (home / ".prefect" / "profiles.toml").write_text(text)
    assert asked(home) == ["", str(ROOT / ".cache" / "prefect")]


@pytest.mark.integration
def test_a_server_that_does_not_answer_is_told_in_words_with_what_to_do(home):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {
        **clean,
        "HOME": str(home),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT_CLIENT_MAX_RETRIES": "0",
    }
    for module, words in (("flows.serve", []), ("flows.improve", ["--root", str(home)]), ("flows.rebuild", [])):
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 1, (module, done.stdout, done.stderr)
        assert "http://127.0.0.1:9/api does not answer" in done.stderr
        assert "prefect server start" in done.stderr
        assert "Traceback" not in done.stderr
