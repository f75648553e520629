"""Spans of calls, the service's log, and what the command line lays over the params."""

from __future__ import annotations

import io
import json
import logging

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from parammem.cli.up import repository, with_flags
from parammem.errors import ConfigError, DataError
from parammem.service import service_log
from parammem.service.spans import CallSpans
from tests.service.proxies import params_with

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_span_goes_on_with_the_clients_trace_and_holds_no_text(monkeypatch):
    monkeypatch.setattr("opentelemetry.sdk.trace.export.BatchSpanProcessor", SimpleSpanProcessor)
    exporter = InMemorySpanExporter()
    spans = CallSpans(exporter)
    headers = [(b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())]
    spans.add(headers, 0.25, {"route": "/responses", "status": 503, "advice": "given", "run": "r1"})
    (span,) = exporter.get_finished_spans()
    assert span.context
    assert span.attributes
    assert span.end_time
    assert span.start_time
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.attributes["parammem.run"] == "r1"
    assert span.status.is_ok is False
    assert abs((span.end_time - span.start_time) / 1e9 - 0.25) < 0.01
    spans.close()


def test_without_an_exporter_there_are_none(monkeypatch):
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    spans = CallSpans()
    spans.add([], 1.0, {})
    assert (spans._tracer, spans._provider) == (None, None)


def test_an_exporter_that_is_not_installed_is_said_and_ends_nothing(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with caplog.at_level(logging.INFO, "parammem.service"):
        CallSpans().add([], 1.0, {})
    assert "cannot be used" in caplog.text


def test_a_line_of_the_log_is_one_json_object_whatever_is_in_it(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    kept = service_log.log.handlers, service_log.log.propagate, service_log.log.level
    try:
        service_log.log_to_stderr(calls=True)
        service_log.say_event("run", "it failed", why='bad\n\x1b[31m"\u2028')
        service_log.say_call(run="r1", status=200)
    finally:
        service_log.log.handlers, service_log.log.propagate = kept[0], kept[1]
        service_log.log.setLevel(kept[2])
    first, second = (json.loads(line) for line in stream.getvalue().split("\n") if line)
    assert (first["event"], first["why"]) == ("run", 'bad\n\x1b[31m"\u2028')
    assert (second["event"], second["run"]) == ("call", "r1")
    assert stream.getvalue().isascii()


def test_flags_win_over_params():
    params = params_with("http://a/v1")
    assert with_flags(params, upstream="http://b/v1", port=None).service.upstream == "http://b/v1"
    assert with_flags(params, port=0).service.port == 0
    with pytest.raises(ConfigError, match="no domain"):
        with_flags(params, domain="nonsense")


def test_a_folder_without_git_is_no_repository(tmp_path):
    with pytest.raises(DataError, match="parammem init"):
        repository(tmp_path / "params.yaml")
