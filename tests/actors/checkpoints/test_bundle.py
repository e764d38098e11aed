"""TensorFlow's checkpoint files: written and read, whole or refused; the old one stays until the new one is there."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.actors.checkpoints import bundle
from weftwork.actors.checkpoints.reader import CheckpointReader
from weftwork.graph.files.checksums import crc32c

VALUES = {
    "matrix": np.arange(6, dtype="f").reshape(2, 3),
    "scalar": np.int64(-7),
    "truth": np.array([True, False]),
    "half": np.array([0.5, -2.0], np.float16),
    "complex": np.array([1 + 2j]),
    "empty": np.zeros([0, 3], np.int32),
    "text": np.array([[b"a", b""], [b"\xff\x00" * 200, "ä".encode()]], object),
    "word": b"one",
}


def kind(value):
    return "string" if isinstance(value, bytes) or value.dtype == object else value.dtype.name


def write(prefix, values, shards=1):
    items = [(key, kind(value), value) for key, value in values.items()]
    parts = [bundle.write_shard(prefix, items[i::shards], i, shards) for i in range(shards)]
    bundle.write_index(prefix, parts)


def test_the_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    data = np.random.default_rng(0).bytes(100_003)
    whole = crc32c(data)
    assert crc32c(data[777:], crc32c(data[:777])) == whole
    for count in (0, 1, 63, 64, 1000):
        by_bytes = 0
        for at in range(count):
            by_bytes = crc32c(data[at : at + 1], by_bytes)
        assert crc32c(data[:count]) == by_bytes


@pytest.mark.parametrize("shards", [1, 3])
def test_values_come_back(tmp_path, shards):
    prefix = str(tmp_path / "model")
    write(prefix, VALUES, shards)
    reader = tf.train.NewCheckpointReader(prefix)
    assert reader.get_variable_to_shape_map()["matrix"] == [2, 3]
    assert reader.get_variable_to_dtype_map()["text"] is tf.string
    assert dict(tf.train.list_variables(prefix))["scalar"] == []
    for key, value in VALUES.items():
        found = tf.train.load_variable(prefix, key)
        assert np.shape(found) == np.shape(value)
        np.testing.assert_array_equal(found, value)
    assert b"half (DT_HALF) [2]\n" in reader.debug_string()


def test_many_keys_fill_several_blocks(tmp_path):
    prefix = str(tmp_path / "model")
    write(prefix, {f"scope/{'x' * 300}/{number:05}": np.int32(number) for number in range(2000)})
    reader = CheckpointReader(prefix)
    assert len(reader.get_variable_to_shape_map()) == 2000
    assert reader.get_tensor(f"scope/{'x' * 300}/01234") == 1234


def test_a_changed_byte_is_found(tmp_path):
    prefix = str(tmp_path / "model")
    write(prefix, VALUES)
    for name in ("model.data-00000-of-00001", "model.index"):
        path = tmp_path / name
        whole = path.read_bytes()
        for at in range(0, len(whole), 7):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            try:
                reader = CheckpointReader(prefix)
                found = {key: reader.get_tensor(key) for key in VALUES}
            except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError):
                continue
            for key, value in VALUES.items():  # what was changed is padding
                np.testing.assert_array_equal(found[key], value)
        path.write_bytes(whole)


def test_the_old_checkpoint_is_whole_until_the_new_one_is_there(tmp_path):
    prefix = str(tmp_path / "model")
    for number in range(4):
        part = bundle.write_shard(prefix, [("a", "int32", np.int32(number))])
        if number:
            assert CheckpointReader(prefix).get_tensor("a") == number - 1
        bundle.write_index(prefix, [part])
        assert CheckpointReader(prefix).get_tensor("a") == number
    assert len(list(tmp_path.iterdir())) == 2


def test_a_saver_writes_tensorflows_files_when_asked(graph, tmp_path):
    v = tf.get_variable("v", initializer=[1.0, 2.0])
    saver = tf.train.Saver(write_version=tf.train.SaverDef.V2, sharded=True)
    with tf.Session() as session:
        session.run(v.initializer)
        prefix = saver.save(session, tmp_path / "model", global_step=3)
        session.run(v.assign([0.0, 0.0]))
        saver.restore(session, prefix)
        assert session.run(v).tolist() == [1.0, 2.0]
        tf.train.Saver().restore(session, prefix)
    assert bundle.is_table((tmp_path / "model-3.index").read_bytes())
    assert tf.train.latest_checkpoint(tmp_path) == prefix


def test_the_next_format_may_be_another_one(graph, tmp_path):
    v = tf.get_variable("v", initializer=1.0)
    savers = [tf.train.Saver(write_version=version) for version in (None, tf.train.SaverDef.V2)]
    with tf.Session() as session:
        for number in range(4):
            session.run(v.assign(float(number)))
            prefix = savers[number % 2].save(session, tmp_path / "model", write_meta_graph=False)
            assert tf.train.load_variable(prefix, "v") == number
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "checkpoint"
    assert len(list(tmp_path.iterdir())) == 3


def test_what_tensorflows_files_cannot_hold_is_refused(graph, tmp_path):
    v = tf.Variable(tf.constant({"a": 1}, tf.object), name="v", validate_shape=False)
    savers = {word: tf.train.Saver(write_version=getattr(tf.train.SaverDef, word)) for word in ("V1", "V2")}
    with tf.Session() as session:
        session.run(v.initializer)
        for word, saver in savers.items():
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"of type object, which no {word} checkpoint"):
                saver.save(session, tmp_path / "model")
    with pytest.raises(ValueError, match="write_version must be SaverDef.V1, SaverDef.V2 or None, not 7"):
        tf.train.Saver([v], write_version=7)
