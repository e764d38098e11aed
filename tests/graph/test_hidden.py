"""Tensors inside arguments: they are found, or the call is refused."""

from __future__ import annotations

import collections
import functools
import itertools
from collections import ChainMap, UserDict
from types import MappingProxyType, SimpleNamespace

import attrs
import numpy as np
import pandas as pd
import pytest

import weftwork as tf
from weftwork.graph import nest


class Holder:
    """An object of the program that nobody can look into."""

    def __init__(self, value):
        self.value = value


class Slotted:
    """The same with slots."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def of_objects(value):
    """An array that holds a value: NumPy converts no tensor, but takes one."""
    array = np.empty((2, 3), object)
    array[1, 2] = value
    return array.T[::-1]


@attrs.define
class Measured:
    """A class of attrs."""

    value: object
    unit: str = "s"


@attrs.frozen
class Frozen:
    """One that cannot be changed."""

    value: object


@pytest.fixture
def same(graph):
    """A node that returns its argument, run in this process."""
    session = tf.Session(config=tf.ConfigProto(placement="caller"))
    return lambda value: session.run(tf.op(lambda x: x)(value))


@pytest.fixture
def registered(monkeypatch):
    """A registry of structures that the test may fill."""
    monkeypatch.setattr(nest, "_registered", {})


def test_tensors_in_classes_of_attrs_are_found(same):
    t = tf.op(lambda: 5)()
    assert same([Measured(t), Measured(2)]) == [Measured(5), Measured(2)]
    assert same(Frozen({"a": [t]})) == Frozen({"a": [5]})


@pytest.mark.parametrize(
    "hide",
    [
        Holder, Slotted, ChainMap, UserDict, iter, lambda d: d.values(), lambda d: map(str, d), lambda d: [Holder(d)],
        lambda d: SimpleNamespace(**d), lambda d: functools.partial(max, d), lambda d: Measured(Holder(d)),
        lambda d: itertools.chain([d], [1]), lambda d: Holder(Holder(d)), lambda d: ValueError("text", d),
        MappingProxyType, lambda d: of_objects(d["a"]), lambda d: pd.DataFrame(of_objects(d["a"])),
    ],
)  # fmt: skip
def test_a_tensor_where_it_cannot_be_found_is_refused_when_the_node_is_made(same, hide):
    t = tf.op(lambda: 5)()
    held = hide([t]) if hide is iter else hide({"a": t})
    if isinstance(held, map):
        held = map(str, [t])
    with pytest.raises(TypeError, match=r"holds Tensor\(.* cannot be looked into"):
        same(held)


async def later():
    """A coroutine."""


def test_what_the_first_run_would_use_up_is_no_constant_argument(same):
    t = tf.op(lambda: 5)()
    sent = later()
    for held in ((each for each in [t]), (k for k in range(3)), sent):
        with pytest.raises(TypeError, match=r"cannot take a (generator|coroutine) as a constant .*Pass a list"):
            same(held)
    sent.close()
    total = tf.op(lambda numbers: sum(numbers))
    for hold in (lambda g: [g], lambda g: [[1, (g,)]], lambda g: {"a": {"b": g}}, lambda g: (g, t), lambda g: {g}):
        with pytest.raises(TypeError, match="cannot take a generator as a constant .*Pass a list"):
            same(hold(k for k in range(3)))
    assert same([*range(10_000)]) == [*range(10_000)]
    assert same(iter([1, 2])).__next__() == 1
    assert tf.op(lambda: total(k for k in range(4)))() is not None
    with tf.Session() as session:
        assert session.run(tf.op(lambda: total(k for k in range(4)))()) == 6


def test_arrays_of_objects_without_tensors_are_arguments(same):
    assert same(of_objects([1])).tolist() == of_objects([1]).tolist()
    assert same(ValueError("text")).args == ("text",)


def test_objects_that_only_know_a_graph_or_a_variable_are_no_reason_to_refuse(same):
    class Model(Holder):
        def __init__(self):
            super().__init__([tf.get_default_graph(), tf.Variable(1.0), tf.layers.Dense(3)])
            self.loss = lambda: tf.constant(1.0)

    assert len(same(Model()).value) == 3


def test_a_registered_type_is_looked_into(same, registered):
    tf.register_structure(Holder, lambda held: (held.value,), lambda parts: Holder(*parts))
    t = tf.op(lambda: 5)()
    assert same(Holder([t, 1])).value == [5, 1]
    assert [each.value for each in same([Holder(t), Holder(2)])] == [5, 2]
    held = Holder(t)
    one, other = same([held, held])
    assert one is other

    @tf.function
    def doubled(held):
        return Holder(held.value * 2)

    assert [doubled(Holder(k)).value for k in (3, 4)] == [6, 8]
    assert doubled.trace_count == 1


def test_a_registered_type_is_made_in_any_process(ray_session, registered):
    tf.register_structure(Holder, lambda held: (held.value,), lambda parts: Holder(*parts))
    there = tf.op(lambda held: held.value, isolated=True)
    with tf.Graph().as_default(), tf.Session() as session:
        assert session.run(there(Holder([tf.op(lambda: 5)()]))) == [5]


@pytest.mark.parametrize("kind", [list, dict, set, collections.deque])
def test_a_container_of_tensors_may_change_while_it_is_looked_into(registered, kind):
    """Another thread may change it at any moment. Here a part of it does."""

    def unpack(held):
        add(len(whole))
        return (held.value,)

    def add(item):
        if kind is dict:
            whole[len(whole)] = item
        else:
            (whole.add if kind is set else whole.append)(item)

    tf.register_structure(Holder, unpack, lambda parts: Holder(*parts))
    whole = kind()
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        for part in (Holder(1), tf.op(lambda: 5)()):
            add(part)
        assert session.run(tf.op(len)(whole)) >= 2


def test_only_classes_that_nodes_do_not_know_can_be_registered():
    for wrong in ((Holder(1), list, Holder), (Holder, 3, Holder), (dict, list, dict), (int, list, int)):
        with pytest.raises(TypeError, match="register_structure|registered as a structure"):
            tf.register_structure(*wrong)
