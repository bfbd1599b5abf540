"""`/metrics`: counters and histograms fed by the events, gauges read from the state at each scrape."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from workbench.model import events as ev
from workbench.model.admission import STATUSES
from workbench.model.state import PROCESS_MOVES, State

START_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
DURATION_BUCKETS = (1, 5, 15, 60, 300, 900, 1800, 3600, 14400)


class Metrics:
    """One registry per worker; listens to its events."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.registry = CollectorRegistry()
        made: Any = {"registry": self.registry, "namespace": "workbench"}
        self._jobs = Counter("jobs", "Jobs that have ended", ["status", "reason"], **made)
        self._refused = Counter("jobs_refused", "Jobs not taken", ["reason"], **made)
        self._start = Histogram(
            "job_start_seconds",
            "Acceptance to the entrypoint's first line",
            ["warm"],
            buckets=START_BUCKETS,
            **made,
        )
        self._duration = Histogram("job_duration_seconds", "First line to end", buckets=DURATION_BUCKETS, **made)
        self._restarts = Counter("process_restarts", "Processes that died unasked", ["reason"], **made)
        self._reloads = Counter("reloads", "Generations made", ["result"], **made)
        self._reload_s = Histogram("reload_seconds", "Start of a generation to serving", **made)
        self._retries = Counter("registry_retries", "Connection tries of the registry link", **made)
        self.registry.register(_Gauges(state))

    def on_event(self, event: ev.Event) -> None:
        """Count what happened."""
        match event:
            case ev.JobEnded():
                self._jobs.labels(event.status, event.reason).inc()
                job = self._state.jobs.get(event.id)  # forgotten at once when it is the oldest of too many
                if job is not None and job.started_at is not None:
                    self._duration.observe(max(0.0, event.at - job.started_at))
            case ev.JobRefused():
                self._refused.labels(event.reason).inc()
            case ev.JobStarted():
                warm = str(bool(self._state.jobs[event.id].warm)).lower()
                self._start.labels(warm).observe(event.start_latency_ms / 1e3)
            case ev.ProcessExited() if event.unexpected:
                self._restarts.labels(event.signal or "exited").inc()
            case ev.ReloadDone():
                self._reloads.labels("promoted").inc()
                self._reload_s.observe(event.took_ms / 1e3)
            case ev.ReloadFailed():
                self._reloads.labels("failed").inc()
            case ev.LinkChanged() if event.state == "connecting" and event.attempt:
                self._retries.inc()

    def text(self) -> bytes:
        """The page."""
        return generate_latest(self.registry)


def _or_infinity(value: float | None) -> float:
    return float("inf") if value is None else value


def _idle_target(state: State) -> int:
    """What the contract keeps warm: as many as asked for, as far as max_processes leaves room beside the jobs."""
    room = (state.option("max_processes") or 0) - len(state.active_jobs())
    return max(0, min(state.option("num_idle_processes") or 0, room))


class _Gauges(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """The state as it is now."""
        state, worker = self._state, self._state.worker
        by_state = GaugeMetricFamily("workbench_processes", "Processes by state", labels=["state"])
        for name in PROCESS_MOVES:
            if name != "dead":
                by_state.add_metric([name], len(state.live(name)))
        yield by_state
        single = {
            "idle_target": ("Idle processes wanted", _idle_target(state)),
            "load": ("Load that load_threshold is held against; none before there are samples", state.load.load),
            "load_threshold": ("Load at which jobs are refused", _or_infinity(state.option("load_threshold"))),
            "registry_connected": ("1 while the registry link is up", state.link.state == "connected"),
            "draining": ("1 while no new jobs are taken", worker.draining),
        }
        for name, (words, value) in single.items():
            yield GaugeMetricFamily(f"workbench_{name}", words, value=None if value is None else float(value))
        for name, words in (("log_lines", "Lines of output taken"), ("log_lines_dropped", "Lines not kept")):
            family = Metric(f"workbench_{name}", words, "counter")
            family.add_sample(f"workbench_{name}_total", {}, state.counters[name])
            yield family
        admission = Metric("workbench_admission_changes", "Times the worker came into a status", "counter")
        for status in STATUSES:
            count = state.counters[f"admission_{status}"]
            admission.add_sample("workbench_admission_changes_total", {"status": status}, count)
        yield admission
        yield from self._per_process()
        info = GaugeMetricFamily("workbench_info", "The worker", labels=["version", "agent_id"])
        info.add_metric([worker.version, worker.agent_id], 1)
        yield info

    def _per_process(self) -> Iterator[Metric]:
        families = {
            "process_memory_bytes": ("Memory of the process tree", "memory_mb", 1e6),
            "process_cpu_ratio": ("CPU share, 1 is one core", "cpu", 1.0),
            "loop_lag_seconds": ("Lag of its event loop", "loop_lag_ms", 1e-3),
        }
        for name, (words, field, factor) in families.items():
            family = GaugeMetricFamily(f"workbench_{name}", words, labels=["pid"])
            for process in self._state.processes.values():
                value = getattr(process, field)
                if value is not None:
                    family.add_metric([str(process.pid)], value * factor)
            yield family
