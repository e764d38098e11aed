"""Shapes of which parts may be unknown."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weftwork as tf
from weftwork.graph import shapes
from weftwork.graph.shapes import Dimension, TensorShape

RAW = st.none() | st.lists(st.none() | st.integers(0, 3), max_size=3).map(tuple)
FULL = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (None, None),
        (3, (3,)),
        (np.int64(3), (3,)),
        ([], ()),
        ([2, None], (2, None)),
        ((Dimension(2), Dimension(None), np.int32(4)), (2, None, 4)),
        (TensorShape([1, None]), (1, None)),
        (TensorShape(None), None),
        (Dimension(5), (5,)),
        (np.array([2, 3]), (2, 3)),
    ],
)
def test_a_raw_shape_is_made_of_what_programs_write(value, raw):
    assert shapes.as_raw(value) == raw


def test_a_shape_of_other_things_is_refused():
    with pytest.raises(ValueError, match=">= 0"):
        shapes.as_raw([2, -1])
    for junk in ("ab", [1.5], [[1]], 1.5):
        with pytest.raises(TypeError, match="sequence of integers"):
            shapes.as_raw(junk)


@given(FULL, FULL)
def test_known_shapes_broadcast_as_in_numpy(a, b):
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ValueError, match="Dimensions must be equal, but are"):
            shapes.broadcast(a, b)
    else:
        assert shapes.broadcast(a, b) == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (None, (2,), None),
        ((None,), (1,), (None,)),
        ((None,), (3,), (3,)),
        ((None,), (None,), (None,)),
        ((None, 1), (4,), (None, 4)),
        ((), (None, 2), (None, 2)),
    ],
)
def test_an_unknown_dimension_broadcasts_to_what_is_certain(a, b, expected):
    assert shapes.broadcast(a, b) == shapes.broadcast(b, a) == expected


@given(RAW, RAW)
def test_shapes_merge_exactly_when_they_are_compatible(a, b):
    if shapes.compatible(a, b):
        merged = shapes.merge(a, b)
        assert merged == shapes.merge(b, a) == shapes.merge(merged, a)
    else:
        with pytest.raises(ValueError, match="are not compatible"):
            shapes.merge(a, b)


def test_merging_keeps_what_either_knows():
    assert shapes.merge((2, None), (None, 3)) == (2, 3)
    assert shapes.merge(None, (None,)) == (None,)
    with pytest.raises(ValueError, match=r"^Shapes \(2,\) and \(3,\) are not compatible$"):
        shapes.merge((2,), (3,))


def test_a_shape_is_full_when_nothing_is_open():
    assert [shapes.is_full(s) for s in (None, (None, 2), (), (0, 2))] == [False, False, True, True]


def test_shapes_print_as_in_tensorflow():
    assert [shapes.text(s) for s in (None, (), (4,), (None, 3))] == ["<unknown>", "()", "(4,)", "(?, 3)"]
    assert [shapes.bracket_text(s) for s in ((), (4,), (None, 3))] == ["[]", "[4]", "[?,3]"]
    assert str(TensorShape([None, 3])) == "(?, 3)"
    assert repr(TensorShape([None, 3])) == "TensorShape([Dimension(None), Dimension(3)])"
    assert repr(TensorShape(None)) == "TensorShape(None)"


def test_an_unknown_rank_gives_no_list_length_or_iteration():
    unknown = TensorShape(None)
    assert unknown.ndims is unknown.rank is unknown.dims is unknown.num_elements() is None
    with pytest.raises(ValueError, match=r"as_list\(\) is not defined on an unknown TensorShape"):
        unknown.as_list()
    with pytest.raises(ValueError, match="length"):
        len(unknown)
    with pytest.raises(ValueError, match="iterate"):
        iter(unknown)
    assert unknown[0].value is None


def test_a_known_rank_is_a_sequence_of_dimensions():
    shape = TensorShape([2, None, 4])
    assert shape.as_list() == [d.value for d in shape] == [2, None, 4]
    assert len(shape) == shape.ndims == shape.rank == 3
    assert shape[2].value == int(shape[-1]) == 4
    assert shape[1:].as_list() == [None, 4]
    assert not shape.is_fully_defined()
    assert shape.num_elements() is None
    assert TensorShape([2, 3]).num_elements() == 6
    assert TensorShape([]).num_elements() == 1


def test_shapes_equal_lists_and_tuples_and_hash_alike():
    assert TensorShape([2, None]) == [2, None]
    assert TensorShape([2, None]) == (2, None)
    assert TensorShape([2]) != [3]
    assert TensorShape([2]) != "junk"
    assert len({TensorShape([2]), TensorShape((2,)), TensorShape(2)}) == 1
    assert pickle.loads(pickle.dumps(TensorShape([2, None]))) == [2, None]


def test_shapes_are_checked_and_joined_by_method():
    shape = TensorShape([2, None])
    assert shape.is_compatible_with([2, 7])
    assert not shape.is_compatible_with([3, 7])
    assert shape.merge_with([None, 5]) == [2, 5]
    assert shape.concatenate([1]) == [2, None, 1]
    assert shape.concatenate(None).ndims is None
    shape.assert_is_compatible_with([2, 1])
    with pytest.raises(ValueError, match=r"Shapes \(2, \?\) and \(3,\) are incompatible"):
        shape.assert_is_compatible_with([3])
    with pytest.raises(ValueError, match="not fully defined"):
        shape.assert_is_fully_defined()


def test_a_rank_can_be_demanded():
    assert TensorShape(None).with_rank(2) == [None, None]
    assert TensorShape([3]).with_rank_at_least(1) == TensorShape([3]).with_rank_at_most(1) == [3]
    for demand in ("with_rank", "with_rank_at_least", "assert_has_rank"):
        with pytest.raises(ValueError, match=r"Shape \(3,\) must have rank"):
            getattr(TensorShape([3]), demand)(2)
    with pytest.raises(ValueError, match="at most 0"):
        TensorShape([3]).with_rank_at_most(0)


def test_a_dimension_is_a_number_in_arithmetic_and_indices():
    d = Dimension(7)
    assert [(d + 1).value, (1 + d).value, (d - 2).value, (9 - d).value] == [8, 8, 5, 2]
    assert [(d * 2).value, (2 * d).value, (d // 2).value, (15 // d).value] == [14, 14, 3, 2]
    assert [(d % 4).value, (9 % d).value] == [3, 2]
    assert d == 7
    assert d != 8
    assert d < 8 <= Dimension(8)
    assert list(range(10))[d] == int(d) == 7
    assert pickle.loads(pickle.dumps(d)) == 7
    assert (str(d), repr(d), str(Dimension(None))) == ("7", "Dimension(7)", "?")


def test_an_unknown_dimension_stays_unknown_and_is_no_number():
    unknown = Dimension(None)
    assert (unknown + 1).value is (2 * unknown).value is None
    assert (unknown == 3) is (unknown < 3) is None
    assert unknown.merge_with(3).value == 3
    with pytest.raises(TypeError, match="not known"):
        int(unknown)
    with pytest.raises(ValueError, match="Dimensions 2 and 3 are not compatible"):
        Dimension(2).merge_with(3)


def test_an_unknown_shape_may_have_a_known_rank():
    assert shapes.unknown_shape().ndims is None
    assert shapes.unknown_shape(2) == [None, None]


def test_shapes_go_through_protocol_buffers():
    pytest.importorskip("tensorboard", reason="they are TensorBoard's")
    for shape in (TensorShape([3, None]), TensorShape([]), TensorShape(None)):
        assert TensorShape(shape.as_proto()) == shape


def test_what_is_certain_of_two_shapes():
    shape = TensorShape([3, 4])
    assert shape.most_specific_compatible_shape([3, 5]).as_list() == [3, None]
    assert shape.assert_same_rank([1, None]) is None
    with pytest.raises(ValueError, match="must have the same rank"):
        shape.assert_same_rank([1])
    with pytest.raises(ValueError, match="not compatible"):
        shape[0].assert_is_compatible_with(4)


def test_a_slice_of_an_unknown_shape_has_a_known_rank_if_its_ends_count_from_the_start():
    shape = TensorShape(None)
    assert shape[:2].as_list() == shape[1:3].as_list() == [None, None]
    for part in (shape[1:], shape[-2:1], shape[:-1], shape[:]):
        assert part.ndims is None
    with pytest.raises(ValueError, match="Steps are not yet handled"):
        shape[::2]


def test_shapes_add_up_to_longer_ones():
    assert (TensorShape([1]) + [2]).as_list() == [1, 2]
    assert ([0] + TensorShape([1, None])).as_list() == [0, 1, None]
    assert (TensorShape([1]) + None).ndims is None


def test_dimensions_have_no_quotient_and_shapes_are_incompatible_in_tensorflows_words():
    for divide in (lambda: tf.Dimension(3) / 2, lambda: 2 / tf.Dimension(3)):
        with pytest.raises(TypeError, match=r"^unsupported operand type\(s\) for /: .*, please use // instead$"):
            divide()
    with pytest.raises(ValueError, match=r"^Shapes \(1, 2\) and \(1, 3\) are incompatible$"):
        tf.TensorShape([1, 2]).assert_is_compatible_with([1, 3])
    with pytest.raises(ValueError, match=r"^Shapes \(1, 2\) and \(1, 3\) are not compatible$"):
        tf.TensorShape([1, 2]).merge_with([1, 3])
    with pytest.raises(ValueError, match="both shapes must be equal, but are 3 and 2"):
        tf.ensure_shape([1, 2], [3])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be 4-D with last dim 1, 3, or 4, not \[1\]"):
        tf.summary.image("i", [1.0])
