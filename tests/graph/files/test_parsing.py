"""Examples: messages that TensorFlow reads, and their features as tensors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import weftwork as tf

INTS, FLOATS, TEXTS = tf.int64, tf.float32, tf.string


def feature(values):
    if values is None:
        return tf.train.Feature()
    if values and isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(**features) -> bytes:
    made = tf.train.Features(feature={key: feature(values) for key, values in features.items()})
    return tf.train.Example(features=made).SerializeToString()


THREE = [
    example(size=[1, 2], words=[b"x", b"yy"], height=[0.5]),
    example(size=[3, 4], height=[1.5]),
    example(size=[5, 6], words=[b"zzz"]),
]
SPARSE = [example(row=[3, 0], column=[1, 2], value=[1.0, 2.0]), example(), example(row=[7], column=[0], value=[3.0])]


def parsed(serialized, features, **options):
    parse = tf.parse_single_example if isinstance(serialized, bytes) else tf.parse_example
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(parse(serialized, features, **options))


def lists(sparse):
    return [part.tolist() for part in sparse]


def test_a_message_has_the_bytes_of_tensorflows():
    made = example(a=[1, 2])
    assert made == b"\n\r\n\x0b\n\x01a\x12\x06\x1a\x04\n\x02\x01\x02"
    back = tf.train.Example.FromString(made)
    assert back.features.feature["a"].int64_list.value == [1, 2]
    assert back.features.feature["a"].WhichOneof("kind") == "int64_list"
    assert tf.train.Example.DESCRIPTOR.full_name == "tensorflow.Example"
    assert pickle.loads(pickle.dumps(back)) == back


def test_features_of_fixed_length_are_tensors():
    got = parsed(THREE, {"size": tf.FixedLenFeature([2, 1], INTS), "height": tf.FixedLenFeature([], FLOATS, 9.0)})
    assert got["size"].tolist() == [[[1], [2]], [[3], [4]], [[5], [6]]]
    assert got["height"].tolist() == [0.5, 1.5, 9.0]
    assert (got["size"].dtype, got["height"].dtype) == (np.int64, np.float32)
    default = tf.FixedLenFeature([2], TEXTS, ["a", "b"])
    assert parsed([example(none=None)], {"none": default})["none"].tolist() == [[b"a", b"b"]]


def test_a_string_of_its_own_is_bytes_for_who_takes_it(graph):
    name = tf.FixedLenFeature([], TEXTS)
    many = tf.parse_example([example(a=[b"bc"])] * 2, {"a": name})["a"]
    one = tf.parse_single_example(example(a=[b"d"]), {"a": name})["a"]
    with tf.Session() as session:
        missing = tf.parse_example([example()], {"a": tf.FixedLenFeature([], TEXTS, "efg")})["a"]
        lengths = [tf.strings.length(strings) for strings in (many, one, missing)]
        got = session.run([*lengths, tf.decode_raw(many, tf.uint8)])
    assert [part.tolist() for part in got] == [[2, 2], 1, [3], [[98, 99], [98, 99]]]


def test_features_of_any_length_are_sparse_tensors():
    got = parsed(THREE, {"words": tf.VarLenFeature(TEXTS), "nobody": tf.io.VarLenFeature(INTS)})
    assert lists(got["words"]) == [[[0, 0], [0, 1], [2, 0]], [b"x", b"yy", b"zzz"], [3, 2]]
    assert lists(got["nobody"]) == [[], [], [3, 0]]


def test_sequences_are_filled_up_to_the_longest():
    padded = tf.FixedLenSequenceFeature([], TEXTS, allow_missing=True)
    assert parsed(THREE, {"words": padded})["words"].tolist() == [[b"x", b"yy"], [b"", b""], [b"zzz", b""]]
    pairs = tf.FixedLenSequenceFeature([2], INTS, allow_missing=True, default_value=7)
    assert parsed([example(a=[1, 2, 3, 4]), example()], {"a": pairs})["a"].tolist() == [[[1, 2], [3, 4]], [[7, 7]] * 2]


def test_values_with_indices_are_sparse_tensors():
    one = tf.SparseFeature("row", "value", FLOATS, 10)
    assert lists(parsed(SPARSE, {"s": one})["s"]) == [[[0, 0], [0, 3], [2, 7]], [2, 1, 3], [3, 10]]
    two = tf.SparseFeature(["row", "column"], "value", FLOATS, [10, 4])
    assert lists(parsed(SPARSE, {"s": two})["s"]) == [[[0, 0, 2], [0, 3, 1], [2, 7, 0]], [2, 1, 3], [3, 10, 4]]
    as_it_is = tf.SparseFeature("row", "value", FLOATS, 10, already_sorted=True)
    assert lists(parsed(SPARSE[0], {"s": as_it_is})["s"]) == [[[3], [0]], [1, 2], [10]]


def test_a_single_example_has_no_axis_for_the_batch():
    got = parsed(THREE[0], {"size": tf.FixedLenFeature([2], INTS), "words": tf.VarLenFeature(TEXTS)})
    assert got["size"].tolist() == [1, 2]
    assert lists(got["words"]) == [[[0], [1]], [b"x", b"yy"], [2]]


def test_shapes_are_known_before_anything_runs(graph):
    features = {"a": tf.FixedLenFeature([2], INTS), "b": tf.VarLenFeature(TEXTS)}
    features["c"] = tf.FixedLenSequenceFeature([3], FLOATS, allow_missing=True)
    many = tf.parse_example(tf.placeholder(tf.string, [5]), features)
    assert (many["a"].shape.as_list(), many["c"].shape.as_list()) == ([5, 2], [5, None, 3])
    assert many["b"].indices.shape.as_list() == [None, 2]
    one = tf.parse_single_example(tf.placeholder(tf.string), features)
    assert (one["a"].shape.as_list(), one["c"].shape.as_list()) == ([2], [None, 3])
    assert one["b"].dense_shape.shape.as_list() == [1]


def test_a_sequence_example_has_a_context_and_lists_of_features():
    steps = tf.train.FeatureLists(
        feature_list={
            "pair": tf.train.FeatureList(feature=[feature([1, 2]), feature([3, 4]), feature([5, 6])]),
            "some": tf.train.FeatureList(feature=[feature([1.0]), feature(None), feature([2.0, 3.0])]),
        }
    )
    context = tf.train.Features(feature={"n": feature([3])})
    data = tf.train.SequenceExample(context=context, feature_lists=steps).SerializeToString()
    wanted = {
        "pair": tf.FixedLenSequenceFeature([2], INTS),
        "some": tf.VarLenFeature(FLOATS),
        "none": tf.FixedLenSequenceFeature([2], INTS, allow_missing=True),
    }
    with tf.Graph().as_default(), tf.Session() as session:
        before, after = session.run(tf.parse_single_sequence_example(data, {"n": tf.FixedLenFeature([], INTS)}, wanted))
        with pytest.raises(tf.errors.InvalidArgumentError, match="'none' is required"):
            session.run(tf.parse_single_sequence_example(data, None, {"none": tf.FixedLenSequenceFeature([2], INTS)}))
    assert before == {"n": 3}
    assert after["pair"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert lists(after["some"]) == [[[0, 0], [2, 0], [2, 1]], [1, 2, 3], [3, 2]]
    assert after["none"].shape == (0, 2)


def sequence(context, **steps):
    made = {key: tf.train.FeatureList(feature=list(map(feature, values))) for key, values in steps.items()}
    return tf.train.SequenceExample(
        context=tf.train.Features(feature={key: feature(values) for key, values in context.items()}),
        feature_lists=tf.train.FeatureLists(feature_list=made),
    ).SerializeToString()


SEQUENCES = [
    sequence({"n": [1], "word": [b"x"]}, pair=[[1, 2], [3, 4]], some=[[1.0], [2.0, 3.0]]),
    sequence({"n": [2]}, pair=[[5, 6]], some=[None, None, [4.0]]),
]


def test_many_sequence_examples_are_padded_to_the_longest():
    context = {"n": tf.FixedLenFeature([], INTS), "word": tf.VarLenFeature(TEXTS)}
    steps = {
        "pair": tf.FixedLenSequenceFeature([2], INTS),
        "some": tf.VarLenFeature(FLOATS),
        "none": tf.FixedLenSequenceFeature([], TEXTS, allow_missing=True),
    }
    with tf.Graph().as_default(), tf.Session() as session:
        nodes = tf.io.parse_sequence_example(SEQUENCES, context, steps)
        assert nodes[1]["pair"].shape.as_list() == [2, None, 2]
        assert nodes[1]["some"].indices.shape.as_list() == [None, 3]
        before, after, lengths = session.run(nodes)
    assert before["n"].tolist() == [1, 2]
    assert lists(before["word"]) == [[[0, 0]], [b"x"], [2, 1]]
    assert after["pair"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [0, 0]]]
    assert lists(after["some"]) == [[[0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 2, 0]], [1, 2, 3, 4], [2, 3, 2]]
    assert after["none"].shape == (2, 0)
    assert {key: counts.tolist() for key, counts in lengths.items()} == {"pair": [2, 1], "none": [0, 0]}


def test_a_sequence_example_that_does_not_match_is_named():
    wanted = {"none": tf.FixedLenSequenceFeature([2], INTS)}
    with tf.Graph().as_default(), tf.Session() as session:
        with pytest.raises(tf.errors.InvalidArgumentError, match="Name: first, Feature list 'none' is required"):
            session.run(tf.io.parse_sequence_example(SEQUENCES, None, wanted, ["first", "second"])[1])
        context = {"word": tf.FixedLenFeature([], TEXTS)}
        with pytest.raises(tf.errors.InvalidArgumentError, match="Name: second, Key: word"):
            session.run(tf.io.parse_sequence_example(SEQUENCES, context, None, ["first", "second"])[0])
        with pytest.raises(ValueError, match="Missing features"):
            tf.io.parse_sequence_example(SEQUENCES)


@pytest.mark.parametrize(
    ("features", "text"),
    [
        ({"words": tf.FixedLenFeature([1], TEXTS)}, r"Name: a, Key: words, Index: 0.*Values size: 2 .*shape: \[1\]"),
        ({"height": tf.FixedLenFeature([], FLOATS)}, r"Name: c, .*Feature: height \(data type: float\) is required"),
        ({"size": tf.VarLenFeature(FLOATS)}, r"Data types don't match. Expected type: float, Actual type: int64"),
        ({"words": tf.FixedLenSequenceFeature([3], TEXTS, True)}, r"Values size: 2 but output shape: \[\?,3\]"),
        ({"s": tf.SparseFeature("size", "words", TEXTS, 9)}, r"Key: size, Index: 1.*2 indices do not fit 0 values"),
    ],
)
def test_an_example_that_does_not_fit_is_named(features, text):
    with pytest.raises(tf.errors.InvalidArgumentError, match=text) as caught:
        parsed(THREE, features, example_names=["a", "b", "c"])
    assert "test_parsing.py" in str(caught.value)


def test_bad_input_is_told(graph):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse example input, value: b'garbage'"):
        parsed([b"garbage"], {"a": tf.VarLenFeature(INTS)})
    with pytest.raises(ValueError, match="Missing: features was {}"):
        tf.parse_example(THREE, {})
    with pytest.raises(ValueError, match="Invalid feature a:3"):
        tf.parse_example(THREE, {"a": 3})
    with pytest.raises(ValueError, match="Consider using FixedLenSequenceFeature"):
        tf.parse_example(THREE, {"a": tf.FixedLenFeature([None], INTS)})
    with pytest.raises(ValueError, match="requires allow_missing"):
        tf.parse_example(THREE, {"a": tf.FixedLenSequenceFeature([], INTS)})
    with pytest.raises(TypeError, match="int32 not in list of allowed values"):
        tf.parse_example(THREE, {"a": tf.FixedLenFeature([2], tf.int32)})
    with pytest.raises(ValueError, match="must be rank 1 but is rank 0"):
        tf.parse_example(THREE[0], {"a": tf.VarLenFeature(INTS)})


def test_examples_in_json_are_parsed_like_others(graph):
    text = '{"features": {"feature": {"x": {"int64List": {"value": [%d]}}}}}'
    serialized = tf.io.decode_json_example([text % 4, text % 5])
    assert serialized.shape == (2,)
    parsed = tf.parse_example(serialized, {"x": tf.FixedLenFeature([], tf.int64)})
    with tf.Session() as session:
        assert session.run(parsed["x"]).tolist() == [4, 5]
        with pytest.raises(tf.errors.InvalidArgumentError, match="Error while parsing JSON"):
            session.run(tf.decode_json_example("{x"))
