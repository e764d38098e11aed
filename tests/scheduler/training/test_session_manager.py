"""Session managers: sessions whose model is ready, from a checkpoint or from scratch."""

import threading

import numpy as np
import pytest

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session", "graph")


def model(value=1):
    return tf.Variable(np.int64(value), name="v")


def manager(**more):
    return tf.train.SessionManager(ready_op=tf.report_uninitialized_variables(), recovery_wait_secs=0.05, **more)


def saved(folder, value):
    """A checkpoint in a folder, of a model whose variable has this value."""
    with tf.Graph().as_default():
        model(value)
        saver = tf.train.Saver()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            return saver.save(session, str(folder / "model"), global_step=value)


def test_a_model_without_a_checkpoint_is_initialised(tmp_path):
    v, w = model(), tf.Variable(np.int64(2), name="w")
    x = tf.placeholder(tf.int64, [])
    init = tf.group(v.initializer, w.assign(x))
    called = []
    with manager().prepare_session(
        "",
        init_op=init,
        saver=tf.train.Saver(),
        checkpoint_dir=str(tmp_path),
        init_feed_dict={x: 7},
        init_fn=called.append,
    ) as session:
        assert session.run([v, w]) == [1, 7]
        assert called == [session]


def test_a_model_with_a_checkpoint_is_restored(tmp_path):
    v = model()
    path = saved(tmp_path, 9)
    saver = tf.train.Saver()
    with manager().prepare_session("", v.initializer, saver, checkpoint_dir=str(tmp_path)) as session:
        assert session.run(v) == 9
        assert saver.last_checkpoints == [path]
    with manager().prepare_session("", v.initializer, saver, checkpoint_filename_with_path=path) as session:
        assert session.run(v) == 9


def test_a_checkpoint_may_be_waited_for(tmp_path):
    v = model()
    saver = tf.train.Saver()
    timer = threading.Timer(0.3, saved, (tmp_path, 5))
    timer.start()
    with manager().prepare_session(
        "", v.initializer, saver, checkpoint_dir=str(tmp_path), wait_for_checkpoint=True, max_wait_secs=30
    ) as session:
        assert session.run(v) == 5
    timer.join()


def test_what_is_local_is_initialised_when_the_model_is_ready(tmp_path):
    v = model(3)
    local = tf.Variable(v * 2, trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES])
    ready = tf.report_uninitialized_variables(tf.global_variables())
    made = manager(local_init_op=local.initializer, ready_for_local_init_op=ready)
    with made.prepare_session("", init_op=v.initializer) as session:
        assert session.run(local) == 6
    saved(tmp_path, 4)
    session, is_ready = made.recover_session("", tf.train.Saver([v]), str(tmp_path))
    with session:
        assert is_ready
        assert session.run(local) == 8


def test_recovery_says_whether_the_model_is_ready(tmp_path):
    v, _ = model(), tf.Variable(0, name="other")
    session, is_ready = manager().recover_session("", tf.train.Saver([v]), str(tmp_path))
    session.close()
    assert not is_ready
    saved(tmp_path, 4)
    session, is_ready = manager().recover_session("", tf.train.Saver([v]), str(tmp_path))
    session.close()
    assert not is_ready


def test_what_is_not_ready_is_named():
    v, w = model(), tf.Variable(0, name="w")
    with pytest.raises(RuntimeError, match="Model is not initialized and no init_op or init_fn or local_init_op was"):
        manager().prepare_session("")
    with pytest.raises(RuntimeError) as info:
        manager().prepare_session("", init_op=v.initializer)
    text = "Init operations did not make model ready.  Init op: v/Assign, init fn: None, local_init_op: None, error: "
    assert str(info.value) == text + "Variables not initialized: w"
    ready = tf.report_uninitialized_variables([w])
    local = manager(local_init_op=tf.no_op(), ready_for_local_init_op=ready)
    with pytest.raises(RuntimeError, match="did not make model ready for local_init.  Init op: v/Assign"):
        local.prepare_session("", init_op=v.initializer)


def test_a_worker_waits_for_the_chief():
    server = tf.train.Server.create_local_server()
    v = model(6)
    chief = tf.Session(server.target)
    made = manager()
    timer = threading.Timer(0.3, chief.run, (v.initializer,))
    timer.start()
    with made.wait_for_session(server.target, max_wait_secs=30) as session:
        assert session.run(v) == 6
    timer.join()
    chief.close()
    tf.Session.reset(server.target)


def test_nobody_waits_for_ever():
    model()
    with pytest.raises(tf.errors.DeadlineExceededError, match="Session was not ready after waiting 0.1 secs."):
        manager().wait_for_session("", max_wait_secs=0.1)


def test_bad_arguments_are_refused(tmp_path):
    model()
    with pytest.raises(ValueError, match="Can not provide both checkpoint_dir and checkpoint_filename_with_path"):
        manager().prepare_session("", checkpoint_dir="a", checkpoint_filename_with_path="b")
    with pytest.raises(ValueError, match="If you pass a ready_for_local_init_op you must also pass a local_init_op"):
        manager(ready_for_local_init_op=tf.no_op())
