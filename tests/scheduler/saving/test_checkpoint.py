"""tf.train.Checkpoint: variables are saved by the objects that hold them, and found again under other names."""

from __future__ import annotations

from pathlib import Path

import pytest

import weftwork as tf

ENDING = ".ATTRIBUTES/VARIABLE_VALUE"


def keys(path):
    return [key.removesuffix(f"/{ENDING}") for key, _ in tf.train.list_variables(path)][1:]


@pytest.fixture
def model(graph):
    """A group of variables, an optimizer, and containers; a step of training."""
    v, w = tf.Variable([3.0], name="v"), tf.Variable(2.0, name="w")
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    step = optimizer.minimize(v * v * w, var_list=[v])
    inner = tf.train.Checkpoint(v=v, w=w)
    return tf.train.Checkpoint(model=inner, optimizer=optimizer, l=[v, {"k.e/y": w}], empty=[]), step


def test_variables_and_slots_are_saved_and_restored(model, session, tmp_path):
    whole, step = model
    v, w, slot = whole.model.v, whole.model.w, whole.optimizer.get_slot(whole.model.v, "momentum")
    session.run(tf.global_variables_initializer())
    session.run(step)
    trained = session.run([v, w, slot])
    path = whole.save(tmp_path / "c", session=session)
    assert (path, tf.train.latest_checkpoint(tmp_path)) == (str(tmp_path / "c-1"), str(tmp_path / "c-1"))
    assert keys(path) == ["l/0", "l/0/.OPTIMIZER_SLOT/optimizer/momentum", "model/w", "save_counter"]
    session.run(tf.global_variables_initializer())
    whole.restore(path).assert_consumed().assert_nontrivial_match().run_restore_ops(session)
    assert session.run([v, w, slot]) == trained
    assert session.run(whole.save_counter) == 1
    assert [whole.save(tmp_path / "c", session=session), whole.write(tmp_path / "d", session=session)] == [
        str(tmp_path / "c-2"),
        str(tmp_path / "d"),
    ]


def test_names_of_variables_do_not_matter(session, tmp_path):
    saved = tf.train.Checkpoint(**{"a.b/c": tf.Variable(3.0, name="one")})
    layer = tf.layers.Dense(2, kernel_initializer=tf.ones_initializer())
    layer(tf.constant([[1.0]]))
    saved.layer, saved.count = layer, 5  # what holds no variables is an attribute only
    session.run(tf.global_variables_initializer())
    path = saved.write(tmp_path / "c", session=session)
    assert keys(path) == ["a..b.Sc", "layer/bias", "layer/kernel"]
    with tf.Graph().as_default(), tf.Session() as other:
        read = tf.train.Checkpoint()
        status = read.restore(path)
        setattr(read, "a.b/c", tf.Variable(0.0, name="scope/other"))  # made later, and still restored
        read.added = tf.Variable(7.0)
        status.initialize_or_restore(other)
        assert other.run([getattr(read, "a.b/c"), read.added, read.save_counter]) == [3.0, 7.0, 0]
        with pytest.raises(AssertionError, match=r"not bound to checkpointed values.*Variable"):
            status.assert_existing_objects_matched()


def test_a_checkpoint_of_a_saver_is_found_by_names(session, tmp_path):
    v = tf.Variable(1.0, name="v")
    session.run(v.initializer)
    path = tf.train.Saver([v]).save(session, tmp_path / "m")
    session.run(v.assign(5.0))
    tf.train.Checkpoint(other=v).restore(path).assert_consumed().run_restore_ops(session)
    assert session.run(v) == 1.0


def test_what_does_not_match_is_said(session, tmp_path):
    v, w = tf.Variable(1.0), tf.Variable(2.0)
    session.run([v.initializer, w.initializer])
    path = tf.train.Checkpoint(v=v, w=w).write(tmp_path / "c", session=session)
    less = tf.train.Checkpoint(v=v)
    less.save_counter  # noqa: B018
    with pytest.raises(AssertionError, match="not bound to checkpointed values.*save_counter"):
        less.restore(path).assert_consumed()
    counted = tf.train.Checkpoint(v=v, w=w).save(tmp_path / "n", session=session)
    with pytest.raises(AssertionError, match=f"Unresolved object in checkpoint {counted}"):
        less.restore(counted).expect_partial().assert_consumed()
    with pytest.raises(AssertionError, match="Nothing except the root object matched"):
        tf.train.Checkpoint(x=v).restore(path).assert_nontrivial_match()
    with pytest.raises(tf.errors.NotFoundError, match="nothing"):
        less.restore(tmp_path / "nothing")
    with pytest.raises(ValueError, match="expecting a trackable object, which holds variables, got 3 as 'a'"):
        tf.train.Checkpoint(a=3)
    none = less.restore(None)
    for refused in (none.assert_consumed, none.assert_nontrivial_match, none.run_restore_ops):
        with pytest.raises(AssertionError, match=r"No checkpoint specified \(save_path=None\)"):
            refused()
    session.run(v.assign(9.0))
    none.initialize_or_restore(session)
    assert session.run(v) == 1.0


def test_a_checkpoint_needs_a_session(graph, tmp_path):
    with pytest.raises(ValueError, match="A checkpoint needs a session"):
        tf.train.Checkpoint(v=tf.Variable(1.0)).save(tmp_path / "c")


def test_a_manager_keeps_the_newest(session, tmp_path):
    v = tf.Variable(1.0)
    session.run(v.initializer)
    made = tf.train.Checkpoint(v=v)
    manager = tf.train.CheckpointManager(made, tmp_path, max_to_keep=2)
    assert (manager.latest_checkpoint, manager.checkpoints) == (None, [])
    with session.as_default():
        paths = [manager.save() for _ in range(3)]
        assert [Path(path).name for path in paths] == ["ckpt-1", "ckpt-2", "ckpt-3"]
        assert (manager.checkpoints, manager.latest_checkpoint) == (paths[1:], paths[2])
        later = tf.train.CheckpointManager(made, tmp_path, max_to_keep=2, checkpoint_name="q")
        assert later.checkpoints == paths[1:]
        assert Path(later.save(checkpoint_number=77)).name == "q-77"
    assert sorted(path.name for path in tmp_path.glob("*.index")) == ["ckpt-3.index", "q-77.index"]
    assert tf.train.latest_checkpoint(tmp_path) == later.latest_checkpoint
    with pytest.raises(ValueError, match="Expected a positive integer or `None` for `max_to_keep`, got 0"):
        tf.train.CheckpointManager(made, tmp_path, 0)
