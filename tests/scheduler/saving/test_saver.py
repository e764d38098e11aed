"""Savers: what is saved is restored, by whom and wherever it runs; consistent, atomic, and told when it goes wrong."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import weftwork as tf
from tests.waiting import until
from weftwork.actors.checkpoints.files import LocalFiles
from weftwork.scheduler.state.checkpoint_state import Kept

ROOT = Path(__file__).parents[3]


@pytest.fixture
def prefix(tmp_path):
    return str(tmp_path / "model")


def initialised():
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


def names(folder):
    """The files of a folder that are no graphs."""
    return sorted(name for name in os.listdir(folder) if not name.endswith(".meta"))


def files(*prefixes):
    """The files of these checkpoints, and the state file."""
    found = [f"{name}{end}" for name in prefixes for end in (".data-00000-of-00001", ".index")]
    return sorted([*found, "checkpoint"])


# Saving and restoring


def test_a_new_session_goes_on_with_what_another_has_saved(graph, prefix):
    w = tf.Variable([1.0, 2.0], name="w")
    n = tf.Variable(0, name="n")
    step = tf.group(w.assign_add([1, 1]), n.assign_add(1))
    saver = tf.train.Saver()
    with initialised() as session:
        session.run(step)
        assert saver.save(session, prefix, global_step=n) == f"{prefix}-1"
        session.run(step)
    with tf.Session() as session:
        saver.restore(session, f"{prefix}-1")
        assert session.run([w, n])[1] == 1
        session.run(step)
        np.testing.assert_array_equal(session.run(w), [3, 4])
        assert session.run(tf.report_uninitialized_variables()).size == 0


def test_variables_of_every_kind_of_type_are_restored(graph, prefix):
    given = {
        "float16": np.array([1.5], np.float16),
        "int64": np.int64(-(2**60)),
        "bool": np.array([True, False]),
        "complex64": np.array([[1 + 2j]], np.complex64),
        "string": np.array([b"a\0", b""], dtype=object),
        "object": {"a": [1, (None, b"x")]},
    }
    made = {name: tf.Variable(tf.constant(value, dtype=name), name=name) for name, value in given.items()}
    saver = tf.train.Saver()
    with initialised() as session:
        saver.save(session, prefix)
    with tf.Session() as session:
        saver.restore(session, prefix)
        found = session.run(made)
    for name, value in given.items():
        if name == "object":
            assert found[name] == value
        else:
            assert found[name].dtype == made[name].dtype.base_dtype.numpy
            assert found[name].tolist() == value.tolist()


def test_the_nodes_have_the_names_of_tensorflow(graph):
    tf.Variable(1, name="a")
    tf.Variable(2, name="b")
    saver = tf.train.Saver()
    expected = "filename/input filename Const SaveV2 control_dependency RestoreV2 Assign Assign_1 restore_all".split()
    found = [op.name for op in graph.get_operations() if op.name.startswith("save/")]
    assert found == [f"save/{name}" for name in expected]
    assert saver.saver_def.filename_tensor_name == "save/Const:0"
    assert saver.saver_def.save_tensor_name == "save/control_dependency:0"
    assert saver.saver_def.restore_op_name == "save/restore_all"


def test_saving_and_restoring_are_nodes_that_anybody_may_run(graph, prefix):
    w = tf.Variable(5, name="w")
    tf.train.Saver(filename=prefix)
    with initialised() as session:
        assert session.run("save/control_dependency:0") == prefix.encode()
        session.run(w.assign(6))
        assert session.run("save/control_dependency:0", {"save/Const:0": f"{prefix}2"}) == f"{prefix}2".encode()
        session.run("save/restore_all")
        assert session.run(w) == 5
        session.run("save/restore_all", {"save/Const:0": f"{prefix}2"})
        assert session.run(w) == 6


def test_a_finalized_graph_is_saved_if_the_saver_came_before(graph, prefix):
    w = tf.Variable(1)
    saver = tf.train.Saver()
    init = tf.global_variables_initializer()
    graph.finalize()
    with tf.Session() as session:
        session.run(init)
        saver.save(session, prefix)
        saver.restore(session, prefix)
        assert session.run(w) == 1
    with pytest.raises(RuntimeError, match="Graph is finalized"):
        tf.train.Saver()


def test_small_models_are_saved_without_ray_also_once_the_nodes_are_known():
    code = """
import sys, tempfile, weftwork as tf
w = tf.Variable([1.0] * 1000)
saver, several = tf.train.Saver(), tf.train.Saver(sharded=True)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    with tempfile.TemporaryDirectory() as folder:
        for step in range(8):
            saver.restore(session, saver.save(session, folder + "/m", step))
            several.restore(session, several.save(session, folder + "/m", step))
assert "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_pickled_graph_brings_its_savers_along(graph, prefix):
    tf.Variable(3, name="w")
    tf.add_to_collection(tf.GraphKeys.SAVERS, tf.train.Saver())
    twin = pickle.loads(pickle.dumps(graph))
    with twin.as_default(), initialised() as session:
        (saver,) = tf.get_collection(tf.GraphKeys.SAVERS)
        saver.save(session, prefix)
        saver.restore(session, prefix)
    assert tf.train.load_variable(prefix, "w") == 3


def test_an_object_variable_of_no_plain_data_is_refused_by_name(graph, prefix):
    tf.Variable(tf.constant(Own(), tf.object), name="mine")
    saver = tf.train.Saver()
    with initialised() as session:
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="The value of mine cannot be saved: a .*Own is not plain"
        ):
            saver.save(session, prefix)
    assert not tf.train.checkpoint_exists(prefix)


class Own:
    pass


# Which variables


def test_a_dict_gives_keys_and_a_list_chooses_and_others_stay_as_they_are(graph, prefix):
    a, b, c = (tf.Variable(i, name=name) for i, name in enumerate("abc"))
    with initialised() as session:
        tf.train.Saver({"x": a, "y": b}).save(session, prefix)
        assert tf.train.list_variables(prefix) == [("x", []), ("y", [])]
        session.run([v.assign(9) for v in (a, b, c)])
        tf.train.Saver({"y": a, "x": c}).restore(session, prefix)
        assert session.run([a, b, c]) == [1, 9, 0]
        tf.train.Saver([b]).save(session, prefix)
        assert tf.train.list_variables(prefix) == [("b", [])]


def test_local_variables_are_not_saved_unless_they_are_named(graph, prefix):
    tf.Variable(1, name="kept")
    local = tf.Variable(2, name="passing", collections=[tf.GraphKeys.LOCAL_VARIABLES], trainable=False)
    with initialised() as session:
        session.run(tf.local_variables_initializer())
        tf.train.Saver().save(session, prefix)
        assert tf.train.list_variables(prefix) == [("kept", [])]
        tf.train.Saver([local]).save(session, prefix)
        assert tf.train.list_variables(prefix) == [("passing", [])]


def test_what_cannot_be_saved_is_refused_when_the_saver_is_made(graph):
    with pytest.raises(ValueError, match="^No variables to save$"):
        tf.train.Saver()
    v = tf.Variable(1, name="v1")
    with pytest.raises(ValueError, match="At least two variables have the same name: v1"):
        tf.train.Saver([v, v])
    with pytest.raises(
        TypeError, match="Variables to save should be passed in a dict or a list. Got <tf.Variable 'v1:0'"
    ):
        tf.train.Saver(v)
    for wrong in ([3], [tf.constant(1)]):
        with pytest.raises(TypeError, match="Variable to save is not a Variable: "):
            tf.train.Saver(wrong)
    for wrong in ({"x": 3}, {"x": tf.constant(1)}):
        with pytest.raises(TypeError, match="Not a variable: "):
            tf.train.Saver(wrong)
    with pytest.raises(ValueError, match="Slices must all be slices: "):
        tf.train.Saver({"x": [v]})
    with pytest.raises(TypeError, match="Name is not a string: 1"):
        tf.train.Saver({1: v})
    with pytest.raises(ValueError, match="If `var_list` is provided then build cannot be deferred."):
        tf.train.Saver([v], defer_build=True)


def test_a_saver_with_nothing_to_save_does_nothing_if_that_is_allowed(graph, tmp_path, prefix):
    saver = tf.train.Saver(allow_empty=True)
    tf.constant(1)
    with tf.Session() as session:
        assert saver.save(session, prefix) is None
        saver.restore(session, None)
    assert names(tmp_path) == []


def test_a_deferred_saver_takes_the_variables_of_when_it_is_built(graph, prefix):
    saver = tf.train.Saver(defer_build=True)
    with tf.Session() as session:
        tf.Variable(4, name="late")
        with pytest.raises(RuntimeError, match=r"`build\(\)` should be called before save if defer_build==True"):
            saver.save(session, prefix)
        saver.build()
        saver.build()
        assert len([op for op in graph.get_operations() if op.type == "SaveV2"]) == 1
        session.run(tf.global_variables_initializer())
        saver.save(session, prefix)
    assert tf.train.load_variable(prefix, "late") == 4


def test_a_variable_without_a_value_is_named_and_nothing_is_written(graph, tmp_path, prefix):
    tf.Variable(1, name="empty")
    saver = tf.train.Saver()
    with tf.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError, match="Attempting to use uninitialized value empty"):
            saver.save(session, prefix)
    assert names(tmp_path) == []


# Names, steps and arguments


def test_steps_come_from_numbers_tensors_and_variables_and_may_be_padded(graph, prefix):
    step = tf.Variable(7, name="step")
    plain, padded = tf.train.Saver(), tf.train.Saver(pad_step_number=True)
    with initialised() as session:
        for given in (7, np.int64(7), step, tf.constant(7)):
            assert plain.save(session, prefix, global_step=given) == f"{prefix}-7"
        assert padded.save(session, Path(prefix), global_step=7) == f"{prefix}-00000007"
        assert plain.last_checkpoints == [f"{prefix}-7"]


def test_arguments_that_make_no_sense_are_refused(graph, tmp_path, prefix):
    tf.Variable(1)
    saver = tf.train.Saver()
    with initialised() as session:
        with pytest.raises(ValueError, match="^'latest_filename' must not contain path components$"):
            saver.save(session, prefix, latest_filename="a/b")
        with pytest.raises(
            ValueError, match="^'latest_filename' collides with 'save_path': 'checkpoint' and '.*checkpoint'"
        ):
            saver.save(session, str(tmp_path / "checkpoint"))
        with pytest.raises(TypeError, match="^'sess' must be a Session; None$"):
            saver.save(None, prefix)
        (tmp_path / "file").write_text("")
        assert saver.save(session, str(tmp_path / "made" / "path")) == str(tmp_path / "made" / "path")
        for missing in ("no/such/path", "file/path"):
            path = str(tmp_path / missing)
            with pytest.raises(ValueError, match=f"^Parent directory of {path} doesn't exist, can't save.$"):
                saver.save(session, path)
        with pytest.raises(ValueError, match="^Can't load save_path when it is None.$"):
            saver.restore(session, None)
        with pytest.raises(ValueError, match="^The passed save_path is not a valid checkpoint: nowhere$"):
            saver.restore(session, "nowhere")
    with pytest.raises(RuntimeError, match="Attempted to use a closed Session"):
        saver.save(session, prefix)
    assert names(tmp_path) == ["file", "made"]


def test_relative_paths_stay_relative_to_the_program(graph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("inner")
    w = tf.Variable(1)
    saver = tf.train.Saver()
    with initialised() as session:
        assert saver.save(session, "inner/m", 1) == "inner/m-1"
        assert saver.save(session, "m", 2) == "m-2"
        saver.restore(session, "inner/m-1")
        assert session.run(w) == 1
    assert Path("inner/checkpoint").read_text() == 'model_checkpoint_path: "m-1"\nall_model_checkpoint_paths: "m-1"\n'
    assert tf.train.latest_checkpoint("inner") == "inner/m-1"
    assert tf.train.latest_checkpoint(".") == "./m-2"


# Which checkpoints are kept


def test_the_oldest_checkpoints_go_and_a_name_that_is_saved_again_is_the_newest(graph, tmp_path):
    tf.Variable(1)
    saver = tf.train.Saver(max_to_keep=2)
    path = lambda name: str(tmp_path / name)  # noqa: E731
    with initialised() as session:
        for name in "abac":
            saver.save(session, path(name))
        assert saver.last_checkpoints == [path("a"), path("c")]
        assert {name.split(".")[0] for name in os.listdir(tmp_path)} == {"a", "c", "checkpoint"}
        assert tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths == [path("a"), path("c")]
        for name in "ac":
            saver.restore(session, path(name))


@pytest.mark.parametrize("limit", [None, 0])
def test_without_a_limit_all_are_kept_and_only_the_last_is_listed(graph, tmp_path, limit):
    tf.Variable(1)
    saver = tf.train.Saver(max_to_keep=limit)
    with initialised() as session:
        for step in range(7):
            saver.save(session, str(tmp_path / "m"), step)
    assert saver.last_checkpoints == []
    assert names(tmp_path) == files(*[f"m-{step}" for step in range(7)])
    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert state.all_model_checkpoint_paths == [str(tmp_path / "m-6")]


def test_one_checkpoint_in_so_many_hours_is_kept_for_good():
    kept = Kept(1, hours=1.0)
    start = kept.next_for_good - 3600
    gone = []
    for minutes in range(0, 300, 25):
        kept.add(f"at {minutes}", start + 60 * minutes + 1)
        gone += kept.leaving()
    stayed = [f"at {m}" for m in range(0, 300, 25) if f"at {m}" not in gone]
    assert stayed == ["at 75", "at 125", "at 200", "at 250", "at 275"]
    assert kept.paths() == ["at 275"]


def test_another_saver_takes_over_the_list_and_deletes_from_it(graph, tmp_path):
    tf.Variable(1)
    first, second, third = (tf.train.Saver(max_to_keep=2) for _ in range(3))
    path = lambda step: str(tmp_path / f"m-{step}")  # noqa: E731
    with initialised() as session:
        first.save(session, str(tmp_path / "m"), 1)
        first.save(session, str(tmp_path / "m"), 2)
        second.set_last_checkpoints_with_time([(path(1), 0.0), (path(2), 0.0)])
        second.save(session, str(tmp_path / "m"), 3)
        assert names(tmp_path) == files("m-2", "m-3")
        third.recover_last_checkpoints([path(1), path(2), path(3)])
        assert third.last_checkpoints == [path(2), path(3)]
        third.set_last_checkpoints([path(3)])
        assert third.last_checkpoints == [path(3)]
        third.save(session, str(tmp_path / "m"), 4)
        third.save(session, str(tmp_path / "m"), 5)
        assert names(tmp_path) == files("m-2", "m-3", "m-4", "m-5")  # nobody knows when m-3 was written
    for setter in (third.set_last_checkpoints, third.set_last_checkpoints_with_time):
        with pytest.raises(TypeError, match="must be a list"):
            setter((path(1),))


def test_a_checkpoint_that_cannot_be_deleted_does_not_fail_the_save(graph, tmp_path, monkeypatch, caplog):
    tf.Variable(1)
    saver = tf.train.Saver(max_to_keep=1)
    with initialised() as session:
        saver.save(session, str(tmp_path / "m"), 1)
        refusing(monkeypatch, "remove", errno.EACCES)
        assert saver.save(session, str(tmp_path / "m"), 2) == str(tmp_path / "m-2")
    assert "Ignoring: " in caplog.text
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "m-2")


# The file `checkpoint`


def test_the_state_file_has_tensorflows_format(tmp_path):
    folder = str(tmp_path)
    tf.train.update_checkpoint_state(
        folder,
        f'{folder}/é"\\\n',
        [f"{folder}/m-3"],
        all_model_checkpoint_timestamps=[1.5, 1543234234.25],
        last_preserved_timestamp=7.5,
    )
    assert (tmp_path / "checkpoint").read_text() == (
        f'model_checkpoint_path: "{folder}/é\\"\\\\\\n"\n'
        f'all_model_checkpoint_paths: "{folder}/m-3"\n'
        f'all_model_checkpoint_paths: "{folder}/é\\"\\\\\\n"\n'
        "all_model_checkpoint_timestamps: 1.5\n"
        "all_model_checkpoint_timestamps: 1543234234.25\n"
        "last_preserved_timestamp: 7.5\n"
    )
    state = tf.train.get_checkpoint_state(folder)
    assert state.model_checkpoint_path == f'{folder}/é"\\\n'
    assert state.all_model_checkpoint_timestamps == [1.5, 1543234234.25]
    assert state.last_preserved_timestamp == 7.5


def test_relative_entries_are_meant_from_the_folder_so_that_it_can_be_moved(graph, tmp_path):
    tf.Variable(1, name="w")
    saver = tf.train.Saver(save_relative_paths=True)
    (tmp_path / "one").mkdir()
    with initialised() as session:
        saver.save(session, str(tmp_path / "one" / "m"), 1)
        saver.save(session, str(tmp_path / "one" / "m"), 2)
    assert (tmp_path / "one" / "checkpoint").read_text() == (
        'model_checkpoint_path: "m-2"\nall_model_checkpoint_paths: "m-1"\nall_model_checkpoint_paths: "m-2"\n'
    )
    (tmp_path / "one").rename(tmp_path / "two")
    newest = tf.train.latest_checkpoint(str(tmp_path / "two"))
    assert newest == str(tmp_path / "two" / "m-2")
    assert tf.train.load_variable(newest, "w") == 1
    assert tf.train.load_variable(str(tmp_path / "two"), "w:0") == 1


def test_the_state_is_data_whose_parts_must_fit():
    make = tf.train.generate_checkpoint_state_proto
    state = make("x", "x/m-1", ["x/m-0"], [1.0, 2.0], 3.5)
    assert state.model_checkpoint_path == "m-1"
    assert state.all_model_checkpoint_paths == ["m-0", "m-1"]
    assert make("/x", "m-1", ["m-0", "m-1"]).all_model_checkpoint_paths == ["m-0", "m-1"]
    assert make("/x", "/y/m").all_model_checkpoint_paths == ["/y/m"]
    with pytest.raises(ValueError, match="Checkpoint timestamps, if provided, must match checkpoint paths"):
        make("/x", "m-1", ["m-0"], [1.0])
    with pytest.raises(RuntimeError, match="conflicts with path used for checkpoint state"):
        tf.train.update_checkpoint_state("/x", "/x/checkpoint")


def test_there_is_no_latest_checkpoint_without_a_readable_state_and_its_files(tmp_path, caplog):
    folder = str(tmp_path)
    state = tmp_path / "checkpoint"
    assert tf.train.latest_checkpoint(folder) is None
    assert tf.train.latest_checkpoint(f"{folder}/nowhere") is None
    for text in ("garbage", 'model_checkpoint_path: "a', "model_checkpoint_path: 3", 'nothing: "a"', "\x00"):
        state.write_text(text)
        caplog.clear()
        assert tf.train.get_checkpoint_state(folder) is None
        assert "checkpoint: Checkpoint ignored" in caplog.text
    state.write_text('model_checkpoint_path: "gone"\n')
    assert tf.train.latest_checkpoint(folder) is None
    assert "Couldn't match files for checkpoint" in caplog.text
    state.write_text("")
    with pytest.raises(ValueError, match=f"Invalid checkpoint state loaded from {folder}"):
        tf.train.get_checkpoint_state(folder)
    with pytest.raises(tf.errors.NotFoundError, match="Failed to find any matching files"):
        tf.train.load_checkpoint(f"{folder}/nowhere")


def test_other_state_files_can_be_named_and_not_written(graph, tmp_path):
    tf.Variable(1)
    saver = tf.train.Saver()
    with initialised() as session:
        saver.save(session, str(tmp_path / "a"), latest_filename="mine")
        saver.save(session, str(tmp_path / "b"), write_state=False, write_meta_graph=False)
    assert tf.train.latest_checkpoint(str(tmp_path), "mine") == str(tmp_path / "a")
    assert tf.train.latest_checkpoint(str(tmp_path)) is None
    assert saver.last_checkpoints == [str(tmp_path / "a")]
    assert not (tmp_path / "b.meta").exists()
    times = tf.train.get_checkpoint_mtimes([str(tmp_path / name) for name in "axb"])
    assert times == [os.path.getmtime(tmp_path / f"{name}.index") for name in "ab"]


def test_the_graph_beside_a_checkpoint_is_a_meta_graph(graph, prefix):
    tf.Variable(1, name="w")
    saver = tf.train.Saver()
    with initialised() as session:
        saver.save(session, prefix)
        tf.constant(2, name="later")
        saver.save(session, f"{prefix}2")
    first, second = (tf.MetaGraphDef.FromString(Path(f"{name}.meta").read_bytes()) for name in (prefix, f"{prefix}2"))
    assert "w" in [node.name for node in first.graph_def.node]
    assert "later" in [node.name for node in second.graph_def.node]
    assert first.saver_def.restore_op_name == "save/restore_all"
    assert saver.export_meta_graph() == second


# What goes wrong at restoring


def restored(saver, prefix, kind, text):
    """Restoring raises, and no variable has changed."""
    variables = tf.global_variables()
    with initialised() as session:
        before = session.run(variables)
        with pytest.raises(kind, match=text) as raised:
            saver.restore(session, prefix)
        after = session.run(variables)
    assert [np.asarray(v).tolist() for v in after] == [np.asarray(v).tolist() for v in before]
    return raised.value


@pytest.fixture
def saved(prefix):
    """A checkpoint of a: float32 [2], b: int32 []."""
    with tf.Graph().as_default():
        tf.Variable([1.0, 2.0], name="a")
        tf.Variable(3, name="b")
        with initialised() as session:
            return tf.train.Saver().save(session, prefix)


def test_a_key_that_is_missing_changes_nothing_and_is_named(graph, saved):
    tf.Variable([7.0, 7.0], name="a")
    tf.Variable(9, name="zz")
    error = restored(
        tf.train.Saver(),
        saved,
        tf.errors.NotFoundError,
        r"^Restoring from checkpoint failed. This is most likely due to a Variable name or other graph key that is "
        r"missing from the checkpoint. Please ensure that you have not altered the graph expected based on the "
        r"checkpoint. Original error:\n\nKey zz not found in checkpoint",
    )
    assert error.op.name == "save/RestoreV2"
    assert "test_saver.py" in error.message


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tf.Variable([1.0, 2.0, 3.0], name="a"), r"lhs shape= \[3\] rhs shape= \[2\]"),
        (lambda: tf.Variable([[1.0], [2.0]], name="a"), r"lhs shape= \[2,1\] rhs shape= \[2\]"),
        (
            lambda: tf.Variable([1, 2], name="a"),
            "tensor_name = a; expected dtype int32 does not equal original dtype float",
        ),
        (lambda: tf.Variable(1.0, name="b"), "expected dtype float does not equal original dtype int32"),
        (lambda: tf.Variable(tf.constant({}, tf.object), name="a"), "expected dtype object"),
    ],
)
def test_another_shape_or_dtype_changes_nothing(graph, saved, make, text):
    make()
    message = (
        "due to a mismatch between the current graph and the graph from the checkpoint. Please ensure that you have "
        "not altered the graph expected based on the checkpoint. Original error:\n\n.*"
    )
    restored(tf.train.Saver(), saved, tf.errors.InvalidArgumentError, message + text)


def test_with_reshape_as_many_elements_do(graph, saved):
    a = tf.Variable([[1.0], [2.0]], name="a")
    saver = tf.train.Saver(reshape=True)
    with tf.Session() as session:
        saver.restore(session, saved)
        assert session.run(a).tolist() == [[1], [2]]
    more = tf.Variable([1.0, 2.0, 3.0], name="more")
    text = "Input to reshape is a tensor with 2 values, but the requested shape has 3"
    restored(tf.train.Saver({"a": more}, reshape=True), saved, tf.errors.InvalidArgumentError, text)


def test_a_variable_of_no_fixed_shape_takes_any(graph, saved):
    a = tf.Variable([0.0] * 5, name="a", validate_shape=False)
    with tf.Session() as session:
        tf.train.Saver().restore(session, saved)
        assert session.run(a).tolist() == [1, 2]


def damage(saved, name, change):
    path = Path(f"{saved}{name}")
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (".data-00000-of-00001", lambda data: data[:3] + bytes([data[3] ^ 1]) + data[4:]),
        (".data-00000-of-00001", lambda data: data[:-1]),
        (".data-00000-of-00001", lambda data: b""),
        (".index", lambda data: data[:-1]),
        (".index", lambda data: data.replace(b"float32", b"float16")),
        (".index", lambda data: b"\0" + data),
        (".index", lambda data: pickle.dumps(Own())),
    ],
)
def test_files_that_are_not_what_was_saved_change_nothing(graph, saved, name, change):
    tf.Variable([7.0, 7.0], name="a")
    tf.Variable(8, name="b")
    damage(saved, name, change)
    restored(tf.train.Saver(), saved, tf.errors.DataLossError, r"\[\[node save/RestoreV2 \(defined at .*test_saver.py")


def test_a_data_file_that_is_gone_is_named(graph, saved):
    tf.Variable([7.0, 7.0], name="a")
    os.remove(f"{saved}.data-00000-of-00001")
    restored(tf.train.Saver(), saved, tf.errors.NotFoundError, "model.data-00000-of-00001; No such file or directory")


def test_a_file_of_another_format_is_told(graph, tmp_path):
    tf.Variable(1, name="a")
    (tmp_path / "foreign").write_bytes(b"\x80\x04K\x01.")
    text = "perhaps your file is in a different file format"
    restored(tf.train.Saver(), str(tmp_path / "foreign"), tf.errors.DataLossError, text)


# What goes wrong at saving


def refusing(monkeypatch, effect, number):
    """Every further `effect` on local files is refused by the system."""

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(LocalFiles, effect, refuse)


@pytest.mark.parametrize(
    ("effect", "number", "kind"),
    [
        ("create", errno.EROFS, tf.errors.PermissionDeniedError),
        ("create", errno.EACCES, tf.errors.PermissionDeniedError),
        ("write", errno.ENOSPC, tf.errors.ResourceExhaustedError),
        ("finish", errno.ENOSPC, tf.errors.ResourceExhaustedError),
        ("publish", errno.EACCES, tf.errors.PermissionDeniedError),
    ],
)
@pytest.mark.parametrize("step", [None, 2])
def test_a_save_that_the_system_refuses_loses_nothing(graph, tmp_path, prefix, monkeypatch, effect, number, kind, step):
    w = tf.Variable(1, name="w")
    saver = tf.train.Saver()
    with initialised() as session:
        first = saver.save(session, prefix, None if step is None else 1)
        before = sorted(os.listdir(tmp_path))
        session.run(w.assign(2))
        with monkeypatch.context() as patch:
            refusing(patch, effect, number)
            with pytest.raises(kind, match=os.strerror(number)) as raised:
                saver.save(session, prefix, step)
        assert raised.value.op.name == "save/SaveV2"
        assert sorted(os.listdir(tmp_path)) == before
        assert saver.last_checkpoints == [first]
        assert tf.train.latest_checkpoint(str(tmp_path)) == first
        assert tf.train.load_variable(first, "w") == 1
        assert session.run(w) == 2
        again = saver.save(session, prefix, step)
        assert tf.train.load_variable(again, "w") == 2


def test_a_process_killed_while_it_saves_again_and_again_leaves_a_whole_checkpoint(graph, tmp_path):
    code = """
import sys, numpy as np, weftwork as tf
a, b = (tf.Variable(np.zeros(20_000, np.int64), name=name) for name in "ab")
more = tf.group(a.assign_add(np.ones(20_000, np.int64)), b.assign_add(np.ones(20_000, np.int64)))
saver = tf.train.Saver(sharded=True, max_to_keep=2)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for step in range(100_000):
        session.run(more)
        print(saver.save(session, sys.argv[1], None if sys.argv[2] == "same" else step), flush=True)
"""
    a, b = (tf.Variable(np.zeros(20_000, np.int64), name=name) for name in "ab")
    saver = tf.train.Saver()
    for number, naming in enumerate(["same", "steps"] * 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", code, str(folder / "m"), naming], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            for _ in range(3 + number):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        with tf.Session() as session:
            saver.restore(session, tf.train.latest_checkpoint(str(folder)))
            one, two = session.run([a, b])
        assert one[0] >= 3 + number
        assert set(one.tolist()) == set(two.tolist()) == {one[0]}


# Others at the same time


@pytest.mark.parametrize("sharded", [False, True])
def test_every_checkpoint_is_of_one_moment_while_threads_train(graph, tmp_path, sharded):
    with tf.device("/cpu:0"):
        a = tf.Variable(np.zeros(1000, np.int64), name="a")
    with tf.device("/cpu:1" if sharded else "/cpu:0"):
        b = tf.Variable(np.zeros(1000, np.int64), name="b")
    one = np.ones(1000, np.int64)
    both = tf.group(a.assign_add(one), b.assign_add(one))
    saver = tf.train.Saver(sharded=sharded, max_to_keep=None)
    done, errors, trained = threading.Event(), [], [0, 0, 0]

    with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
        session.run(tf.global_variables_initializer())

        def train(number):
            try:
                while not done.is_set():
                    session.run(both)
                    trained[number] += 1
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=train, args=[n]) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            prefixes = []
            for step in range(30):
                before = sum(trained)
                until(lambda before=before: sum(trained) > before or errors)
                prefixes.append(saver.save(session, str(tmp_path / "m"), step, write_meta_graph=False))
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert errors == []
    counts = []
    for prefix in prefixes:
        first, second = (tf.train.load_variable(prefix, name) for name in "ab")
        assert len({*first.tolist(), *second.tolist()}) == 1, "a torn checkpoint"
        counts.append(first[0])
    assert counts == sorted(set(counts)), "a checkpoint lacks a run that was done before it"


def test_threads_may_save_with_one_saver_to_one_name(graph, tmp_path, prefix):
    w = tf.Variable(np.zeros(1000, np.int64), name="w")
    more = w.assign_add(np.ones(1000, np.int64))
    saver = tf.train.Saver()
    errors = []
    with initialised() as session:

        def work():
            try:
                for _ in range(5):
                    session.run(more)
                    saver.save(session, prefix)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert saver.last_checkpoints == [prefix]
        saver.restore(session, prefix)
        assert session.run(w).tolist() == [20] * 1000
    assert len([name for name in names(tmp_path) if ".data-" in name]) == 1


# Shards, places, URLs


def test_a_sharded_saver_writes_a_file_for_each_device_and_part(graph, tmp_path, prefix):
    with tf.device("/cpu:0"):
        a = tf.Variable(1, name="a")
    with tf.device("/cpu:1"):
        large = [tf.Variable(np.full(3 << 20, i, np.float32), name=f"large{i}") for i in range(2)]
    saver = tf.train.Saver(sharded=True)
    with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
        session.run(tf.global_variables_initializer())
        for _ in range(4):  # also with a plan that knows what the nodes cost
            saver.save(session, prefix)
        session.run([v.assign(v * 0 - 1) for v in [a, *large]])
        saver.restore(session, prefix)
        assert session.run(a) == 1
        assert [set(v.tolist()) for v in session.run(large)] == [{0.0}, {1.0}]
    assert len([name for name in names(tmp_path) if "-of-00003" in name]) == 3
    with tf.Graph().as_default(), tf.Session() as session:  # whoever reads it need not know
        one = tf.Variable(np.zeros(3 << 20, np.float32), name="large1")
        tf.train.Saver().restore(session, prefix)
        assert session.run(one)[5] == 1


@pytest.mark.parametrize("placement", ["caller", "actor", "task", "mixed"])
@pytest.mark.parametrize("sharded", [False, True])
def test_saving_and_restoring_are_the_same_in_any_place(ray_session, graph, tmp_path, monkeypatch, placement, sharded):
    monkeypatch.chdir(tmp_path)
    values = np.arange(5 << 20, dtype=np.float32), np.arange(1 << 18, dtype=np.float32)  # more than a piece of a file
    a, b = (tf.Variable(value, name=name) for name, value in zip("ab", values, strict=True))
    c = tf.Variable(["x"], name="c")
    saver = tf.train.Saver(sharded=sharded)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(tf.global_variables_initializer())
        for _ in range(2):
            saver.save(session, "m")
        session.run([v.initializer for v in (b, a)], {a.initializer.inputs[1]: np.zeros(5 << 20, np.float32)})
        saver.restore(session, "m")
        one, two, three = session.run([a, b, c])
        np.testing.assert_array_equal(one, values[0])
        np.testing.assert_array_equal(two, values[1])
        assert three.tolist() == [b"x"]
        with pytest.raises(tf.errors.InvalidArgumentError, match="lhs shape"):
            tf.train.Saver({"a": a, "c": tf.Variable(["a", "b"])}).restore(session, "m")


def test_large_values_that_lie_elsewhere_are_saved(ray_session, graph, prefix):
    @tf.op(dtype=tf.float64, shape=[500_000], isolated=True)
    def make(n):
        return np.full(500_000, n, np.float64)

    made = [tf.Variable(make(n), name=f"v{n}") for n in range(3)]
    saver = tf.train.Saver(sharded=True)
    with initialised() as session:
        for _ in range(3):
            saver.save(session, prefix)
    for n in range(len(made)):
        assert set(tf.train.load_variable(prefix, f"v{n}").tolist()) == {n}


def test_a_url_is_as_good_as_a_path(graph):
    pytest.importorskip("fsspec")
    w = tf.Variable([1, 2], name="w")
    saver = tf.train.Saver(max_to_keep=2, save_relative_paths=True)
    with initialised() as session:
        for step in range(4):
            assert saver.save(session, "memory://run/m", step) == f"memory://run/m-{step}"
        session.run(w.assign([0, 0]))
        newest = tf.train.latest_checkpoint("memory://run")
        assert newest == "memory://run/m-3"
        saver.restore(session, newest)
        assert session.run(w).tolist() == [1, 2]
        assert saver.last_checkpoints == ["memory://run/m-2", "memory://run/m-3"]
        assert not tf.train.checkpoint_exists("memory://run/m-1")
        with pytest.raises(ValueError, match="The passed save_path is not a valid checkpoint: memory://run/m-1"):
            saver.restore(session, "memory://run/m-1")


def test_a_url_without_fsspec_says_what_to_install_and_changes_nothing(graph, monkeypatch):
    w = tf.Variable(1)
    saver = tf.train.Saver()
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with initialised() as session:
        for use in (saver.save, saver.restore):
            with pytest.raises(ImportError, match=r"pip install 'weftwork\[fsspec\]'"):
                use(session, "memory://m")
        assert session.run(w) == 1


def test_restoring_is_logged(graph, saved, caplog):
    tf.Variable(0, name="b")
    with caplog.at_level(logging.INFO, "weftwork"), tf.Session() as session:
        tf.train.Saver().restore(session, saved)
    assert f"Restoring parameters from {saved}" in caplog.text


def test_a_variable_is_saved_under_one_name(graph):
    v = tf.Variable(1.0)
    with pytest.raises(ValueError, match="restored with two names"):
        tf.train.Saver({"a": v, "b": v})


@pytest.mark.parametrize(
    "partitioner", [None, tf.fixed_size_partitioner(3), tf.fixed_size_partitioner(2, axis=1)], ids=str
)
@pytest.mark.parametrize("version", [None, tf.train.SaverDef.V2])
def test_a_variable_in_parts_is_saved_as_the_whole(graph, prefix, partitioner, version):
    whole = np.arange(12, dtype=np.float32).reshape(4, 3)
    tf.get_variable("w", initializer=whole, partitioner=tf.fixed_size_partitioner(2))
    with initialised() as session:
        tf.train.Saver(write_version=version).save(session, prefix)
    assert tf.train.list_variables(prefix) == [("w", [4, 3])]
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", [4, 3], partitioner=partitioner)
        tf.train.Saver().restore(session, prefix)
        np.testing.assert_array_equal(session.run(tf.convert_to_tensor(w)), whole)
        tf.train.Saver({"w": w}).restore(session, prefix)
        if partitioner is not None:
            tf.train.Saver({"w": list(w)}).restore(session, prefix)
            one = next(iter(w))
            session.run(one.assign(tf.zeros_like(one)))
            tf.train.Saver([one]).restore(session, prefix)
            np.testing.assert_array_equal(session.run(tf.convert_to_tensor(w)), whole)


@pytest.mark.parametrize("version", [None, tf.train.SaverDef.V2, tf.train.SaverDef.V1])
@pytest.mark.parametrize("sharded", [False, True])
def test_slices_are_saved_where_they_lie_in_the_whole(graph, prefix, version, sharded):
    with tf.variable_scope("s", partitioner=tf.fixed_size_partitioner(2)):
        first, last = tf.get_variable("w", initializer=np.arange(8, dtype=np.float32).reshape(4, 2))
    with initialised() as session:
        saver = tf.train.Saver([first], write_version=version)
        saver.save(session, f"{prefix}-part", write_meta_graph=False)
        assert tf.train.list_variables(f"{prefix}-part") == [("s/w", [4, 2])]
        with pytest.raises(tf.errors.DataLossError, match="its slices do not make up the whole"):
            tf.train.load_variable(f"{prefix}-part", "s/w")
        session.run(first.assign([[0, 0], [0, 0]]))
        saver.restore(session, f"{prefix}-part")
        assert session.run(first).tolist() == [[0, 1], [2, 3]]
        with pytest.raises(tf.errors.DataLossError, match="its slices do not make up the whole"):
            tf.train.Saver([first, last]).restore(session, f"{prefix}-part")
        tf.train.Saver(write_version=version, sharded=sharded).save(session, prefix)
    with tf.Graph().as_default() as other, tf.Session() as session:
        tf.train.import_meta_graph(f"{prefix}.meta").restore(session, prefix)
        assert session.run(other.get_tensor_by_name("s/w/part_1:0")).tolist() == [[4, 5], [6, 7]]
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("s/w", [5, 2], partitioner=tf.fixed_size_partitioner(2))
        with pytest.raises(tf.errors.InvalidArgumentError, match="does not match the shape in the checkpoint"):
            tf.train.Saver().restore(session, prefix)


def test_slices_of_a_variable_are_told_apart_from_other_variables(graph):
    parts = tf.get_variable("a", [4], partitioner=tf.fixed_size_partitioner(2))
    others = tf.get_variable("b", [4], partitioner=tf.fixed_size_partitioner(2))
    with pytest.raises(ValueError, match="Slices must all be from the same tensor: a != b"):
        tf.train.Saver({"w": [*parts, *others]})
    with pytest.raises(ValueError, match="restored with two names"):
        tf.train.Saver({"w": parts, "v": list(parts)[:1]})
    loose = tf.Variable([1.0], name="loose")
    loose._set_save_slice_info(tf.Variable.SaveSliceInfo("a", [4], [2], [1]))
    with pytest.raises(ValueError, match="Slices must all be Variables"):
        tf.train.Saver({"w": [loose, tf.constant(1.0)]})


def test_a_saver_def_must_be_one(graph):
    with pytest.raises(ValueError, match="saver_def must be a saver_pb2.SaverDef: model"):
        tf.train.Saver(saver_def="model")


def test_a_saver_def_names_its_operations(graph):
    with pytest.raises(ValueError, match="saver_def must specify the save_tensor_name"):
        tf.train.Saver(saver_def=tf.train.SaverDef())


def test_an_empty_path_is_no_checkpoint(graph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tf.Variable(1.0, name="v")
    saver = tf.train.Saver()
    assert not tf.train.checkpoint_exists("")
    with tf.Session() as session, pytest.raises(ValueError, match="not a valid checkpoint"):
        saver.restore(session, "")


def test_a_folder_that_cannot_be_made_is_an_error_of_the_file_system(graph, tmp_path):
    tf.Variable(1.0)
    with initialised() as session, pytest.raises(tf.errors.OpError, match="File name too long"):
        tf.train.Saver().save(session, str(tmp_path / ("f" * 300) / "model"))
