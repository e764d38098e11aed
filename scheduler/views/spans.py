"""OpenTelemetry spans: one for each run, with its segments as children."""

from __future__ import annotations

import threading
from operator import attrgetter
from typing import Any

from weftwork.graph.drawing.words import listed
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Listening, listen

_MOMENTS = ("lost", "retried", "repaired", "copied", "stayed", "spilled", "locked", "planned", "committed")


def export_spans(tracer_provider: Any = None) -> Listening:
    """Create an OpenTelemetry span for each run of all sessions of this program, and for its segments, from now on.

    tracer_provider: of OpenTelemetry's API; by default the global one. A run is a child of the span that is current
    when it begins. Spans have the times of the events. Their attributes are `weftwork.place`, `.machine`, `.pid`,
    `.nodes` (the number of nodes), `.first` (where the first node was made), `.bytes_in`, `.bytes_out`. Rare events,
    such as retries, are events of the run's span, and an error is its status.
    Returns an object with a `close()` method that ends it, also usable in a `with` statement. Raises ImportError if
    opentelemetry-api is not installed.
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise ImportError("tf.export_spans needs opentelemetry-api: pip install 'weftwork[tracing]'") from error
    provider = tracer_provider or trace.get_tracer_provider()
    return listen(_Spans(trace, provider.get_tracer("weftwork")).take)


class _Spans:
    """The active runs, as spans."""

    def __init__(self, trace: Any, tracer: Any):
        self._trace, self._tracer = trace, tracer
        self._runs: dict[int, Any] = {}
        self._lock = threading.Lock()

    def take(self, event: Event) -> None:
        """Process an event."""
        if event.kind == "began":
            span = self._tracer.start_span(f"run {event.text}", start_time=_ns(event.start))
            with self._lock:
                self._runs[event.run] = span
            return
        span = self._runs.get(event.run)
        if span is None:
            return
        if event.kind in ("segment", "failed"):
            self._segment(span, event)
        elif event.kind in _MOMENTS:
            span.add_event(event.kind, _attributes(event), timestamp=_ns(event.start))
        elif event.kind == "ended":
            if event.text:
                span.set_status(self._trace.StatusCode.ERROR, event.text.splitlines()[0])
            span.end(end_time=_ns(event.end))
            with self._lock:
                self._runs.pop(event.run, None)

    def _segment(self, span: Any, event: Event) -> None:
        around = self._trace.set_span_in_context(span)
        child = self._tracer.start_span(
            listed(event.ops, attrgetter("name")), around, attributes=_attributes(event), start_time=_ns(event.start)
        )
        if event.kind == "failed":
            child.set_status(self._trace.StatusCode.ERROR, event.text.splitlines()[0])
        child.end(end_time=_ns(event.end))


def _ns(seconds: float) -> int:
    return int(1e9 * seconds)


def _attributes(event: Event) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "weftwork.place": event.lane.place,
        "weftwork.machine": event.lane.machine,
        "weftwork.pid": event.lane.pid,
        "weftwork.nodes": len(event.ops),
        "weftwork.first": event.ops[0].defined_at if event.ops else "",
        "weftwork.bytes_in": event.bytes_in,
        "weftwork.bytes_out": event.bytes_out,
        "weftwork.text": event.text,
    }
    return {name: value for name, value in attributes.items() if value not in ("", 0)}
