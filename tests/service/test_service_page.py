"""Facts about docs/service.md: its metrics, limits, arms and settings are those of the code."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from parammem.core.live_run import LIVE_ARMS
from parammem.live_params import LiveGateParams, ServiceParams
from parammem.service import bounded_http, correlate, outcome_report, proxy, run_book, run_routes, transcript
from parammem.service.app import Service
from tests.service.books import ROOT
from tests.service.proxies import params_with

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


@pytest.fixture
def service(tmp_path):
    made = Service(tmp_path, params_with())
    yield made
    made.book.close()
    made.advisor.close()


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_metrics_are_those_that_the_service_has(page, service):
    service.book.start("code", "a task")
    text = TestClient(service.app, base_url="http://127.0.0.1").get("/metrics").text
    kinds = {one.name: one.type for one in text_string_to_metric_families(text)}
    there = {f"{name}_total" if kind == "counter" else name for name, kind in kinds.items()}
    named = set(re.findall(r"^\| `(parammem_\w+)`", section(page, "Metrics"), re.M))
    assert named == {name for name in there if name.startswith("parammem_") and not name.endswith("_created")}
    assert set(re.findall(r"parammem_\w+", page)) <= named | {"parammem_run"}


def test_the_settings_that_it_names_exist(page):
    assert set(re.findall(r"`service\.(\w+)`", page)) <= set(ServiceParams.model_fields)
    assert set(re.findall(r"`gate\.live\.(\w+)`", page)) <= set(LiveGateParams.model_fields)


def test_the_arms_are_all_arms(page):
    assert tuple(re.findall(r"^\| `(\w+)`", section(page, "Arms"), re.M)) == LIVE_ARMS


def test_the_ids_of_metadata_are_in_the_order_in_which_they_count(page):
    (named,) = re.findall(r"an id in `metadata` \((.*?)\)", page, re.S)
    assert tuple(re.findall(r"`(\w+)`", named)) == correlate.IDS


def test_the_limits_are_those_of_the_code(page):
    limits = dict(re.findall(r"^\| (.*?) \| (.*?) \|$", section(page, "Limits"), re.M))
    assert limits["a task's text"] == f"{run_book.LONGEST_TASK // MEBIBYTE} MiB"
    assert limits["steps of one run"].startswith(f"{run_book.LARGEST_RUN // MEBIBYTE} MiB;")
    head = f"{bounded_http.LARGEST_HEAD // 1024} KiB, and {bounded_http.HEAD_SECONDS:.0f} seconds"
    assert limits["a request's first line and headers"] == head
    most = f"{run_routes.LARGEST_BODY // MEBIBYTE} MiB, {run_routes.MOST_STEPS:,} steps"
    assert limits["a request below `/v1/runs`"] == f"{most}, {run_routes.DEEPEST} levels of nesting"
    assert limits["a call through the proxy"] == f"{proxy.LARGEST_CALL // MEBIBYTE} MiB"
    assert limits["an answer that is read into steps"].startswith(f"{transcript.LARGEST_ANSWER // MEBIBYTE} MiB;")
    assert limits["outcomes of one run"] == f"{outcome_report.MOST_OUTCOMES}"


def test_the_health_page_and_the_pages_of_runs_answer(page, service):
    client = TestClient(service.app, base_url="http://127.0.0.1")
    for address in re.findall(r"`GET (/\w+)`", section(page, "Its addresses")):
        assert client.get(address).status_code == 200, address
