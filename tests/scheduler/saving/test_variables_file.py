"""Values of variables in safetensors and npz files: written, read, and refused when anything is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

import weftwork as tf


def model():
    a = tf.get_variable("scope/a", initializer=tf.constant([[1.0, 2.0, 3.0]]))
    b = tf.get_variable("b", initializer=tf.constant(5, tf.int64))
    return a, b


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_values_come_back(graph, tmp_path, ending):
    a, b = model()
    path = tmp_path / f"values.{ending}"
    with tf.Session() as session:
        session.run([a.initializer, b.initializer])
        tf.train.export_variables(session, path)
    with tf.Session() as session:
        tf.train.import_variables(session, path)
        assert session.run(a).tolist() == [[1.0, 2.0, 3.0]]
        tf.train.import_variables(session, path, {"b": b})
        assert session.run(b) == 5


def test_a_safetensors_file_is_as_its_readers_want_it(graph, tmp_path):
    a, b = model()
    path = tmp_path / "values.safetensors"
    with tf.Session() as session:
        session.run([a.initializer, b.initializer])
        tf.train.export_variables(session, path, [a])
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    assert json.loads(data[8 : 8 + size]) == {"scope/a": {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 12]}}
    assert np.frombuffer(data[8 + size :], "<f4").tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"must end in .safetensors or .npz"):
        tf.train.export_variables(tf.Session(), tmp_path / "values.h5", [])


def test_what_does_not_fit_changes_nothing(graph, tmp_path):
    a, b = model()
    others = {"scope/a": np.ones([1, 3], "f"), "b": np.float32(1), "c": np.zeros([2, 3], "f")}
    np.savez(tmp_path / "other.npz", **others)
    with tf.Session() as session:
        session.run([a.initializer, b.initializer])
        with pytest.raises(TypeError, match="b is int64, but b of"):
            tf.train.import_variables(session, tmp_path / "other.npz")
        with pytest.raises(ValueError, match="scope/a has shape"):
            tf.train.import_variables(session, tmp_path / "other.npz", {"c": a})
        with pytest.raises(KeyError, match="d is not in"):
            tf.train.import_variables(session, tmp_path / "other.npz", {"d": a})
        assert session.run(a).tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_a_damaged_file_is_told(graph, tmp_path, ending):
    path = tmp_path / f"values.{ending}"
    for data in (b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0[]", b'\x02\0\0\0\0\0\0\0{"'):
        path.write_bytes(data)
        with pytest.raises(tf.errors.DataLossError, match="is damaged, or in another format"):
            tf.train.import_variables(tf.Session(), path, [])


def test_only_numbers_are_written(graph, tmp_path):
    v = tf.get_variable("v", initializer=tf.constant("text"))
    with tf.Session() as session:
        session.run(v.initializer)
        with pytest.raises(tf.errors.InvalidArgumentError, match="only numbers can be written"):
            tf.train.export_variables(session, tmp_path / "values.npz")
