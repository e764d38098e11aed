"""Any Python function as a node: `tf.op` with all its options, and `tf.py_func`."""

from __future__ import annotations

import collections
import functools
import inspect
import os
import pickle
import threading
import time

import cloudpickle
import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import (
    InvalidArgumentError,
    OutOfRangeError,
    ResourceExhaustedError,
    UnimplementedError,
    UnknownError,
)
from weftwork.graph.operation import Kind

HERE = tf.ConfigProto(placement="caller")


@tf.op
def whole(*args, **kwargs):
    """The arguments of the call."""
    return args, kwargs


@tf.op(outputs=2)
def both(a, b):
    """Its arguments."""
    return a, b


@tf.op(isolated=True)
def process():
    """Where it runs."""
    return os.getpid()


@tf.op(resources={"loom": 1}, num_cpus=1)
def on_a_loom(x):
    """The argument, and the process."""
    return x, os.getpid()


class Scale:
    """A function with a state of its own."""

    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by


def counted(**options):
    """An op that counts its calls, and the list of its calls."""
    calls = []

    @tf.op(**options)
    def call(*args):
        calls.append(args)
        return len(calls)

    return call, calls


# Making the node


def test_calling_an_op_makes_a_node_and_calls_nothing(graph):
    make, calls = counted()
    made = make(1)
    assert isinstance(made, tf.Tensor)
    assert made.op.type == "PyFunc"
    assert calls == []


def test_an_op_keeps_the_name_and_doc_of_its_function(graph):
    assert both.__name__ == "both"
    assert both.__doc__ == "Its arguments."
    assert both.function(1, 2) == (1, 2)
    assert isinstance(both, tf.Op)


def test_a_node_has_the_name_of_its_function_or_the_one_given(graph):
    named = tf.op(name="chosen")(lambda: 1)
    names = [
        whole().op.name,
        whole().op.name,
        whole.function.__name__,
        named().op.name,
        tf.op(lambda: 1)().op.name,
        tf.op(Scale(2))(1).op.name,
        both(1, 2, name="pair")[0].op.name,
    ]
    assert names == ["whole", "whole_1", "whole", "chosen", "function", "Scale", "pair"]


def test_an_argument_called_name_goes_to_the_function_that_has_one(session):
    @tf.op
    def greet(name):
        return "hello " + name

    made = greet(name="you")
    assert made.op.name == "greet"
    assert session.run(made) == "hello you"
    given = whole(name="kept")
    assert session.run(given) == ((), {"name": "kept"})


def test_an_op_without_options_makes_an_object_of_unknown_shape(graph):
    made = whole(1)
    assert made.dtype is tf.object
    assert made.shape.ndims is None


def test_dtype_and_shape_say_what_the_output_is(session):
    one = tf.op(dtype=tf.float64, shape=[2])(lambda: [1, 2])()
    assert (one.dtype, one.shape.as_list()) == (tf.float64, [2])
    value = session.run(one)
    assert value.dtype == np.float64
    assert np.array_equal(value, [1, 2])
    scalar = tf.op(dtype=tf.int64, shape=())(lambda: True)()
    assert scalar.shape.as_list() == []
    assert type(session.run(scalar)) is np.int64


def test_several_outputs_have_each_a_dtype_and_a_shape(session):
    made = tf.op(outputs=2, dtype=[tf.float32, tf.string], shape=[(2,), ()])(lambda: ([1, 2], "text"))()
    assert [t.dtype for t in made] == [tf.float32, tf.string]
    assert [t.shape.as_list() for t in made] == [[2], []]
    first, second = session.run(made)
    assert first.dtype == np.float32
    assert second == b"text"


def test_one_dtype_may_stand_for_all_outputs(graph):
    made = tf.op(outputs=3, dtype=tf.float32)(lambda: (1, 2, 3))()
    assert [t.dtype for t in made] == [tf.float32] * 3


@pytest.mark.parametrize("value", ["text", None, {"a": 1}, [[1], [1, 2]]])
def test_a_result_that_is_not_of_the_declared_dtype_is_an_error(session, value):
    made = tf.op(dtype=tf.float32)(lambda: value)()
    with pytest.raises(InvalidArgumentError):
        session.run(made)


def test_an_op_of_no_outputs_is_an_operation(session):
    seen = []
    made = tf.op(outputs=0)(lambda x: seen.append(x))(3)
    assert isinstance(made, tf.Operation)
    assert session.run(made) is None
    assert seen == [3]


def test_an_op_of_one_output_gives_a_list_of_one(session):
    bare = tf.op(outputs=1)(lambda: 5)()
    packed = tf.op(outputs=1)(lambda: (5,))()
    assert isinstance(bare, list)
    assert session.run([bare, packed]) == [[5], [5]]


def test_an_op_of_unset_outputs_returns_one_value_even_if_it_is_a_tuple(session):
    assert session.run(tf.op(lambda: (1, 2))()) == (1, 2)
    assert session.run(tf.op(lambda: [1, 2])()) == [1, 2]


def test_an_op_of_several_outputs_gives_a_tensor_for_each(session):
    a, b = both(1, "x")
    assert session.run([b, a]) == ["x", 1]
    assert session.run(b) == "x"


@pytest.mark.parametrize("wrong", [(1, 2, 3), (1,), [], 7, None, "ab"])
def test_another_number_of_results_than_declared_is_an_error(session, wrong):
    a, _ = tf.op(outputs=2, name="two")(lambda: wrong)()
    with pytest.raises(InvalidArgumentError, match="2 outputs were declared") as caught:
        session.run(a)
    assert caught.value.op.name == "two"


@pytest.mark.parametrize(
    ("declared", "returned", "text"),
    [
        ({"dtype": tf.float32, "shape": [2]}, np.ones(3), r"\(2,\), returned \(3,\)"),
        ({"dtype": tf.float32, "shape": []}, [1.0], r"\(\), returned \(1,\)"),
        ({"dtype": tf.int32, "shape": [None, 2]}, [[1, 2, 3]], r"\(\?, 2\), returned \(1, 3\)"),
        ({"dtype": tf.string, "shape": [2]}, "text", r"\(2,\), returned \(\)"),
        ({"shape": [2]}, np.ones(3), r"\(2,\), returned \(3,\)"),
        ({"outputs": 2, "shape": [None, []]}, (np.ones(3), np.ones(3)), r"\(\), returned \(3,\)"),
    ],
)
def test_another_shape_than_declared_is_an_error(session, declared, returned, text):
    made = tf.op(lambda: returned, name="ws", **declared)()
    with pytest.raises(InvalidArgumentError, match=rf"declared shape {text}[\s\S]*ws \(defined at .*test_function.py"):
        session.run(made)


@pytest.mark.parametrize(
    ("declared", "returned"),
    [
        ({"dtype": tf.float32, "shape": [None, 2]}, np.ones((3, 2), np.float32)),
        ({"dtype": tf.float32, "shape": []}, np.float32(1)),
        ({"dtype": tf.string, "shape": []}, b"text"),
        ({"shape": []}, "text"),
        ({"shape": [2]}, [1, 2]),
    ],
)
def test_a_value_of_the_declared_shape_is_as_it_is(session, declared, returned):
    assert np.array_equal(session.run(tf.op(lambda: returned, **declared)()), returned)


# Options that make no sense


def test_options_that_make_no_sense_are_refused():
    for wrong in ({"outputs": -1}, {"outputs": 1.5}, {"retries": -1}, {"retries": 0.5}, {"timeout": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            tf.op(**wrong)
    with pytest.raises(TypeError, match="timeout must be a number of seconds, not 'a'"):
        tf.op(timeout="a")
    for name in ("label_selector", "limits", "resources"):
        with pytest.raises(TypeError, match=f"{name} must be a mapping, not 3"):
            tf.op(**{name: 3})
    with pytest.raises(ValueError, match="dtype has 1 entries for 2 outputs"):
        tf.op(outputs=2, dtype=[tf.float32])
    with pytest.raises(ValueError, match="shape has 3 entries for 2 outputs"):
        tf.op(outputs=2, shape=[(), (), ()])
    with pytest.raises(TypeError, match=r"weftwork\.op takes a function, not 2"):
        tf.op(2)
    with pytest.raises(ValueError, match="resources must map names to amounts"):
        tf.op(resources={"tpu": -1})
    with pytest.raises(ValueError, match="resources must map names to amounts"):
        tf.op(num_gpus=-1)
    with pytest.raises(ValueError, match="Pass CPU as an option of its own, not in resources"):
        tf.op(resources={"CPU": 1})


def test_options_become_the_traits_of_the_node(graph):
    made = tf.op(
        isolated=True,
        num_cpus=2,
        num_gpus=0.5,
        memory=2**20,
        resources={"tpu": 1},
        retries=3,
        timeout=5,
    )(lambda: 1)()
    traits = made.op.traits
    assert (traits.user, traits.isolated, traits.retries, traits.timeout) == (True, True, 3, 5)
    assert dict(traits.resources) == {"CPU": 2, "GPU": 0.5, "memory": 2**20, "tpu": 1}


# Arguments


Point = collections.namedtuple("Point", "x y")


def test_tensors_anywhere_in_the_arguments_become_their_values(session):
    x = tf.placeholder(tf.int32, [], name="x")
    w = tf.Variable(5, name="w")
    session.run(w.initializer)
    made = whole([x, {"a": (x + 1, 2)}], Point(w, "text"), 3, key=slice(x, None), none=None)
    assert len(made.op.inputs) == 4
    args, kwargs = session.run(made, {x: 10})
    assert args == ([10, {"a": (11, 2)}], Point(5, "text"), 3)
    assert isinstance(args[1], Point)
    assert kwargs == {"key": slice(10, None), "none": None}


def test_a_function_gets_numpy_values_and_python_objects_as_they_are(session):
    kinds = tf.op(lambda *values: [type(v) for v in values])
    made = kinds(tf.constant(1.0), tf.constant([1.0]), tf.constant("a"), 1.0, [1.0], whole())
    assert session.run(made) == [np.float32, np.ndarray, bytes, float, list, tuple]


def test_what_one_function_returns_another_one_gets_as_it_is(session):
    made = tf.op(lambda: Scale(3))()
    assert session.run(tf.op(lambda scale, x: scale(x))(made, 5)) == 15
    assert isinstance(session.run(made), Scale)


def test_a_list_or_dict_among_the_arguments_is_a_fresh_one_in_every_run(session):
    def grow(items, keep=None):
        items.append(1)
        if keep is not None:
            keep["key"] = len(keep)
        return len(items), len(keep or ())

    made = [tf.op(grow)([]), tf.op(grow)([], keep={}), tf.op(grow)([tf.constant(1)])]
    for _ in range(6):
        assert session.run(made) == [(1, 0), (1, 1), (2, 0)]


def test_any_word_may_be_a_keyword_of_a_function(session):
    words = {"class": 1, "two words": 2, "stop": 3, "v0": 4, "k0": 5, "c0": 6, "Array": 7, "template": 8}
    for made in (tf.op(lambda **given: given)(**words), tf.op(outputs=1)(lambda **given: given)(**words)[0]):
        for _ in range(6):
            assert session.run(made) == words


def test_None_and_exceptions_and_functions_are_values(session):
    error = ValueError("kept")
    assert session.run(tf.op(lambda: None)()) is None
    assert session.run(tf.op(lambda: error)()) is error
    assert session.run(tf.op(lambda: os.getpid)()) is os.getpid


def test_arguments_of_two_graphs_are_refused(graph):
    one = tf.constant(1)
    with tf.Graph().as_default():
        two = tf.constant(2)
    with pytest.raises(ValueError, match="must be from the same graph as"):
        whole(one, two)


def test_a_function_may_write_to_the_array_that_it_is_given(session):
    def spoil(x):
        x[0] += 1
        return x

    x = tf.placeholder(tf.float32, [2])
    given = np.zeros(2, np.float32)
    for _ in range(3):
        assert session.run(tf.op(spoil)(x), {x: given}).tolist() == [1, 0]
        assert session.run(tf.op(spoil)(tf.constant([1.0, 2.0]))).tolist() == [2, 2]
    assert not given.any()


def test_an_op_made_in_another_default_graph_goes_to_the_graph_of_its_arguments(graph):
    x = tf.constant(1)
    with tf.Graph().as_default() as other:
        assert whole(x).graph is graph
        assert whole(1).graph is other


# What may be a function


def test_lambdas_partials_methods_builtins_and_objects_are_functions(session):
    add = tf.op(functools.partial(lambda a, b: a + b, 10))
    method = tf.op(Scale(4).__call__)
    built_in = tf.op(len)
    callable_object = tf.op(Scale(5))
    made = [add(1), method(2), built_in([1, 2, 3]), callable_object(tf.constant(3))]
    assert session.run(made) == [11, 8, 3, 15]


def test_two_ops_of_one_function_share_what_is_known_of_it(graph):
    def cube(x):
        return x**3

    scale = Scale(2)
    assert tf.op(cube).kernel is tf.op(cube).kernel
    assert tf.op(scale.__call__).kernel is tf.op(scale.__call__).kernel
    assert tf.py_func(cube, [1], tf.int32).op.kernel is tf.py_func(cube, [2], tf.int32).op.kernel
    assert tf.op(cube).kernel is not tf.op(dtype=tf.int32)(cube).kernel
    assert tf.op(cube).kernel is not tf.op(timeout=1)(cube).kernel
    assert tf.op(Scale(2)).kernel is not tf.op(Scale(2)).kernel


def test_a_closure_sees_its_variables_when_it_runs(session):
    state = {"value": 1}
    made = tf.op(lambda: state["value"])()
    assert session.run(made) == 1
    state["value"] = 2
    assert session.run(made) == 2


def test_an_op_pickles(session):
    again = pickle.loads(cloudpickle.dumps(both))
    assert again.__name__ == "both"
    assert session.run(again(1, 2)) == [1, 2]


# How often it is called


def test_an_impure_function_runs_once_for_each_node_and_run(session):
    make, calls = counted()
    one, two = make(7), make(7)
    x = tf.constant(7)
    both_of_them = tf.stack([tf.cast(one, tf.int32), tf.cast(two, tf.int32), tf.cast(one, tf.int32)])
    first, second, third = session.run(both_of_them)
    assert {first, second} == {1, 2}
    assert third == first
    session.run([one, one, two, x])
    assert len(calls) == 4


def test_equal_calls_of_a_pure_function_are_made_once(session):
    make, calls = counted(pure=True)
    x = tf.placeholder(tf.int32)
    made = [make(x, 1), make(x, 1), make(x, 2), make(x, 1.0), make(x, [1]), make(x, (1,))]
    assert made[0].op.kind is Kind.PURE
    session.run(made, {x: 5})
    assert len(calls) == 5


def test_a_pure_function_of_constants_is_not_called_while_planning_a_run_that_fails(session):
    """Folding is for the library's own kernels: a user's function runs when the run runs."""
    make, calls = counted(pure=True)
    made = make(tf.constant(1))
    with pytest.raises(InvalidArgumentError, match="You must feed a value for placeholder"):
        session.run([made, tf.placeholder(tf.float32)])
    assert calls == []


def test_a_function_that_nobody_fetches_does_not_run(session):
    make, calls = counted()
    make(1)
    session.run(tf.constant(1))
    session.run(make(2))
    assert calls == [(2,)]


def test_a_function_runs_once_whichever_of_its_outputs_are_fetched(session):
    calls = []
    a, b = tf.op(outputs=2)(lambda: (calls.append(1), 2))()
    assert session.run([b, b]) == [2, 2]
    assert session.run([a, b]) == [None, 2]
    assert len(calls) == 2


def test_retries_call_again_until_it_works(session):
    calls = []

    def flaky():
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("try again")
        return "done"

    assert session.run(tf.op(retries=2)(flaky)()) == "done"
    assert len(calls) == 3


def test_the_last_error_counts_when_the_retries_are_used_up(session):
    calls = []

    def broken():
        calls.append(1)
        raise ConnectionError(f"attempt {len(calls)}")

    with pytest.raises(UnknownError, match=r"^ConnectionError: attempt 3\n"):
        session.run(tf.op(retries=2)(broken)())
    assert len(calls) == 3


# Exceptions


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError, InvalidArgumentError),
        (TypeError, InvalidArgumentError),
        (StopIteration, OutOfRangeError),
        (MemoryError, ResourceExhaustedError),
        (NotImplementedError, UnimplementedError),
        (KeyError, UnknownError),
        (ZeroDivisionError, UnknownError),
        (SystemExit, UnknownError),
    ],
)
def test_an_exception_becomes_the_error_of_its_kind_with_node_line_and_cause(session, raised, expected):
    def broken():
        raise raised("text")

    made = tf.op(broken)()
    with pytest.raises(expected) as caught:
        session.run(made)
    error = caught.value
    assert type(error) is expected
    assert error.message.startswith(f"{raised.__name__}: ")
    assert "text" in error.message
    assert error.op is made.op
    assert f"[[node broken (defined at {__file__}:" in str(error)
    assert isinstance(error.__cause__, raised)


def test_a_function_may_raise_an_error_of_its_own_code(session):
    def broken():
        raise OutOfRangeError(None, None, "no more")

    with pytest.raises(OutOfRangeError, match=r"^no more"):
        session.run(tf.op(broken)())


def test_wrong_arguments_raise_where_the_node_is_made(graph):
    with pytest.raises(TypeError, match=rf"both\(\) missing a required argument: 'b' \(called at {__file__}:\d+\)"):
        both(1)
    with pytest.raises(TypeError, match="too many positional arguments"):
        both(1, 2, 3)
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'c'.* Its parameters are \(a, b\)"):
        both(1, 2, c=3)
    with pytest.raises(TypeError, match="multiple values for argument 'a'"):
        both(1, a=2)
    assert graph.get_operations() == []


def test_wrong_arguments_of_methods_partials_and_classes_raise_where_the_node_is_made(graph):
    class Scale:
        def __init__(self, by):
            self.by = by

        @tf.op
        def scaled(self, x):
            return self.by * x

        @tf.op
        @classmethod
        def unit(cls, *, name):
            return cls(1)

        def __call__(self, x):
            return x

    for call in (
        lambda: Scale(2).scaled(),
        lambda: Scale(2).scaled(1, 2),
        lambda: Scale.unit(),
        lambda: tf.op(Scale)(),
        lambda: tf.op(Scale(2))(),
        lambda: tf.op(functools.partial(both.function, 1))(2, 3),
        lambda: tf.op(functools.lru_cache(lambda x: x))(),
        lambda: tf.op(len)(),
    ):
        with pytest.raises(TypeError, match="called at"):
            call()


def test_a_function_that_another_one_speaks_for_is_called_as_it_is(session):
    """What a decorated function shows, by `__wrapped__` or `__signature__`, need not be what it takes."""

    def with_two(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args, 2)

        return wrapper

    def shown(*args):
        return sum(args)

    shown.__signature__ = inspect.Signature()
    assert session.run(tf.op(with_two(lambda a, b: a + b))(1)) == 3
    assert session.run(tf.op(shown)(1, 2)) == 3
    assert session.run(tf.op(max)(1, 2)) == 2


def test_a_function_that_was_changed_since_its_first_call_takes_what_it_takes_now(session):
    def scale(x):
        return x

    made = tf.op(scale)
    made(1)
    scale.__code__ = (lambda x, by: x * by).__code__
    assert session.run(made(2, 3)) == 6


def test_after_an_exception_the_session_works(session):
    state = {"broken": True}

    def sometimes():
        if state["broken"]:
            raise ValueError("not yet")
        return 1

    made = tf.op(sometimes)()
    with pytest.raises(InvalidArgumentError):
        session.run(made)
    state["broken"] = False
    assert session.run(made) == 1


# Other processes


def test_an_isolated_function_runs_in_another_process(ray_session, graph):
    for placement in ("auto", "caller"):
        with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
            made = process()
            for _ in range(3):
                assert session.run(made) != os.getpid()


def test_a_function_that_asks_for_resources_runs_where_they_are(ray_session, graph):
    with tf.Session() as session:
        value, where = session.run(on_a_loom({"x": tf.constant([1.0, 2.0])}))
    assert np.array_equal(value["x"], [1, 2])
    assert where != os.getpid()


def test_a_resource_that_no_machine_has_is_refused_at_once(ray_session, graph):
    made = tf.op(resources={"no such thing": 1}, name="greedy")(lambda: 1)()
    with tf.Session() as session, pytest.raises(InvalidArgumentError, match="no such thing"):
        session.run(made)


def test_lambdas_closures_and_local_classes_travel_to_other_processes(ray_session, graph):
    class Local:
        def __init__(self, x):
            self.x = x

    by = 3
    made = [
        tf.op(isolated=True)(lambda x: (x * by, os.getpid()))(2),
        tf.op(isolated=True)(Scale(4))(2),
        tf.op(isolated=True)(lambda: Local(5))(),
        tf.op(isolated=True, outputs=2, dtype=[tf.int32, tf.float32])(lambda: (1, 2))(),
    ]
    with tf.Session() as session:
        (tripled, where), scaled, local, (one, two) = session.run(made)
    assert (tripled, scaled, local.x, one, two) == (6, 8, 5, 1, 2)
    assert where != os.getpid()
    assert type(two) is np.float32


def test_a_pure_call_is_made_once_in_another_process_too(ray_session, graph):
    here = tf.op(pure=True, isolated=True)(lambda x: (os.getpid(), os.urandom(8)))
    with tf.Session() as session:
        one, two = session.run([here(1), here(1)])
    assert one == two


def test_an_exception_in_another_process_is_the_same_error(ray_session, graph):
    def broken():
        raise KeyError("far away")

    made = tf.op(isolated=True)(broken)()
    with tf.Session() as session, pytest.raises(UnknownError, match=r"^KeyError: 'far away'") as caught:
        session.run(made)
    assert caught.value.op is made.op
    assert isinstance(caught.value.__cause__, KeyError)


# py_func


def test_py_func_calls_a_function_of_arrays(session):
    x = tf.placeholder(tf.float32, [2])
    y = tf.py_func(np.sinh, [x], tf.float32)
    assert isinstance(y, tf.Tensor)
    assert (y.op.name, y.dtype) == ("PyFunc", tf.float32)
    assert y.shape.ndims is None
    assert np.allclose(session.run(y, {x: [1, 2]}), np.sinh([1, 2]))


def test_py_func_with_a_list_of_dtypes_gives_a_list(session):
    made = tf.py_func(lambda a, b: (a + b, a * b), [tf.constant(2), 3], [tf.int32, tf.int64])
    assert isinstance(made, list)
    total, product = session.run(made)
    assert (total, type(total)) == (5, np.int32)
    assert (product, type(product)) == (6, np.int64)
    (one,) = tf.py_func(lambda: 1, [], [tf.float32])
    assert type(session.run(one)) is np.float32


def test_py_func_without_outputs_is_an_operation(session):
    seen = []
    made = tf.py_func(seen.append, [tf.constant(1)], [])
    assert isinstance(made, tf.Operation)
    session.run(made)
    assert seen == [1]


def test_py_func_gives_a_function_constants_as_arrays(session):
    kinds = tf.py_func(lambda *values: [v.dtype.str for v in values], [1.5, [1, 2], np.float64(1)], tf.object)
    assert session.run(kinds) == ["<f4", "<i4", "<f8"]


def test_py_func_takes_and_gives_text_as_bytes(session):
    upper = tf.py_func(lambda s: s.upper(), [tf.constant("abc")], tf.string)
    assert session.run(upper) == b"ABC"
    text = tf.py_func(lambda: "grüße", [], tf.string)
    assert session.run(text) == "grüße".encode()
    several = tf.py_func(lambda: [["a", b"b\x00"]], [], tf.string)
    value = session.run(several)
    assert value.dtype == object
    assert list(value) == [b"a", b"b\x00"]
    array = tf.py_func(lambda: np.array(["x", "yz"]), [], tf.string)
    assert list(session.run(array)) == [b"x", b"yz"]


def test_py_func_takes_a_list_for_a_list_of_values(session):
    assert session.run(tf.py_func(lambda x: [x], [[1, 2]], tf.int32)).tolist() == [1, 2]
    for result, count in (((1, 2), 2), ([], 0), (None, 0)):
        with pytest.raises(InvalidArgumentError, match=f"returns {count} values, but expects to see 1 values"):
            session.run(tf.py_func(lambda result=result: result, [], tf.int32))
    for result, what in (({"a": 1}, "object type dict"), (np.zeros(1, [("a", "f4")]), "numpy data type")):
        with pytest.raises(tf.errors.InternalError, match=f"Unsupported {what}"):
            session.run(tf.py_func(lambda result=result: result, [], tf.int32))


def test_py_func_refuses_a_result_that_is_no_text_where_text_was_declared(session):
    with pytest.raises(InvalidArgumentError):
        session.run(tf.py_func(lambda: 5, [], tf.string))


def test_py_func_is_stateful_unless_told_otherwise(session):
    calls = []

    def note(x):
        calls.append(int(x))
        return x

    x = tf.constant(1)
    session.run([tf.py_func(note, [x], tf.int32), tf.py_func(note, [x], tf.int32)])
    assert calls == [1, 1]
    calls.clear()
    session.run([tf.py_func(note, [x], tf.int32, stateful=False), tf.py_func(note, [x], tf.int32, stateful=False)])
    assert calls == [1]


def test_py_func_can_be_named(graph):
    assert tf.py_func(len, [[1]], tf.int32, name="size").op.name == "size"


def test_py_func_needs_a_function(graph):
    with pytest.raises(ValueError, match=r"^py_func expected func to be callable, but got 3\.$"):
        tf.py_func(3, [], tf.float32)


PLACES = ("auto", "caller", "actor", "task", "resident", "mixed")


@pytest.mark.parametrize("place", PLACES)
def test_py_func_and_here_run_in_the_caller_in_the_order_of_creation(ray_session, graph, place):
    """From the first run on, whatever else the run does and in whatever order they are fetched or become ready."""
    seen = []

    def note(k, _=None):
        seen.append((k, os.getpid()))
        return np.int64(k)

    slow = [tf.op(lambda k: (time.sleep(0.02 * (3 - k)), k)[1])(k) for k in range(3)]
    waiting = [tf.py_func(note, [k, tf.cast(slow[k], tf.int32)], tf.int64) for k in range(3)]
    several = [*waiting, *[tf.op(here=True)(note)(3 + k) for k in range(3)], tf.py_func(note, [6], tf.int64)]
    with tf.Session(config=tf.ConfigProto(placement=place)) as session:
        for _ in range(5):
            assert session.run(several[::-1]) == [6, 5, 4, 3, 2, 1, 0]
            assert seen == [(k, os.getpid()) for k in range(7)]
            seen.clear()


def test_functions_of_the_caller_in_branches_and_loops_keep_their_order(graph):
    """A branch or a loop that holds one takes its turn among the others."""
    seen = []

    def note(x):
        seen.append(int(x))
        return x

    def noted(x):
        return tf.py_func(note, [x], tf.int32)

    first = noted(1)
    branch = tf.cond(tf.constant(True), lambda: noted(2), lambda: noted(0))
    loop = tf.while_loop(lambda i: i < 5, lambda i: (tf.reshape(noted(i), []) + 1,), [tf.constant(3)])
    mapped = tf.map_fn(noted, tf.constant([5, 6]))
    last = noted(7)
    with tf.Session() as session:
        for _ in range(3):
            session.run([last, mapped, loop, branch, first])
            assert seen == [1, 2, 3, 4, 5, 6, 7]
            seen.clear()


def test_many_functions_of_the_caller_with_others_keep_their_order(ray_session, graph):
    """Functions that were never seen are tried elsewhere: those of the caller are not, and wait for their turn."""
    seen = []
    others = [tf.op(lambda k: k)(k) for k in range(40)]
    notes = [tf.op(here=True)(seen.append)(other) for other in others]
    with tf.Session() as session:
        for _ in range(3):
            session.run(notes[::-1])
            assert seen == list(range(40))
            seen.clear()


def test_a_node_that_waits_for_a_queue_delays_only_others_that_do(graph):
    """A function that waits for an element does not keep one back that lets the element be there."""
    queue = tf.FIFOQueue(2, [tf.int32], [[]])
    seen = []
    taken = tf.py_func(lambda x: (seen.append("taken"), x)[1], [queue.dequeue()], tf.int32)
    made = tf.py_func(lambda: (seen.append("made"), np.int32(5))[1], [], tf.int32)
    made.set_shape([])
    with tf.Session() as session:
        assert session.run([taken, queue.enqueue(made)], options=tf.RunOptions(timeout_in_ms=20_000)) == [5, None]
    assert seen == ["made", "taken"]


def test_a_function_of_the_caller_keeps_its_state(graph):
    """A counter counts every call, a list collects every item, a lock is the program's."""
    counted, lock = [0], threading.Lock()

    def step():
        with lock:
            counted[0] += 1
            return counted[0]

    numbers = [tf.py_func(step, [], tf.int64), tf.op(here=True)(step)()]
    with tf.Session() as session:
        assert [session.run(numbers) for _ in range(3)] == [[1, 2], [3, 4], [5, 6]]


def test_here_contradicts_what_asks_for_another_process(graph):
    """It is refused where it is made: by options, by a scope, by what is in the same branch."""
    for other in ({"isolated": True}, {"num_cpus": 1}, {"resources": {"loom": 1}}, {"timeout": 1}):
        with pytest.raises(ValueError, match="must run in the caller's process"):
            tf.op(here=True, **other)
    with pytest.raises(ValueError, match="must run in the caller's process"):
        tf.op(here=True, label_selector={"zone": "a"})
    with tf.resources(num_cpus=1), pytest.raises(ValueError, match="PyFunc .*needs another one because of resources"):
        tf.py_func(len, [[1]], tf.int32)
    with pytest.raises(ValueError, match="A branch or loop runs in one place, but cond/PyFunc .* because of isolated"):
        tf.cond(
            tf.constant(True),
            lambda: tf.py_func(len, [[1]], tf.int32),
            lambda: tf.cast(tf.op(isolated=True)(len)([1]), tf.int32),
        )


def test_a_function_of_the_caller_is_not_placed_on_another_machine(graph):
    """A device that the caller's machine has is ignored; `here` on another machine is an error."""
    with tf.device("/cpu:0"):
        mine = tf.op(here=True)(os.getpid)()
    with tf.Session() as session:
        assert session.run(mine) == os.getpid()
        with tf.device("/job:worker/task:3"):
            theirs = tf.op(here=True)(os.getpid)()
        with pytest.raises(InvalidArgumentError, match="Cannot assign a device for operation getpid"):
            session.run(theirs)


def test_py_func_may_write_into_its_arguments(session):
    """The arrays are its own: neither a feed, a constant nor another node sees what it writes."""
    x = tf.placeholder(tf.float32, [2])
    fed, fixed = np.zeros(2, np.float32), tf.constant([1.0, 2.0])

    def spoil(*arrays):
        for array in arrays:
            array += 1
        return arrays

    made = tf.py_func(spoil, [x, fixed], [tf.float32, tf.float32])
    pure = tf.py_func(spoil, [fixed], [tf.float32], stateful=False)
    for _ in range(3):
        one, two, (three,), four = session.run([*made, pure, tf.identity(fixed)], {x: fed})
        assert [v.tolist() for v in (one, two, three, four)] == [[1, 1], [2, 3], [2, 3], [1, 2]]
    assert fed.tolist() == [0, 0]
    assert fed.flags.writeable


CANNOT = [
    *((value, tf.int32) for value in (3.7, 3.0, 2**40, -(2**31) - 1, float("nan"), 1j, np.float32(2), [1, 2.5])),
    *((value, tf.uint8) for value in (-1, 256, np.int64(300))),
    *((value, tf.bool) for value in (1, 0.0)),
    *((value, tf.float32) for value in (1j, 1e300, None, "1", 2**70)),
    *((value, tf.float16) for value in (70000, [1.0, 1e5])),
    (1e300 + 0j, tf.complex64),
]


@pytest.mark.parametrize(("value", "dtype"), CANNOT, ids=str)
def test_a_value_that_the_declared_dtype_cannot_hold_is_an_error(session, value, dtype):
    """Kinds change as in NumPy's same_kind casts, and no number may leave the range; no value is bent to fit."""
    nodes = [
        tf.py_func(lambda: [value], [], dtype),
        tf.py_func(lambda: [value], [], [dtype])[0],
        tf.op(dtype=dtype)(lambda: value)(),
        tf.op(dtype=[dtype], outputs=1)(lambda: [value])()[0],
    ]
    for node in nodes:
        with pytest.raises(InvalidArgumentError, match=f"cannot hold|declared|{dtype.name}"):
            session.run(node)


CAN = [
    (True, tf.int32, 1),
    (True, tf.float32, 1.0),
    (5, tf.uint8, 5),
    (np.int64(2**31 - 1), tf.int32, 2**31 - 1),
    (2**40, tf.float32, float(2**40)),
    (1.5, tf.float16, 1.5),
    (2.5, tf.complex64, 2.5 + 0j),
    (np.float64(0.1), tf.float32, np.float32(0.1)),
    (float("inf"), tf.float32, float("inf")),
    ([], tf.int32, []),
]


@pytest.mark.parametrize(("value", "dtype", "expected"), CAN, ids=str)
def test_a_value_that_the_declared_dtype_can_hold_is_converted(session, value, dtype, expected):
    """The value has the declared dtype."""
    for node in (tf.py_func(lambda: [value], [], dtype), tf.op(dtype=dtype)(lambda: value)()):
        made = session.run(node)
        assert made.dtype == dtype.numpy
        assert made.tolist() == (expected.tolist() if isinstance(expected, np.generic) else expected)


def test_the_gradient_of_py_func_is_none(graph):
    """It has no derivative, and to ask for one is no error; what goes another way is found."""
    x = tf.constant(2.0)
    for stateful in (True, False):
        y = tf.py_func(lambda v: v**2, [x], tf.float32, stateful=stateful)
        y.set_shape([])
        assert tf.gradients(y, x) == [None]
        (grad,) = tf.gradients(y + 3 * x, x)
        with tf.Session(config=HERE) as session:
            assert session.run(grad) == 3


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ValueError, InvalidArgumentError),
        (TypeError, InvalidArgumentError),
        (StopIteration, OutOfRangeError),
        (MemoryError, ResourceExhaustedError),
        (NotImplementedError, UnimplementedError),
        (KeyError, UnknownError),
    ],
)
def test_an_exception_of_py_func_becomes_tensorflow_s_class_for_it(session, raised, kind):
    """TensorFlow 1's table; the message is the type and the text."""

    def fail():
        raise raised("why")

    with pytest.raises(kind, match=f"{raised.__name__}: .*why") as caught:
        session.run(tf.py_func(fail, [], tf.float32, name="fails"))
    assert caught.value.op.name == "fails"


def test_py_func_maps_exceptions_as_tensorflow_does(session):
    def broken():
        raise ValueError("bad")

    with pytest.raises(InvalidArgumentError, match=r"^ValueError: bad\n"):
        session.run(tf.py_func(broken, [], tf.float32))
