"""Operations that write a variable: values, shapes, dtypes, error texts, and that nobody else can write to it."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.errors import InvalidArgumentError, OutOfRangeError


def variable(session, value, **options):
    """A variable that has its initial value."""
    made = tf.Variable(value, **options)
    session.run(made.initializer)
    return made


# assign


def test_assign_gives_the_value_and_its_output_is_it(session):
    w = variable(session, [1.0, 2.0])
    out = tf.assign(w, [3, 4])
    assert np.array_equal(session.run(out), [3, 4])
    value = session.run(w)
    assert value.dtype == np.float32
    assert np.array_equal(value, [3, 4])


def test_the_output_of_a_write_is_a_reference_colocated_with_its_variable(graph):
    w = tf.Variable([1.0, 2.0], name="w")
    for out in (w.assign([0.0, 0.0]), w.assign_add([0.0, 0.0]), w.assign_sub([0.0, 0.0])):
        assert out.dtype.name == "float32_ref"
        assert out.shape.as_list() == [2]
        assert out.op.colocation_groups() == [b"loc:@w"]
    assert [op.type for op in graph.get_operations() if op.type.startswith("Assign")] == [
        "Assign",
        "Assign",
        "AssignAdd",
        "AssignSub",
    ]


def test_read_value_False_gives_the_operation(session):
    w = variable(session, 1.0)
    for op in (w.assign(2.0, read_value=False), w.assign_add(2.0, read_value=False), w.assign_sub(1.0, read_value=0)):
        assert isinstance(op, tf.Operation)
        assert session.run(op) is None
    assert session.run(w) == 3


def test_a_write_can_be_named(graph):
    w = tf.Variable(1.0)
    assert w.assign(1.0, name="set").op.name == "set"
    assert tf.assign_add(w, 1.0, name="more").op.name == "more"


def test_writes_do_not_broadcast(session):
    w = variable(session, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(2,\), but the value .* has shape \(\)"):
        w.assign(1.0)
    for update in (w.assign_add, w.assign_sub):
        with pytest.raises(ValueError, match="Parameters and update must be the same size"):
            update(1.0)
        with pytest.raises(ValueError, match="Parameters and update must be the same size"):
            update([[1.0, 2.0]])


def test_a_shape_that_turns_out_wrong_is_an_error_of_the_run(session):
    w = variable(session, [1.0, 2.0], name="w")
    x = tf.placeholder(tf.float32, name="x")
    expected = r"^Assign requires shapes of both tensors to match\. lhs shape= \[2\] rhs shape= \[3\]"
    with pytest.raises(InvalidArgumentError, match=expected) as caught:
        session.run(tf.assign(w, x, name="set"), {x: [1, 2, 3]})
    assert caught.value.op.name == "set"
    with pytest.raises(InvalidArgumentError, match=r"rhs shape= \[\]"):
        session.run(tf.assign(w, x), {x: 1})
    for update in (tf.assign_add(w, x), tf.assign_sub(w, x)):
        with pytest.raises(InvalidArgumentError, match=r"^Parameters and update must be the same size"):
            session.run(update, {x: [1, 2, 3]})
        with pytest.raises(InvalidArgumentError, match=r"^Parameters and update must be the same size"):
            session.run(update, {x: 1})
    assert np.array_equal(session.run(w), [1, 2])


def test_an_assignment_that_does_not_validate_the_shape_changes_it(session):
    w = variable(session, [1.0, 2.0], validate_shape=False)
    session.run(tf.assign(w, [[1.0, 2.0, 3.0]], validate_shape=False))
    assert session.run(w).shape == (1, 3)
    session.run(tf.assign_add(w, [[1.0, 1.0, 1.0]]))
    assert np.array_equal(session.run(w), [[2, 3, 4]])


def test_an_assignment_without_validation_works_on_a_variable_of_fixed_shape_too(session):
    w = variable(session, [1.0, 2.0])
    out = tf.assign(w, [1.0, 2.0, 3.0], validate_shape=False)
    assert out.shape.as_list() == [3]
    assert np.array_equal(session.run(out), [1, 2, 3])


def test_what_is_written_gets_the_dtype_of_the_variable(session):
    w = variable(session, np.float32(1))
    session.run(w.assign(np.float64(2)))
    assert session.run(w).dtype == np.float32
    session.run(w.assign_add(np.int32(2)))
    value = session.run(w)
    assert (value, value.dtype) == (4, np.float32)


@pytest.mark.parametrize("update", ["assign", "assign_add", "assign_sub"])
def test_another_kind_of_dtype_is_refused(graph, update):
    w = tf.Variable(1, name="w")
    with pytest.raises(TypeError, match=r"w \(defined at .*int32"):
        getattr(tf, update)(w, tf.constant(1.5))
    with pytest.raises(TypeError):
        getattr(tf, update)(w, 1.5)
    with pytest.raises(TypeError):
        getattr(tf, update)(w, "text")


def test_what_is_no_variable_cannot_be_written(graph):
    for wrong in (tf.constant(1.0), 3, "w"):
        with pytest.raises(TypeError, match="Expected a variable or the output of an assignment to one, but got"):
            tf.assign(wrong, 1.0)


def test_integers_wrap_like_those_of_numpy(session):
    w = variable(session, np.int8(127))
    assert session.run(w.assign_add(np.int8(1))) == -128


def test_text_can_be_assigned(session):
    w = variable(session, "a")
    session.run(w.assign("b"))
    assert session.run(w) == b"b"
    names = variable(session, ["a", "b"])
    session.run(names.assign(["c", "d"]))
    assert list(session.run(names)) == [b"c", b"d"]


def test_every_dtype_is_kept(session):
    for dtype in ("float16", "float32", "float64", "int8", "int64", "uint8", "uint64", "complex64", "complex128"):
        w = variable(session, np.array([1, 2], dtype))
        session.run(w.assign_add(np.array([1, 1], dtype)))
        value = session.run(w)
        assert value.dtype == dtype
        assert np.array_equal(value, [2, 3])
    flags = variable(session, [True, False])
    session.run(flags.assign([False, False]))
    assert session.run(flags).dtype == bool


# count_up_to


def test_count_up_to_counts_and_ends_with_out_of_range(session):
    w = variable(session, 0, name="steps")
    count = tf.count_up_to(w, 3)
    assert [session.run(count) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OutOfRangeError, match=r"^Reached limit of 3"):
        session.run(count)
    assert session.run(w) == 3


def test_count_up_to_gives_numbers_of_the_dtype_of_the_variable(session):
    w = variable(session, np.int64(5))
    count = w.count_up_to(6)
    value = session.run(count)
    assert (value, value.dtype) == (5, np.int64)
    assert count.dtype is tf.int64


def test_count_up_to_needs_integers(graph):
    with pytest.raises(TypeError, match="count_up_to needs an integer variable"):
        tf.count_up_to(tf.Variable(1.0), 3)


# scatter


ROWS = np.arange(6, dtype=np.float32).reshape(3, 2) + 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("update", [[10, 20], [3, 4], [30, 40]]),
        ("add", [[11, 22], [3, 4], [35, 46]]),
        ("sub", [[-9, -18], [3, 4], [-25, -34]]),
        ("mul", [[10, 40], [3, 4], [150, 240]]),
        ("div", [[1 / 10, 2 / 20], [3, 4], [5 / 30, 6 / 40]]),
        ("min", [[1, 2], [3, 4], [5, 6]]),
        ("max", [[10, 20], [3, 4], [30, 40]]),
    ],
)
def test_a_scatter_changes_rows(session, name, expected):
    w = variable(session, ROWS)
    out = getattr(tf, f"scatter_{name}")(w, [0, 2], [[10.0, 20.0], [30.0, 40.0]])
    value = session.run(out)
    assert value.dtype == np.float32
    assert np.allclose(value, expected)
    assert np.array_equal(session.run(w), value)
    assert out.shape.as_list() == [3, 2]


def test_repeated_indices_each_count(session):
    w = variable(session, [1, 1, 1])
    assert np.array_equal(session.run(tf.scatter_add(w, [0, 0, 2], [1, 2, 3])), [4, 1, 4])
    assert np.array_equal(session.run(tf.scatter_sub(w, [1, 1], [1, 1])), [4, -1, 4])
    assert np.array_equal(session.run(tf.scatter_mul(w, [0, 0], [2, 3])), [24, -1, 4])


def test_indices_may_have_any_shape_and_updates_may_be_a_scalar(session):
    w = variable(session, np.zeros(4, np.int32))
    assert np.array_equal(session.run(tf.scatter_add(w, [[0, 1], [1, 3]], [[1, 2], [3, 4]])), [1, 5, 0, 4])
    assert np.array_equal(session.run(tf.scatter_update(w, 2, 9)), [1, 5, 9, 4])
    assert np.array_equal(session.run(tf.scatter_add(w, [0, 1], 1)), [2, 6, 9, 4])
    assert np.array_equal(session.run(tf.scatter_add(w, np.zeros(0, np.int32), np.zeros(0, np.int32))), [2, 6, 9, 4])


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_of_the_variable_is_an_error(session, index):
    w = variable(session, [1, 2, 3])
    expected = rf"^indices\[1\] = {index} is not in \[0, 3\)"
    with pytest.raises(InvalidArgumentError, match=expected):
        session.run(tf.scatter_update(w, [0, index], [5, 5]))
    assert np.array_equal(session.run(w), [1, 2, 3])


def test_updates_of_another_shape_are_an_error(session):
    w = variable(session, ROWS)
    x = tf.placeholder(tf.float32)
    expected = (
        r"^Must have updates\.shape = indices\.shape \+ params\.shape\[1:\] or updates\.shape = \[\], got "
        r"updates\.shape \[2\], indices\.shape \[2\], params\.shape \[3,2\]"
    )
    with pytest.raises(InvalidArgumentError, match=expected):
        session.run(tf.scatter_add(w, [0, 1], x), {x: [1, 2]})


def test_indices_must_be_integers(graph):
    with pytest.raises(TypeError, match="needs integer indices, but got float32"):
        tf.scatter_add(tf.Variable([1.0]), [0.0], [1.0])


def test_a_scatter_of_another_kind_of_dtype_is_refused(graph):
    with pytest.raises(TypeError):
        tf.scatter_add(tf.Variable([1, 2]), [0], [1.5])


def test_a_scatter_keeps_the_dtype_of_the_variable(session):
    for dtype in (np.float16, np.float32, np.int8, np.complex64):
        w = variable(session, np.array([1, 2], dtype))
        for name in ("update", "add", "sub", "mul"):
            assert session.run(getattr(tf, f"scatter_{name}")(w, [0], np.array([2], dtype))).dtype == dtype
    whole = variable(session, np.array([7, 9], np.int32))
    value = session.run(tf.scatter_div(whole, [0], np.array([2], np.int32)))
    assert value.dtype == np.int32
    assert np.array_equal(value, [3, 9])


def test_a_wider_update_does_not_widen_the_variable(session):
    w = variable(session, np.array([1, 2], np.float32))
    for name in ("update", "add", "max"):
        assert session.run(getattr(tf, f"scatter_{name}")(w, [0], np.array([2.0]))).dtype == np.float32
    assert session.run(w).dtype == np.float32


def test_a_scatter_of_indexed_slices_is_a_method_of_the_variable(session):
    w = variable(session, ROWS)
    slices = tf.IndexedSlices(tf.constant([[1.0, 1.0]]), tf.constant([1]))
    assert np.array_equal(session.run(w.scatter_add(slices))[1], [4, 5])
    assert np.array_equal(session.run(w.scatter_sub(slices))[1], [3, 4])
    assert np.array_equal(session.run(w.scatter_update(slices))[1], [1, 1])


def test_scatter_nd_takes_whole_indices(session):
    w = variable(session, np.zeros([2, 3], np.float32))
    assert np.array_equal(session.run(tf.scatter_nd_update(w, [[0, 1], [1, 2]], [5.0, 6.0])), [[0, 5, 0], [0, 0, 6]])
    assert np.array_equal(session.run(tf.scatter_nd_add(w, [[0, 1], [0, 1]], [1.0, 1.0])), [[0, 7, 0], [0, 0, 6]])
    assert np.array_equal(session.run(tf.scatter_nd_sub(w, [[1]], [[1.0, 1.0, 1.0]])), [[0, 7, 0], [-1, -1, 5]])


@pytest.mark.parametrize("index", [[[2, 0]], [[0, -1]]])
def test_scatter_nd_outside_of_the_variable_is_an_error(session, index):
    w = variable(session, np.zeros([2, 3], np.float32))
    with pytest.raises(InvalidArgumentError, match=r"^indices\[0\] = \[.*\] does not index into shape \[2,3\]"):
        session.run(tf.scatter_nd_update(w, index, [1.0]))
    assert not session.run(w).any()


def test_scatter_nd_with_updates_of_another_shape_is_an_error(session):
    w = variable(session, np.zeros([2, 3], np.float32))
    x = tf.placeholder(tf.float32)
    with pytest.raises(InvalidArgumentError, match=r"^Must have updates\.shape \[2,3\] for these indices, got \[3\]"):
        session.run(tf.scatter_nd_update(w, [[0], [1]], x), {x: [1.0, 2.0, 3.0]})
    assert not session.run(w).any()


# Nobody else can write to a variable


def test_an_array_fed_to_an_assignment_may_change_later(session):
    for dtype in (tf.float64, tf.float32, tf.string):
        x = tf.placeholder(dtype, [2])
        start = np.array([b"a", b"b"], object) if dtype is tf.string else np.zeros(2, dtype.numpy)
        w = variable(session, start)
        given = start.copy()
        session.run(w.assign(x), {x: given})
        before = session.run(w).copy()
        given[0] = b"changed" if dtype is tf.string else 7
        assert given.flags.writeable
        assert np.array_equal(session.run(w), before)


@pytest.mark.parametrize("make", [lambda w: w, lambda w: w.value(), lambda w: w.read_value(), lambda w: w[:]])
def test_a_fetched_array_is_writable_and_not_the_variable(session, make):
    w = variable(session, np.zeros(3))
    fetch = make(w)
    for _ in range(6):  # interpreted, then compiled
        taken = session.run(fetch)
        taken[:] = 5
    assert not session.run(w).any()


def test_a_fetched_output_of_a_write_is_not_the_variable(session):
    w = variable(session, np.zeros(3))
    for write in (w.assign(np.ones(3)), w.assign_add(np.ones(3)), tf.scatter_add(w, [0], [1.0])):
        expected = session.run([write, w])[1].copy()
        taken, same = session.run([write.op.outputs[0], w])
        taken[:] = 99
        same[:] = 98
        assert not np.isin(session.run(w), [98, 99]).any()
        assert expected.shape == (3,)


def test_a_value_that_is_fetched_and_assigned_is_not_shared(session):
    x = tf.placeholder(tf.float64, [3])
    y = x * 2
    w = variable(session, np.zeros(3))
    taken, _ = session.run([y, w.assign(y)], {x: np.ones(3)})
    taken[:] = 5
    assert np.array_equal(session.run(w), [2, 2, 2])


def test_two_variables_of_one_value_are_not_shared(session):
    start = tf.ones([3], tf.float64)
    v, w = tf.Variable(start), tf.Variable(start)
    session.run([v.initializer, w.initializer])
    session.run(tf.scatter_add(v, [0], np.array([1.0])))
    assert np.array_equal(session.run(w), np.ones(3))


def test_what_a_user_function_writes_to_a_variable_s_value_is_not_the_variable_s(session):
    w = variable(session, np.zeros(3))

    @tf.op
    def spoil(value):
        value[:] = 1
        return value

    assert session.run(spoil(w)).all()
    assert not session.run(w).any()


def test_a_user_function_that_keeps_its_array_does_not_share_it(session):
    kept = np.zeros(3)
    view = kept[:]
    w = variable(session, np.ones(3))
    give = tf.op(dtype=tf.float64, shape=(3,))(lambda: kept)
    session.run(w.assign(give()))
    view[:] = 7
    assert not session.run(w).any()


def test_results_that_are_not_copied_cannot_be_written_to(session):
    w = variable(session, np.zeros(100_000))
    taken = session.run(w, copy=False)
    with pytest.raises(ValueError, match="read-only"):
        taken[0] = 1
    assert not session.run(w).any()


def test_a_variable_that_was_read_before_a_write_keeps_its_old_array(session):
    w = variable(session, np.zeros(3))
    old = session.run(w, copy=False)
    session.run(tf.scatter_add(w, [0], [1.0]))
    session.run(w.assign_add(np.ones(3)))
    assert not old.any()


def test_a_counter_is_named_as_what_it_is(graph):
    v = tf.Variable(0)
    assert [v.count_up_to(2).name, v.count_up_to(2).name] == ["CountUpTo:0", "CountUpTo_1:0"]
    assert tf.count_up_to(v, 2, name="c").name == "c:0"


def test_a_slice_of_a_variable_is_given_new_elements(graph):
    v = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    i = tf.placeholder(tf.int32, [])
    steps = [v[0].assign([9.0, 8.0]), v[:, 1].assign(0.0), v[i, 0].assign(5.0)]
    with tf.Session() as session:
        session.run(v.initializer)
        wanted = ([[9.0, 8.0], [3.0, 4.0]], [[9.0, 0.0], [3.0, 0.0]], [[9.0, 0.0], [5.0, 0.0]])
        for step, value in zip(steps, wanted, strict=True):
            assert session.run(step, {i: 1}).tolist() == value
        assert session.run(v).tolist() == wanted[-1]
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"the shape of the slice, \[2\], but got \[3\]"):
            session.run(v[0].assign(tf.placeholder_with_default([1.0, 2.0, 3.0], None)))
    with pytest.raises(ValueError, match="the value .* has shape"):
        v[0].assign([1.0, 2.0, 3.0])
    assert not hasattr(tf.constant([1.0])[0], "assign")


def test_rows_that_cannot_fit_are_refused_where_the_node_is_made(graph):
    v = tf.Variable(np.zeros((3, 2), "f"), name="v")
    for indices, updates in (([0], [1.0, 2.0]), ([0, 1], [[1.0, 1.0]])):
        with pytest.raises(ValueError, match=r"needs updates of shape"):
            tf.scatter_add(v, indices, updates)
    assert tf.scatter_add(v, [0, 1], 2.0).shape.as_list() == [3, 2]


def test_what_is_written_is_named_after_the_write(graph):
    v = tf.Variable([1.0, 2.0], name="v")
    assert [t.name for t in v.assign([3.0, 4.0]).op.inputs] == ["v:0", "Assign/value:0"]
    assert [t.name for t in tf.assign_add(v, [1.0, 1.0], name="more").op.inputs] == ["v:0", "more/value:0"]
    rows = tf.scatter_update(v, [0], [5.0]).op.inputs
    assert [t.name for t in rows] == ["v:0", "ScatterUpdate/indices:0", "ScatterUpdate/updates:0"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1.0], r"Dimension 0 in both shapes must be equal, but are 2 and 1. Shapes are \[2\] and \[1\]"),
        (1.0, "Shapes must be equal rank, but are 1 and 0"),
        ([[1.0, 2.0]], "Shapes must be equal rank, but are 1 and 2"),
    ],
)
def test_shapes_that_differ_are_told_in_the_words_of_tensorflow(graph, value, text):
    v = tf.Variable([1.0, 2.0])
    for write in (v.assign, v.assign_add, v.assign_sub):
        with pytest.raises(ValueError, match=text):
            write(value)


@pytest.mark.parametrize(("indices", "updates"), [([[0], [1]], [1]), ([0], [1]), ([[0]], 1), ([[0]], [[1]])])
def test_scatter_nd_refuses_updates_whose_shape_is_known_not_to_fit(graph, indices, updates):
    v = tf.Variable([1, 2, 3, 4])
    for scatter in (tf.scatter_nd_update, tf.scatter_nd_add, tf.scatter_nd_sub):
        with pytest.raises(ValueError, match="Shapes must be equal rank and size"):
            scatter(v, indices, updates)


def test_a_counter_is_one_number_with_a_whole_limit(graph):
    with pytest.raises(ValueError, match="Shape must be rank 0"):
        tf.Variable([0, 1]).count_up_to(3)
    for limit in ("a", 2.5):
        with pytest.raises(TypeError, match="Expected int for argument 'limit'"):
            tf.Variable(0).count_up_to(limit)
