"""Monitored sessions: hooks around each run, and training that goes on after a loss."""

import threading

import numpy as np
import pytest

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def step(graph):
    """The global step; "train" adds one to it."""
    step = tf.train.get_or_create_global_step()
    graph.add_to_collection("train", step.assign_add(1))
    return step


def train_op():
    return tf.get_collection("train")[0]


class Recording(tf.train.SessionRunHook):
    """Records which methods are called."""

    def __init__(self, args=None, fails=()):
        self.calls, self.args, self.fails = [], args, list(fails)
        self.results = []

    def begin(self):
        self.calls.append("begin")
        assert not tf.get_default_graph().finalized

    def after_create_session(self, session, coord):
        self.calls.append("created")
        assert session.graph.finalized

    def before_run(self, run_context):
        self.calls.append("before")
        return self.args

    def after_run(self, run_context, run_values):
        self.calls.append("after")
        self.results.append(run_values.results)
        if self.fails:
            raise self.fails.pop()

    def end(self, session):
        self.calls.append("end")


# Hooks


def test_hooks_are_called_around_each_run(step):
    hook = Recording(tf.train.SessionRunArgs({"step": step, "twice": [step * 2]}))
    with tf.train.MonitoredSession(hooks=[hook]) as session:
        assert session.run(train_op()) == 1
        assert session.run({"a": step}) == {"a": 1}
        assert not session.should_stop()
    assert hook.calls == ["begin", "created", "before", "after", "before", "after", "end"]
    assert hook.results[1] == {"step": 1, "twice": [2]}
    assert not tf.get_default_graph().finalized


def test_a_graph_that_was_final_stays_so(step):
    scaffold = tf.train.Scaffold().finalize()
    with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(scaffold)) as session:
        session.run(step)
    assert tf.get_default_graph().finalized


def test_hooks_may_feed_and_set_options(graph):
    x, y = tf.placeholder(tf.float32, [], name="x"), tf.placeholder(tf.float32, [], name="y")
    total = x + y
    one = Recording(tf.train.SessionRunArgs(None, {x: 1.0}, tf.RunOptions(timeout_in_ms=100_000)))
    two = Recording(tf.train.SessionRunArgs(None, {y: 2.0}, tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)))
    metadata = tf.RunMetadata()
    with tf.train.MonitoredSession(hooks=[one, two]) as session:
        assert session.run(total, run_metadata=metadata) == 3.0
        assert metadata.HasField("step_stats")
        with pytest.raises(RuntimeError, match="Same tensor is fed by a SessionRunHook and user."):
            session.run(total, {x: 5.0})
    with tf.train.MonitoredSession(hooks=[one, Recording(one.args)]) as session:
        with pytest.raises(RuntimeError, match="Same tensor is fed by two hooks."):
            session.run(total)


def test_the_options_of_the_caller_are_left_alone(step):
    hook = Recording(tf.train.SessionRunArgs(None, None, tf.RunOptions(timeout_in_ms=100_000)))
    options = tf.RunOptions(timeout_in_ms=5)
    with tf.train.MonitoredSession(hooks=[hook]) as session:
        session.run(step, options=options)
    assert options.timeout_in_ms == 5


def test_nothing_runs_after_a_stop(step):
    class Stop(tf.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            run_context.request_stop()

    with tf.train.MonitoredSession(hooks=[Stop()]) as session:
        session.run(step)
        assert session.should_stop()
        with pytest.raises(RuntimeError, match="Run called even after should_stop requested."):
            session.run(step)


def test_the_end_of_the_data_ends_the_loop(step):
    for error in (tf.errors.OutOfRangeError(None, None, "no more"), StopIteration()):
        hook = Recording()
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            session.run(step)
            raise error
        assert hook.calls[-1] == "end"


def test_an_error_ends_the_session_without_the_hooks_end(step):
    hook = Recording()
    with pytest.raises(ValueError, match="mine"), tf.train.MonitoredSession(hooks=[hook]):
        raise ValueError("mine")
    assert "end" not in hook.calls


def test_it_is_closed_once(step):
    session = tf.train.MonitoredSession()
    session.close()
    assert session.should_stop()
    for use in (session.close, lambda: session.run(step)):
        with pytest.raises(RuntimeError, match="Session is already closed."):
            use()


def test_a_step_may_be_a_function_of_several_runs(step):
    hook = Recording()

    def step_fn(step_context):
        step_context.session.run(train_op())
        return step_context.run_with_hooks(train_op())

    with tf.train.MonitoredSession(hooks=[hook]) as session:
        assert session.run_step_fn(step_fn) == 2
        with pytest.raises(ValueError, match="`step_fn` may either have one `step_context` argument"):
            session.run_step_fn(lambda x: x)
        session.run_step_fn(lambda step_context: step_context.request_stop())
    assert hook.calls.count("before") == 1


# Losses


@pytest.mark.parametrize("error", [tf.errors.AbortedError, tf.errors.UnavailableError])
def test_the_same_run_is_done_again_in_a_new_session(step, error):
    hook = Recording(fails=[error(None, None, "lost")])
    with tf.train.MonitoredSession(hooks=[hook]) as session:
        assert session.run(train_op()) == 1  # the step was initialised anew
    assert hook.calls == ["begin", "created", "before", "after", "created", "before", "after", "end"]


def test_a_new_session_begins_with_the_last_checkpoint(step, tmp_path):
    hook = Recording()
    with tf.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=[hook], log_step_count_steps=None
    ) as session:
        for _ in range(4):
            session.run(train_op())
        hook.fails.append(tf.errors.AbortedError(None, None, "lost"))
        assert session.run(train_op()) == 5  # from the checkpoint of step 4
        assert hook.calls.count("created") == 2
    with tf.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path)) as session:
        assert session.run(step) == 5


def test_a_session_that_cannot_be_made_is_tried_again(step):
    class Creator(tf.train.ChiefSessionCreator):
        tries = 0

        def create_session(self):
            self.tries += 1
            if self.tries < 3:
                raise tf.errors.UnavailableError(None, None, "not yet")
            return super().create_session()

    creator = Creator()
    with tf.train.MonitoredSession(creator) as session:
        session.run(step)
    assert creator.tries == 3


def test_a_singular_session_is_not_made_again(step):
    hook = Recording(fails=[tf.errors.AbortedError(None, None, "lost")])
    session = tf.train.SingularMonitoredSession([hook])
    assert session.raw_session().run(step) == 0
    with pytest.raises(tf.errors.AbortedError, match="lost"):
        session.run(step)
    session.close()


def test_a_loss_that_a_thread_has_seen_counts(step):
    class Thread(tf.train.SessionRunHook):
        created = 0

        def after_create_session(self, session, coord):
            self.coord = coord
            self.created += 1

    hook = Thread()
    with tf.train.MonitoredSession(hooks=[hook]) as session:
        session.run(train_op())
        hook.coord.request_stop(tf.errors.AbortedError(None, None, "lost"))
        assert not session.should_stop()
        assert hook.created == 2
        assert session.run(train_op()) == 1
        hook.coord.request_stop(ValueError("mine"))
        assert session.should_stop()
        with pytest.raises(ValueError, match="mine"):
            session._sess.close()


def test_queue_runners_are_started_and_stopped(graph):
    tf.train.get_or_create_global_step()
    queue = tf.FIFOQueue(2, tf.int64, shapes=[[]], name="q")
    tf.train.add_queue_runner(tf.train.QueueRunner(queue, [queue.enqueue(np.int64(4))]))
    taken = queue.dequeue()
    with tf.train.MonitoredSession() as session:
        assert [session.run(taken) for _ in range(5)] == [4] * 5
    assert not [t for t in threading.enumerate() if t.name.startswith("QueueRunnerThread-q") and t.is_alive()]


# What is around a model


def test_a_scaffold_makes_what_is_missing(step):
    scaffold = tf.train.Scaffold(init_fn=lambda scaffold, session: session.run(train_op()))
    with tf.train.SingularMonitoredSession(scaffold=scaffold) as session:
        assert session.run(step) == 1
    assert scaffold.saver is not None
    assert tf.get_collection(tf.GraphKeys.INIT_OP) == [scaffold.init_op]
    other = tf.train.Scaffold(copy_from_scaffold=scaffold, summary_op=step)
    assert (other.init_op, other.summary_op) == (scaffold.init_op, step)


def test_a_scaffold_cannot_choose_among_several(step):
    tf.add_to_collection(tf.GraphKeys.INIT_OP, tf.no_op())
    tf.add_to_collection(tf.GraphKeys.INIT_OP, tf.no_op())
    with pytest.raises(RuntimeError, match='More than one item in the collection "init_op". Please indicate which one'):
        tf.train.Scaffold().finalize()
    with pytest.raises(TypeError, match="copy_from_scaffold is not a Scaffold instance."):
        tf.train.Scaffold(copy_from_scaffold=3)


def test_without_tensorboard_the_training_goes_on(step, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with tf.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path)) as session:
        session.run(train_op())
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-1")


def test_a_worker_begins_when_the_chief_has(step):
    server = tf.train.Server.create_local_server()
    chief = tf.train.MonitoredTrainingSession(server.target, is_chief=True)
    chief.run(train_op())
    with tf.train.MonitoredTrainingSession(server.target, is_chief=False) as worker:
        assert worker.run(train_op()) == 2
    chief.close()
    tf.Session.reset(server.target)


def test_the_log_tells_how_a_session_is_made(step, tmp_path, caplog):
    caplog.set_level("INFO", logger="weftwork")
    with tf.train.MonitoredTrainingSession(checkpoint_dir=tmp_path, log_step_count_steps=None) as session:
        session.run(train_op())
    told = [record.getMessage() for record in caplog.records]
    wanted = [
        "Create CheckpointSaverHook.",
        "Graph was finalized.",
        "Running local_init_op.",
        "Done running local_init_op.",
    ]
    assert [text for text in told if text in wanted] == wanted


def test_a_session_creator_is_a_class_to_derive_from(graph):
    with pytest.raises(TypeError, match="abstract"):
        tf.train.SessionCreator()  # type: ignore[abstract]


def test_several_savers_in_a_graph_are_refused(graph):
    tf.Variable(1.0)
    for _ in range(2):
        tf.add_to_collection(tf.GraphKeys.SAVERS, tf.train.Saver())
    with pytest.raises(RuntimeError, match="More than one item in collection savers"):
        tf.train.Scaffold().finalize()


def test_what_programs_look_at_beside_the_public_names(step):
    session = tf.train.MonitoredSession()
    creator = session._coordinated_creator
    assert isinstance(creator.coord, tf.train.Coordinator)
    assert session._tf_sess() is creator.tf_sess
    assert isinstance(creator.tf_sess, tf.Session)
    assert not session._is_closed()
    session.close()
    assert session._is_closed()
    assert (creator.coord, creator.tf_sess, session._sess) == (None, None, None)


def test_a_copied_scaffold_is_the_one_that_its_function_sees(graph):
    seen = []
    first = tf.train.Scaffold(init_fn=lambda scaffold, session: seen.append((scaffold, session)))
    second = tf.train.Scaffold(copy_from_scaffold=first)
    second.init_fn("session")
    assert seen == [(second, "session")]


def test_feeds_that_collide_are_named(step):
    x = tf.placeholder(tf.float32, name="x")
    hook = tf.train.FeedFnHook(lambda: {x: 1.0})
    with tf.train.MonitoredSession(hooks=[hook]) as session:
        with pytest.raises(RuntimeError, match=r"fed by a SessionRunHook and user\. Conflict\(s\): .*'x:0'"):
            session.run(step, {x: 2.0})
