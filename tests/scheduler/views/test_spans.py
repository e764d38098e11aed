"""Spans of runs, by OpenTelemetry."""

from __future__ import annotations

import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import weftwork as tf


@pytest.fixture
def spans():
    """What makes spans, and the list of those that have ended."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    yield provider, kept.get_finished_spans
    provider.shutdown()


def test_a_run_is_a_span_with_its_segments_inside(graph, spans):
    provider, ended = spans
    node = tf.op(lambda: time.sleep(0.01), name="rest")()
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        with tf.export_spans(provider), provider.get_tracer("program").start_as_current_span("mine") as mine:
            session.run(node)
        session.run(node)
    segment, run, _ = ended()
    assert (segment.name, run.name) == ("rest", "run rest:0")
    assert segment.parent.span_id == run.context.span_id
    assert run.parent.span_id == mine.get_span_context().span_id
    assert run.start_time <= segment.start_time < segment.end_time <= run.end_time
    assert segment.end_time - segment.start_time >= 0.01e9
    assert segment.attributes["weftwork.place"] == "caller"
    assert segment.attributes["weftwork.first"] == node.op.defined_at


def test_an_error_is_the_status_of_the_runs_span_and_a_retry_an_event_of_it(graph, spans):
    provider, ended = spans
    with tf.Session() as session, tf.export_spans(provider), pytest.raises(tf.errors.OpError):
        session.run(tf.op(retries=1, here=True)(lambda: {}["nothing"])())
    node, run = ended()
    assert node.parent.span_id == run.context.span_id
    assert node.status.description == "KeyError: 'nothing'"
    assert run.status.description.startswith("UnknownError: KeyError: 'nothing'")
    assert "retried" in [event.name for event in run.events]
