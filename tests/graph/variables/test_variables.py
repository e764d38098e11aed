"""Variables: what they are made of, how they get their values, and in which order a run reads and writes them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import FailedPreconditionError, InvalidArgumentError

HERE = tf.ConfigProto(placement="caller")


def initialize(session):
    """Give all variables their initial values."""
    session.run(tf.global_variables_initializer())


class Counted:
    """A function that counts its calls and returns how many there were."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return np.float32(self.calls)

    def tensor(self):
        """A node that calls it."""
        return tf.op(dtype=tf.float32, shape=())(self)()


# What a variable is


def test_a_variable_is_four_operations(graph):
    w = tf.Variable([1.0, 2.0], name="w")
    assert [op.name for op in graph.get_operations()] == ["w/initial_value", "w", "w/Assign", "w/read"]
    assert [op.type for op in graph.get_operations()] == ["Const", "VariableV2", "Assign", "Identity"]
    assert (w.name, w.op.name, w._shared_name) == ("w:0", "w", "w")
    assert w.initializer is graph.get_operation_by_name("w/Assign")
    assert w.initial_value is graph.get_tensor_by_name("w/initial_value:0")
    assert w.value() is graph.get_tensor_by_name("w/read:0")
    assert w._ref() is graph.get_tensor_by_name("w:0")
    assert w.graph is graph
    assert w.device == ""


def test_the_value_of_a_variable_is_one_cached_read_and_read_value_is_a_new_one(graph):
    w = tf.Variable(1.0, name="w")
    assert w.value() is w.value()
    assert tf.convert_to_tensor(w) is w.value()
    assert w.read_value() is not w.read_value()
    assert w.value().op.colocation_groups() == [b"loc:@w"]


def test_the_dtype_of_a_variable_is_a_reference_and_that_of_its_value_is_not(graph):
    w = tf.Variable(1.0)
    assert w.dtype.name == "float32_ref"
    assert w.dtype.base_dtype is tf.float32
    assert w.value().dtype is tf.float32


def test_a_variable_prints_its_name_shape_and_dtype(graph):
    w = tf.Variable([[1, 2, 3]], name="w")
    assert repr(w) == str(w) == "<tf.Variable 'w:0' shape=(1, 3) dtype=int32_ref>"


def test_names_are_made_unique_and_follow_scopes(graph):
    names = [tf.Variable(0.0).name, tf.Variable(0.0).name, tf.Variable(0.0, name="w").name]
    with tf.name_scope("layer"):
        names.append(tf.Variable(0.0, name="w").op.name)
    assert names == ["Variable:0", "Variable_1:0", "w:0", "layer/w"]


def test_the_operations_of_a_callable_initial_value_stand_in_the_scope_initializer(graph):
    w = tf.Variable(lambda: tf.zeros([2]) + 1, name="w")
    made = [op.name for op in graph.get_operations() if op.name.startswith("w/Initializer")]
    assert made
    assert w.initial_value.op.name in made


def test_a_variable_takes_no_part_in_the_control_inputs_around_it(graph):
    calls = Counted()
    with tf.control_dependencies([calls.tensor()]):
        w = tf.Variable(3.0)
        assert tf.no_op().control_inputs
    for op in (w.op, w.initializer, w.value().op):
        assert op.control_inputs == []
    with tf.Session(config=HERE) as session:
        session.run(w.initializer)
        assert session.run(w) == 3.0
    assert calls.calls == 0


def test_a_variable_is_equal_to_itself_only_and_can_be_a_key(graph):
    v, w = tf.Variable(1.0), tf.Variable(1.0)
    assert v == v
    assert v != w
    assert len({v, w, v}) == 2


def test_a_variable_is_true_as_an_object_no_iterable_and_no_array(graph):
    w = tf.Variable([1.0, 2.0])
    assert w
    with pytest.raises(TypeError, match="'Variable' object is not iterable"):
        iter(w)
    with pytest.raises(NotImplementedError, match=r"Cannot convert a symbolic Tensor \(Variable/read:0\)"):
        np.asarray(w)


# Initial values


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (1.5, None, np.float32(1.5)),
        (7, None, np.int32(7)),
        (2**40, None, np.int64(2**40)),
        (True, None, np.bool_(True)),
        ([[1.0, 2.0]], None, np.array([[1, 2]], np.float32)),
        ([1, 2], tf.float64, np.array([1, 2], np.float64)),
        (np.array([1.0, 2.0]), None, np.array([1, 2], np.float64)),
        (np.int8(3), None, np.int8(3)),
        (1 + 2j, None, np.complex128(1 + 2j)),
        ("text", None, b"text"),
        (["a", b"b"], None, np.array([b"a", b"b"], object)),
        ([], None, np.zeros([0], np.float32)),
    ],
)
def test_a_python_or_numpy_value_initializes_a_variable(session, given, dtype, expected):
    w = tf.Variable(given, dtype=dtype)
    session.run(w.initializer)
    value = session.run(w)
    assert type(value) is type(expected)
    assert np.array_equal(value, expected)
    if isinstance(expected, (np.ndarray, np.generic)):
        assert value.dtype == expected.dtype
        assert w.dtype.base_dtype.numpy == expected.dtype
    assert w.shape.as_list() == list(np.shape(expected))


def test_a_tensor_initializes_a_variable(session):
    w = tf.Variable(tf.ones([2, 3]) * 4)
    session.run(w.initializer)
    assert np.array_equal(w.eval(), np.full([2, 3], 4, np.float32))


def test_a_callable_gives_the_initial_value_with_the_dtype_asked_for(session):
    w = tf.Variable(lambda: [1, 2], dtype=tf.float32)
    session.run(w.initializer)
    value = w.eval()
    assert value.dtype == np.float32
    assert np.array_equal(value, [1, 2])


def test_a_missing_initial_value_is_an_error(graph):
    with pytest.raises(ValueError, match=r"^initial_value must be specified\.$"):
        tf.Variable()
    with pytest.raises(ValueError, match=r"^initial_value must be specified\.$"):
        tf.Variable(None)


def test_an_initial_value_of_unknown_shape_is_an_error_unless_the_shape_is_not_validated(session):
    x = tf.placeholder(tf.float32, [None])
    with pytest.raises(ValueError, match=r"^initial_value must have a shape specified: "):
        tf.Variable(x)
    w = tf.Variable(x, validate_shape=False)
    assert w.shape.ndims is None
    for size in (2, 3):
        session.run(w.initializer, {x: np.ones(size)})
        assert session.run(w).shape == (size,)


def test_a_variable_that_failed_leaves_no_collection_entry(graph):
    with pytest.raises(ValueError, match="initial_value must have a shape"):
        tf.Variable(tf.placeholder(tf.float32))
    assert tf.global_variables() == []


def test_a_constraint_must_be_callable(graph):
    with pytest.raises(ValueError, match=r"^The `constraint` argument must be a callable\.$"):
        tf.Variable(1.0, constraint=3)
    clip = tf.Variable(1.0, constraint=abs)
    assert clip.constraint is abs


def test_collections_must_be_a_list(graph):
    with pytest.raises(
        ValueError,
        match=r"^collections argument to Variable constructor must be a list, tuple, or set. Got 'mine' of type",
    ):
        tf.Variable(1.0, collections="mine")


# Initialisation


def test_initializers_of_variables_that_depend_on_each_other_run_in_order(session):
    a = tf.Variable(2.0, name="a")
    b = tf.Variable(a * 3, name="b")
    c = tf.Variable(a + b, name="c")
    d = tf.Variable(c.initialized_value() + 1, name="d")
    initialize(session)
    assert session.run([a, b, c, d]) == [2, 6, 8, 9]


def test_an_initial_value_is_computed_once_however_many_variables_depend_on_it(session):
    calls = Counted()
    a = tf.Variable(calls.tensor(), name="a")
    b = tf.Variable(a * 10, name="b")
    c = tf.Variable(a + b, name="c")
    initialize(session)
    assert session.run([a, b, c]) == [1, 10, 11]
    assert calls.calls == 1


def test_dependent_variables_follow_when_all_are_initialized_again(session):
    calls = Counted()
    a = tf.Variable(calls.tensor(), name="a")
    b = tf.Variable(a * 10, name="b")
    initialize(session)
    initialize(session)
    assert session.run([a, b]) == [2, 20]
    assert calls.calls == 2


def test_a_random_initial_value_is_the_same_for_all_that_depend_on_it(session):
    a = tf.Variable(tf.random_normal([3]), name="a")
    b = tf.Variable(-a, name="b")
    c = tf.Variable(a.initialized_value() + b.initialized_value(), name="c")
    initialize(session)
    values = session.run([a, b, c])
    assert np.array_equal(values[0], -values[1])
    assert not values[2].any()
    assert values[0].any()


def test_a_dependent_variable_takes_the_value_that_the_other_one_has(session):
    a = tf.Variable(1.0, name="a")
    b = tf.Variable(a + 1, name="b")
    session.run(a.initializer)
    session.run(tf.assign(a, 10.0))
    session.run(b.initializer)
    assert session.run([a, b]) == [10, 11]


def test_a_dependent_variable_takes_the_initial_value_of_one_that_has_none(session):
    a = tf.Variable(1.0, name="a")
    b = tf.Variable(a + 1, name="b")
    session.run(b.initializer)
    assert session.run(b) == 2
    assert not session.run(tf.is_variable_initialized(a))


def test_dependent_initializers_may_be_run_in_any_order_of_fetches(session):
    a = tf.Variable(2.0, name="a")
    b = tf.Variable(a.initialized_value() * 2, name="b")
    session.run([b.initializer, a.initializer])
    assert session.run([b, a]) == [4, 2]


def test_initialized_value_is_the_initial_value_only_while_there_is_none(session):
    w = tf.Variable(5.0)
    value = w.initialized_value()
    assert session.run(value) == 5
    session.run(w.initializer)
    session.run(w.assign(6.0))
    assert session.run(value) == 6
    assert value.dtype is tf.float32


def test_variables_initializer_initializes_those_that_existed_when_it_was_made(session):
    v = tf.Variable(1.0, name="v")
    init = tf.global_variables_initializer()
    w = tf.Variable(1.0, name="w")
    session.run(init)
    assert list(session.run(tf.report_uninitialized_variables())) == [b"w"]
    session.run(tf.variables_initializer([w]))
    assert session.run([v, w]) == [1, 1]


def test_an_initializer_of_no_variables_is_an_operation_that_does_nothing(session):
    assert session.run(tf.variables_initializer([])) is None
    assert session.run(tf.global_variables_initializer()) is None
    assert session.run(tf.local_variables_initializer()) is None


def test_uninitialized_variables_are_reported_by_name(session):
    v = tf.Variable(1.0, name="v")
    tf.Variable(1.0, name="w")
    local = tf.Variable(1.0, name="local", trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES])
    report = tf.report_uninitialized_variables()
    assert list(session.run(report)) == [b"v", b"w", b"local"]
    session.run(v.initializer)
    assert list(session.run(report)) == [b"w", b"local"]
    assert list(session.run(tf.report_uninitialized_variables([v, local]))) == [b"local"]
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    found = session.run(report)
    assert found.shape == (0,)


def test_a_report_of_no_variables_is_empty(session):
    assert session.run(tf.report_uninitialized_variables()).shape == (0,)


def test_a_report_beside_an_initializer_tells_of_before(session):
    w = tf.Variable(1.0, name="w")
    report, _ = session.run([tf.report_uninitialized_variables(), w.initializer])
    assert list(report) == [b"w"]


# Errors of variables without a value


def test_reading_a_variable_without_a_value_names_it_and_the_line_that_made_it(session):
    w = tf.Variable(1.0, name="w")
    for fetch in (w, w.value(), w.read_value(), tf.identity(w), w + 1):
        with pytest.raises(FailedPreconditionError, match=r"^Attempting to use uninitialized value w\n") as caught:
            session.run(fetch)
        assert caught.value.op is w.op
        assert f"[[node w (defined at {__file__}:" in str(caught.value)


def test_updating_a_variable_without_a_value_is_the_same_error(session):
    w = tf.Variable([1, 2], name="w")
    updates = [
        w.assign_add([1, 1]),
        w.assign_sub([1, 1]),
        tf.scatter_update(w, [0], [5]),
        tf.scatter_add(w, [0], [5]),
        tf.assign(w, w),
    ]
    for update in updates:
        with pytest.raises(FailedPreconditionError, match="Attempting to use uninitialized value w"):
            session.run(update)
    assert not session.run(tf.is_variable_initialized(w))


def test_every_variable_without_a_value_is_named(session):
    a, b, c = [tf.Variable(1.0, name=name) for name in "abc"]
    with pytest.raises(FailedPreconditionError) as caught:
        session.run([a + 1, tf.identity(b), c.assign_add(1.0)])
    first, _, others = caught.value.message.partition(";")
    assert first == "Attempting to use uninitialized value a"
    assert "b (defined at" in others
    assert "c (defined at" in others


def test_a_variable_that_no_fetch_needs_may_be_without_a_value(session):
    v, w = tf.Variable(1.0), tf.Variable(1.0)
    tf.add(v, w)
    session.run(v.initializer)
    assert session.run(v + 1) == 2


def test_an_assignment_gives_a_variable_its_first_value(session):
    w = tf.Variable(1.0)
    assert session.run(w.assign(4.0)) == 4
    assert session.run(w) == 4


def test_a_read_after_a_first_assignment_of_the_same_run_sees_it(session):
    w = tf.Variable(1.0)
    with tf.control_dependencies([w.assign(4.0)]):
        after = w.read_value() * 2
    assert session.run(after) == 8


# Collections


def test_a_variable_is_global_and_trainable_by_default(graph):
    v = tf.Variable(1.0, name="v")
    w = tf.Variable(1.0, name="w", trainable=False)
    assert tf.global_variables() == [v, w]
    assert tf.all_variables() == [v, w]
    assert tf.trainable_variables() == [v]
    assert tf.local_variables() == tf.model_variables() == []
    assert (v.trainable, w.trainable) == (True, False)


def test_collections_say_where_a_variable_goes(graph):
    local = tf.Variable(1.0, collections=[tf.GraphKeys.LOCAL_VARIABLES], trainable=False)
    mine = tf.Variable(1.0, collections=["mine"])
    nowhere = tf.Variable(1.0, collections=[], trainable=False)
    assert tf.global_variables() == []
    assert tf.local_variables() == [local]
    assert tf.get_collection("mine") == [mine]
    assert tf.trainable_variables() == [mine]
    assert all(nowhere not in tf.get_collection(key) for key in graph.get_all_collection_keys())


def test_a_scope_filters_a_collection_by_name(graph):
    with tf.name_scope("a"):
        inside = tf.Variable(1.0)
    tf.Variable(1.0)
    assert tf.global_variables("a/") == [inside]
    assert tf.trainable_variables("a/") == [inside]


# load, eval, sessions


def test_load_sets_a_value_without_adding_to_the_graph(session):
    w = tf.Variable([1.0, 2.0])
    operations = len(session.graph.get_operations())
    w.load([3.0, 4.0], session)
    assert np.array_equal(w.eval(session), [3, 4])
    w.load(np.array([5, 6]))
    assert np.array_equal(w.eval(), [5, 6])
    assert len(session.graph.get_operations()) == operations
    with pytest.raises(ValueError, match="Cannot feed value of shape"):
        w.load([1.0])
    assert np.array_equal(w.eval(), [5, 6])


def test_load_needs_a_session(graph):
    w = tf.Variable(1.0)
    with pytest.raises(
        ValueError, match=r"^Either session argument should be provided or default session should be established$"
    ):
        w.load(2.0)


def test_eval_needs_a_session(graph):
    w = tf.Variable(1.0)
    with pytest.raises(ValueError, match=r"^Cannot evaluate tensor using `eval\(\)`: No default session is registered"):
        w.eval()


def test_load_of_a_dependent_variable_leaves_the_one_it_depends_on_alone(session):
    a = tf.Variable(1.0)
    b = tf.Variable(a + 1)
    b.load(9.0)
    assert session.run(b) == 9
    assert not session.run(tf.is_variable_initialized(a))


def test_each_session_has_its_own_values(graph):
    w = tf.Variable(1.0)
    with tf.Session(config=HERE) as one, tf.Session(config=HERE) as two:
        one.run(w.initializer)
        one.run(w.assign(5.0))
        with pytest.raises(FailedPreconditionError):
            two.run(w)
        two.run(w.initializer)
        assert (one.run(w), two.run(w)) == (5, 1)


def test_an_array_that_was_loaded_fetched_or_fed_never_changes_the_variable_later(session):
    w = tf.Variable(np.zeros(3))
    given = np.ones(3)
    w.load(given)
    given[:] = 7
    assert np.array_equal(w.eval(), np.ones(3))
    taken = w.eval()
    taken[:] = 8
    assert np.array_equal(w.eval(), np.ones(3))


def test_the_array_that_was_an_initial_value_may_change_later(session):
    start = np.zeros(3)
    w = tf.Variable(start)
    start[:] = 1
    session.run(w.initializer)
    w.eval()[:] = 5
    session.run(w.initializer)
    assert not w.eval().any()


# Operators and NumPy functions


def test_a_variable_is_an_operand_like_its_read(session):
    w = tf.Variable([[1.0, -2.0], [3.0, 4.0]])
    initialize(session)
    value = w.eval()
    for made, expected in [
        (w + 1, value + 1),
        (2 - w, 2 - value),
        (w * w, value * value),
        (w / 2, value / 2),
        (w // 2, value // 2),
        (w % 3, value % 3),
        (w**2, value**2),
        (-w, -value),
        (abs(w), abs(value)),
        (w @ w, value @ value),
        (w > 0, value > 0),
        (w <= 1, value <= 1),
        (w[0], value[0]),
        (w[:, 1], value[:, 1]),
        (w[..., ::-1], value[..., ::-1]),
        (np.sqrt(np.abs(w)), np.sqrt(np.abs(value))),
        (np.sum(w, axis=0), np.sum(value, axis=0)),
        (np.linalg.inv(w), np.linalg.inv(value)),
        (np.concatenate([w, w]), np.concatenate([value, value])),
        (np.array([[1.0, 1.0], [1.0, 1.0]], np.float32) + w, value + 1),
        (tf.reduce_sum(w), value.sum()),
    ]:
        assert isinstance(made, tf.Tensor)
        got = session.run(made)
        assert np.allclose(got, expected)
        assert np.shape(got) == np.shape(expected)
        assert made.dtype.numpy == np.asarray(got).dtype


def test_two_variables_meet_in_an_operator(session):
    v, w = tf.Variable([1.0, 2.0]), tf.Variable([3.0, 4.0])
    initialize(session)
    assert np.array_equal(session.run(v * w + v), [4, 10])


# Variables that hold objects


def test_a_variable_can_hold_any_object(session):
    w = tf.Variable({"steps": 0, "names": []}, dtype=tf.object, name="notes")
    assert w.dtype.base_dtype is tf.object
    initialize(session)
    assert session.run(w) == {"steps": 0, "names": []}

    @tf.op
    def with_name(notes, name):
        return {"steps": notes["steps"] + 1, "names": [*notes["names"], name]}

    for name in ("a", "b"):
        session.run(tf.assign(w, with_name(w, name)))
    assert session.run(w) == {"steps": 2, "names": ["a", "b"]}
    w.load({"steps": 9, "names": ["c"]})
    assert session.run(w.read_value()) == {"steps": 9, "names": ["c"]}


def test_an_object_variable_may_be_None_and_has_a_value_then(session):
    w = tf.Variable({}, dtype=tf.object)
    session.run(w.initializer)
    w.load(None)
    assert session.run(w) is None
    assert session.run(tf.is_variable_initialized(w))


# The order of reads and writes in a run. Rule 1: an implicit read is made when its consumer is ready.


def test_an_implicit_read_sees_the_writes_that_its_consumer_waits_for(session):
    w = tf.Variable(1.0)
    initialize(session)
    with tf.control_dependencies([w.assign_add(10.0)]):
        after = w * 2
    assert session.run(after) == 22


def test_an_implicit_read_sees_a_write_whose_output_its_consumer_takes(session):
    w = tf.Variable(1.0)
    initialize(session)
    assert session.run(w.assign(5.0) + w) == 10


def test_two_consumers_of_one_cached_read_may_see_two_values(session):
    w = tf.Variable(1.0)
    initialize(session)
    read = w.value()
    before = read + 0
    with tf.control_dependencies([before]):
        write = w.assign(5.0)
    with tf.control_dependencies([write]):
        after = read + 0
    assert session.run([before, after]) == [1, 5]


def test_a_read_through_the_reference_is_implicit_too(session):
    w = tf.Variable(1.0)
    initialize(session)
    with tf.control_dependencies([w.assign(5.0)]):
        after = tf.identity(w._ref())
    assert session.run(after) == 5


# Rule 2: explicit reads and the outputs of writes are values of that point.


def test_read_value_and_identity_keep_what_they_saw(session):
    w = tf.Variable(1.0)
    initialize(session)
    for snapshot in (w.read_value(), tf.identity(w)):
        with tf.control_dependencies([snapshot]):
            write = w.assign_add(1.0)
        with tf.control_dependencies([write]):
            late = snapshot * 1
            now = w * 1
        old, kept, new = session.run([snapshot, late, now])
        assert kept == old == new - 1


def test_the_output_of_a_write_is_the_value_that_it_wrote(session):
    w = tf.Variable(1.0)
    initialize(session)
    first = w.assign(5.0)
    with tf.control_dependencies([first]):
        second = w.assign_add(1.0)
    with tf.control_dependencies([second]):
        late = first * 1
    assert session.run([first, second, late, w]) == [5, 6, 5, 6]


def test_the_output_of_a_scatter_is_the_value_that_it_wrote(session):
    w = tf.Variable([1, 2, 3])
    initialize(session)
    first = tf.scatter_add(w, [0], [10])
    with tf.control_dependencies([first]):
        second = tf.scatter_update(w, [2], [0])
    one, two = session.run([first, second])
    assert np.array_equal(one, [11, 2, 3])
    assert np.array_equal(two, [11, 2, 0])


# Rule 3: a variable fetched is its value after all writes.


def test_a_fetched_variable_has_the_value_of_after_all_writes(session):
    w = tf.Variable(1.0)
    initialize(session)
    assert session.run([w, w.assign_add(1.0), w.value(), w.assign_add(1.0)]) == [3, 2, 3, 3]


def test_a_fetched_snapshot_beside_a_fetched_variable_keeps_the_old_value(session):
    w = tf.Variable(1.0)
    initialize(session)
    assert session.run([tf.identity(w), w, w.assign(9.0)]) == [1, 9, 9]


# Rule 4: what the graph leaves open: reads before writes, writes in creation order, no cycle.


def test_reads_come_before_writes_whichever_was_created_first(session):
    w = tf.Variable(1.0)
    initialize(session)
    early = w * 10
    write = w.assign(5.0)
    late = w * 10
    assert session.run([late, write, early]) == [10, 5, 10]


def test_writes_come_in_creation_order_whatever_the_order_of_fetches(session):
    w = tf.Variable(1.0)
    initialize(session)
    double = w.assign(w * 2)
    add = w.assign_add(10.0)
    last = w.assign_sub(1.0)
    assert session.run([last, add, double]) == [11, 12, 2]
    assert session.run(w) == 11


def test_a_control_input_turns_the_order_of_a_read_and_a_write_round(session):
    w = tf.Variable(1.0)
    initialize(session)
    write = w.assign(5.0)
    free = w * 10
    with tf.control_dependencies([write]):
        bound = w * 10
    assert session.run([free, bound]) == [10, 50]


def test_a_read_between_two_writes_by_data_stays_between_them(session):
    w = tf.Variable(1.0)
    initialize(session)
    first = w.assign(10.0)
    between = w + first
    second = w.assign(100.0)
    assert session.run([between, second, w]) == [20, 100, 100]


def test_a_later_created_write_that_an_earlier_one_depends_on_cannot_come_second(session):
    """The initial value of b needs a write of a; reads and writes of two variables would close a cycle."""
    a, b = tf.Variable(1.0, name="a"), tf.Variable(2.0, name="b")
    initialize(session)
    write_a, write_b = a.assign(10.0), b.assign(20.0)
    read_a = a + write_b  # before write_a, so it sees 1
    read_b = b + write_a  # before write_b would close the cycle, so it sees 20
    assert session.run([read_a, read_b]) == [21, 30]


def test_a_write_may_read_its_own_variable(session):
    w = tf.Variable(3.0)
    initialize(session)
    assert session.run(w.assign(w)) == 3
    assert session.run(w.assign_add(w)) == 6
    assert session.run(w.assign(w * w - 1)) == 35


def test_a_chain_of_writes_through_references_keeps_its_order(session):
    w = tf.Variable(1.0)
    initialize(session)
    chained = tf.assign_add(tf.assign(tf.assign_sub(w, 5.0), 2.0), 1.0)
    assert session.run([chained, w]) == [3, 3]


def test_all_rules_together(session):
    w = tf.Variable(1.0, name="w")
    v = tf.Variable(0.0, name="v")
    initialize(session)
    snapshot = w.read_value()
    add = w.assign_add(1.0)
    keep = v.assign(w * 100)  # an open read of w: before all open writes
    with tf.control_dependencies([add]):
        late = w * 1000
        scale = w.assign(w * 3)
    with tf.control_dependencies([late]):
        more = v.assign_add(late)
    got = session.run([w, v, snapshot, add, keep, late, scale, more])
    assert got == [6, 2100, 1, 2, 100, 2000, 6, 2100]
    assert session.run([w, v]) == [6, 2100]


def test_a_fed_read_is_no_read(session):
    w = tf.Variable(1.0)
    y = w * 10
    assert session.run([y, w.value()], {w.value(): 3.0}) == [30, 3]
    assert session.run([y, w], {w: 4.0}) == [40, 4]
    session.run(w.initializer)
    assert session.run([y, w.assign_add(1.0)], {w.value(): 3.0}) == [30, 2]


def test_a_read_waits_for_a_function_that_a_write_waits_for(session):
    seen = []
    w = tf.Variable(1.0)
    initialize(session)
    note = tf.op(lambda value: seen.append(float(value)))
    first = note(w)
    with tf.control_dependencies([first]):
        write = w.assign(2.0)
    with tf.control_dependencies([write]):
        second = note(w)
    session.run(second)
    assert seen == [1, 2]


# Rule 5: across runs


def test_an_update_is_never_lost_between_threads(session):
    w = tf.Variable(np.zeros(4, np.int64))
    initialize(session)
    add = w.assign_add(np.ones(4, np.int64)).op
    read = w.read_value()
    session.run([add, read])
    torn = []

    def work():
        for _ in range(50):
            session.run(add)
            value = session.run(read)
            if len(set(value.tolist())) != 1:
                torn.append(value)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(session.run(w), [301] * 4)
    assert torn == []


def test_two_variables_that_are_written_together_are_seen_together(session):
    v, w = tf.Variable(0), tf.Variable(0)
    initialize(session)
    both = tf.group(v.assign_add(1), w.assign_sub(1))
    odd = []

    def write():
        for _ in range(100):
            session.run(both)

    def read():
        for _ in range(100):
            one, other = session.run([v, w])
            if one + other:
                odd.append((one, other))

    threads = [threading.Thread(target=target) for target in (write, read, write, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert odd == []
    assert session.run([v, w]) == [200, -200]


def test_a_run_that_fails_leaves_every_variable_as_it_was(session):
    v, w = tf.Variable(1.0), tf.Variable([1.0, 2.0])
    x = tf.placeholder(tf.float32)
    initialize(session)
    writes = [v.assign(5.0), tf.assign(w, x)]
    with pytest.raises(InvalidArgumentError):
        session.run(writes, {x: [1.0, 2.0, 3.0]})
    one, other = session.run([v, w])
    assert one == 1
    assert np.array_equal(other, [1, 2])


# What makes variables, and what asks for them


def test_creators_see_what_a_variable_is_made_with_the_innermost_first(graph):
    seen = []

    def outer(following, **kwargs):
        seen.append("outer")
        return following(**{**kwargs, "name": kwargs["name"] + "_made"})

    def inner(following, **kwargs):
        seen.append(("inner", kwargs["trainable"]))
        return following(**kwargs)

    with tf.variable_creator_scope(outer):
        with tf.variable_creator_scope(inner):
            x = tf.Variable(1.0, trainable=False, name="x")
        y = tf.get_variable("y", [2])
    assert (x.name, y.name, tf.Variable(1.0, name="z").name) == ("x_made:0", "y_made:0", "z:0")
    assert seen == [("inner", False), "outer", "outer"]


def test_all_variables_have_values_or_the_assertion_says_which_has_none(graph):
    a, b = tf.Variable(1.0, name="a"), tf.Variable([1.0], name="b")
    ranks = tf.assert_variables_initialized()
    assert tf.assert_variables_initialized([]) is None
    with tf.Session() as session:
        session.run(a.initializer)
        with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value b"):
            session.run(ranks)
        session.run(b.initializer)
        assert session.run(ranks).tolist() == [0, 1]


def test_a_variable_scatters_slices_by_each_way(graph):
    v = tf.Variable([1.0, 2.0, 3.0])
    slices = tf.IndexedSlices(tf.constant([2.0]), tf.constant([1]))
    with tf.Session() as session:
        for way, wanted in (("max", 2.0), ("min", 2.0), ("mul", 4.0), ("div", 1.0)):
            session.run(v.initializer)
            assert session.run(getattr(v, f"scatter_{way}")(slices)).tolist() == [1.0, wanted, 3.0]
        for way, wanted in (("nd_add", 5.0), ("nd_sub", -1.0), ("nd_update", 3.0)):
            session.run(v.initializer)
            assert session.run(getattr(v, f"scatter_{way}")([[1]], [3.0])).tolist() == [1.0, wanted, 3.0]
    with pytest.raises(TypeError, match="sparse_delta is not IndexedSlices"):
        v.scatter_add([1.0])


def test_a_cached_read_names_its_device_and_the_variable_does_not(graph):
    v = tf.Variable(2.0, caching_device="/job:near")
    assert (v.device, v.value().device) == ("", "/job:near")
    with tf.variable_scope("here", caching_device="/job:near"):
        assert tf.get_variable("w", []).value().device == "/job:near"
        assert tf.get_variable("x", [], caching_device="").value().device == ""


def test_what_makes_an_initial_value_belongs_to_the_variable(graph):
    with tf.device("/cpu:1"):
        v = tf.Variable(lambda: tf.constant(1.0) + 1.0, name="v")
    assert [t.op.colocation_groups() for t in v.initializer.inputs] == [[b"loc:@v"]] * 2
    assert graph.get_operation_by_name("v/Initializer/Const").colocation_groups() == [b"loc:@v"]


def test_a_variable_outside_of_a_scope_is_not_exported_from_it(graph):
    with tf.name_scope("a"):
        v = tf.Variable(1.0, name="v")
    told = v.to_proto("a")
    assert (told.variable_name, told.initializer_name) == ("v:0", "v/Assign")
    assert v.to_proto("b") is None


def test_what_get_variable_begins_with_where_it_is_not_told(graph, session):
    text = tf.get_variable("text", [], dtype=tf.string)
    session.run(text.initializer)
    assert session.run(text) == b""
    with pytest.raises(ValueError, match="don't match"):
        tf.get_variable("other", initializer=tf.constant(1), dtype=tf.float64)
    local = tf.get_variable("local", [], synchronization=tf.VariableSynchronization.ON_READ)
    assert not local.trainable


def test_a_variable_may_be_told_its_shape(graph):
    open_shape = tf.Variable([1.0, 2.0], shape=tf.TensorShape(None))
    rows = tf.Variable([[1.0, 2.0]], shape=[None, 2])
    assert open_shape.shape.ndims is None
    assert rows.shape.as_list() == [None, 2]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(open_shape.assign([[3.0]])).tolist() == [[3.0]]
        assert session.run(rows.assign(np.ones((3, 2), np.float32))).shape == (3, 2)
    with pytest.raises(ValueError, match="Shapes must be equal rank"):
        tf.Variable(1.0, shape=[2])
    with pytest.raises(ValueError, match="Dimension 1 in both shapes must be equal"):
        rows.assign([[1.0]])


def test_the_initializer_of_a_variable_without_validation_has_the_shape_of_its_value(graph):
    v = tf.Variable([1.0, 2.0], validate_shape=False)
    assert v.shape.ndims is None
    assert v.initializer.outputs[0].shape.as_list() == [2]


def test_what_asks_whether_a_variable_has_a_value_is_placed_with_it(graph):
    v = tf.Variable(1.0, name="v")
    assert tf.is_variable_initialized(v).op.colocation_groups() == [b"loc:@v"]
    assert v.initialized_value().name == "cond/Merge:0"
    assert v.initialized_value().name == "cond_1/Merge:0"


def test_a_definition_keeps_what_was_said_of_copies(graph):
    mean, on_write = tf.VariableAggregation.MEAN, tf.VariableSynchronization.ON_WRITE
    v = tf.Variable(1.0, aggregation=mean, synchronization=on_write, trainable=False)
    again = tf.Variable(variable_def=v.to_proto())
    assert (again.aggregation, again.synchronization, again.trainable) == (mean, on_write, False)
