"""Feeds: keys become tensors of the graph, values what those tensors hold while it runs. No session runs here."""

from __future__ import annotations

import collections
import re
import types

import numpy as np
import pytest

import weftwork as tf
from weftwork.scheduler.request.feeds import convert_feed, parse_feed_key, parse_feeds

Names = collections.namedtuple("Names", ["x", "y"])


@pytest.fixture
def x(graph):
    return tf.placeholder(tf.float32, name="x")


@pytest.fixture
def y(graph):
    return tf.placeholder(tf.float32, name="y")


def shown(feeds):
    """Feeds by their tensors' names, as plain lists and numbers."""
    return {tensor.name: value.tolist() for tensor, value in feeds.items()}


# Keys


def test_a_key_is_a_tensor_or_its_name(graph, x, y):
    for keys in ([x, y], ["x:0", "y:0"], [b"x:0", y]):
        feeds = parse_feeds(graph, dict(zip(keys, [1, [2]], strict=True)))
        assert list(feeds) == [x, y]
        assert shown(feeds) == {"x:0": 1, "y:0": [2]}


def test_any_output_is_a_key_and_a_variable_stands_for_its_reference(graph, x):
    w = tf.Variable(1.0, name="w")
    constant, total = tf.constant(1.0), x + 1
    feeds = parse_feeds(graph, {w: 2, constant: 3, total: 4, w.value(): 5})
    assert list(feeds) == [w.op.outputs[0], constant, total, w.value()]
    assert list(feeds.values()) == [2, 3, 4, 5]


def test_the_last_of_two_keys_for_one_tensor_wins(graph, x):
    assert shown(parse_feeds(graph, {x: 1, "x:0": 2})) == {"x:0": 2}
    assert shown(parse_feeds(graph, {"x:0": 2, x: 1})) == {"x:0": 1}


def test_feeds_are_any_mapping_and_nothing_else(graph, x):
    for make in (dict, collections.OrderedDict, types.MappingProxyType):
        assert shown(parse_feeds(graph, make({x: 1}))) == {"x:0": 1}
    for other in ([1], [(x, 1)], "x:0"):
        with pytest.raises(TypeError, match="^input must be a dictionary"):
            parse_feeds(graph, other)


def test_nested_keys_take_nested_values(graph, x, y):
    z = tf.placeholder(tf.float32, name="z")
    for feeds in (
        {(x, (y, z)): (1, (2, 3))},
        {(x, "y:0"): (1, 2), z: 3},
        {z: 3, Names(x, y): Names(1, 2)},
        {((x,), y, z): [1, [2, 3]]},
    ):
        assert shown(parse_feeds(graph, feeds)) == {"x:0": 1, "y:0": 2, "z:0": 3}
    assert parse_feeds(graph, {(): ()}) == {}


def test_nested_keys_must_have_as_many_values(graph, x, y):
    with pytest.raises(ValueError, match="Could not flatten") as caught:
        parse_feeds(graph, {(x, y): (1, (2, 3))})
    assert str(caught.value) == (
        "Could not flatten dictionary. Key had 2 elements, but value had 3 elements. "
        f"Key: {[x, y]}, value: {[1, 2, 3]}."
    )


def test_nested_keys_name_each_tensor_once_in_the_whole_dictionary(graph, x, y):
    also = "".join(["y", ":0"])  # an equal key, not the same one
    for feeds, again in [
        ({(x, y, y): (1, 2, 3)}, y),
        ({x: 1, (y, x): (2, 3)}, x),
        ({(y, x): (2, 3), x: 1}, x),
        ({(x, "y:0", also): (1, 2, 3)}, "y:0"),
    ]:
        with pytest.raises(ValueError, match="Could not flatten") as caught:
            parse_feeds(graph, feeds)
        assert str(caught.value) == f"Could not flatten dictionary: key {again} is not unique."


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (
            "nothing:0",
            "The name 'nothing:0' refers to a Tensor which does not exist. The operation, 'nothing', does not exist "
            "in the graph.",
        ),
        (
            "x:1",
            "The name 'x:1' refers to a Tensor which does not exist. The operation, 'x', exists but only has 1 "
            "outputs.",
        ),
        ("x", "The name 'x' refers to an Operation, not a Tensor."),
        ("nothing", "The name 'nothing' looks like an (invalid) Operation name, not a Tensor."),
        (3, "Can not convert a int into a Tensor."),
        (None, "Can not convert a NoneType into a Tensor."),
    ],
)
def test_what_names_no_tensor_is_no_key(graph, x, key, reason):
    for use in (lambda: parse_feeds(graph, {key: 1}), lambda: parse_feed_key(graph, key)):
        with pytest.raises(TypeError) as caught:
            use()
        assert str(caught.value).startswith(f"Cannot interpret feed_dict key as Tensor: {reason}")


def test_operations_and_tensors_of_another_graph_are_no_keys(graph, x):
    with pytest.raises(TypeError) as caught:
        parse_feeds(graph, {x.op: 1})
    assert str(caught.value) == ("Cannot interpret feed_dict key as Tensor: Can not convert a Operation into a Tensor.")
    with pytest.raises(TypeError) as caught:
        parse_feeds(tf.Graph(), {x: np.float32(1)})
    assert str(caught.value) == (
        f"Cannot interpret feed_dict key as Tensor: Tensor {x!r} is not an element of this graph."
    )


# Composites and registered types


def test_a_sparse_tensor_is_fed_its_three_parts(graph):
    parts = [tf.placeholder(dtype) for dtype in (tf.int64, tf.float32, tf.int64)]
    sparse = tf.SparseTensor(*parts)
    for value in (tf.SparseTensorValue([[0, 1]], [5.0], [2, 2]), ([[0, 1]], [5.0], [2, 2])):
        feeds = parse_feeds(graph, {sparse: value})
        assert list(feeds) == parts
        assert [v.tolist() for v in feeds.values()] == [[[0, 1]], [5], [2, 2]]


def test_indexed_slices_are_fed_the_parts_that_they_have(graph, x):
    indices, shape = tf.placeholder(tf.int64), tf.placeholder(tf.int64)
    whole, part = tf.IndexedSlices(x, indices, shape), tf.IndexedSlices(x, indices)
    feeds = parse_feeds(graph, {whole: tf.IndexedSlicesValue([[1.0]], [0], [4, 1])})
    assert list(feeds) == [x, indices, shape]
    for value in (tf.IndexedSlicesValue([[1.0]], [0], None), ([[1.0]], [0])):
        assert list(parse_feeds(graph, {part: value})) == [x, indices]
    with pytest.raises(ValueError, match="^Cannot feed 2 values to the 3 tensors of IndexedSlices"):
        parse_feeds(graph, {whole: ([[1.0]], [0])})


def test_a_registered_type_is_fed_by_its_own_function(graph, x, y):
    class Both:
        pass

    class OnlyFetched:
        pass

    tf.register_session_run_conversion_functions(
        Both, lambda _: ([x, y], list), lambda _, value: [(x, value), ("y:0", -value)]
    )
    tf.register_session_run_conversion_functions(OnlyFetched, lambda _: ([x], list))
    both = Both()
    assert shown(parse_feeds(graph, {both: 3})) == {"x:0": 3, "y:0": -3}
    z = tf.placeholder(tf.float32, name="z")
    assert shown(parse_feeds(graph, {(both, z): (3, 4)})) == {"x:0": 3, "y:0": -3, "z:0": 4}
    with pytest.raises(TypeError, match="^Cannot interpret feed_dict key as Tensor: Can not convert a OnlyFetched"):
        parse_feeds(graph, {OnlyFetched(): 3})


# Values: what is refused, in this order


def test_a_tensor_is_no_value(graph, x, y):
    anything = tf.placeholder(tf.object)
    for key in (x, anything):
        for value in (y, tf.Variable(1.0)):
            with pytest.raises(TypeError) as caught:
                parse_feeds(graph, {key: value})
            assert str(caught.value).startswith(
                "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python scalars, "
                "strings, lists, numpy ndarrays, or TensorHandles."
            )


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *[(tf.int32, 2**31), (tf.int32, -(2**31) - 1), (tf.int64, 2**63), (tf.uint8, -1), (tf.int8, 300)],
        *[(tf.bool, 2), (tf.string, 5)],
        *[(tf.float16, 70000), (tf.float32, 2**24 + 1), (tf.float32, 2**200), (tf.float64, 2**1100)],
        (tf.complex64, 2**200),
        *[(tf.int8, [1, 300]), (tf.uint8, (-1,)), (tf.int32, [[2**40]]), (tf.int64, [2**63]), (tf.int32, [2**70])],
    ],
)
def test_an_int_that_the_dtype_cannot_hold_is_refused_and_never_wraps(dtype, value):
    with tf.Graph().as_default():
        tensor = tf.placeholder(dtype)
    with pytest.raises(TypeError) as caught:
        convert_feed(tensor, value)
    assert str(caught.value) == (
        f"Type of feed value {value} with type {type(value)} is not compatible with Tensor type "
        f"{dtype.as_numpy_dtype}. Try explicitly setting the type of the feed tensor to a larger type (e.g. int64)."
    )


@pytest.mark.parametrize("dtype", [tf.float32, tf.int32, tf.string, tf.bool])
def test_none_is_refused_by_the_tensors_name(dtype):
    with tf.Graph().as_default():
        tensor = tf.placeholder(dtype, name="x")
    with pytest.raises(TypeError, match="^None cannot be fed to .*'x:0'"):
        convert_feed(tensor, None)


@pytest.mark.parametrize(
    ("dtype", "value", "error"),
    [
        (tf.float32, "text", ValueError),
        (tf.float32, [[1.0], [1.0, 2.0]], ValueError),
        (tf.int32, [[1], [1, 2]], ValueError),
        (tf.float32, object(), TypeError),
        (tf.string, 1.5, TypeError),
        (tf.string, ["a", 1], TypeError),
        (tf.string, "\ud800", ValueError),  # no UTF-8
    ],
)
def test_what_is_no_array_of_the_dtype_is_refused_by_the_tensors_name(dtype, value, error):
    with tf.Graph().as_default():
        tensor = tf.placeholder(dtype, name="x")
    with pytest.raises(error, match="^Cannot feed .*'x:0'.* defined at .*test_feeds.py:"):
        convert_feed(tensor, value)


@pytest.mark.parametrize(
    ("shape", "value", "given", "wanted"),
    [
        ([4], [1, 2, 3], "(3,)", "(4,)"),
        ([4], 1, "()", "(4,)"),
        ([], [1], "(1,)", "()"),
        ([None, 3], [[1, 2]], "(1, 2)", "(?, 3)"),
        ([None, 3], [1, 2, 3], "(3,)", "(?, 3)"),
    ],
)
def test_a_value_must_fit_the_tensors_shape(graph, shape, value, given, wanted):
    tensor = tf.placeholder(tf.float32, shape, name="t")
    for fed in (value, np.array(value, np.float32), np.array(value)):
        with pytest.raises(ValueError, match="Cannot feed") as caught:
            parse_feeds(graph, {tensor: fed})
        text, _, line = str(caught.value).partition(", defined at ")
        assert text == f"Cannot feed value of shape {given} for Tensor 't:0', which has shape '{wanted}'"
        assert re.fullmatch(r".*test_feeds\.py:\d+", line)


def test_values_fit_a_shape_that_is_open(graph):
    rows, unknown = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32)
    for count in (0, 1, 5):
        assert parse_feeds(graph, {rows: np.zeros([count, 3])})[rows].shape == (count, 3)
    for shape in ((), (2,), (2, 0, 3)):
        assert parse_feeds(graph, {unknown: np.zeros(shape)})[unknown].shape == shape


def test_what_was_marked_may_not_be_fed(graph, x):
    graph.prevent_feeding(x)
    for key, value in ((x, np.zeros(2, np.float32)), (x, 1), ("x:0", 1), ((x,), (1,))):
        with pytest.raises(ValueError, match="may not be fed") as caught:
            parse_feeds(graph, {key: value})
        assert str(caught.value) == f"Tensor {x!r} may not be fed."


def test_checks_come_in_order_key_then_kind_then_int_then_shape_then_feedability(graph, x):
    tensor = tf.placeholder(tf.int32, [2], name="t")
    graph.prevent_feeding(tensor)
    for key, value, message in [
        ("nothing:0", x, "Cannot interpret feed_dict key"),
        (tensor, x, "The value of a feed cannot be a tf.Tensor"),
        (tensor, 2**40, "Type of feed value"),
        (tensor, "text", "Cannot feed 'text' to"),
        (tensor, [1], "Cannot feed value of shape"),
        (tensor, [1, 2], "Tensor .* may not be fed"),
    ]:
        with pytest.raises((TypeError, ValueError), match="^" + message):
            parse_feeds(graph, {key: value})


# Values: what they become


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        *[(tf.int32, 2**31 - 1, 2**31 - 1), (tf.int32, -(2**31), -(2**31)), (tf.uint64, 2**64 - 1, 2**64 - 1)],
        *[(tf.float32, 3, 3.0), (tf.float32, 2**24, 2.0**24), (tf.float64, 2**1000, 2.0**1000)],
        *[(tf.bool, True, True), (tf.bool, 1, True), (tf.bool, [1, 0], [True, False]), (tf.int8, True, 1)],
        *[(tf.int32, 2.9, 2), (tf.int32, [1.5, -2.5], [1, -2]), (tf.int32, np.float64(2.9), 2)],
        *[(tf.uint8, [0, 255], [0, 255]), (tf.int32, [], []), (tf.float32, range(3), [0, 1, 2])],
        *[(tf.complex64, 1 + 2j, 1 + 2j), (tf.float16, 0.5, 0.5), (tf.float32, np.arange(3), [0, 1, 2])],
        *[(tf.float32, np.array([1.0, 2.0], ">f4"), [1, 2]), (tf.float32, np.ma.array([1, 2]), [1, 2])],
    ],
)
def test_values_become_arrays_of_the_dtype_and_scalars_for_rank_0(dtype, value, expected):
    with tf.Graph().as_default():
        tensor = tf.placeholder(dtype)
    fed = convert_feed(tensor, value)
    assert fed.dtype == dtype.numpy
    assert fed.dtype.isnative
    assert type(fed) is (np.ndarray if isinstance(expected, list) else dtype.as_numpy_dtype)
    assert fed.tolist() == expected


def test_an_array_of_rank_0_becomes_a_numpy_scalar(graph, x):
    for value in (np.array(3, np.float32), np.array(3), 3, np.float32(3)):
        assert type(parse_feeds(graph, {x: value})[x]) is np.float32


def test_a_fed_array_is_a_read_only_view_and_the_users_array_stays_writable(graph, x):
    words = tf.placeholder(tf.string)
    for tensor, mine in ((x, np.zeros([2, 3], np.float32)), (words, np.array([b"a", b"b"], object))):
        for key in (tensor, tensor.name):
            fed = parse_feeds(graph, {key: mine})[tensor]
            assert not fed.flags.writeable
            assert fed.base is not None  # so that a session copies it before it hands it back
            assert mine.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                fed[...] = 1
    mine = np.zeros(3, np.float32)
    assert np.shares_memory(parse_feeds(graph, {x: mine})[x], mine)


def test_memory_that_only_looks_like_an_array_is_not_writable_either(graph, x):
    mine = bytearray(np.ones(2, np.float32).tobytes())
    fed = parse_feeds(graph, {x: memoryview(mine).cast("f")})[x]
    assert fed.tolist() == [1, 1]
    assert not fed.flags.writeable


def test_text_becomes_utf_8_bytes_with_its_zeros(graph):
    tensor = tf.placeholder(tf.string)

    def fed(value):
        return parse_feeds(graph, {tensor: value})[tensor]

    for value in ("größe", np.str_("größe"), "größe".encode(), np.array("größe"), np.array("größe", object)):
        assert type(fed(value)) is bytes
        assert fed(value) == "größe".encode()
    assert fed("a\x00b\x00") == b"a\x00b\x00"
    many = fed(["a\x00", b"\x00", "ü"])
    assert many.dtype == object
    assert many.tolist() == [b"a\x00", b"\x00", "ü".encode()]
    assert fed(np.array([["a"], ["b"]])).tolist() == [[b"a"], [b"b"]]


def test_an_object_tensor_takes_anything_as_it_is(graph):
    tensor = tf.placeholder(tf.object)
    for value in (None, 2**100, "text", [1, "a"], {"k": 1}, np.array([1, None], object), object()):
        assert parse_feeds(graph, {tensor: value})[tensor] is value


@pytest.mark.parametrize("dtype", [np.float64, "M8[s]", np.longdouble])
def test_an_array_that_was_fed_is_not_the_one_that_is_fetched(graph, dtype):
    """Through a tensor of objects, too."""
    array, tensor = np.zeros(3, dtype), tf.placeholder(tf.object)
    with tf.Session() as session:
        for fetched in (tensor, tf.identity(tensor)):
            for call in (session.run, session.make_callable(fetched, [tensor])):
                result = call(fetched, {tensor: array}) if call == session.run else call(array)
                assert not np.shares_memory(result, array)
                result[1] = np.ones((), dtype)
    assert tf.function(lambda x: x)(array) is not array
    assert array.tolist() == np.zeros(3, dtype).tolist()
