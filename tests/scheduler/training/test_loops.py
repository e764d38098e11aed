"""Training loops and what evaluates their checkpoints; replicas that wait for each other."""

from __future__ import annotations

import time

import numpy as np
import pytest

import weftwork as tf
from tests.waiting import LONG, until

slim = tf.contrib.slim


def test_a_basic_loop_runs_until_somebody_says_stop(graph):
    step = tf.train.get_or_create_global_step()
    more = tf.assign_add(step, 1)
    supervisor = tf.train.Supervisor(logdir=None)

    def one(session, last):
        if session.run(more) == last:
            supervisor.request_stop()

    tf.train.basic_train_loop(supervisor, one, args=(3,))
    assert supervisor.should_stop()


def saved(folder, value, number=0):
    with tf.Graph().as_default(), tf.Session() as session:
        v = tf.get_variable("v", [4], initializer=tf.constant_initializer(value))
        session.run(v.initializer)
        return tf.train.Saver().save(session, str(folder / "model"), global_step=number)


def test_checkpoints_are_given_as_they_come(tmp_path):
    assert list(tf.train.checkpoints_iterator(str(tmp_path), timeout=0)) == []
    paths = tf.train.checkpoints_iterator(str(tmp_path), timeout=0)
    first = saved(tmp_path, 1.0, 1)
    assert next(paths) == first
    second = saved(tmp_path, 2.0, 2)
    assert list(paths) == [second]


def test_variables_start_from_a_checkpoint_by_their_names(graph, tmp_path):
    path = saved(tmp_path, 3.0)
    v = tf.get_variable("v", [4], partitioner=tf.fixed_size_partitioner(2))
    other = tf.get_variable("other", [4])
    tf.train.warm_start(path, ["v", "other"], var_name_to_prev_var_name={"other": "v"})
    tf.train.init_from_checkpoint(path, {"v": list(v)})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([v.as_tensor(), other])[0].tolist() == [3] * 4
        assert session.run(other).tolist() == [3] * 4
    with pytest.raises(ValueError, match="were not used"):
        tf.train.warm_start(path, "v", var_name_to_prev_var_name={"nobody": "v"})


def vocabulary(folder, name, *entries):
    (folder / name).write_text("".join(f"{entry}\n" for entry in entries))
    return str(folder / name)


@pytest.fixture
def lettered(tmp_path):
    """A checkpoint of a 3 x 2 variable whose rows are a, b, c, and its vocabulary."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("v", initializer=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(tmp_path / "model")), vocabulary(tmp_path, "old", "a", "b", "c")


@pytest.mark.parametrize("parts", [1, 2])
def test_rows_follow_their_entries_into_another_vocabulary(graph, tmp_path, lettered, parts):
    path, old = lettered
    new = vocabulary(tmp_path, "new", "c", "d", "a", "not used")
    v = tf.get_variable("v", [4, 2], partitioner=tf.fixed_size_partitioner(parts))
    info = tf.train.VocabInfo(new, 3, 1, old, backup_initializer=tf.constant_initializer(9.0))
    tf.train.warm_start(path, "v", {"v": info})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(v.as_tensor()).tolist() == [[5, 6], [9, 9], [1, 2], [9, 9]]


def test_columns_follow_their_entries_and_old_entries_may_be_left_out(graph, tmp_path, lettered):
    path, _ = lettered
    old, new = vocabulary(tmp_path, "two", "x", "y"), vocabulary(tmp_path, "new", "y", "z", "x")
    v, w = tf.get_variable("v", [3, 3]), tf.get_variable("w", [3, 4])
    infos = {"v": tf.train.VocabInfo(new, 3, 0, old, axis=1), "w": tf.train.VocabInfo(new, 3, 1, old, 1, axis=1)}
    tf.train.warm_start(path, None, infos, {"w": "v"})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(v).tolist() == [[2, 0, 1], [4, 0, 3], [6, 0, 5]]
        assert session.run(w).tolist() == [[0, 0, 1, 0], [0, 0, 3, 0], [0, 0, 5, 0]]


def test_a_warm_start_that_does_not_fit_is_refused(graph, tmp_path, lettered):
    path, old = lettered
    v = tf.get_variable("v", [4, 2])
    kinds = [
        (dict(vars_to_warm_start="v", var_name_to_vocab_info={"x": tf.train.VocabInfo(old, 3, 1, old)}), "not used"),
        (dict(vars_to_warm_start=len), "must be a `list` or `str`"),
        (dict(vars_to_warm_start=[graph]), "must be all `Variable` or all `str`"),
        (dict(var_name_to_vocab_info={"v": tf.train.VocabInfo(old, 4, 0, old)}), "3 entries, but new_vocab_size is 4"),
        (dict(var_name_to_vocab_info={"v": tf.train.VocabInfo(old, 3, 0, old)}), r"has 4 rows, but .* 3 \+ 0"),
    ]
    for given, text in kinds:
        with pytest.raises(ValueError, match=text):
            tf.train.warm_start(path, **given)
    with pytest.raises(ValueError, match="Provided axis: 2"):
        tf.train.VocabInfo(old, 3, 0, old, axis=2)
    with pytest.raises(tf.errors.NotFoundError):
        tf.train.warm_start(str(tmp_path / "nowhere"), [v])


def test_slim_trains_and_evaluates(graph, tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("f")
    y = (x.sum(1) > 0).astype(np.int64)

    def logits(values):
        with slim.arg_scope([slim.fully_connected], weights_regularizer=slim.l2_regularizer(1e-4)):
            return slim.fully_connected(values, 2, activation_fn=None, scope="logits")

    tf.losses.sparse_softmax_cross_entropy(y, logits(x))
    train_op = slim.learning.create_train_op(tf.losses.get_total_loss(), tf.train.AdamOptimizer(0.1))
    loss = slim.learning.train(train_op, str(tmp_path), number_of_steps=40, log_every_n_steps=10)
    assert loss < 0.4
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("-40")
    with tf.Graph().as_default():
        values, updates = slim.metrics.aggregate_metric_map(
            {"accuracy": slim.metrics.streaming_accuracy(tf.argmax(logits(x), 1), tf.constant(y))}
        )
        given = {"num_evals": 1, "eval_op": list(updates.values()), "final_op": values}
        path = tf.train.latest_checkpoint(str(tmp_path))
        assert slim.evaluation.evaluate_once("", path, None, **given)["accuracy"] > 0.9
        found = slim.evaluation.evaluation_loop(
            "", str(tmp_path), None, max_number_of_evaluations=1, eval_interval_secs=0, **given
        )
        assert found["accuracy"] > 0.9


def test_contribs_loop_trains_until_a_hook_says_stop(graph):
    v = tf.get_variable("v", [], initializer=tf.ones_initializer())
    tf.train.get_or_create_global_step()
    train_op = tf.contrib.training.create_train_op(v * v, tf.train.GradientDescentOptimizer(0.1))
    hooks = [tf.train.StopAtStepHook(num_steps=3)]
    assert tf.contrib.training.train(train_op, None, save_summaries_steps=None, hooks=hooks) < 1
    with pytest.raises(ValueError, match="logdir cannot be None"):
        tf.contrib.training.train(train_op, None)


def replica():
    step = tf.train.get_or_create_global_step()
    v, table = tf.Variable(0.0, name="v"), tf.Variable(np.zeros((3, 2), "f"), name="table")
    optimizer = tf.train.SyncReplicasOptimizer(tf.train.GradientDescentOptimizer(1.0), 1)
    loss = v * 0.5 + tf.reduce_sum(tf.gather(table, [1]))
    return step, v, table, optimizer, optimizer.minimize(loss, global_step=step)


def test_replicas_train_by_the_mean_of_their_gradients_and_end_at_once(graph):
    step, v, table, optimizer, train_op = replica()
    begun = time.monotonic()
    with tf.train.MonitoredTrainingSession(hooks=[optimizer.make_session_run_hook(True)]) as session:
        for _ in range(3):
            session.run(train_op)
        until(lambda: session.run(step) >= 2)
        count, value, rows = session.run([step, v, table])
        assert value == -0.5 * count
        assert rows.tolist() == [[0, 0], [-count, -count], [0, 0]]
    assert time.monotonic() - begun < LONG  # the runner waits for gradients for ever: it is told to stop
    assert optimizer.get_slot_names() == []


def test_missing_arguments_of_sync_replicas_are_reported(graph):
    optimizer = tf.train.SyncReplicasOptimizer(tf.train.GradientDescentOptimizer(1.0), 2)
    v = tf.Variable(0.0)
    with pytest.raises(ValueError, match="Global step is required"):
        optimizer.apply_gradients([(tf.constant(1.0), v)])
    with pytest.raises(ValueError, match="after apply_gradients"):
        optimizer.get_init_tokens_op()
    with pytest.raises(ValueError, match="at least one variable"):
        optimizer.apply_gradients([])
