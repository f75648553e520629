"""What the service counts and times, in Prometheus' format: `GET /metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from parammem.service.advisor import Advisor
    from parammem.service.run_book import RunBook

ADDED = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Bounds in seconds."""


class ServiceMetrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self, book: RunBook, advisor: Advisor, domains: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        self._book, self._advisor, self._domains = book, advisor, domains
        self.requests = Counter(
            "parammem_requests", "Calls that came through the proxy.", ["route", "status"], registry=self.registry
        )
        self.added = Histogram(
            "parammem_added_seconds",
            "From the last byte of a call to its being passed on: advice and correlation.",
            ["advice"],
            buckets=ADDED,
            registry=self.registry,
        )
        self.advice = Counter(
            "parammem_advice", "Runs by what became of their advice.", ["result"], registry=self.registry
        )
        self.unrecorded = Counter(
            "parammem_unrecorded_calls",
            "Calls that were not recorded.",
            ["why"],
            registry=self.registry,
        )
        self.registry.register(_Live(self))  # type: ignore[arg-type]  # a collector is what has `collect`

    def families(self) -> Iterator[Any]:
        """Return what is read off the book and the advisor when somebody asks."""
        stats = self._book.stats()
        runs = GaugeMetricFamily("parammem_runs", "Runs.", labels=["domain", "arm", "outcome"])
        for (domain, arm, outcome), number in stats.runs.items():
            runs.add_metric([domain, arm, outcome], number)
        yield runs
        yield GaugeMetricFamily("parammem_spool_bytes", "What runs that are not handed over take.", stats.spool_bytes)
        who = GaugeMetricFamily(
            "parammem_advises_info", "Adapter of each arm; 0: not loaded.", labels=["domain", "arm", "adapter"]
        )
        for domain in self._domains:
            for arm, adapter in self._advisor.arms(domain).adapters.items():
                who.add_metric([domain, arm, adapter], float(self._advisor.is_ready(adapter)))
        yield who
        yield GaugeMetricFamily("parammem_load_faults", "Adapters that failed to load.", len(self._advisor.faults()))
        yield GaugeMetricFamily(
            "parammem_ledger_readable", "1: the ledger could be read.", float(not self._advisor.ledger_fault)
        )
        yield GaugeMetricFamily("parammem_advice_restarts", "Reflectors loaded again.", self._advisor.restarts)

    def result(self, why_not: str, is_given: bool, arm: str) -> str:
        """Return the label for what became of a run's advice: few values, whatever was said."""
        if is_given:
            return "given"
        if arm == "holdout":
            return "holdout"
        return why_not.partition(":")[0] if why_not else "no champion"


class _Live:
    """Prometheus' form of a source that is read when it is asked for."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        return self._metrics.families()

    def describe(self) -> list[Any]:
        return []


def routes(metrics: ServiceMetrics) -> list[Route]:
    """Return the route of the metrics."""

    def show(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/metrics", show)]
