"""Counters: of a session's runs, and of all runs of the program for Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Listening, Stream, listen


@dataclass(frozen=True)
class Stats:
    """Totals of a session.

    runs, failed: number of runs that succeeded and failed.   nodes: number of nodes that ran, by place ("caller",
    "thread", "resident" for local workers, "task", "actor", "queue", "nested").
    seconds: time of nodes, by place; bytes_in, bytes_out: bytes of their inputs and outputs. These count segments of at
    least a millisecond, and shorter ones while there was a listener.
    lost: processes that died while running nodes.   retried: calls that were repeated after an error.
    repaired: how often a run began again because a value was lost.   copied: speculative copies of tasks.
    stayed: functions that turned out to run only in the program's process.   spilled: bytes that went to disk.
    waited: seconds for which runs waited for variables that other runs were writing.
    """

    runs: int = 0
    failed: int = 0
    nodes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0
    lost: int = 0
    retried: int = 0
    repaired: int = 0
    copied: int = 0
    stayed: int = 0
    spilled: int = 0
    waited: float = 0.0


class Counting:
    """Counts the events of one session that are reported anyway."""

    def __init__(self, stream: Stream):
        self._counts: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._waited = 0.0
        self._lock = threading.Lock()
        stream.listen(self._take, passive=True)

    def _take(self, event: Event) -> None:
        with self._lock:
            if event.kind == "segment":
                self._seconds[event.lane.place] += event.seconds  # type: ignore[assignment]
                self._counts["bytes_in"] += event.bytes_in
                self._counts["bytes_out"] += event.bytes_out
            elif event.kind == "ended":
                self._counts["failed"] += bool(event.text)
            elif event.kind == "spilled":
                self._counts["spilled"] += event.bytes_out
            elif event.kind == "locked":
                self._waited += event.seconds
            elif event.kind in _COUNTED:
                self._counts[event.kind] += 1

    def stats(self, engine: Any) -> Stats:
        """The totals so far.   engine: knows the number of runs and nodes."""
        with self._lock:
            nodes = {place: count for place, (_, count) in sorted(engine.ran.items())}
            seconds = {place: float(total) for place, total in sorted(self._seconds.items())}
            return Stats(engine.runs, nodes=nodes, seconds=seconds, waited=self._waited, **self._counts)


_COUNTED = ("lost", "retried", "repaired", "copied", "stayed")


# Prometheus


def export_metrics(registry: Any = None) -> Exporting:
    """Count what all sessions of this program do, for Prometheus, from now on.

    registry: a `prometheus_client.CollectorRegistry`; by default the global one. Serve it as usual, with
    `prometheus_client.start_http_server(8000)`. The counters are `weftwork_runs_total` (by `outcome`),
    `weftwork_run_seconds` (a histogram), `weftwork_nodes_total` and `weftwork_node_seconds_total` (by `place`),
    `weftwork_bytes_total` (by `direction`), `weftwork_lost_total`, `weftwork_retried_total`, `weftwork_repaired_total`.
    Returns an object with a `close()` method that ends it, also usable in a `with` statement. Raises ImportError if
    prometheus_client is not installed.
    """
    try:
        import prometheus_client
    except ImportError as error:
        raise ImportError("tf.export_metrics needs prometheus_client: pip install 'weftwork[metrics]'") from error
    return Exporting(prometheus_client, registry or prometheus_client.REGISTRY)


class Exporting:
    """Counts for Prometheus until it is closed."""

    def __init__(self, client: Any, registry: Any):
        def counter(name: str, text: str, *labels: str) -> Any:
            return client.Counter(f"weftwork_{name}", text, labels, registry=registry)

        self._registry = registry
        self._runs = counter("runs", "Runs that ended.", "outcome")
        self._took = client.Histogram("weftwork_run_seconds", "Seconds of runs.", registry=registry)
        self._nodes = counter("nodes", "Nodes that ran.", "place")
        self._seconds = counter("node_seconds", "Seconds for which nodes ran.", "place")
        self._bytes = counter("bytes", "Bytes of the values that nodes took and made.", "direction")
        self._rare = {
            "lost": counter("lost", "Processes that died while running nodes."),
            "retried": counter("retried", "Calls that failed and were repeated."),
            "repaired": counter("repaired", "Runs that began again because a value was lost."),
        }
        self._listening: Listening | None = listen(self._take)

    def _take(self, event: Event) -> None:
        if event.kind == "segment":
            self._nodes.labels(event.lane.place).inc(len(event.ops))
            self._seconds.labels(event.lane.place).inc(event.seconds)
            self._bytes.labels("in").inc(event.bytes_in)
            self._bytes.labels("out").inc(event.bytes_out)
        elif event.kind == "ended":
            self._runs.labels("failed" if event.text else "done").inc()
            self._took.observe(event.seconds)
        elif event.kind in self._rare:
            self._rare[event.kind].inc()

    def close(self) -> None:
        """Stop counting, and remove the counters from the registry. A second call does nothing."""
        if self._listening is None:
            return
        self._listening.close()
        self._listening = None
        for metric in (self._runs, self._took, self._nodes, self._seconds, self._bytes, *self._rare.values()):
            self._registry.unregister(metric)

    def __enter__(self) -> Exporting:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
