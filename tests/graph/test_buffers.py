"""Python functions as nodes."""

from __future__ import annotations

import functools
import os

import numpy as np
import pytest

import weftwork as tf

CALLER = tf.ConfigProto(placement="caller")


@pytest.fixture
def session(graph):
    """A session that runs everything in the caller."""
    with tf.Session(config=CALLER) as session:
        yield session


@tf.op
def describe(*args, **kwargs):
    """The arguments as the function got them."""
    return args, kwargs


@tf.op(outputs=2)
def halves(text):
    """The two halves of a text."""
    return text[: len(text) // 2], text[len(text) // 2 :]


def test_tensors_anywhere_in_the_arguments_become_values(session):
    x = tf.constant(2.0)
    got = session.run(describe(x, [x, 1, {"a": (x, "s")}], key=x * 2, other=None))
    assert got == ((2.0, [2.0, 1, {"a": (2.0, "s")}]), {"key": 4.0, "other": None})


def test_a_function_may_return_any_object(session):
    marker = object()
    same = tf.op(lambda: marker)()
    assert session.run(same) is marker
    assert same.dtype == tf.object
    assert same.shape.ndims is None


def test_declared_outputs_are_tensors_of_their_own(session):
    first, second = halves("weftwork")
    nothing = tf.op(outputs=0)(lambda: None)()
    (one,) = tf.op(outputs=1)(lambda: (7,))()
    assert session.run([second, first]) == ["work", "weft"]
    assert isinstance(nothing, tf.Operation)
    assert session.run([nothing, one]) == [None, 7]


def test_declared_dtypes_and_shapes_are_kept(session):
    made = tf.op(dtype=tf.float32, shape=[3])(lambda: [1, 2, 3])()
    assert (made.dtype, made.shape.as_list()) == (tf.float32, [3])
    got = session.run(made)
    assert got.dtype == np.float32
    assert session.run(made + 1.0).tolist() == [2.0, 3.0, 4.0]


def test_a_node_is_named_after_its_function_or_as_asked(graph):
    assert describe(1).op.name == "describe"
    assert describe(1).op.name == "describe_1"
    assert halves("ab", name="cut")[0].op.name == "cut"
    assert tf.op(lambda: 1)().op.name == "function"
    assert tf.op(name="given")(lambda: 1)().op.name == "given"


def test_an_argument_called_name_belongs_to_the_function(session):
    @tf.op
    def greet(name):
        return f"hello {name}"

    assert session.run(greet(name="you")) == "hello you"


def test_callables_of_all_kinds_can_be_nodes(session):
    class Adder:
        def __call__(self, x):
            return x + 1

    assert session.run([tf.op(Adder())(1), tf.op(functools.partial(max, 3))(5), tf.op(len)([1, 2])]) == [2, 5, 2]


def test_impure_functions_are_called_for_each_node_and_pure_ones_once(session):
    calls: list = []
    impure, pure = tf.op(calls.append), tf.op(pure=True)(calls.append)
    session.run([impure("i"), impure("i"), pure("p"), pure("p"), pure("q")])
    assert sorted(calls) == ["i", "i", "p", "q"]


def test_pure_functions_of_equal_but_different_arguments_are_not_confused(session):
    kind = tf.op(pure=True)(lambda x: type(x).__name__)
    assert session.run([kind(1), kind(1.0), kind(True)]) == ["int", "float", "bool"]


def test_a_function_is_called_again_when_it_raises(session):
    calls: list = []

    @tf.op(retries=2)
    def flaky():
        calls.append(1)
        if len(calls) < 3:
            raise OSError("not yet")
        return len(calls)

    assert session.run(flaky()) == 3


def test_retries_end_with_the_last_error(session):
    @tf.op(retries=1)
    def broken():
        raise OSError("never")

    with pytest.raises(tf.errors.UnknownError, match="OSError: never"):
        session.run(broken())


def test_an_isolated_function_never_runs_in_the_caller(ray_session, graph):
    where = tf.op(isolated=True)(os.getpid)()
    with tf.Session() as session:
        assert os.getpid() not in {session.run(where) for _ in range(5)}


def test_an_unknown_function_is_tried_in_a_worker_and_a_cheap_one_comes_home(ray_session, graph):
    where = tf.op(lambda: os.getpid())()
    with tf.Session() as session:
        seen = [session.run(where) for _ in range(5)]
    assert seen[0] != os.getpid()
    assert seen[-1] == os.getpid()


def test_inputs_can_be_written_to_and_nobody_sees_it(session):
    @tf.op
    def scribble(x):
        x[0] = 99
        return x

    doubled = tf.constant([1.0, 2.0]) * 2
    for _ in range(3):
        assert [v.tolist() for v in session.run([scribble(doubled), doubled])] == [[99, 4], [2, 4]]


def test_a_buffer_that_a_function_keeps_is_copied(session):
    kept = np.zeros(3)

    @tf.op
    def observe():
        kept[:] += 1
        return kept

    @tf.op
    def window():
        kept[:] += 1
        return kept[1:]

    first = session.run(observe())
    second = session.run(observe())
    third = session.run(window())
    session.run(observe())
    assert (first.tolist(), second.tolist(), third.tolist()) == ([1.0] * 3, [2.0] * 3, [3.0] * 2)


OPTIONS = [
    {},
    {"outputs": 1},
    {"dtype": tf.float64},
    {"retries": 2},
    {"outputs": 1, "dtype": [tf.float64], "shape": [[1000]], "retries": 1},
    {"pure": True, "outputs": 1},
]
"""Ways to be called: directly, and by the wrapper that checks and converts what comes."""


def results_of(f, placement="caller", runs=60):
    """The results of a node in many runs. Its program is first interpreted, finally compiled."""
    made = f()
    with tf.Session(config=tf.ConfigProto(placement=placement)) as session:
        return [session.run(made[0] if isinstance(made, list) else made) for _ in range(runs)]


@pytest.mark.parametrize("placement", ["caller", "auto"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_array_that_only_the_result_holds_is_not_copied(ray_session, graph, options, placement):
    addresses = []

    def fresh():
        made = np.ones(1000)
        addresses.append(made.ctypes.data)
        return (made,) if options.get("outputs") else made

    results = results_of(tf.op(**options)(fresh), placement)
    here = len(addresses)  # the first call may have been tried in another process
    assert here >= len(results) // 2
    assert [array.ctypes.data for array in results[-here:]] == addresses
    assert all(array.flags.writeable for array in results)


@pytest.mark.parametrize("placement", ["caller", "auto"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_array_that_somebody_holds_is_copied_however_the_function_is_called(ray_session, graph, options, placement):
    kept, calls = np.zeros(1000), []

    def observe():
        kept[:] += 1
        calls.append(kept[0])
        return (kept,) if options.get("outputs") else kept

    def window():
        kept[:] += 1
        calls.append(kept[0])
        return (kept[:],) if options.get("outputs") else kept[:]

    for function in (observe, window):
        calls.clear()
        results = results_of(tf.op(**options)(function), placement)
        here = len(calls)
        assert here >= len(results) // 2
        assert [array[0] for array in results[-here:]] == calls


def test_outputs_that_are_one_array_or_parts_of_one_are_apart(session):
    def same():
        made = np.ones(4)
        return made, made, made[2:]

    first, second, part = session.run(tf.op(outputs=3)(same)())
    assert not any(np.shares_memory(a, b) for a, b in [(first, second), (first, part), (second, part)])


def test_py_func_does_not_copy_what_only_the_result_holds(session):
    addresses = []

    def fresh():
        made = np.ones(1000)
        addresses.append(made.ctypes.data)
        return made

    assert session.run(tf.py_func(fresh, [], tf.float64)).ctypes.data == addresses[-1]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"outputs": -1}, "outputs must be an integer"),
        ({"outputs": 2, "dtype": [tf.int32]}, "dtype has 1 entries for 2 outputs"),
        ({"retries": -1}, "retries must be an integer"),
        ({"timeout": 0}, "timeout must be a positive number of seconds"),
        ({"num_cpus": -1}, "amounts of at least 0"),
        ({"resources": {"CPU": 1}}, "Pass CPU as an option of its own"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error):
    with pytest.raises(ValueError, match=error):
        tf.op(**options)(len)


def test_op_wants_a_function():
    with pytest.raises(TypeError, match="weftwork.op takes a function"):
        tf.op(3)  # type: ignore[call-overload]


def test_py_func_takes_arrays_and_gives_the_declared_dtypes(session):
    def stats(values, text):
        assert isinstance(values, np.ndarray)
        assert text == b"word"
        return values.sum(), values.astype(np.int64)

    total, whole = tf.py_func(stats, [[1.5, 2.5], "word"], [tf.float32, tf.int64])
    assert (total.dtype, whole.dtype) == (tf.float32, tf.int64)
    got = session.run([total, whole])
    assert got[0] == 4.0
    assert got[1].tolist() == [1, 2]
    assert session.run(tf.py_func(lambda x: x * 2, [3.0], tf.float32)) == 6.0


def test_a_stateless_py_func_is_pure(session):
    calls: list = []

    def note(x):
        calls.append(1)
        return x

    x = tf.constant(1.0)
    session.run([tf.py_func(note, [x], tf.float32, stateful=False)] * 2)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("v"), tf.errors.InvalidArgumentError),
        (TypeError("t"), tf.errors.InvalidArgumentError),
        (StopIteration("s"), tf.errors.OutOfRangeError),
        (MemoryError("m"), tf.errors.ResourceExhaustedError),
        (NotImplementedError("n"), tf.errors.UnimplementedError),
        (KeyError("k"), tf.errors.UnknownError),
    ],
)
def test_a_function_s_exception_becomes_the_error_of_its_class(session, error, kind):
    def fail():
        raise error

    with pytest.raises(kind, match=f"{type(error).__name__}: ") as info:
        session.run(tf.py_func(fail, [], tf.float32))
    assert info.value.__cause__ is error
