"""Hooks: what they ask for is run with each step, and what they say is done."""

import logging
import os

import numpy as np
import pytest

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def train(graph):
    """A step that adds one to the global step and to "w"."""
    w = tf.Variable(0.0, name="w")
    return tf.group(w.assign_add(1.0), tf.train.get_or_create_global_step().assign_add(1))


def run_all(train, *hooks, limit=100, **more):
    """Train until a hook says stop: how many runs there were."""
    runs = 0
    with tf.train.SingularMonitoredSession(hooks=hooks, **more) as session:
        while not session.should_stop():
            session.run(train)
            runs += 1
            assert runs <= limit
    return runs


# Stopping


def test_training_stops_after_some_steps_or_at_a_step(train):
    assert run_all(train, tf.train.StopAtStepHook(num_steps=7)) == 7
    assert run_all(train, tf.train.StopAtStepHook(last_step=5)) == 5
    assert run_all(train, tf.train.StopAtStepHook(last_step=0)) == 1


def test_a_loss_that_is_no_number_ends_the_training(graph, caplog):
    x = tf.placeholder(tf.float32, [])
    loss = tf.log(x)
    session = tf.train.SingularMonitoredSession([tf.train.NanTensorHook(loss)])
    assert session.run(loss, {x: 1.0}) == 0
    with pytest.raises(tf.train.NanLossDuringTrainingError, match="NaN loss during training."):
        session.run(loss, {x: -1.0})
    session.close()
    with tf.train.SingularMonitoredSession([tf.train.NanTensorHook(loss, fail_on_nan_loss=False)]) as session:
        session.run(loss, {x: -1.0})
        assert session.should_stop()


def test_a_worker_may_be_held_back(train):
    step = tf.train.get_global_step()
    waiter = tf.train.GlobalStepWaiterHook(5)

    class Ahead(tf.train.SessionRunHook):
        def before_run(self, run_context):
            if run_context.session.run(step) < 5:
                run_context.session.run(train)

    runs = []
    with tf.train.SingularMonitoredSession([Ahead(), Ahead(), Ahead(), Ahead(), Ahead(), waiter]) as session:
        runs.append(session.run(step))
    assert runs == [5]


# Telling


def test_tensors_are_logged_every_so_often_and_at_the_end(train, caplog):
    caplog.set_level(logging.INFO, "weftwork")
    w = tf.get_default_graph().get_tensor_by_name("w:0")
    hook = tf.train.LoggingTensorHook({"weight": w}, every_n_iter=4, at_end=True)
    run_all(train, hook, tf.train.StopAtStepHook(num_steps=6))
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("weight")]
    assert len(lines) == 3
    assert lines[-1].startswith("weight = 6.0")


def test_a_formatter_makes_the_lines(train, caplog):
    caplog.set_level(logging.INFO, "weftwork")
    hook = tf.train.LoggingTensorHook(["w:0"], every_n_secs=100, formatter=lambda values: f"<{sorted(values)}>")
    run_all(train, hook, tf.train.StopAtStepHook(num_steps=6))
    assert [r.getMessage() for r in caplog.records if r.getMessage().startswith("<")] == ["<['w:0']>"]


def test_steps_in_a_second_are_counted(train, tmp_path, caplog):
    caplog.set_level(logging.INFO, "weftwork")
    hook = tf.train.StepCounterHook(every_n_steps=2, output_dir=str(tmp_path))
    run_all(train, hook, tf.train.StopAtStepHook(num_steps=7))
    assert sum(r.getMessage().startswith("global_step/sec: ") for r in caplog.records) == 3
    tf.summary.FileWriterCache.clear()
    tags = [value.tag for event in events(tmp_path) for value in event.summary.value]
    assert tags.count("global_step/sec") == 3


def events(folder):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return [event for name in sorted(os.listdir(folder)) for event in EventFileLoader(str(folder / name)).Load()]


def test_summaries_are_written_every_so_many_steps(train, tmp_path):
    tf.summary.scalar("weight", tf.get_default_graph().get_tensor_by_name("w:0"))
    hook = tf.train.SummarySaverHook(save_steps=3, output_dir=str(tmp_path), summary_op=tf.summary.merge_all())
    run_all(train, hook, tf.train.StopAtStepHook(num_steps=8))
    tf.summary.FileWriterCache.clear()
    weights = [e.step for e in events(tmp_path) if any(v.tag == "weight" for v in e.summary.value)]
    assert weights == [1, 4, 7]


# Saving


def test_checkpoints_are_saved_at_the_beginning_every_so_many_steps_and_at_the_end(train, tmp_path):
    told = []

    class Listener(tf.train.CheckpointSaverListener):
        def begin(self):
            told.append("begin")

        def before_save(self, session, global_step_value):
            told.append(("before", int(global_step_value)))

        def after_save(self, session, global_step_value):
            told.append(("after", int(global_step_value)))

        def end(self, session, global_step_value):
            told.append(("end", int(global_step_value)))

    scaffold = tf.train.Scaffold()
    hook = tf.train.CheckpointSaverHook(str(tmp_path), save_steps=3, scaffold=scaffold, listeners=[Listener()])
    run_all(train, hook, tf.train.StopAtStepHook(num_steps=8), scaffold=scaffold)
    saves = [(word, step) for step in (0, 3, 6, 8) for word in ("before", "after")]
    assert told == ["begin", *saves, ("end", 8)]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-8")
    assert tf.train.load_variable(str(tmp_path), "w") == 8


def test_a_listener_may_end_the_training(train, tmp_path):
    class Listener(tf.train.CheckpointSaverListener):
        def after_save(self, session, global_step_value):
            return global_step_value >= 4

    saver = tf.train.Saver()
    hook = tf.train.CheckpointSaverHook(str(tmp_path), save_steps=2, saver=saver, listeners=[Listener()])
    assert run_all(train, hook) == 4


# More of them


def test_a_function_may_feed_the_runs(graph):
    x = tf.placeholder(tf.float32, [])
    fed, doubled = iter([1.0, 2.0]), x * 2
    with tf.train.SingularMonitoredSession([tf.train.FeedFnHook(lambda: {x: next(fed)})]) as session:
        assert [session.run(doubled), session.run(doubled)] == [2.0, 4.0]


def test_final_operations_run_at_the_end(train):
    hook = tf.train.FinalOpsHook({"w": tf.get_default_graph().get_tensor_by_name("w:0")})
    run_all(train, hook, tf.train.StopAtStepHook(num_steps=3))
    assert hook.final_ops_values == {"w": 3.0}


def test_a_timer_says_when_something_is_due():
    timer = tf.train.SecondOrStepTimer(every_steps=3)
    due = []
    for step in range(10):
        if timer.should_trigger_for_step(step):
            due.append(step)
            timer.update_last_triggered_step(step)
    assert due == [0, 3, 6, 9]
    assert timer.last_triggered_step() == 9
    timer = tf.train.SecondOrStepTimer(every_secs=1000)
    assert timer.should_trigger_for_step(0)
    assert timer.update_last_triggered_step(0) == (None, None)
    assert not timer.should_trigger_for_step(5)
    assert timer.update_last_triggered_step(5)[1] == 5
    timer.reset()
    assert timer.should_trigger_for_step(5)


# Bad input


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tf.train.StopAtStepHook(), "One of num_steps or last_step must be specified."),
        (lambda: tf.train.StopAtStepHook(1, 2), "Only one of num_steps or last_step can be specified."),
        (lambda: tf.train.SecondOrStepTimer(), "Either every_secs or every_steps should be provided."),
        (lambda: tf.train.SecondOrStepTimer(1, 2), "Can not provide both every_secs and every_steps."),
        (lambda: tf.train.LoggingTensorHook([]), "exactly one of every_n_iter and every_n_secs must be provided"),
        (lambda: tf.train.LoggingTensorHook([], every_n_iter=0), "invalid every_n_iter=0."),
        (lambda: tf.train.StepCounterHook(1, 2), "exactly one of every_n_steps and every_n_secs should be provided."),
        (lambda: tf.train.SummarySaverHook(1), "Exactly one of scaffold or summary_op must be provided."),
        (
            lambda: tf.train.CheckpointSaverHook(
                "d", 1, saver=tf.train.Saver(allow_empty=True), scaffold=tf.train.Scaffold()
            ),
            "You cannot provide both saver and scaffold.",
        ),
    ],
)
def test_bad_arguments_are_refused(graph, make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_hooks_that_need_a_global_step_say_so(graph):
    tf.Variable(np.int64(1))
    with pytest.raises(RuntimeError, match="Global step should be created to use StopAtStepHook."):
        tf.train.SingularMonitoredSession([tf.train.StopAtStepHook(1)])


def test_a_profiler_hook_writes_timelines(graph, tmp_path):
    pytest.importorskip("tensorboard", reason="event files are TensorBoard's")
    step = tf.train.get_or_create_global_step()
    count = step.assign_add(1)
    hook = tf.train.ProfilerHook(save_steps=2, output_dir=str(tmp_path))
    with tf.train.MonitoredSession(hooks=[hook]) as session:
        for _ in range(4):
            session.run(count)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["timeline-2.json", "timeline-4.json"]
    assert "traceEvents" in (tmp_path / "timeline-2.json").read_text()
    with pytest.raises(ValueError, match="both every_secs and every_steps"):
        tf.train.ProfilerHook(1, 1)


def test_tables_are_initialized_by_monitored_sessions(graph):
    following = tf.data.make_initializable_iterator(tf.data.Dataset.range(3))
    graph.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, following.initializer)
    element = following.get_next()
    with tf.train.MonitoredSession() as session:
        assert session.run(element) == 0


def test_the_graph_and_the_start_are_written_beside_checkpoints(graph, tmp_path):
    pytest.importorskip("tensorboard", reason="event files are TensorBoard's")
    step = tf.train.get_or_create_global_step()
    count, summary = step.assign_add(1), tf.summary.scalar("s", 1.0)
    saving = tf.train.CheckpointSaverHook(str(tmp_path), save_steps=1)
    telling = tf.train.SummarySaverHook(1, output_dir=str(tmp_path / "s"), summary_op=summary)
    with tf.train.MonitoredSession(hooks=[saving, telling]) as session:
        session.run(count)
    assert 'op: "VariableV2"' in (tmp_path / "graph.pbtxt").read_text()
    (file,) = (tmp_path / "s").glob("events*")
    starts = [
        event.session_log.status for event in tf.train.summary_iterator(str(file)) if event.HasField("session_log")
    ]
    assert starts == [1]


def test_a_global_step_that_stays_is_warned_of(train, caplog):
    with tf.train.SingularMonitoredSession([tf.train.StepCounterHook(every_n_steps=1)]) as session:
        session.run(train)
        session.run(train)
        assert "has not been increased" not in caplog.text
        session.run("w:0")
        session.run("w:0")
    assert "It seems that global step (tf.train.get_global_step) has not been increased." in caplog.text


def test_runs_of_several_steps_report_when_a_step_inside_was_due(graph, caplog):
    by_five = tf.train.get_or_create_global_step().assign_add(5)
    hook = tf.train.StepCounterHook(every_n_steps=7)
    hook._set_steps_per_run(5)
    with caplog.at_level(logging.INFO, logger="weftwork"):
        run_all(by_five, hook, tf.train.StopAtStepHook(last_step=20))
    assert caplog.text.count("global_step/sec") == 2  # at 15 and 25, after the first run at 5


def test_labels_are_logged_as_they_were_given(train, caplog):
    x = tf.constant(2.0, name="x")
    pair = tf.split(tf.constant([1.0, 2.0]), 2, name="pair")
    assert pair[0].op.outputs[1:]
    with caplog.at_level(logging.INFO, logger="weftwork"):
        once = {"every_n_iter": 100}
        given = ["x", x], {"z": x, "a": "x:0"}
        run_all(train, *[tf.train.LoggingTensorHook(g, **once) for g in given], tf.train.StopAtStepHook(1))
    assert f"x = 2.0, {x} = 2.0" in caplog.text
    assert "a = 2.0, z = 2.0" in caplog.text
    with pytest.raises(ValueError, match="Name pair is ambiguous"):
        tf.train.LoggingTensorHook(["pair"], 1).begin()
    with tf.Graph().as_default(), pytest.raises(ValueError, match="equal to current graph"):
        tf.train.LoggingTensorHook([x], 1).begin()
