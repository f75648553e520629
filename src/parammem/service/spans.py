"""OpenTelemetry spans of calls, where an exporter is configured and OpenTelemetry's SDK is installed; else nothing.

They carry the run's id and arm, and never a text. The trace that the client named is gone on with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from parammem.service.service_log import say_event

SETTINGS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class CallSpans:
    """Makes a span of each call."""

    def __init__(self, exporter: Any = None) -> None:
        """exporter: of spans; None: as the environment says (SETTINGS)."""
        self._tracer: Any = None
        self._provider: Any = None
        try:
            exporter = exporter or _configured()
            if exporter is not None:
                self._start(exporter)
        except Exception as error:  # a missing package, an address that is none: the service works without
            say_event("spans", "OpenTelemetry is configured and cannot be used", why=type(error).__name__)

    def add(self, headers: Iterable[tuple[bytes, bytes]], seconds: float, told: Mapping[str, Any]) -> None:
        """Add a call that is over. Never raises."""
        if self._tracer is None:
            return
        try:
            from opentelemetry.trace import Status, StatusCode
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            end = time.time_ns()
            span = self._tracer.start_span(
                f"parammem {told['route']}",
                context=TraceContextTextMapPropagator().extract(carrier),
                start_time=end - int(seconds * 1e9),
                attributes={f"parammem.{name}": value for name, value in told.items()},
            )
            if not 0 < told["status"] < 500:
                span.set_status(Status(StatusCode.ERROR))
            span.end(end)
        except Exception as error:
            say_event("spans", "a span could not be made", why=type(error).__name__)

    def close(self) -> None:
        """Send what waits."""
        if self._provider is not None:
            self._provider.shutdown()

    def _start(self, exporter: Any) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "parammem")}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("parammem.service")


def _configured() -> Any:
    """Return the exporter that the environment asks for; None if it asks for none."""
    named = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if named in ("none",) or not any(os.environ.get(name) for name in SETTINGS):
        return None
    if named == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from importlib import import_module

    return import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()
