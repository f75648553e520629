"""The adapter's folder names the suite that its rows went through; its weights do not depend on that."""

from __future__ import annotations

import hashlib
import json

from parammem.checkout.places import Places
from parammem.stages import train
from parammem.stages.bound import NAME, bind_validation
from tests.stages.arena import clone, parsed

DOMAIN = "math"
REPORT = {"passed": True, "suite_digest": "5" * 64, "kept_digest": "6" * 64, "rows": 4, "kept": [0, 2],
          "quarantined": [{"row": 1, "row_hash": "a", "reasons": ["secret", "code"]},
                          {"row": 3, "row_hash": "b", "reasons": ["code"]}],
          "rules": [{"rule": "secret"}, {"rule": "code"}, {"rule": "code"}]}  # fmt: skip


def test_the_suites_digest_and_results_are_named_with_the_reports_own_digest(tmp_path):
    report = tmp_path / "report.json"
    report.write_text(json.dumps(REPORT))
    bind_validation(report, tmp_path)
    found = json.loads((tmp_path / NAME).read_text())
    assert found["report"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert (found["suite_digest"], found["kept_digest"], found["passed"]) == ("5" * 64, "6" * 64, True)
    assert (found["rows"], found["kept"], found["quarantined"], found["rules"]) == (4, 2, 2, 2)
    assert found["reasons"] == {"code": 2, "secret": 1}


def test_rows_that_nobody_validated_have_no_such_file(tmp_path):
    bind_validation(tmp_path / "nothing.json", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_train_binds_the_report_and_the_weights_do_not_depend_on_it(trained, tmp_path, monkeypatch):
    root = clone(trained, tmp_path / "project")
    monkeypatch.chdir(root)
    places = Places(root, DOMAIN)
    digests = []
    for suite in ("5" * 64, "7" * 64):
        places.validation.parent.mkdir(parents=True, exist_ok=True)
        places.validation.write_text(json.dumps(REPORT | {"suite_digest": suite}))
        train.run(parsed(), DOMAIN)
        assert json.loads((places.reflector / NAME).read_text())["suite_digest"] == suite
        digests.append(json.loads((places.reflector / "adapter.json").read_text())["digest"])
    assert digests[0] == digests[1]
