"""Fetches: structures become elements to compute, values become the structure again. No session runs here."""

from __future__ import annotations

import collections
import types

import numpy as np
import pytest

import weftwork as tf
from tests.evaluate import evaluate
from weftwork.graph.errors import InaccessibleTensorError
from weftwork.scheduler.request.fetches import owned, parse_fetches, structure_of

Pair = collections.namedtuple("Pair", ["left", "right"])
Other = collections.namedtuple("Other", ["left", "right"])


class SubList(list):
    """A list of one's own."""


class Attribute:
    """What attrs keeps of an attribute, as far as it counts here."""

    def __init__(self, name):
        self.name = name


class Sample:
    """A class as attrs makes them."""

    __attrs_attrs__ = (Attribute("x"), Attribute("y"))

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return type(other) is Sample and (self.x, self.y) == (other.x, other.y)


class Wrapper:
    """Stands for a graph element."""

    def __init__(self, element):
        self.element = element

    def _as_graph_element(self):
        return self.element


@pytest.fixture
def a(graph):
    return tf.constant(1.0, name="a")


@pytest.fixture
def b(graph):
    return tf.constant(2.0, name="b")


def built(graph, fetches):
    """The structure, with each element's name in its place."""
    parsed = parse_fetches(graph, fetches)
    return parsed.build([element.name for element in parsed.elements])


# Structures


def test_a_single_element_is_its_value(graph, a):
    parsed = parse_fetches(graph, a)
    assert parsed.elements == (a,)
    assert parsed.build([7]) == 7


@pytest.mark.parametrize("empty", [[], (), {}])
def test_an_empty_structure_has_no_elements_and_is_built_from_none(graph, empty):
    parsed = parse_fetches(graph, empty)
    assert parsed.elements == ()
    assert parsed.build([]) == empty
    assert type(parsed.build([])) is type(empty)


def test_every_structure_is_built_again_with_its_own_type(graph, a, b):
    nested = [a, (b, {"k": Pair([a], ())}), Sample({"z": b}, a)]
    for fetches, expected in [
        ([a, b], ["a:0", "b:0"]),
        ((a, b), ("a:0", "b:0")),
        (Pair(a, b), Pair("a:0", "b:0")),
        ({"a": a, 2: b}, {"a": "a:0", 2: "b:0"}),
        (collections.OrderedDict(z=b, a=a), collections.OrderedDict(z="b:0", a="a:0")),
        (types.MappingProxyType({"a": a}), {"a": "a:0"}),
        (Sample(a, b), Sample("a:0", "b:0")),
        (nested, ["a:0", ("b:0", {"k": Pair(["a:0"], ())}), Sample({"z": "b:0"}, "a:0")]),
    ]:
        result = built(graph, fetches)
        assert result == expected
        assert type(result) is type(fetches)


def test_a_mapping_keeps_its_order_and_default_factory(graph, a, b):
    ordered = built(graph, collections.OrderedDict([("z", b), ("a", a)]))
    assert list(ordered) == ["z", "a"]
    default = built(graph, collections.defaultdict(list, b=b))
    assert default == {"b": "b:0"}
    assert default["missing"] == []


class Attributes(dict):
    """A dictionary whose items are attributes, too, and which knows no others."""

    def __getattr__(self, name):
        return self[name]


def test_a_mapping_is_asked_for_no_attributes(graph, a):
    made = built(graph, Attributes(x=a))
    assert type(made) is Attributes
    assert made.x == "a:0"


def test_a_subclass_of_list_becomes_a_plain_list(graph, a):
    assert type(built(graph, SubList([a]))) is list


def test_a_result_is_built_afresh_each_time(graph, a, b):
    for fetches in ([a, b], {"a": a}, [[a]]):
        build = parse_fetches(graph, fetches).build
        values = [1, 2]
        assert build(values) is not build(values)
        assert build(values) is not values


def test_an_element_counts_once_however_it_is_called(graph, a, b):
    w = tf.Variable(1.0, name="w")
    fetches = [a, "a:0", b"a:0", {"again": a}, b, w, "w:0", Wrapper(b), a.op, "a"]
    parsed = parse_fetches(graph, fetches)
    assert parsed.elements == (a, b, w.op.outputs[0], a.op)
    assert parsed.build([1, 2, 3, None]) == [1, 1, 1, {"again": 1}, 2, 3, 3, 2, None, None]


def test_equal_nodes_are_different_elements(graph):
    first, second = tf.constant(1.0), tf.constant(1.0)
    assert parse_fetches(graph, [first, second]).elements == (first, second)


def test_names_with_an_index_are_tensors_and_without_one_operations(graph, a):
    assert parse_fetches(graph, ["a:0", "a"]).elements == (a, a.op)
    assert parse_fetches(graph, [b"a:0", b"a"]).elements == (a, a.op)


# Composites and registered types


def test_a_sparse_tensor_is_fetched_as_its_three_parts(graph):
    sparse = tf.SparseTensor([[0, 1]], [5.0], [2, 2])
    parsed = parse_fetches(graph, {"s": sparse})
    assert parsed.elements == (sparse.indices, sparse.values, sparse.dense_shape)
    assert parsed.build([1, 2, 3]) == {"s": tf.SparseTensorValue(indices=1, values=2, dense_shape=3)}
    assert isinstance(parsed.build([1, 2, 3])["s"], tf.SparseTensorValue)


def test_indexed_slices_are_fetched_with_or_without_a_dense_shape(graph, a, b):
    shape = tf.constant([4])
    whole, part = tf.IndexedSlices(a, b, shape), tf.IndexedSlices(a, b)
    parsed = parse_fetches(graph, [whole, part])
    assert parsed.elements == (a, b, shape)
    full, open_ended = parsed.build([1, 2, 3])
    assert full == tf.IndexedSlicesValue(values=1, indices=2, dense_shape=3)
    assert open_ended == tf.IndexedSlicesValue(values=1, indices=2, dense_shape=None)
    assert isinstance(full, tf.IndexedSlicesValue)


def test_a_registered_type_is_fetched_by_its_own_functions(graph, a, b):
    class Sum:
        parts = (a, b)

    tf.register_session_run_conversion_functions(Sum, lambda s: (list(s.parts), sum))
    parsed = parse_fetches(graph, [Sum(), a])
    assert parsed.elements == (a, b)
    assert parsed.build([1, 2]) == [3, 1]


def test_a_type_is_registered_once_but_a_subclass_may_have_functions_of_its_own(graph, a):
    class Base:
        pass

    class Derived(Base):
        pass

    class Last(Base):
        pass

    def named(name):
        return lambda _: ([a], lambda parts: (name, *parts))

    tf.register_session_run_conversion_functions(Base, named("base"))
    tf.register_session_run_conversion_functions(Derived, named("derived"))
    assert parse_fetches(graph, [Base(), Derived(), Last()]).build([1]) == [("base", 1), ("derived", 1), ("base", 1)]
    for known in (Base, Derived, object):  # object would hide both
        with pytest.raises(ValueError, match="has already been registered so ignore it") as caught:
            tf.register_session_run_conversion_functions(known, named("again"))
        assert str(caught.value) == f"{known} has already been registered so ignore it."


def test_a_sparse_tensor_is_evaluated_in_one_run(graph):
    sparse = tf.SparseTensor([[0, 1]], [5.0], [2, 2])
    runs = []

    class Recorder:
        def run(self, fetches, feed_dict=None):
            runs.append((fetches, feed_dict))
            return ["indices", "values", "shape"]

    session = Recorder()
    session.graph = graph
    assert sparse.eval({"f": 1}, session) == tf.SparseTensorValue("indices", "values", "shape")
    assert runs == [([sparse.indices, sparse.values, sparse.dense_shape], {"f": 1})]


def test_a_composite_says_what_it_is_made_of(graph, a):
    sparse = tf.SparseTensor([[0, 1]], [5.0], [2, 3])
    assert (sparse.op, sparse.graph, sparse.dtype) == (sparse.values.op, graph, tf.float32)
    assert sparse.shape.as_list() == [2, 3]
    assert tf.SparseTensor([[0, 1]], [5.0], tf.placeholder(tf.int64, [2])).shape.as_list() == [None, None]
    slices = tf.IndexedSlices(a, tf.constant(0), tf.constant([4]))
    assert (slices.name, slices.op, slices.graph, slices.dtype) == ("a:0", a.op, graph, tf.float32)
    assert slices.shape.as_list() == [4]
    assert tf.IndexedSlices(a, tf.constant(0)).shape.ndims is None


def test_a_sparse_tensors_parts_must_fit_each_other(graph):
    for parts, text in (
        (([[0, 1]], [5.0, 6.0], [2, 2]), "are not compatible"),
        (([[0, 1]], [5.0], [2]), "are not compatible"),
        (([0, 1], [5.0], [2, 2]), r"Shape \(2,\) must have rank 2"),
    ):
        with pytest.raises(ValueError, match=text):
            tf.SparseTensor(*parts)


def test_a_sparse_tensor_is_made_from_its_value(graph):
    value = tf.SparseTensorValue(np.array([[0, 1]]), np.array([5.0]), np.array([2, 2]))
    sparse = tf.SparseTensor.from_value(value)
    assert evaluate(sparse.values).tolist() == [5]
    assert tf.SparseTensor.from_value(sparse) is sparse
    with pytest.raises(TypeError, match="^Neither a SparseTensor nor SparseTensorValue"):
        tf.SparseTensor.from_value([1])


def test_indexed_slices_become_a_tensor_where_rows_of_one_index_are_added(graph):
    rows, indices = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), tf.constant([2, 0, 2])
    fed = tf.placeholder(tf.int64, [2])
    known, late = (tf.IndexedSlices(rows, indices, shape) for shape in (tf.constant([4, 2]), fed))
    dense = tf.convert_to_tensor(known)
    assert dense.shape.as_list() == [4, 2]
    for tensor in (dense, tf.convert_to_tensor(late)):
        assert evaluate(tensor, {fed: np.array([4, 2])}).tolist() == [[3, 4], [0, 0], [6, 8], [0, 0]]
    assert evaluate(tf.convert_to_tensor(-known) + 0).tolist() == [[-3, -4], [0, 0], [-6, -8], [0, 0]]
    with pytest.raises(ValueError, match="^Tensor conversion requested for IndexedSlices without dense_shape: "):
        tf.convert_to_tensor(tf.IndexedSlices(rows, indices))


# What is refused


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: Pair(x, x), lambda x: {"a": ([x],)}])
def test_none_is_refused_wherever_it_stands(graph, wrap):
    with pytest.raises(TypeError) as caught:
        parse_fetches(graph, wrap(None))
    assert str(caught.value) == "Fetch argument None has invalid type <class 'NoneType'>"


@pytest.mark.parametrize("value", [3, 2.5, {1, 2}, np.zeros(2), Wrapper(5)])
def test_other_types_are_refused(graph, value):
    leaf = value.element if isinstance(value, Wrapper) else value
    with pytest.raises(TypeError) as caught:
        parse_fetches(graph, [value])
    assert str(caught.value) == (
        f"Fetch argument {value!r} has invalid type {type(value)!r}, must be a string or Tensor. "
        f"(Can not convert a {type(leaf).__name__} into a Tensor or Operation.)"
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
    ],
)
def test_a_name_that_is_not_in_the_graph_is_refused_with_the_reason(graph, a, name, reason):
    with pytest.raises(ValueError, match="cannot be interpreted") as caught:
        parse_fetches(graph, {"k": name})
    assert str(caught.value) == f"Fetch argument {name!r} cannot be interpreted as a Tensor. ({reason})"


def test_an_element_of_another_graph_is_refused(a):
    other = tf.Graph()
    for element, kind in ((a, "Tensor"), (a.op, "Operation")):
        with pytest.raises(ValueError, match="cannot be interpreted") as caught:
            parse_fetches(other, element)
        reason = f"({kind} {element!r} is not an element of this graph.)"
        assert str(caught.value) == f"Fetch argument {element!r} cannot be interpreted as a Tensor. {reason}"


def test_what_was_marked_as_not_fetchable_is_refused(graph, a, b):
    graph.prevent_fetching(a.op)
    for fetch in (a, a.op, "a:0", [b, {"k": a}]):
        with pytest.raises(InaccessibleTensorError) as caught:
            parse_fetches(graph, fetch)
        assert str(caught.value).startswith(
            "Operation 'a' has been marked as not fetchable. Typically this happens when it is defined in another "
            "function or code block."
        )


# Signatures


def test_fetches_of_the_same_elements_in_the_same_structure_have_equal_signatures(a, b):
    w = tf.Variable(1.0)
    sparse = tf.SparseTensor([[0]], [1.0], [1])
    for make in (
        lambda: a,
        lambda: a.op,
        lambda: w,
        lambda: "a:0",
        lambda: sparse,
        lambda: [a, b, "a:0", w],
        lambda: (a, [b], {"k": (a, {1: b})}),
        lambda: Pair(a, sparse),
        lambda: collections.OrderedDict(x=a, y=[b]),
        lambda: Sample(a, [b]),
        list,
    ):
        assert structure_of(make()) is not None
        assert structure_of(make()) == structure_of(make())
        assert hash(structure_of(make())) == hash(structure_of(make()))


def test_fetches_that_give_different_results_have_different_signatures(a, b):
    fetches = [
        *(a, b, a.op, "a:0", b"a:0", "a", [], (), {}),
        *([a], (a,), [[a]], [(a,)], [a, b], [b, a], (a, b), Pair(a, b), Other(a, b), Sample(a, b)),
        *({"a": a}, {"b": a}, {"a": b}, {"a": a, "b": b}, {"b": b, "a": a}, {"a": b, "b": a}),
        *({1: a}, {True: a}, {1.0: a}, {"a": [a]}, collections.OrderedDict(a=a)),
    ]
    keys = [structure_of(f) for f in fetches]
    assert None not in keys
    assert len(set(keys)) == len(fetches)


def test_what_is_unknown_or_may_change_has_no_key(a):
    for leaf in (None, 3, object(), [a, None], SubList([a]), Wrapper(a), collections.defaultdict(list, a=a)):
        assert structure_of(leaf) is None
        for structure in ([a, leaf], {"k": leaf}, (a, [leaf]), Pair(a, leaf)):
            assert structure_of(structure) is None


# Results


def test_results_share_memory_with_nobody():
    base = np.arange(6.0)
    frozen = np.arange(3.0)
    frozen.setflags(write=False)
    own = np.arange(2.0)
    given = [base[:2], frozen, own, own]
    results = owned(given, copy=True)
    assert [r.tolist() for r in results] == [g.tolist() for g in given]
    assert results[2] is own  # nobody else has it
    for result in results:
        result += 1
    assert base.tolist() == [0, 1, 2, 3, 4, 5]
    assert frozen.tolist() == [0, 1, 2]
    assert [r.tolist() for r in results] == [[1, 2], [1, 2, 3], [1, 2], [1, 2]]


def test_without_a_copy_results_are_what_they_are():
    view = np.arange(6.0)[:2]
    assert owned([view], copy=False)[0] is view


@pytest.mark.parametrize("copy", [True, False])
def test_an_array_of_rank_0_becomes_a_numpy_scalar_and_other_objects_stay(copy):
    thing = [1]
    scalar, text, none, same = owned([np.array(1.5), b"text", None, thing], copy)
    assert type(scalar) is np.float64
    assert (text, none) == (b"text", None)
    assert same is thing
