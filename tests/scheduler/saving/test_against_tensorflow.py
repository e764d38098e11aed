"""Files cross between Weftwork and TensorFlow, both ways: graphs, checkpoints, models, records."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import weftwork as tf
from tests.models import FEED, build, expressions, flows, group, values

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow, a peer to compare with, is not installed"
)
ROOT = Path(__file__).parents[3]
COMPRESSIONS = ("", "GZIP", "ZLIB")
SLICED = np.arange(10, dtype=np.float32).reshape(5, 2)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """(what Weftwork computed, what TensorFlow did with the same files and its own, the folder)."""
    folder = tmp_path_factory.mktemp("crossed")
    ours = folder / "weftwork"
    (ours / "checkpoints").mkdir(parents=True)
    with tf.Graph().as_default(), tf.Session() as session:
        x, y, train = build(tf)
        session.run(tf.global_variables_initializer())
        session.run(train, {x: FEED})
        tf.saved_model.simple_save(session, ours / "model", {"x": x}, {"y": y})
        found = session.run(y, {x: FEED})
    with tf.Graph().as_default(), tf.Session() as session:  # without a training step, of which TensorFlow has no part
        tf.nn.softmax(tf.nn.relu(tf.matmul(*_inputs())), name="y")
        saver = tf.train.Saver(write_version=tf.train.SaverDef.V2)
        session.run(tf.global_variables_initializer())
        saver.save(session, ours / "checkpoints" / "c")
        plain = session.run("y:0", {"x:0": FEED})
    with tf.Graph().as_default(), tf.Session() as session:
        numbers, truth = tf.Variable(np.arange(6.0).reshape(2, 3), name="numbers"), tf.Variable(True, name="truth")
        session.run(tf.global_variables_initializer())
        old = tf.train.Saver([numbers, truth], write_version=tf.train.SaverDef.V1)
        old.save(session, ours / "checkpoints" / "old", write_meta_graph=False)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("s/w", initializer=SLICED, partitioner=tf.fixed_size_partitioner(3))
        session.run(tf.global_variables_initializer())
        for version in (tf.train.SaverDef.V1, tf.train.SaverDef.V2):
            saver = tf.train.Saver(write_version=version, sharded=True)
            saver.save(session, ours / "checkpoints" / f"slices-{version}", write_meta_graph=False)
    with tf.Graph().as_default(), tf.Session() as session:
        whole, step = group(tf)
        session.run(tf.global_variables_initializer())
        session.run(step)
        whole.save(ours / "group")
        variables = session.run(values(whole))
    with tf.Graph().as_default() as graph, tf.Session() as session:
        made = flows(tf)
        tf.train.write_graph(graph, ours, "flows.pb", as_text=False)
        both = [session.run(made, {"x:0": FEED * sign}) for sign in (1, -1)]
    with tf.Graph().as_default() as graph, tf.Session() as session:
        made = expressions(tf)
        tf.train.write_graph(graph, ours, "expressions.pb", as_text=False)
        each = session.run({tensor.op.name: tensor for tensor in made.values()}, {"x:0": FEED})
    _write_records(ours)
    command = [sys.executable, "-W", "ignore", "-m", "tests.tensorflow_program", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    computed = {"model": found, "checkpoint": plain, "flows": both, "group": variables, "expressions": each}
    return computed, told, folder / "tensorflow"


def _write_records(folder):
    for compression in COMPRESSIONS:
        with tf.python_io.TFRecordWriter(str(folder / f"ours{compression}"), compression) as writer:
            for size, name in (([1, -2], b"one"), ([3, 4], b"two" * 999)):
                ints = tf.train.Feature(int64_list=tf.train.Int64List(value=size))
                texts = tf.train.Feature(bytes_list=tf.train.BytesList(value=[name]))
                features = tf.train.Features(feature={"size": ints, "name": texts})
                writer.write(tf.train.Example(features=features).SerializeToString())


def _inputs():
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    return x, tf.get_variable("w", [4, 3], initializer=tf.random_normal_initializer())


@pytest.mark.parametrize("what", ["model", "checkpoint", "flows", "group"])
def test_tensorflow_reads_what_weftwork_writes(crossed, what):
    computed, told, _ = crossed
    np.testing.assert_allclose(told["found"][what], computed[what], rtol=1e-5)


def test_a_saved_model_of_tensorflows_is_loaded(crossed):
    _, told, folder = crossed
    with tf.Graph().as_default(), tf.Session() as session:
        made = tf.saved_model.load(session, ["serve"], folder / "model")
        signature = made.signature_def["serving_default"]
        found = session.run(signature.outputs["y"].name, {signature.inputs["x"].name: FEED})
    np.testing.assert_allclose(found, told["wrote"]["y"], rtol=1e-5)


def test_a_checkpoint_of_tensorflows_is_restored_with_its_graph(crossed):
    _, told, folder = crossed
    prefix = tf.train.latest_checkpoint(folder / "checkpoints")
    assert dict(tf.train.list_variables(prefix))["w"] == [4, 3]
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(f"{prefix}.meta")
        saver.restore(session, prefix)
        np.testing.assert_allclose(session.run("y:0", {"x:0": FEED}), told["wrote"]["y"], rtol=1e-5)
        assert {v.op.name for v in tf.trainable_variables()} == {"w", "b"}
        again = saver.save(session, folder / "checkpoints" / "again")
        np.testing.assert_array_equal(tf.train.load_variable(again, "w"), session.run("w:0"))


def test_a_group_of_objects_of_tensorflows_is_restored(crossed):
    _, told, folder = crossed
    with tf.Graph().as_default(), tf.Session() as session:
        whole, _ = group(tf)
        whole.restore(folder / "more" / "group-2").assert_consumed().initialize_or_restore(session)
        np.testing.assert_allclose(session.run(values(whole)), told["wrote"]["group"], rtol=1e-6)


def test_older_files_and_slices_cross_both_ways(crossed):
    _, told, folder = crossed
    assert told["found"]["old"] == {"numbers": [[0, 1, 2], [3, 4, 5]], "truth": True}
    assert told["found"]["slices"] == [[SLICED[:3].tolist(), SLICED[3:].tolist()]] * 2
    old = tf.train.NewCheckpointReader(folder / "more" / "old")
    assert (old.get_tensor("whole").tolist(), old.get_tensor("text").tolist()) == ([1, 1, 1], [b"a", b"bb"])
    parts = tf.train.NewCheckpointReader(folder / "more" / "parts")
    assert parts.get_variable_to_shape_map() == {"parts": [300, 2], "columns": [2, 4]}
    for key, expected in told["wrote"]["parts"].items():
        assert parts.get_tensor(key).tolist() == expected


def test_a_training_program_of_tensorflows_goes_on(crossed):
    _, told, folder = crossed
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(folder / "checkpoints" / "c.meta").restore(session, folder / "checkpoints" / "c")
        for _ in range(3):
            session.run(tf.get_collection("train_op"), {"x:0": FEED})
        np.testing.assert_allclose(session.run("y:0", {"x:0": FEED}), told["wrote"]["trained"], rtol=1e-4)


def test_a_frozen_graph_of_tensorflows_runs(crossed):
    _, told, folder = crossed
    with tf.Graph().as_default(), tf.Session() as session:
        (y,) = tf.import_graph_def(tf.GraphDef.FromString((folder / "frozen.pb").read_bytes()), None, ["y:0"])
        np.testing.assert_allclose(session.run(y, {"import/x:0": FEED}), told["wrote"]["y"], rtol=1e-5)


def test_branches_and_loops_of_tensorflows_run(crossed):
    _, told, folder = crossed
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString((folder / "flows.pb").read_bytes()), name="")
        for sign, expected in zip((1, -1), told["wrote"]["flows"], strict=True):
            np.testing.assert_allclose(session.run("flows:0", {"x:0": FEED * sign}), expected, rtol=1e-5)


def test_arrays_of_tensors_of_tensorflows_run(crossed):
    _, told, folder = crossed
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString((folder / "arrays.pb").read_bytes()), name="")
        for name, expected in told["wrote"]["arrays"].items():
            np.testing.assert_allclose(session.run(f"{name}:0", {"x:0": FEED}), expected, rtol=1e-5)


def test_tensorflow_computes_what_is_written_for_each_operation(crossed):
    computed, told, _ = crossed
    assert differing(told["found"]["expressions"], computed["expressions"]) == []


def test_each_operation_of_tensorflows_computes_the_same(crossed):
    _, told, folder = crossed
    expected = told["wrote"]["expressions"]
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString((folder / "expressions.pb").read_bytes()), name="")
        found = session.run({name: f"{name}:0" for name in expected}, {"x:0": FEED})
    assert differing(found, expected) == []


def differing(found, expected):
    """The names of values that are not the same, but for rounding."""
    return [
        name
        for name, value in expected.items()
        if np.shape(found[name]) != np.shape(value) or not np.allclose(found[name], value, 1e-4, 1e-5, equal_nan=True)
    ]


def test_records_of_examples_go_both_ways(crossed):
    _, told, folder = crossed
    assert told["found"]["records"] == [[[[1, -2], ["one"]], [[3, 4], ["two" * 999]]]] * len(COMPRESSIONS)
    wanted = {"size": tf.FixedLenFeature([2], tf.int64), "height": tf.VarLenFeature(tf.float32)}
    for compression in COMPRESSIONS:
        path = str(folder.parent / "weftwork" / f"theirs{compression}")
        records = list(tf.python_io.tf_record_iterator(path, compression))
        with tf.Graph().as_default(), tf.Session() as session:
            got = session.run(tf.parse_example(records, wanted))
        assert got["size"].tolist() == [[5, -6], [7, 8]]
        assert got["height"].values.tolist() == [0.5]
