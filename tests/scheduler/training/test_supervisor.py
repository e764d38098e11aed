"""Supervisor: a training program's session, checkpoints, summaries and threads."""

from __future__ import annotations

import pytest

import weftwork as tf
from tests.waiting import until


def _model():
    step = tf.train.get_or_create_global_step()
    w = tf.Variable(3.0, name="w")
    tf.summary.scalar("w", w)
    return step, w, w.assign_add(1.0), step.assign_add(1)


def test_it_initialises_saves_and_restores(graph, tmp_path):
    step, w, *train = _model()
    supervisor = tf.train.Supervisor(logdir=str(tmp_path), save_model_secs=0, save_summaries_secs=0)
    assert graph.finalized
    with supervisor.managed_session() as session:
        session.run(train)
        supervisor.saver.save(session, supervisor.save_path, global_step=supervisor.global_step)
    assert supervisor.should_stop()
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-1")
    with tf.Graph().as_default():
        step, w, *_ = _model()
        again = tf.train.Supervisor(logdir=str(tmp_path), save_model_secs=0, save_summaries_secs=0)
        with again.managed_session() as session:
            assert session.run([w, step]) == [4, 1]


def test_its_services_save_and_write_by_themselves(graph, tmp_path):
    _model()
    supervisor = tf.train.Supervisor(logdir=str(tmp_path), save_model_secs=0.05, save_summaries_secs=0.05)
    with supervisor.managed_session() as session:
        supervisor.summary_computed(session, session.run(supervisor.summary_op))
        until(lambda: tf.train.latest_checkpoint(str(tmp_path)))
    assert list(tmp_path.glob("events*"))


def test_what_is_raised_inside_comes_out_and_the_end_of_the_data_does_not(graph):
    _model()
    supervisor = tf.train.Supervisor(logdir=None)
    with pytest.raises(ZeroDivisionError), supervisor.managed_session():
        raise ZeroDivisionError
    with supervisor.managed_session():
        raise tf.errors.OutOfRangeError(None, None, "the end")


def test_threads_run_until_it_stops(graph):
    _model()
    supervisor = tf.train.Supervisor(logdir=None, summary_op=None)
    calls = []
    with supervisor.managed_session():
        supervisor.loop(0.01, calls.append, args=(1,))
        until(lambda: len(calls) > 2)
    assert supervisor.should_stop()
    with tf.Graph().as_default(), pytest.raises(RuntimeError, match="Only chief supervisor"):
        tf.train.Supervisor(is_chief=False).start_standard_services(None)


def test_a_second_supervisor_finds_what_the_first_has_made(graph, tmp_path):
    v = tf.Variable(3.0, name="v")
    first = tf.train.Supervisor(logdir=tmp_path, save_model_secs=0, save_summaries_secs=0, init_feed_dict={})
    with first.managed_session() as session:
        assert session.run(v) == 3
    assert first.init_feed_dict == {}
    second = tf.train.Supervisor(summary_op=None)
    assert (second.init_op, second.ready_op, second.saver) == (first.init_op, first.ready_op, first.saver)
    with second.managed_session() as session:
        assert session.run(v) == 3
        assert second.start_standard_services(session) is None


def test_a_replica_needs_to_know_where_each_variable_is(graph):
    tf.Variable(1.0, name="v")
    with pytest.raises(ValueError, match="all Variables must have their device set"):
        tf.train.Supervisor(is_chief=False)


def _told(path):
    """What an event file tells of a session, in order, without the summaries of the model."""
    (file,) = path.glob("events*")
    for event in tf.train.summary_iterator(str(file)):
        kind = event.WhichOneof("what")
        if kind == "session_log":
            yield tf.SessionLog.SessionStatus.Name(event.session_log.status), event.step
        elif kind == "summary":
            yield from [(value.tag, event.step) for value in event.summary.value if "/sec" in value.tag]
        else:
            yield kind


def test_its_events_tell_of_the_graph_the_start_the_checkpoints_and_the_end(graph, tmp_path):
    _model()
    supervisor = tf.train.Supervisor(logdir=str(tmp_path), save_model_secs=1000, save_summaries_secs=1000)
    with supervisor.managed_session():
        until(lambda: tf.train.latest_checkpoint(str(tmp_path)))
    told = [*_told(tmp_path)]
    assert told[:3] == ["file_version", "graph_def", "meta_graph_def"]
    assert (told[3], told[-1]) == (("START", 0), ("STOP", 0))
    assert {*told[4:-1]} <= {("CHECKPOINT", 0), ("global_step/sec", 0)}
    assert ("CHECKPOINT", 0) in told


def test_the_old_names_of_its_methods_still_work(graph):
    _model()
    supervisor = tf.train.Supervisor(logdir=None, summary_op=None)
    session = supervisor.PrepareSession(start_standard_services=False)
    assert supervisor.StartQueueRunners(session) == []
    assert supervisor.StartStandardServices(session) is None
    with pytest.raises(RuntimeError, match="Writing a summary requires a summary writer"):
        supervisor.SummaryComputed(session, b"")
    with supervisor.StopOnException():
        supervisor.RequestStop()
    supervisor.WaitForStop()
    assert supervisor.ShouldStop()
    supervisor.Stop()
    session.close()
