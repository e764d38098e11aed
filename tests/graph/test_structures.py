"""tf.nest and tf.compat."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import pytest

import weftwork as tf

Pair = namedtuple("Pair", "a b")


def test_structures_are_mapped_and_packed():
    one = {"b": [1, (2,)], "a": Pair(3, OrderedDict(x=4))}
    assert tf.nest.flatten(one) == [3, 4, 1, 2]
    assert tf.nest.pack_sequence_as(one, [3, 4, 1, 2]) == one
    assert tf.nest.map_structure(lambda x, y: x + y, one, one) == {"b": [2, (4,)], "a": Pair(6, OrderedDict(x=8))}
    assert tf.nest.map_structure(str, 1) == "1"
    assert [tf.nest.is_nested(x) for x in ([], (), {}, "ab", 1)] == [True, True, True, False, False]


def test_structures_that_differ_are_refused():
    for one, two, error in (
        ([1], [1, 2], ValueError), ([1], 1, ValueError), ({"a": 1}, {"b": 1}, ValueError), ([1], (1,), TypeError)
    ):  # fmt: skip
        with pytest.raises(error, match="The two structures don't have the same"):
            tf.nest.assert_same_structure(one, two)
    tf.nest.assert_same_structure([1], (1,), check_types=False)
    with pytest.raises(ValueError, match="2 elements, but flat_sequence had 1"):
        tf.nest.pack_sequence_as([1, 2], [1])
    with pytest.raises(TypeError, match="callable"):
        tf.nest.map_structure(3, [1])


def test_named_tuples_of_one_name_and_fields_are_one_type(graph):
    twin, other = namedtuple("Pair", "a b"), namedtuple("Pair", "a c")
    tf.nest.assert_same_structure(Pair(1, 2), twin(1, 2))
    assert tf.nest.map_structure(lambda x, y: x + y, Pair(1, 2), twin(3, 4)) == Pair(4, 6)
    for kind in (other, namedtuple("Couple", "a b"), lambda *parts: parts):
        with pytest.raises(TypeError, match="don't have the same sequence type"):
            tf.nest.assert_same_structure(Pair(1, 2), kind(1, 2))
    pair, _ = tf.while_loop(lambda pair, n: n < 3, lambda pair, n: (twin(pair.a + 1, pair.b), n + 1), [Pair(1, 2), 0])
    joined = tf.data.Dataset.from_tensors(Pair(1, 2)).concatenate(tf.data.Dataset.from_tensors(twin(3, 4)))
    element = joined.make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert session.run(pair) == Pair(4, 2)
        assert [session.run(element), session.run(element)] == [Pair(1, 2), Pair(3, 4)]


def test_text_and_bytes():
    assert (tf.compat.as_bytes("ä"), tf.compat.as_str(b"a"), tf.compat.as_text("a")) == ("ä".encode(), "a", "a")
    assert tf.compat.as_str_any(3) == "3"
    with pytest.raises(TypeError, match="Expected binary or unicode string"):
        tf.compat.as_bytes(3)
    assert tf.compat.v1.placeholder is tf.placeholder
    with pytest.raises(AttributeError, match=r"tf\.compat\.v2 is not included"):
        _ = tf.compat.v2
