"""`/metrics` of the registry: counters and gauges read from its state at each scrape, and one histogram."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from workbench import __version__
from workbench.registry.records import Job
from workbench.registry.service import Service

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ANSWERS = ("accepted", "refused", "silent", "withdrawn", "answered_late")
PLAIN = {
    "reoffers": "Assignments that were void, so that the job was offered again",
    "adopted": "Jobs that only a worker knew",
    "reclaimed": "Jobs whose worker came back before another had them",
    "duplicates": "Jobs that came back with a worker when another had them",
    "over_accepts": "Jobs that a worker accepted and had no room for",
    "suspicious": "Jobs that a dead process may have swallowed",
    "updates_late": "Ends that were told after the job's end",
    "updates_strange": "Updates of a job that the worker never had",
    "messages_malformed": "Messages that could not be used",
    "messages_unknown": "Messages of a type that is not known",
    "workers_lost": "Workers that did not come back",
}


class Metrics:
    """Of one registry."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self._dispatch = Histogram(
            "dispatch_seconds", "From a dispatch to its assignment", ["outcome"], buckets=BUCKETS,
            namespace="workbench_registry", registry=self.registry,
        )  # fmt: skip
        self.registry.register(_State(service))
        service.observers.append(self._settled)

    def text(self) -> bytes:
        """The page."""
        return generate_latest(self.registry)

    def _settled(self, job: Job, took_s: float) -> None:
        self._dispatch.labels("assigned" if job.attempts else "not_assigned").observe(max(0.0, took_s))


class _State(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """The state as it is now."""
        desk = self._service.core.desk
        yield _labelled("workers", "Workers", ["agent", "kind"], Counter(
            (worker.agent_name, worker.kind) for worker in desk.workers.values() if worker.link is not None
        ))  # fmt: skip
        yield _labelled("slots", "Slots of connected workers", ["agent"], Counter(_slots(self._service, "room")))
        yield _labelled("slots_used", "Slots that are taken", ["agent"], Counter(_slots(self._service, "used")))
        yield _labelled(
            "jobs", "Jobs that have not ended", ["status"], Counter((j.status,) for j in desk.active.values())
        )
        yield GaugeMetricFamily("workbench_registry_queue", "Jobs that wait for a worker", value=desk.queued)
        ends = CounterMetricFamily("workbench_registry_jobs", "Jobs that have ended", labels=["status", "reason"])
        for labels, count in desk.ends.items():
            ends.add_metric(labels, count)
        yield ends
        yield self._by("offers", "Offers", "answer", {name: f"offers_{name}" for name in ANSWERS})
        yield self._by("refusals", "Refusals of workers", "reason", self._prefixed("refusals_"))
        yield self._by("refused", "Dispatches that were refused", "reason", self._prefixed("refused_"))
        for name, words in PLAIN.items():
            yield CounterMetricFamily(f"workbench_registry_{name}", words, value=desk.counters[name])
        info = GaugeMetricFamily("workbench_registry_info", "The registry", labels=["version"])
        info.add_metric([__version__], 1)
        yield info

    def _by(self, name: str, words: str, label: str, keys: dict[str, str]) -> Metric:
        family = CounterMetricFamily(f"workbench_registry_{name}", words, labels=[label])
        for value, key in keys.items():
            family.add_metric([value], self._service.core.desk.counters[key])
        return family

    def _prefixed(self, prefix: str) -> dict[str, str]:
        return {key.removeprefix(prefix): key for key in self._service.core.desk.counters if key.startswith(prefix)}


def _slots(service: Service, what: str) -> dict[tuple[str], int]:
    total: dict[tuple[str], int] = {}
    for worker in service.core.desk.workers.values():
        if worker.link is not None:
            key = (worker.agent_name,)
            total[key] = total.get(key, 0) + getattr(worker, what)
    return total


def _labelled(name: str, words: str, labels: list[str], counts: Mapping[Any, int]) -> Metric:
    family = GaugeMetricFamily(f"workbench_registry_{name}", words, labels=labels)
    for values, count in counts.items():
        family.add_metric(list(values), count)
    return family
