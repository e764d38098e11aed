"""Counters of runs: of a session, and for Prometheus."""

from __future__ import annotations

import builtins
import logging
import os
import time

import prometheus_client
import pytest

import weftwork as tf
from tests.waiting import LONG


@tf.op
def slow(n):
    """Takes longer than a millisecond."""
    time.sleep(0.003)
    return n


def flaky(folder):
    """A function that fails once."""

    def function():
        if (folder / "called").exists():
            return "done"
        (folder / "called").touch()
        raise OSError("not yet")

    return tf.op(retries=1, here=True)(function)()


def dying(folder):
    """A function whose process dies once."""

    def function():
        if (folder / "died").exists():
            return "done"
        (folder / "died").touch()
        os._exit(1)

    return tf.op(function)()


@pytest.fixture
def session(graph):
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        yield session


def test_a_session_counts_its_runs_and_nodes_also_where_nobody_listens(session):
    assert session.stats().runs == 0
    p = tf.placeholder(tf.int32, [])
    for _ in range(5):
        session.run(p + 1, {p: 2})
    session.run([slow(1), slow(2)])
    with pytest.raises(tf.errors.OpError):
        session.run(tf.op(lambda: 1 // 0)())
    stats = session.stats()
    assert (stats.runs, stats.failed) == (6, 1)
    assert stats.nodes["caller"] >= 7
    assert 0.006 <= stats.seconds["caller"] < LONG
    assert stats.bytes_out > 0


def test_retries_and_lost_processes_are_counted_and_logged(graph, tmp_path, caplog):
    caplog.set_level(logging.INFO, "weftwork")
    with tf.Session(config=tf.ConfigProto(placement="dynamic")) as session:
        assert session.run([flaky(tmp_path), dying(tmp_path)]) == ["done", "done"]
        stats = session.stats()
    assert (stats.runs, stats.failed, stats.lost, stats.retried) == (1, 0, 1, 1)
    lines = [record.getMessage() for record in caplog.records if record.name == "weftwork"]
    assert any("a local worker was lost, and function" in line and "will run again" in line for line in lines)
    assert any("failed with OSError: not yet. Try 2 of 2 follows at once" in line for line in lines)


def test_plans_are_logged_where_the_level_asks_for_them(graph, caplog):
    p = tf.placeholder(tf.int32, [])
    with tf.Session() as session:
        caplog.set_level(logging.INFO, "weftwork")
        session.run(p + 1, {p: 2})
        assert caplog.records == []
        caplog.set_level(logging.DEBUG, "weftwork")
        session.run(p + 2, {p: 2})
        (line,) = [record.getMessage() for record in caplog.records if "planned in" in record.getMessage()]
    assert ": 1 node, " in line


def test_overhearing_does_not_make_short_runs_report_anything(session):
    p = tf.placeholder(tf.int32, [])
    node = p + 1
    for _ in range(3):
        session.run(node, {p: 2})
    before = len(session.events())
    session.run(node, {p: 2})
    assert len(session.events()) == before


def values(registry):
    """The samples of a registry, by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def test_prometheus_counts_the_runs_of_all_sessions_until_it_is_told_not_to(session):
    registry = prometheus_client.CollectorRegistry()
    exporting = tf.export_metrics(registry)
    session.run([slow(1), slow(2)])
    with tf.Session() as other, pytest.raises(tf.errors.OpError):
        other.run(tf.op(here=True)(lambda: 1 // 0)())
    found = values(registry)
    assert found["weftwork_runs_total", "done"] == found["weftwork_runs_total", "failed"] == 1
    assert found["weftwork_nodes_total", "caller"] == 2
    assert found["weftwork_node_seconds_total", "caller"] >= 0.006
    assert (found["weftwork_run_seconds_count",], found["weftwork_lost_total",]) == (2, 0)
    exporting.close()
    exporting.close()
    assert values(registry) == {}
    with tf.export_metrics(registry):
        session.run(slow(3))
        assert values(registry)["weftwork_runs_total", "done"] == 1


@pytest.mark.parametrize("name", ["metrics", "spans"])
def test_what_is_not_installed_is_named_with_how_to_install_it(name, monkeypatch):
    usual = builtins.__import__

    def without(module, *args, **kwargs):
        if module in ("prometheus_client", "opentelemetry"):
            raise ImportError(module)
        return usual(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'weftwork\["):
        getattr(tf, f"export_{name}")()
