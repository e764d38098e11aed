"""TensorFlow's older checkpoint files, and variables that lie in slices in its newer ones."""

from __future__ import annotations

import os

import numpy as np
import pytest

import weftwork as tf
from tests.actors.checkpoints.test_bundle import VALUES, kind
from weftwork.actors.checkpoints import bundle, sliced
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.actors.checkpoints.slices import slice_key
from weftwork.graph.protos import messages


def items(values):
    return [(key, kind(value), value) for key, value in values.items()]


@pytest.mark.parametrize("shards", [1, 2])
def test_every_value_comes_back_from_the_older_files(tmp_path, shards):
    prefix = str(tmp_path / "old")
    for i in range(shards):
        sliced.write_shard(prefix, items(VALUES)[i::shards], i, shards)
    reader = CheckpointReader(prefix)
    assert reader.get_variable_to_dtype_map()["half"] is tf.float16
    for key, value in VALUES.items():
        found = reader.get_tensor(key)
        expected = value if key != "text" else np.array([[b"a", b""], [b"\xff\x00" * 200, "ä".encode()]], object)
        np.testing.assert_array_equal(found, expected)
        assert np.shape(found) == np.shape(value)


def test_a_saver_writes_and_restores_the_older_files(graph, tmp_path):
    a, b = tf.Variable([1.0, 2.0], name="a"), tf.Variable(3, name="b")
    saver = tf.train.Saver(write_version=tf.train.SaverDef.V1, max_to_keep=1)
    assert saver.saver_def.version == tf.train.SaverDef.V1
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        saver.save(session, tmp_path / "m", global_step=1, write_meta_graph=False)
        prefix = saver.save(session, tmp_path / "m", global_step=2, write_meta_graph=False)
        assert sorted(os.listdir(tmp_path)) == ["checkpoint", "m-2"]
        assert tf.train.latest_checkpoint(tmp_path) == prefix
        assert len(tf.train.get_checkpoint_mtimes([prefix])) == 1
        session.run([a.assign([0.0, 0.0]), b.assign(0)])
        tf.train.Saver().restore(session, prefix)
        assert [v.tolist() for v in session.run([a, b])] == [[1, 2], 3]


def test_shards_of_the_older_format_are_files_of_their_own(graph, tmp_path):
    with tf.device("/cpu:0"):
        a = tf.Variable([1.0, 2.0], name="a")
    with tf.device("/cpu:1"):
        b = tf.Variable(3, name="b")
    assigned = [a.assign([0.0, 0.0]), b.assign(0)]
    one = tf.train.Saver([a], write_version=tf.train.SaverDef.V1, sharded=True)
    both = tf.train.Saver(write_version=tf.train.SaverDef.V1, sharded=True, max_to_keep=1)
    with tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
        session.run(tf.global_variables_initializer())
        assert one.save(session, tmp_path / "one", write_state=False) == str(tmp_path / "one-?????-of-00001")
        assert sorted(os.listdir(tmp_path)) == ["one-00000-of-00001", "one.meta"]
        both.save(session, tmp_path / "m", global_step=1)
        prefix = both.save(session, tmp_path / "m", global_step=2)
        assert prefix == tf.train.latest_checkpoint(tmp_path) == str(tmp_path / "m-2-?????-of-00002")
        assert both.last_checkpoints == [prefix]
        assert tf.train.checkpoint_exists(prefix)
        assert not tf.train.checkpoint_exists(prefix.replace("2", "1", 1))
        assert sorted(name for name in os.listdir(tmp_path) if name.startswith("m")) == [
            "m-2-00000-of-00002", "m-2-00001-of-00002", "m-2.meta",
        ]  # fmt: skip
        session.run(assigned)
        both.restore(session, prefix)
        assert [v.tolist() for v in session.run([a, b])] == [[1, 2], 3]
        assert dict(tf.train.list_variables(prefix)) == {"a": [2], "b": []}
        session.run(assigned)
        both.restore(session, prefix.replace("00002", "?????"))
        assert [v.tolist() for v in session.run([a, b])] == [[1, 2], 3]
        tf.train.remove_checkpoint(prefix, checkpoint_format_version=tf.train.SaverDef.V1)
        assert not [name for name in os.listdir(tmp_path) if name.startswith("m")]


def test_a_damaged_file_is_refused(tmp_path):
    prefix = str(tmp_path / "old")
    sliced.write_shard(prefix, items(VALUES))
    data = bytearray((tmp_path / "old").read_bytes())
    data[40] ^= 1
    (tmp_path / "old").write_bytes(bytes(data))
    with pytest.raises(tf.errors.DataLossError, match="corrupt checkpoint"):
        CheckpointReader(prefix)


def test_a_value_in_slices_is_put_together(tmp_path, graph):
    whole = np.arange(600, dtype="f").reshape(300, 2)
    cuts = [((0, 100), None), ((100, 200), None)]
    prefix = str(tmp_path / "parts")
    write_in_slices(prefix, "v", whole, cuts)
    np.testing.assert_array_equal(CheckpointReader(prefix).get_tensor("v"), whole)
    v = tf.get_variable("v", [300, 2])
    with tf.Session() as session:
        tf.train.Saver().restore(session, prefix)
        np.testing.assert_array_equal(session.run(v), whole)
    write_in_slices(prefix, "v", whole, cuts, missing=1)
    with pytest.raises(tf.errors.DataLossError, match="a slice of v is missing"):
        CheckpointReader(prefix)


def write_in_slices(prefix, name, whole, cuts, missing=0):
    """A checkpoint as TensorFlow writes a partitioned variable: the whole without bytes, and its slices."""
    keys = [slice_key(name, cut).decode("latin1") for cut in cuts]
    at = [tuple(slice(None) if c is None else slice(c[0], sum(c)) for c in cut) for cut in cuts]
    values = [(key, "float32", whole[place]) for key, place in zip(keys, at, strict=True)]
    part = bundle.write_shard(prefix, values)
    kinds = messages("weftwork.tests", {**bundle.SLICE_MESSAGES, "Parts": {"slices": "7 repeated Slice"}})
    slices = kinds["Parts"]()
    for cut in cuts:
        extents = [kinds["Extent"](start=c[0], length=c[1]) if c else kinds["Extent"]() for c in cut]
        slices.slices.add().extent.extend(extents)
    rows = {key.encode("latin1"): bundle._entry(part.rows[key]) for key in keys[: len(keys) - missing]}
    told = bundle._entry(part.rows[keys[0]]._replace(shape=whole.shape, bytes=0, offset=0))
    rows[name.encode()] = told + slices.SerializeToString()
    header = bundle._messages()["Header"](num_shards=1).SerializeToString()
    (index := open(f"{prefix}.index", "wb")).write(bundle.table([(b"", header), *sorted(rows.items())]))
    index.close()


def test_keys_of_slices_sort_as_these_do():
    assert slice_key("p", (None, None)) == b"\0p\0\x01\x01\x02\x80\x7f\x80\x7f"
    assert slice_key("p", ((64, 200),)) == b"\0p\0\x01\x01\x01\xc0\x40\xc0\xc8"
    starts = [0, 1, 63, 64, 8191, 8192, 1 << 20, 1 << 40]
    keys = [slice_key("p", ((start, 1),)) for start in starts]
    assert keys == sorted(keys)
