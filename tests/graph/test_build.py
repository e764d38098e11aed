"""How nodes are made from values: constants, conversion, weak Python scalars, the registry of conversions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weftwork as tf
from weftwork.graph import build, shapes
from weftwork.graph.build import apply, convert_together, elementwise, pass_through, static_value


@pytest.fixture
def conversions(monkeypatch):
    """A registry of conversions that the test may fill."""
    monkeypatch.setattr(build, "CONVERSIONS", made := [])
    monkeypatch.setattr("weftwork.graph.conversions.CONVERSIONS", made)


# Constants


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, tf.float32),
        (1, tf.int32),
        (-(2**31), tf.int32),
        (2**31, tf.int64),
        (True, tf.bool),
        (1j, tf.complex128),
        ("a", tf.string),
        (b"a", tf.string),
        ([1.5], tf.float32),
        ([1, 2], tf.int32),
        ([1, 2.5], tf.float32),
        ([[1, 2**40]], tf.int64),
        ([True, False], tf.bool),
        (["a", "b"], tf.string),
        ([], tf.float32),
        ([[], []], tf.float32),
        (range(3), tf.int32),
        (np.float64(1), tf.float64),
        (np.int8(1), tf.int8),
        (np.array([1.0]), tf.float64),
        (np.array([1]), tf.int64),
        (np.array(["a"]), tf.string),
        (np.array([b"a"], object), tf.string),
        (np.array([True]), tf.bool),
        (np.array([1], np.uint16), tf.uint16),
    ],
)
def test_a_constant_has_the_dtype_of_tensorflow(session, value, dtype):
    made = tf.constant(value)
    assert made.dtype is dtype
    assert made.shape.as_list() == list(np.shape(value))
    got = session.run(made)
    assert np.shape(got) == np.shape(value)
    if dtype is not tf.string:
        assert np.asarray(got).dtype == dtype.numpy
        assert np.array_equal(got, value)


def test_a_constant_of_rank_0_is_a_numpy_scalar_when_fetched(session):
    assert type(session.run(tf.constant(1.5))) is np.float32
    assert type(session.run(tf.constant(np.array(2)))) is np.int64
    assert session.run(tf.constant("ä")) == "ä".encode()


def test_a_dtype_that_is_asked_for_is_given(session):
    for value, dtype in [(1, tf.float64), ([1, 2], tf.int8), (1.5, tf.float16), (np.array([1.5]), tf.float32)]:
        made = tf.constant(value, dtype)
        assert made.dtype is dtype
        assert np.array_equal(session.run(made), np.asarray(value, dtype.numpy))
    assert tf.constant(1, "int64").dtype is tf.int64
    assert tf.constant(1, np.uint8).dtype is tf.uint8
    assert tf.constant(1, dtype=tf.float32._as_ref).dtype is tf.float32


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, tf.int32),
        ([1, 2.5], tf.int64),
        (True, tf.float32),
        (True, tf.int32),
        (1, tf.bool),
        (1j, tf.float32),
        ("a", tf.int32),
        (["a", "b"], tf.float32),
        (1, tf.string),
        (1.5, tf.string),
        (["a", 1], tf.string),
        ([1, "a"], tf.string),
    ],
)
def test_a_python_value_that_does_not_fit_the_dtype_is_an_error(graph, value, dtype):
    with pytest.raises(TypeError, match=rf"^Expected {dtype.name}, got "):
        tf.constant(value, dtype)


@pytest.mark.parametrize(("value", "dtype"), [(300, tf.int8), (-1, tf.uint8), (2**40, tf.int32), ([1, 256], tf.uint8)])
def test_a_number_too_large_for_the_dtype_is_an_error(graph, value, dtype):
    with pytest.raises(ValueError, match=f"does not fit {dtype.name}"):
        tf.constant(value, dtype)


@pytest.mark.parametrize("value", [None, [None], [1, None]])
def test_None_is_no_constant(graph, value):
    with pytest.raises((TypeError, ValueError), match=r"None values not supported|Failed to convert object of type"):
        tf.constant(value)


@pytest.mark.parametrize("value", [[[1], [1, 2]], [1, [2]]])
def test_a_ragged_list_is_no_constant(graph, value):
    with pytest.raises(ValueError, match="Can't convert a ragged Python sequence to a Tensor"):
        tf.constant(value)


@pytest.mark.parametrize("value", [{"a": 1}, object(), {1, 2}, len])
def test_any_other_object_is_no_constant_unless_it_is_declared_one(session, value):
    with pytest.raises(TypeError, match="Failed to convert object of type"):
        tf.constant(value)
    made = tf.constant(value, tf.object)
    assert made.dtype is tf.object
    got = session.run(made)
    assert type(got) is type(value)
    assert type(value) is object or got == value


def test_a_shape_repeats_the_last_element(session):
    assert np.array_equal(session.run(tf.constant(7, shape=[2, 3])), np.full([2, 3], 7))
    assert np.array_equal(session.run(tf.constant([1, 2, 3], shape=[2, 3])), [[1, 2, 3], [3, 3, 3]])
    assert np.array_equal(session.run(tf.constant([1, 2, 3, 4], shape=[2, 2])), [[1, 2], [3, 4]])
    assert session.run(tf.constant(5, shape=[0])).shape == (0,)
    assert list(session.run(tf.constant("a", shape=[2]))) == [b"a", b"a"]
    assert tf.constant(7, shape=tf.TensorShape([2])).shape.as_list() == [2]


def test_a_shape_that_is_too_small_or_unknown_is_an_error(graph):
    with pytest.raises(ValueError, match=r"^Too many elements provided\. Needed at most 2, but received 3$"):
        tf.constant([1, 2, 3], shape=[2])
    with pytest.raises(ValueError, match="must be fully defined"):
        tf.constant(1, shape=[None])
    with pytest.raises(TypeError, match=r"^Expected Tensor's shape: \(2,\), got \(3,\)\.$"):
        tf.constant([1, 2, 3], shape=[2], verify_shape=True)


def test_an_empty_value_fills_no_shape(graph):
    with pytest.raises(ValueError, match=r".+"):
        tf.constant([], shape=[2])


def test_a_constant_does_not_follow_the_array_that_it_was_made_of(session):
    array = np.zeros(3)
    made = tf.constant(array)
    array[:] = 1
    assert array.flags.writeable
    assert not session.run(made).any()
    session.run(made)[:] = 5
    assert not session.run(made).any()
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    view_of_writable = np.zeros(6)[:3]
    base = view_of_writable.base
    view_of_writable.flags.writeable = False
    one, two = tf.constant(frozen), tf.constant(view_of_writable)
    base[:] = 9
    assert not session.run(one).any()
    assert not session.run(two).any()


def test_text_keeps_its_zeros_and_becomes_utf_8(session):
    assert session.run(tf.constant("a\0")) == b"a\0"
    assert list(session.run(tf.constant([b"a\0\0", "ü"]))) == [b"a\0\0", "ü".encode()]
    value = session.run(tf.constant([["a", "bc"]]))
    assert (value.dtype, value.shape) == (object, (1, 2))


def test_a_constant_can_be_named(graph):
    assert tf.constant(1).op.name == "Const"
    assert tf.constant(1, name="one").op.name == "one"
    assert tf.constant(1).op.type == "Const"


def test_the_static_value_is_that_of_constants_only(graph):
    assert np.array_equal(static_value(tf.constant([1, 2])), [1, 2])
    assert static_value(tf.placeholder(tf.float32)) is None
    assert static_value(tf.Variable(1.0)) is None
    assert static_value(3) is None


# Conversion


def test_conversion_gives_tensors_as_they_are(graph):
    t = tf.constant(1.0)
    w = tf.Variable(1.0)
    assert tf.convert_to_tensor(t) is t
    assert tf.convert_to_tensor(t, tf.float32) is t
    assert tf.convert_to_tensor(w) is w.value()
    assert tf.convert_to_tensor(w, tf.float32) is w.value()


def test_a_tensor_of_another_dtype_is_an_error(graph):
    expected = r"^Tensor conversion requested dtype int32 for Tensor with dtype float32: <tf\.Tensor 'x:0'"
    with pytest.raises(ValueError, match=expected):
        tf.convert_to_tensor(tf.constant(1.0, name="x"), tf.int32)


def test_a_preferred_dtype_is_taken_where_it_can_be(graph):
    assert tf.convert_to_tensor(1, preferred_dtype=tf.float64).dtype is tf.float64
    assert tf.convert_to_tensor(1.5, preferred_dtype=tf.int32).dtype is tf.float32
    assert tf.convert_to_tensor("a", preferred_dtype=tf.int32).dtype is tf.string
    assert tf.convert_to_tensor(1, dtype=tf.int8, preferred_dtype=tf.float64).dtype is tf.int8


def test_a_list_that_holds_tensors_is_stacked(session):
    x = tf.placeholder(tf.float32, [])
    made = tf.convert_to_tensor([[x, 1.0], [2.0, x * 2]])
    assert made.shape.as_list() == [2, 2]
    assert np.array_equal(session.run(made, {x: 5}), [[5, 1], [2, 10]])
    w = tf.Variable(3.0)
    session.run(w.initializer)
    assert np.array_equal(session.run(tf.convert_to_tensor([w, x]), {x: 5}), [3, 5])


def test_a_list_takes_the_dtype_of_the_tensors_in_it(session):
    made = tf.convert_to_tensor([tf.constant(np.float64(1)), 2])
    assert made.dtype is tf.float64
    assert np.array_equal(session.run(made), [1, 2])


def test_shapes_and_dimensions_become_integers(session):
    made = tf.convert_to_tensor(tf.TensorShape([2, 3]))
    assert made.dtype is tf.int32
    assert list(session.run(made)) == [2, 3]
    assert session.run(tf.convert_to_tensor(tf.Dimension(4))) == 4
    with pytest.raises((TypeError, ValueError), match=r".+"):
        tf.convert_to_tensor(tf.TensorShape([None]))


def test_a_conversion_can_be_named(graph):
    assert tf.convert_to_tensor(1.0, name="x").op.name == "x"


class Celsius:
    """A type that is no tensor."""

    def __init__(self, degrees):
        self.degrees = degrees


def test_the_registry_teaches_conversion_a_type(conversions, session):
    def convert(value, dtype=None, name=None, as_ref=False):
        return tf.constant(value.degrees + 273.15, dtype, name=name or "kelvin")

    tf.register_tensor_conversion_function(Celsius, convert)
    made = tf.convert_to_tensor(Celsius(0), tf.float64)
    assert (made.dtype, made.op.name) == (tf.float64, "kelvin")
    assert session.run(made) == 273.15
    assert session.run(tf.add(Celsius(1), tf.constant(0.0))) == np.float32(274.15)


@pytest.mark.parametrize(
    "number", [1, 1.5, np.float32(1), np.float64(1), np.int64(1), np.array([1, 2]), np.array([1.5])], ids=repr
)
def test_numbers_take_the_dtype_of_an_object_that_stands_for_a_tensor(conversions, graph, number):
    tf.register_tensor_conversion_function(Celsius, lambda v, name=None, **_: tf.constant(20.0, name=name))
    for function in (tf.add, tf.subtract, tf.multiply, tf.truediv, tf.floordiv, tf.mod, tf.pow, tf.maximum, tf.atan2):
        assert function(Celsius(0), number).dtype == tf.float32
        assert function(number, Celsius(0)).dtype == tf.float32
    assert tf.where_v2(True, Celsius(0), number).dtype == tf.float32
    assert tf.add(Celsius(0), number, name="sum").op.inputs[0].op.name == "sum/x"


def test_conversions_are_tried_in_the_order_of_their_priority(conversions, session):
    asked = []

    def declines(value, dtype=None, name=None, as_ref=False):
        asked.append("declines")
        return NotImplemented

    tf.register_tensor_conversion_function(Celsius, lambda v, **_: tf.constant(1.0))
    tf.register_tensor_conversion_function(object, lambda v, **_: tf.constant(2.0), priority=200)
    tf.register_tensor_conversion_function((Celsius, str), declines, priority=0)
    assert session.run(tf.convert_to_tensor(Celsius(0))) == 1
    assert session.run(tf.convert_to_tensor("text")) == 2
    assert asked == ["declines", "declines"]


def test_a_conversion_must_be_callable(conversions):
    with pytest.raises(TypeError, match=r"^conversion_func must be callable\.$"):
        tf.register_tensor_conversion_function(Celsius, 3)


def test_a_conversion_may_not_give_another_dtype_than_asked_for(conversions, graph):
    tf.register_tensor_conversion_function(Celsius, lambda v, **_: tf.constant(1.0))
    with pytest.raises(RuntimeError, match="returned incompatible dtype: requested = int32, actual = float32"):
        tf.convert_to_tensor(Celsius(0), tf.int32)


def test_a_conversion_gives_a_tensor_and_is_of_types(conversions, graph):
    tf.register_tensor_conversion_function(Celsius, lambda v, **_: "cold")
    with pytest.raises(RuntimeError, match="returned non-Tensor: 'cold'"):
        tf.convert_to_tensor(Celsius(0))
    with pytest.raises(TypeError, match="base_type must be a type or a tuple of types"):
        tf.register_tensor_conversion_function(3, lambda v, **_: tf.constant(1.0))


# Values that meet


def test_python_scalars_and_lists_are_weak_beside_tensors(graph):
    for dtype in (tf.float16, tf.float64, tf.int8, tf.int64, tf.uint8):
        t = tf.constant(1, dtype)
        assert (t + 1).dtype is dtype
        assert (1 + t).dtype is dtype
        assert tf.add(t, [1, 2]).dtype is dtype
    assert (tf.constant(1, tf.float16) * 1.5).dtype is tf.float16
    assert (tf.constant(1.0) + 1j).dtype is tf.complex64
    assert (tf.constant(np.float64(1)) + 1j).dtype is tf.complex128


@pytest.mark.parametrize("order", [[1, 1.5], [1.5, 1]])
def test_a_float_beside_integers_makes_floats_whatever_came_before(session, order):
    t = tf.constant([1, 2])
    for number in order:
        made = t + number
        assert made.dtype.numpy == (np.array([1, 2], np.int32) + number).dtype
        assert np.array_equal(session.run(made), np.array([1, 2]) + number)


def test_an_int_that_the_dtype_cannot_hold_is_an_error(graph):
    with pytest.raises(OverflowError, match=r"^Python integer 300 out of bounds for int8$"):
        _ = tf.constant(1, tf.int8) + 300
    with pytest.raises(OverflowError, match=r"^Python integer -1 out of bounds for uint8$"):
        _ = tf.constant(1, tf.uint8) - -1


def test_typed_values_promote_as_in_numpy(graph):
    for one, two in [("int8", "uint8"), ("int32", "float32"), ("float32", "float64"), ("int64", "float16")]:
        made = tf.constant(1, one) + tf.constant(1, two)
        assert made.dtype.numpy == np.result_type(np.dtype(one), np.dtype(two))


@pytest.mark.parametrize(
    ("dtype", "value", "wanted"),
    [  # what TensorFlow 1 gives, up to the last three: it cuts 1.5 to 1, and wraps the integers
        ("float32", np.sqrt(2), "float32"),
        ("float32", np.arange(2), "float32"),
        ("float32", np.ones(2), "float32"),
        ("float16", np.float32(2), "float16"),
        ("float64", np.float32(2), "float64"),
        ("int32", np.int64(2), "int32"),
        ("int8", np.array([True, False]), "int8"),
        ("complex64", np.float64(2), "complex64"),
        ("int32", np.float32(1.5), "float64"),
        ("int32", np.array([0, 2**40]), "int64"),
        ("uint8", np.int16(-1), "int16"),
    ],
)
def test_numpys_values_take_the_dtype_of_the_tensors_that_they_meet(session, dtype, value, wanted):
    t = tf.constant([2, 3], dtype)
    for made in (t + value, value + t, tf.add(t, value), np.add(value, t), tf.concat([np.atleast_1d(value), t], 0)):
        assert made.dtype.name == wanted
    assert np.allclose(session.run(value + t), np.array([2, 3]) + value)


def test_arrays_in_a_list_take_the_dtype_of_its_tensors(graph):
    assert tf.convert_to_tensor([tf.constant([1.0, 2.0]), np.ones(2)]).dtype is tf.float32


def test_a_traced_function_means_what_numpy_does():
    assert tf.function(lambda x: x * np.sqrt(2))(np.float32(1)).dtype == np.float64


def test_python_numbers_without_a_tensor_are_taken_together(session):
    for made in (tf.stack([1, 2.5]), tf.add(1, 2.5), tf.concat([[1, 2], [2.5]], 0)):
        assert made.dtype is tf.float32


def test_scalars_alone_have_the_dtypes_of_tensorflow(graph):
    assert tf.add(1, 2).dtype is tf.int32
    assert tf.add(1.0, 2).dtype.numpy.kind == "f"
    assert [t.dtype for t in convert_together([1.0, 2.0])] == [tf.float32, tf.float32]


def test_a_bool_is_a_number_beside_numbers(session):
    made = tf.constant([1, 2]) + True
    assert made.dtype is tf.int32
    assert list(session.run(made)) == [2, 3]
    flags = tf.constant([True, False])
    assert np.logical_and(flags, True).dtype is tf.bool


def test_tensors_that_meet_must_be_of_one_graph(graph):
    t = tf.constant(1)
    with tf.Graph().as_default():
        other = tf.constant(2)
    with pytest.raises(ValueError, match=r"must be from the same graph as"):
        _ = t + other


def test_a_constant_goes_to_the_graph_of_the_tensor_that_it_meets(graph):
    t = tf.constant(1)
    with tf.Graph().as_default() as other:
        made = t + 1
        assert made.graph is graph
        assert other.get_operations() == []


@settings(deadline=None)
@given(
    st.sampled_from(["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "complex64"]),
    st.one_of(st.integers(-5, 5), st.floats(-5, 5), st.booleans(), st.complex_numbers(max_magnitude=5)),
)
def test_the_dtype_of_a_weak_scalar_is_numpys_own(dtype, number):
    """NEP 50, against NumPy 2 on an array."""
    array = np.ones(1, dtype)
    with tf.Graph().as_default():
        if dtype == "uint8" and type(number) is int and number < 0:  # NumPy 1 makes int16 of it
            with pytest.raises(OverflowError):
                _ = tf.constant(array) + number
            return
        expected = (array + number).dtype
        assert (tf.constant(array) + number).dtype.numpy == expected


# Nodes


def double(x, *, times=2):
    """A kernel."""
    return x * times


def halves(x):
    """A kernel of two outputs."""
    return x // 2, x - x // 2


def test_apply_makes_a_node_of_a_kernel(session):
    x = tf.constant([1, 2])
    made = apply(double, [x], {"times": 3}, type="Triple", dtype=tf.int32, shape=(2,))
    assert (made.op.type, made.op.name, made.dtype, made.shape.as_list()) == ("Triple", "Triple", tf.int32, [2])
    assert list(session.run(made)) == [3, 6]
    named = apply(double, [x], type="Double", name="twice", dtype="int32")
    assert (named.op.name, named.shape.ndims) == ("twice", None)


def test_apply_makes_several_outputs(session):
    x = tf.constant(7)
    small, large = apply(halves, [x], type="Halves", outputs=[(tf.int32, ()), ("int32", ())])
    assert session.run([small, large]) == [3, 4]
    assert (small.name, large.name) == ("Halves:0", "Halves:1")


def test_elementwise_takes_ufuncs_of_scipy(session):
    from scipy import special

    t = tf.constant([0.5, 2.0])
    made = elementwise(special.erf, t)
    assert (made.dtype, made.shape.as_list()) == (tf.float32, [2])
    assert np.allclose(session.run(made), special.erf([0.5, 2.0]))
    assert np.allclose(session.run(elementwise(special.jv, 1, t)), special.jv(1, np.array([0.5, 2.0])))


def test_elementwise_refuses_shapes_and_dtypes_that_do_not_fit(graph):
    with pytest.raises(ValueError, match=r".+"):
        _ = tf.constant([1, 2]) + tf.constant([1, 2, 3])
    with pytest.raises(TypeError, match=r"does not take float32, int32|does not take"):
        np.bitwise_and(tf.constant(1.0), 1)


def test_arithmetic_of_objects_is_an_object(session):
    text = tf.op(lambda: "ab")()
    made = text + text
    assert made.dtype is tf.object
    assert session.run(made) == "abab"
    assert session.run(tf.op(lambda: [1])() * 3) == [1, 1, 1]


def test_a_placeholder_with_default_is_its_default_unless_fed(session):
    x = tf.placeholder_with_default([1.0, 2.0], [None])
    assert x.shape.as_list() == [None]
    assert list(session.run(x * 2)) == [2, 4]
    assert list(session.run(x * 2, {x: [5]})) == [10]
    with pytest.raises(ValueError, match="does not fit the placeholder's shape"):
        tf.placeholder_with_default([1.0], [2])


def test_a_placeholder_has_the_dtype_and_shape_given(graph):
    x = tf.placeholder(tf.int8, [None, 3], name="x")
    assert (x.op.name, x.op.type, x.dtype, x.shape.as_list()) == ("x", "Placeholder", tf.int8, [None, 3])
    assert tf.placeholder(tf.float32).shape.ndims is None
    assert tf.placeholder(tf.float32._as_ref).dtype is tf.float32


def test_a_seed_is_the_pair_of_tensorflow(graph):
    assert tf.get_seed(None) == (None, None)
    assert tf.get_seed(5) == (87654321, 5)
    tf.set_random_seed(9)
    assert tf.get_seed(5) == (9, 5)
    before = tf.get_seed(None)
    tf.constant(1)
    assert before == (9, 0)
    assert tf.get_seed(None) == (9, 1)


def test_identity_of_a_kernel_is_its_input():
    assert pass_through(shapes) is shapes


@pytest.mark.parametrize(
    ("value", "dtype", "wrong"),
    [
        (["a", "b"], tf.int32, "got 'a' of type 'str'"),
        ([[1, 2], [3, 4.5]], tf.int32, "got 4.5 of type 'float'"),
        ([True, 1], tf.bool, "got 1 of type 'int'"),
    ],
)
def test_of_a_list_the_item_that_does_not_fit_is_named(graph, value, dtype, wrong):
    with pytest.raises(TypeError, match=f"Expected {dtype.name}, {wrong} instead"):
        tf.constant(value, dtype)


def test_an_operation_is_no_tensor(graph):
    with pytest.raises(TypeError, match="Can't convert Operation 'nothing' to Tensor"):
        tf.convert_to_tensor(tf.no_op(name="nothing"))


@pytest.mark.parametrize(
    ("graph_seed", "op_seed", "pair"),
    [(0, 0, (0, 2**31 - 1)), (2**31 - 1, 0, (0, 2**31 - 1)), (2**31, 2**32, (1, 2)), (None, 2**31, (87654321, 1))],
)
def test_a_seed_is_a_number_of_31_bits_and_never_twice_zero(graph, graph_seed, op_seed, pair):
    tf.set_random_seed(graph_seed)
    assert tf.get_seed(op_seed) == pair


@pytest.mark.parametrize("kind", [int, float, bool, np.float32, np.ndarray, (str, int)])
def test_numbers_and_arrays_are_converted_in_one_way(kind):
    with pytest.raises(TypeError, match="Cannot register conversions for Python numeric types"):
        tf.register_tensor_conversion_function(kind, lambda value, **_: tf.constant(0))


def test_a_variable_of_another_dtype_is_told_as_one(graph):
    with pytest.raises(ValueError, match="requested to type 'int32' for variable of type 'float32'"):
        tf.convert_to_tensor(tf.Variable(1.0), tf.int32)


def test_a_constant_cannot_be_made_of_a_tensor(graph):
    for value in (tf.constant(1), [tf.constant(1)]):
        with pytest.raises(TypeError, match="Expected any non-tensor type, got a tensor instead"):
            tf.constant(value)


def test_a_shape_becomes_integers(graph):
    assert tf.convert_to_tensor(tf.TensorShape([1, 2]), tf.int64).dtype is tf.int64
    with pytest.raises(TypeError, match="Cannot convert a TensorShape to dtype float32"):
        tf.convert_to_tensor(tf.TensorShape([1, 2]), tf.float32)


def test_python_numbers_in_a_list_take_the_dtype_of_the_tensors_in_it(graph):
    assert tf.convert_to_tensor([tf.constant(1.0), 2]).dtype == tf.float32
    assert tf.convert_to_tensor([[tf.constant(1, tf.int64), 2], [3, 4]]).dtype == tf.int64
    assert tf.convert_to_tensor([tf.constant(1), 2.5]).dtype == tf.float64  # it does not fit: promoted as in NumPy
    assert tf.convert_to_tensor([tf.constant(1.0), 2], tf.int32).dtype == tf.int32


def test_an_operator_makes_add_v2_of_numbers_and_add_of_text(graph):
    numbers, text = tf.constant(1) + 2, tf.constant("a") + "b"
    assert (numbers.op.type, numbers.op.name) == ("AddV2", "add")
    assert (text.op.type, tf.add(1, 2).op.type) == ("Add", "Add")


def test_constants_made_for_an_operation_are_named_after_it_and_its_inputs(graph):
    x = tf.placeholder(tf.float32, [2, 3])
    tf.gather(x, [0, 1])
    tf.gather_nd(x, [[0, 1]], name="picked")
    tf.segment_sum(x, [0, 1])
    tf.squared_difference(x, 1.0)
    tf.fill([2], 3.0)
    names = [op.name for op in graph.get_operations() if op.type == "Const"]
    assert names == [
        "GatherV2/indices", "picked/indices", "SegmentSum/segment_ids", "SquaredDifference/y", "Fill/value",
    ]  # fmt: skip


def test_two_nodes_of_one_exact_name_scope_have_constants_of_their_own(graph):
    x = tf.placeholder(tf.float32, [2, 3])
    with tf.name_scope("lookup") as scope:
        tf.constant(1, name="indices")
        rows = tf.gather(x, [0, 1], name=scope)
    assert (rows.op.name, rows.op.inputs[1].op.name) == ("lookup", "lookup/indices_1")
