"""Arguments and results of `session.run`: fetches, feeds, the order of checks, results, random streams."""

from __future__ import annotations

import collections

import attr
import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import InaccessibleTensorError, InvalidArgumentError

HERE = tf.ConfigProto(placement="caller")
PLACEMENTS = ["caller", "actor", "task", "mixed", "auto"]


class Counted:
    """A function that counts its calls, as a node."""

    def __init__(self, value=None):
        self.calls = 0

        def count():
            self.calls += 1
            return value

        self.make = tf.op(count)


# The order of checks


def test_an_empty_graph_is_refused_whatever_is_fetched():
    session = tf.Session(graph=tf.Graph())
    for fetches in ([], "foo:0", None):
        with pytest.raises(RuntimeError, match=r"^The Session graph is empty\.  Add operations to the graph before"):
            session.run(fetches)
    session.close()
    with pytest.raises(RuntimeError, match=r"Attempted to use a closed Session\."):
        session.run([])


def test_feeds_are_checked_before_fetches(session):
    x = tf.placeholder(tf.float32, [2], name="x")
    with pytest.raises(TypeError, match="Cannot interpret feed_dict key as Tensor"):
        session.run(None, {"nothing:0": 1})
    with pytest.raises(ValueError, match="Cannot feed value of shape"):
        session.run(None, {x: [1, 2, 3]})


def test_what_is_fed_or_constant_runs_nothing(session):
    x = tf.placeholder(tf.float32, [2])
    assert session.run([]) == []
    assert session.run({"x": x}, {x: [1, 2]})["x"].tolist() == [1, 2]
    assert session.run(tf.constant(3)) == 3
    assert session.placements == {}


# Fetches: structures

Pair = collections.namedtuple("Pair", ["a", "b"])


@attr.s
class Sample:
    """A class that attrs made."""

    first: object = attr.ib()
    second: object = attr.ib()


class SubList(list):
    """A list of one's own."""


class SubTuple(tuple):
    """A tuple of one's own."""


def test_results_have_the_structure_of_the_fetches(session):
    a, b = tf.constant(1), tf.constant(2)
    ordered = collections.OrderedDict([("z", b), ("a", a)])
    default = collections.defaultdict(list, b=b)
    for fetches, expected in [
        (a, 1),
        ([a], [1]),
        ((a, b), (1, 2)),
        ([], []),
        ((), ()),
        ({}, {}),
        ({"a": a, 2: b}, {"a": 1, 2: 2}),
        (Pair(a, b), Pair(1, 2)),
        (ordered, collections.OrderedDict([("z", 2), ("a", 1)])),
        (default, {"b": 2}),
        (Sample(a, b), Sample(1, 2)),
        (SubList([a]), [1]),
        (SubTuple([a]), (1,)),
        ([a, (b, {"x": Pair([a], ())}), [[b]]], [1, (2, {"x": Pair([1], ())}), [[2]]]),
    ]:
        for _ in range(2):  # the second time from the cache
            result = session.run(fetches)
            assert result == expected
            if not isinstance(fetches, (tf.Tensor, SubList, SubTuple)):
                assert type(result) is type(fetches)
    assert type(session.run(SubList([a]))) is list
    assert list(session.run(ordered)) == ["z", "a"]


def test_structures_that_look_alike_are_told_apart(session):
    a, b = tf.constant(1), tf.constant(2)
    assert session.run([a, b]) == [1, 2]
    assert session.run((a, b)) == (1, 2)
    assert session.run([b, a]) == [2, 1]
    assert session.run({"a": a, "b": b}) == {"a": 1, "b": 2}
    assert session.run({"b": a, "a": b}) == {"b": 1, "a": 2}
    assert session.run([[a, b]]) == [[1, 2]]
    assert [type(key) for key in session.run({1: a})] == [int]
    assert [type(key) for key in session.run({True: a})] == [bool]


def test_operations_give_none_and_duplicates_run_once(session):
    function = Counted(7)
    tensor = function.make()
    assert session.run([tensor, tensor.op, tensor, tensor.name, {"x": tensor}]) == [7, None, 7, 7, {"x": 7}]
    assert function.calls == 1
    assert session.run(tensor.op) is None
    assert function.calls == 2


def test_names_are_fetched_as_text_or_bytes(session):
    a = tf.constant(5, name="a")
    split = tf.op(outputs=2, name="split")(lambda: (1, 2))()
    assert split[1].name == "split:1"
    assert session.run(["a:0", b"a:0", "split:1", b"split:0"]) == [5, 5, 2, 1]
    assert session.run("a") is None
    assert session.run(b"a") is None
    assert session.run([a, "a:0"]) == [5, 5]


def test_variables_are_fetched_as_their_value(session):
    w = tf.Variable([1.0, 2.0], name="w")
    session.run(w.initializer)
    for fetch in (w, "w:0", w.value(), w.op.outputs[0], "w/read:0"):
        assert session.run(fetch).tolist() == [1, 2]
    assert session.run("w") is None


def test_anything_with_a_graph_element_is_fetched(session):
    class Wrapper:
        def __init__(self, tensor):
            self.tensor = tensor

        def _as_graph_element(self):
            return self.tensor

    assert session.run([Wrapper(tf.constant(1)), Wrapper(tf.constant(2).op)]) == [1, None]


def test_registered_types_are_fetched_and_fed(session):
    class Squared:
        def __init__(self, name):
            self.root = tf.placeholder(tf.float32, [], name=name)
            self.square = self.root * self.root

    def fetch(squared):
        return [squared.root, squared.square], lambda values: ("squared", *values)

    def feed(squared, value):
        return [(squared.root, value)]

    tf.register_session_run_conversion_functions(Squared, fetch, feed)
    with pytest.raises(ValueError, match="has already been registered so ignore it."):
        tf.register_session_run_conversion_functions(Squared, fetch)
    one, two = Squared("one"), Squared("two")
    assert session.run(one, {one: 3}) == ("squared", 3, 9)
    assert session.run([one, {"two": two}], {one: 3, two: 4}) == [("squared", 3, 9), {"two": ("squared", 4, 16)}]
    assert session.run(one.square, {(one, two): (3, 4)}) == 9


# Fetches: what is refused


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: (1, x)[1:], lambda x: {"a": [x]}])
def test_none_cannot_be_fetched(session, wrap):
    tf.no_op()
    with pytest.raises(TypeError, match="^Fetch argument None has invalid type <class 'NoneType'>"):
        session.run(wrap(None))


@pytest.mark.parametrize("value", [3, 2.5, object, np.zeros(2)])
def test_other_types_cannot_be_fetched(session, value):
    tf.no_op()
    with pytest.raises(TypeError) as caught:
        session.run([value])
    kind = type(value).__name__
    assert str(caught.value) == (
        f"Fetch argument {value!r} has invalid type {type(value)!r}, must be a string or Tensor. "
        f"(Can not convert a {kind} into a Tensor or Operation.)"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "foo:0",
            "The name 'foo:0' refers to a Tensor which does not exist. The operation, 'foo', does not exist in the "
            "graph.",
        ),
        (
            "a:1",
            "The name 'a:1' refers to a Tensor which does not exist. The operation, 'a', exists but only has 1 "
            "outputs.",
        ),
        ("foo", "The name 'foo' refers to an Operation not in the graph."),
        (
            "a:b:c",
            "The name 'a:b:c' looks a like a Tensor name, but is not a valid one. Tensor names must be of the form "
            '"<op_name>:<output_index>".',
        ),
        ("a:x", "The name 'a:x' looks a like a Tensor name, but is not a valid one."),
    ],
)
def test_unknown_names_cannot_be_fetched(session, name, reason):
    tf.constant(1, name="a")
    with pytest.raises(ValueError, match="^Fetch argument ") as caught:
        session.run(name)
    assert str(caught.value).startswith(f"Fetch argument {name!r} cannot be interpreted as a Tensor. ({reason}")


def test_elements_of_another_graph_cannot_be_fetched(session):
    tf.no_op()
    with tf.Graph().as_default():
        foreign = tf.constant(1, name="foreign")
    for element, kind in ((foreign, "Tensor"), (foreign.op, "Operation")):
        with pytest.raises(ValueError, match="cannot be interpreted as a Tensor") as caught:
            session.run(element)
        assert f"({kind} {element!r} is not an element of this graph.)" in str(caught.value)


def test_what_was_marked_cannot_be_fetched(session, graph):
    tensor = tf.constant(1, name="inner")
    graph.prevent_fetching(tensor.op)
    for fetch in (tensor, tensor.op, "inner:0"):
        with pytest.raises(InaccessibleTensorError, match="'inner' has been marked as not fetchable. Typically this"):
            session.run(fetch)
    assert issubclass(InaccessibleTensorError, ValueError)


# Feeds: keys


def test_feeds_are_named_by_tensor_or_tensor_name(session):
    x, y = tf.placeholder(tf.float32, name="x"), tf.placeholder(tf.float32, name="y")
    for feeds in ({x: 1, y: 2}, {"x:0": 1, b"y:0": 2}, {x: 1, "y:0": 2}):
        assert session.run(x + 2 * y, feeds) == 5


def test_nested_keys_must_match_nested_values(session):
    x, y, z = (tf.placeholder(tf.float32, [], name=name) for name in "xyz")
    total = x + 10 * y + 100 * z
    assert session.run(total, {(x, (y, z)): (1, (2, 3))}) == 321
    assert session.run(total, {(x, y): (1, 2), z: 3}) == 321
    with pytest.raises(
        ValueError, match=r"^Could not flatten dictionary\. Key had 2 elements, but value had 3 elements\. Key: "
    ):
        session.run(total, {(x, y): (1, 2, 3), z: 3})
    with pytest.raises(ValueError, match=r"^Could not flatten dictionary: key .* is not unique\."):
        session.run(total, {(x, x): (1, 2), z: 3})


def test_what_is_no_tensor_of_the_graph_is_no_feed(session):
    x = tf.placeholder(tf.float32, name="x")
    with tf.Graph().as_default():
        foreign = tf.placeholder(tf.float32, name="foreign")
    for key in ("x", "nothing:0", "nothing", "x:1", foreign, x.op, 3, None, "a:b:c"):
        with pytest.raises(TypeError, match="^Cannot interpret feed_dict key as Tensor: "):
            session.run(x, {key: 1})
    with pytest.raises(TypeError, match="The operation, 'nothing', does not exist in the graph"):
        session.run(x, {"nothing:0": 1})
    with pytest.raises(TypeError, match=r"is not an element of this graph"):
        session.run(x, {foreign: 1})
    with pytest.raises(TypeError, match="Can not convert a Operation into a Tensor"):
        session.run(x, {x.op: 1})


def test_what_was_marked_cannot_be_fed(session, graph):
    tensor = tf.constant(1) + 1
    graph.prevent_feeding(tensor)
    with pytest.raises(ValueError, match="^Tensor ") as caught:
        session.run(tensor, {tensor: 3})
    assert str(caught.value) == f"Tensor {tensor!r} may not be fed."


def test_the_last_of_two_values_for_one_tensor_wins(session):
    x = tf.placeholder(tf.float32, name="x")
    assert session.run(x, {x: 1, "x:0": 2}) == 2
    assert session.run(x, {"x:0": 2, x: 1}) == 1


def test_feeds_that_nothing_needs_are_ignored(session):
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    assert session.run(x, {x: 1, y: 2}) == 1
    assert session.run(tf.constant(3), {y: 2}) == 3


# Feeds: values


def test_tensors_cannot_be_fed_as_values(session):
    x, w = tf.placeholder(tf.float32), tf.Variable(1.0)
    for value in (tf.constant(1.0), w):
        with pytest.raises(TypeError) as caught:
            session.run(x, {x: value})
        assert str(caught.value).startswith(
            "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python scalars, strings, "
            "lists, numpy ndarrays, or TensorHandles."
        )


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (tf.int32, 2**31),
        (tf.int32, 2**40),
        (tf.int32, 2**70),
        (tf.uint8, -1),
        (tf.int8, 128),
        (tf.string, 5),
        (tf.float32, 2**24 + 1),
        (tf.bool, 2),
    ],
)
def test_a_python_int_must_be_represented_exactly(session, dtype, value):
    x = tf.placeholder(dtype)
    with pytest.raises(TypeError) as caught:
        session.run(x, {x: value})
    assert str(caught.value) == (
        f"Type of feed value {value} with type <class 'int'> is not compatible with Tensor type "
        f"{dtype.as_numpy_dtype}. Try explicitly setting the type of the feed tensor to a larger type (e.g. int64)."
    )


@pytest.mark.parametrize("value", [[1, 2**40], [2**70], [[-(2**33)]]])
def test_ints_in_a_list_must_fit_too(session, value):
    x = tf.placeholder(tf.int32)
    with pytest.raises(TypeError, match="is not compatible with Tensor type"):
        session.run(x, {x: value})


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (tf.int32, 2**31 - 1, 2**31 - 1),
        (tf.int64, 2**62, 2**62),
        (tf.uint8, 255, 255),
        (tf.float32, 3, 3.0),
        (tf.int32, 2.9, 2),
        (tf.int32, np.float64(2.9), 2),
        (tf.int32, [1.5, 2.5], [1, 2]),
        (tf.float32, np.arange(3), [0, 1, 2]),
        (tf.float16, 0.5, 0.5),
        (tf.bool, True, True),
        (tf.bool, [1, 0], [True, False]),
        (tf.complex64, 1 + 2j, 1 + 2j),
        (tf.float64, np.float32(1.5), 1.5),
        (tf.float32, [], []),
        (tf.float32, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (tf.float32, range(3), [0, 1, 2]),
    ],
)
def test_values_are_converted_to_the_tensors_dtype(session, dtype, value, expected):
    x = tf.placeholder(dtype)
    fed = session.run(x, {x: value})
    assert fed.dtype == dtype.numpy
    assert isinstance(fed, np.ndarray if isinstance(expected, list) else np.generic)
    assert fed.tolist() == expected
    assert np.array_equal(session.run(tf.identity(x), {x: value}), fed)


@pytest.mark.parametrize("dtype", [tf.float32, tf.int32, tf.string])
def test_none_is_no_value(session, dtype):
    x = tf.placeholder(dtype, name="x")
    with pytest.raises(TypeError, match="None cannot be fed to .*'x:0'"):
        session.run(x, {x: None})


def test_none_is_a_value_where_anything_is(session):
    x = tf.placeholder(tf.object)
    assert session.run(tf.op(lambda value: [value])(x), {x: None}) == [None]


@pytest.mark.parametrize("value", ["text", [1.0, [2.0]], object(), {"a": 1}])
def test_what_is_no_array_of_the_dtype_is_refused_by_name(session, value):
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises((TypeError, ValueError), match="Cannot feed .*'x:0'"):
        session.run(x, {x: value})


@pytest.mark.parametrize(
    ("shape", "value", "text"),
    [
        ([4], [1, 2, 3], "Cannot feed value of shape (3,) for Tensor 'x:0', which has shape '(4,)'"),
        ([4], 1, "Cannot feed value of shape () for Tensor 'x:0', which has shape '(4,)'"),
        ([], [1], "Cannot feed value of shape (1,) for Tensor 'x:0', which has shape '()'"),
        ([None, 3], [[1, 2]], "Cannot feed value of shape (1, 2) for Tensor 'x:0', which has shape '(?, 3)'"),
        ([None, 3], [1, 2, 3], "Cannot feed value of shape (3,) for Tensor 'x:0', which has shape '(?, 3)'"),
    ],
)
def test_a_fed_shape_must_fit(session, shape, value, text):
    x = tf.placeholder(tf.float32, shape, name="x")
    for fed in (value, np.asarray(value, np.float32)):
        with pytest.raises(ValueError, match="Cannot feed value of shape") as caught:
            session.run(x, {x: fed})
        assert str(caught.value).startswith(text)


def test_shapes_that_fit_are_taken(session):
    open_shape, unknown = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32)
    for rows in (0, 1, 5):
        assert session.run(open_shape + 1, {open_shape: np.zeros([rows, 3])}).shape == (rows, 3)
    for shape in ((), (2,), (2, 0, 3)):
        assert session.run(unknown + 1, {unknown: np.zeros(shape)}).shape == shape


def test_the_shape_is_checked_before_feedability(session, graph):
    x = tf.placeholder(tf.float32, [2])
    graph.prevent_feeding(x)
    with pytest.raises(ValueError, match="Cannot feed value of shape"):
        session.run(x, {x: [1]})


def test_text_is_bytes(session):
    x = tf.placeholder(tf.string)
    assert session.run(x, {x: "größe"}) == "größe".encode()
    assert session.run(x, {x: b"a\x00b\x00"}) == b"a\x00b\x00"
    many = session.run(x, {x: ["a\x00", b"\x00", "ü"]})
    assert many.dtype == object
    assert many.tolist() == [b"a\x00", b"\x00", "ü".encode()]
    assert session.run(tf.identity(x), {x: np.array([["a"], ["b"]])}).tolist() == [[b"a"], [b"b"]]
    assert session.run(tf.constant(["a\x00", "b"])).tolist() == [b"a\x00", b"b"]


# Feeds: what may be fed, and what then runs


def test_any_output_may_be_fed_and_its_maker_does_not_run(session):
    function = Counted(np.float32(1))
    inner = function.make()
    outer = tf.op(lambda value: value + 1)(inner)
    assert session.run(outer, {inner: 10}) == 11
    assert function.calls == 0
    assert session.run([outer, inner.op], {inner: 10}) == [11, None]
    assert function.calls == 1
    assert session.run([inner, outer]) == [1, 2]


def test_one_of_several_outputs_may_be_fed(session):
    first, second = tf.op(outputs=2)(lambda: (1, 2))()
    both = tf.op(lambda a, b: (a, b))(first, second)
    assert session.run(both, {second: 20}) == (1, 20)
    assert session.run([first, second], {first: 10}) == [10, 2]


def test_a_fed_constant_defeats_what_was_folded(session):
    c = tf.constant(2.0)
    y = (c + 1) * 2
    assert session.run(y) == 6
    assert session.run(y, {c: 4.0}) == 10
    assert session.run(y, {c + 0: 4.0}) == 6
    assert session.run(y) == 6


def test_feeds_of_equal_nodes_are_told_apart(session):
    """Equal nodes are computed once, but not where one of them was fed."""
    x = tf.placeholder(tf.float32)
    one, two = x * 2, x * 2
    assert session.run([one, two, one + two], {x: 1}) == [2, 2, 4]
    assert session.run([one, two, one + two], {x: 1, one: 10}) == [10, 2, 12]
    assert session.run([one, two, one + two], {x: 1, two: 10}) == [2, 10, 12]


def test_a_fed_variable_needs_no_value_and_keeps_its_own(session):
    w = tf.Variable(1.0, name="w")
    doubled, read = w * 2, w.read_value()
    assert session.run([doubled, read, w], {w: 5.0}) == [10, 5, 5]
    assert session.run(doubled, {"w:0": 6.0}) == 12
    session.run(w.initializer)
    assert session.run(doubled, {w.value(): 7.0}) == 14
    assert session.run([w, doubled], {w.value(): 7.0}) == [1, 14]
    assert session.run([doubled, read], {read: 9.0}) == [2, 9]
    assert session.run([w, doubled]) == [1, 2]


def test_a_control_dependency_on_a_fed_placeholder_is_satisfied(session):
    x = tf.placeholder(tf.float32, name="x")
    with tf.control_dependencies([x]):
        y = tf.op(lambda: 5)()
    assert session.run(y, {x: 1}) == 5
    with pytest.raises(InvalidArgumentError, match="You must feed a value for placeholder tensor 'x'"):
        session.run(y)


def test_a_control_dependency_on_another_fed_operation_runs_it(session):
    function = Counted(3)
    tensor = function.make()
    with tf.control_dependencies([tensor]):
        y = tf.op(lambda: 5)()
    assert session.run([y, tensor], {tensor: 10}) == [5, 10]
    assert function.calls == 1


def test_a_control_dependency_runs_before(session):
    order: list[str] = []
    w = tf.Variable(1.0)
    session.run(w.initializer)
    first = tf.op(lambda: order.append("first"))()
    with tf.control_dependencies([first, w.assign_add(1.0)]):
        second = tf.op(lambda value: order.append("second") or value)(w)
    assert session.run(second) == 2
    assert order == ["first", "second"]


# Unfed placeholders


@pytest.mark.parametrize(
    ("dtype", "shape", "text"),
    [
        (tf.float32, None, "dtype float"),
        (tf.float32, [], "dtype float"),
        (tf.float32, [None, 3], "dtype float and shape [?,3]"),
        (tf.int32, [2], "dtype int32 and shape [2]"),
        (tf.float64, [2, 3], "dtype double and shape [2,3]"),
        (tf.string, [1], "dtype string and shape [1]"),
        (tf.bool, None, "dtype bool"),
    ],
)
def test_a_placeholder_that_is_needed_must_be_fed(session, dtype, shape, text):
    x = tf.placeholder(dtype, shape, name="in/x")
    for fetch in (x, x.op, tf.identity(x), [tf.constant(1), tf.op(lambda value: value)(x)]):
        with pytest.raises(InvalidArgumentError) as caught:
            session.run(fetch)
        message = f"You must feed a value for placeholder tensor 'in/x' with {text}"
        assert caught.value.message.splitlines()[0] == message
        assert str(caught.value).startswith(message)
        assert "[[node in/x (defined at " in str(caught.value)
        assert caught.value.op is x.op
        assert caught.value.error_code == 3


def test_a_placeholder_that_is_not_needed_need_not_be_fed(session):
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    unused = y + 1
    total = x + unused
    assert session.run(x * 2, {x: 1}) == 2
    assert session.run(total, {x: 1, unused: 5}) == 6
    assert session.run(tf.placeholder_with_default(3.0, [])) == 3


# Results


def test_rank_0_is_a_numpy_scalar_of_the_dtype(session):
    x = tf.placeholder(tf.float64, [])
    for tensor, kind in [
        (tf.constant(1.5), np.float32),
        (tf.constant(1), np.int32),
        (tf.constant(True), np.bool_),
        (x, np.float64),
        (x * 2, np.float64),
        (tf.reduce_sum(tf.ones([2, 2])), np.float32),
        (tf.constant("text"), bytes),
    ]:
        assert type(session.run(tensor, {x: 1})) is kind


def test_what_a_function_returns_is_fetched_as_it_is(session):
    value = {"a": [1, (2, None)], "b": {3}}
    assert session.run(tf.op(lambda: value)()) == value
    assert session.run(tf.op(lambda: None)()) is None


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("size", [4, 50_000])
def test_fetched_arrays_belong_to_the_caller(graph, ray_session, placement, size):
    """Writing to a result changes no variable, constant, feed, other result or later run."""
    fed = np.arange(size, dtype=np.float64)
    original = fed.copy()
    x, c, w = tf.placeholder(tf.float64), tf.constant(original), tf.Variable(original, name="w")
    made = tf.op(dtype=tf.float64)(passed)(x)
    fetches = {
        "feed": x,
        "constant": c,
        "variable": w,
        "read": w.read_value(),
        "identity": tf.identity(c),
        "alias": tf.identity(tf.identity(c)),
        "slice": w[:],
        "reshape": tf.reshape(w, [2, -1]),
        "made": made,
        "same": tf.identity(made),
        "sum": x + 1.0,
        "equal": x + 1.0,
        "assigned": tf.Variable(original, name="v").assign(x),
    }
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(tf.global_variables_initializer())
        first = session.run(fetches, {x: fed})
        expected = {name: value.copy() for name, value in first.items()}
        for name, value in first.items():
            assert value.flags.writeable, name
            assert np.array_equal(value, expected[name]), name  # no other result was the same memory
            value[:] = -1
        assert np.array_equal(fed, original)
        fed[:] = -2
        assert np.array_equal(session.run("v:0"), original)
        for _ in range(5):  # measured, then compiled
            again = session.run(fetches, {x: original})
            for name, value in again.items():
                assert np.array_equal(value, expected[name]), name
                value[:] = -1


def passed(value):
    """A function that returns its argument."""
    return value


def test_texts_in_variables_belong_to_the_session(session):
    fed = np.array([b"a", b"b"], dtype=object)
    x, w = tf.placeholder(tf.string, [2]), tf.Variable(["x", "y"])
    assign = w.assign(x)
    session.run(w.initializer)
    session.run(w)[0] = b"-"
    assert session.run(w).tolist() == [b"x", b"y"]
    session.run(assign, {x: fed})[0] = b"-"
    fed[0] = b"-"
    assert session.run(w).tolist() == [b"a", b"b"]
    session.run(w)[0] = b"-"
    assert session.run(w).tolist() == [b"a", b"b"]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_copy_false_gives_large_results_as_read_only_views(graph, ray_session, placement):
    w = tf.Variable(np.zeros(50_000))
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        session.run(w.initializer)
        view = session.run(w, copy=False)
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1
        assert np.array_equal(session.run(w), view)
        assert session.run(w, copy=True).flags.writeable
    with tf.Session(config=tf.ConfigProto(placement=placement, copy=False)) as session:
        session.run(w.initializer)
        assert not session.run(w).flags.writeable
        assert session.run(w, copy=True).flags.writeable


# Random streams


def draws(session, tensor, count=3):
    """The results of several runs."""
    return [session.run(tensor).tolist() for _ in range(count)]


def test_successive_runs_go_on_in_the_stream_and_a_new_session_begins_again(graph):
    x = tf.random_uniform([3], seed=1)
    with tf.Session(config=HERE) as session:
        first = draws(session, x)
    with tf.Session(config=HERE) as session:
        again = draws(session, x)
    assert first == again
    assert len({tuple(draw) for draw in first}) == 3


def test_each_session_has_streams_of_its_own(graph):
    x = tf.random_uniform([3], seed=1)
    one, two = tf.Session(config=HERE), tf.Session(config=HERE)
    assert draws(one, x, 2) == draws(two, x, 2)
    draws(one, x)
    assert draws(one, x, 1) != draws(two, x, 1)


def test_without_a_seed_sessions_differ(graph):
    x, y = tf.random_uniform([3]), tf.random_uniform([3])
    one, two = tf.Session(config=HERE), tf.Session(config=HERE)
    seen = [tuple(draw) for draw in [*draws(one, x), *draws(two, x), *draws(one, y), *draws(two, y)]]
    assert len(set(seen)) == 12


def of_seeds(graph_seed, op_seed, before=0):
    """The first draws of an operation in a fresh graph, made after some other nodes."""
    with tf.Graph().as_default():
        if graph_seed is not None:
            tf.set_random_seed(graph_seed)
        for _ in range(before):
            tf.no_op()
        x = tf.random_normal([3], seed=op_seed)
        with tf.Session(config=HERE) as session:
            return draws(session, x, 2)


def test_seeds_of_graph_and_operation_combine():
    both = of_seeds(1, 2)
    assert of_seeds(1, 2) == both
    assert of_seeds(1, 2, before=3) == both, "with both seeds the place in the graph does not matter"
    assert of_seeds(1, 3) != both
    assert of_seeds(2, 2) != both
    assert of_seeds(None, 2, before=1) == of_seeds(None, 2)
    assert of_seeds(87654321, 2) == of_seeds(None, 2), "an operation's seed alone goes with the default graph seed"
    assert of_seeds(1, None) == of_seeds(1, None)
    assert of_seeds(1, None, before=1) != of_seeds(1, None), "with the graph's seed alone it does"
    assert of_seeds(None, None) != of_seeds(None, None)


def test_two_operations_of_one_seed_draw_alike_and_those_of_the_graphs_seed_do_not(session):
    a, b = tf.random_uniform([3], seed=1), tf.random_uniform([3], seed=1)
    one, two = session.run([a, b])
    assert one.tolist() == two.tolist()
    tf.set_random_seed(1)
    one, two = session.run([tf.random_uniform([3]), tf.random_uniform([3])])
    assert one.tolist() != two.tolist()


def test_one_draw_serves_a_whole_run(session):
    x = tf.random_uniform([3], seed=1)
    a, b = session.run([tf.identity(x), x * 1.0])
    assert a.tolist() == b.tolist()


def test_a_run_that_fails_does_not_move_the_stream(graph):
    x = tf.random_uniform([3], seed=1)
    gate = tf.placeholder(tf.bool, [])

    def check(value, ok):
        if not ok:
            raise ValueError("not now")
        return value

    y = tf.op(check)(x, gate)
    with tf.Session(config=HERE) as session:
        expected = draws(session, x)
    with tf.Session(config=HERE) as session:
        seen = []
        for _ in range(3):
            with pytest.raises(InvalidArgumentError, match="not now"):
                session.run(y, {gate: False})
            seen.append(session.run(y, {gate: True}).tolist())
    assert seen == expected


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_streams_are_the_same_wherever_they_are_drawn(graph, ray_session, placement):
    x = tf.random_uniform([3], seed=1) + tf.random_normal([3], seed=2)
    with tf.Session(config=HERE) as session:
        expected = draws(session, x)
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        assert draws(session, x) == expected


def test_a_fed_draw_does_not_move_the_stream(session):
    x = tf.random_uniform([3], seed=1)
    y = x * 1.0
    first = session.run(y).tolist()
    assert session.run(y, {x: [0, 0, 0]}).tolist() == [0, 0, 0]
    second = session.run(y).tolist()
    with tf.Session(config=HERE) as other:
        assert draws(other, y, 2) == [first, second]
