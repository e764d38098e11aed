"""A value is the same from every place and in every run: `docs/functions.md`, "Values".

The first line of each test states the rule.
"""

from __future__ import annotations

import collections
import ctypes
import dataclasses
import enum
import functools
import itertools
import multiprocessing
import operator
import sys
import threading
import weakref
from typing import NamedTuple, NewType, TypedDict
from unittest import mock

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

import weftwork as tf
from tests.meaning import places
from tests.meaning.places import PLACES, RUNS, op_in, session_in
from weftwork.graph.python.ownership import copied

pytestmark = pytest.mark.usefixtures("ray_session", "graph")

MISSING = object()
LARGE = 60_000
"""Elements of an array that goes through Ray's store, and as a part of its own between processes."""


class Status(enum.Enum):
    OK = 1
    BAD = 2


class Flag(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class Point:
    x: int = 0


class Framed:
    """Its objects have slots, and one of its own kind."""

    __slots__ = ("__hidden", "shown")

    class Inner:
        pass

    def __init__(self, shown):
        self.shown = self.__hidden = shown

    def both(self):
        return self.shown, self.__hidden, hasattr(self, "__dict__"), type(self.Inner()).__qualname__


class OwnError(Exception):
    def __init__(self, what, code):
        super().__init__(what)
        self.code = code


class Singleton:
    def __reduce__(self):
        return "SINGLETON"


SINGLETON = Singleton()


class Slotted:
    __slots__ = ()


NOTHING = Slotted()


class Box:
    n = 0

    def bump(self):
        self.n += 1
        return self.n


class Pair(collections.namedtuple("Pair", "one two")):
    def __new__(cls, one):
        return super().__new__(cls, one, one + 1)


class Listed(list):
    pass


class Tupled(tuple):
    pass


class Mapped(dict):
    pass


def is_missing(x):
    return x is MISSING


@pytest.fixture(params=[place for place in PLACES if place != "actor"])
def place(request):
    """Each place; a variable's actor runs the same as a task, and is a new process in each session."""
    return request.param


@pytest.fixture
def by_value():
    """What this module defines travels as what `__main__` defines does."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def runs_in(place, fetches, feed=None, runs=None):
    """The values of some runs; all of those in which ways are tried, where the place is not given."""
    with session_in(place) as session:
        return [session.run(fetches, feed) for _ in range(runs or RUNS.get(place, 3))]


# Classes keep their identity


@pytest.mark.usefixtures("by_value")
def test_a_class_that_comes_back_is_the_class_that_left(place):
    fed = tf.placeholder(tf.object)
    made = op_in(place, lambda: [Status.OK, Flag.A | Flag.B, Point(1), Point, Status])()
    large = op_in(place, lambda: (Status.BAD, Point(2), np.zeros(LARGE)))()
    onward = op_in(place, lambda v: (v, v is Status.OK))(fed)
    between = op_in(place, lambda v: (v[0] is Status.OK, v[2] == Point(1), type(v[2]) is v[3]))(made)
    for one, two, three, four in runs_in(place, [made, large, onward, between], {fed: Status.OK}):
        assert one[0] is Status.OK
        assert one[1] is Flag.A | Flag.B
        assert one[3] is Point
        assert one[4] is Status
        assert one[2] == Point(1)
        assert type(one[2]) is Point
        assert two[0] is Status.BAD
        assert two[1] == Point(2)
        assert three == (Status.OK, True)
        assert three[0] is Status.OK
        assert four == (True, True, True)


def test_a_class_keeps_its_slots_and_its_name(place, by_value):
    make, ask = op_in(place, lambda: Framed(3)), op_in(place, lambda framed: framed.both())
    for made, seen, again in runs_in(place, [make(), ask(Framed(4)), ask(make())]):
        assert [made.both(), seen, again] == [(k, k, False, "Framed.Inner") for k in (3, 4, 3)]


def test_so_is_a_class_that_a_function_defines(place):
    class Local(enum.Enum):
        ONE = 1

    class Inner:
        pass

    class Row(NamedTuple):
        n: int
        rest: tuple = ()

    class Labeled(enum.Enum):
        TWO = 2, "two"

        def __init__(self, n, label):
            self.n, self.label = n, label

    class Made(str, enum.Enum):
        def __new__(cls, text, number):
            member = str.__new__(cls, text)
            member._value_, member.number = text, number
            return member

        THREE = "three", 3

    class Options(TypedDict, total=False):
        n: int

    Number = NewType("Number", int)

    def make():
        assert Number(1) == 1
        assert (Labeled.TWO.label, Made("three").number, Options(n=1)) == ("two", 3, {"n": 1})
        return Local.ONE, Inner(), Row(1), Options, Labeled.TWO, Made.THREE, Number

    node = op_in(place, make)()
    for member, instance, row, *others in runs_in(place, node):
        assert member is Local.ONE
        assert all(map(operator.is_, others, (Options, Labeled.TWO, Made.THREE, Number)))
        assert type(instance) is Inner
        assert (type(row), row, hasattr(row, "__dict__")) == (Row, Row(n=1, rest=()), False)


def test_a_class_stays_what_it_is_at_home(place):
    """What another process says of it changes nothing here, and no base class hears of a further subclass."""
    heard = []

    class Base:
        count = 0

        def __init_subclass__(cls):
            heard.append(cls)

        def method(self):
            return Base.count

    class Derived(Base):
        pass

    method = Derived.method
    node = op_in(place, lambda: Derived())()
    with session_in(place) as session:
        for run in range(4):
            Base.count = run
            value = session.run(node)
            assert value.method() == run
            assert Derived.method is method
            assert heard == [Derived]


@pytest.mark.usefixtures("by_value")
def test_an_exception_of_the_program_is_caught_by_its_class(place):
    def fail():
        raise OwnError("this", 7)

    node = op_in(place, fail)()
    with session_in(place) as session:
        for _ in range(3):
            with pytest.raises(tf.errors.OpError) as info:
                session.run(node)
            cause = info.value.__cause__
            assert type(cause) is OwnError
            assert (cause.args, cause.code) == (("this",), 7)


@pytest.mark.parametrize("travels", ["by value", "by name"])
def test_objects_without_contents_keep_their_identity(place, travels, request):
    """A plain object(), an object without room for attributes, a singleton that reduces to its name: `is` holds."""
    if travels == "by value":
        request.getfixturevalue("by_value")
    fed = tf.placeholder(tf.object)
    local = object()
    node = op_in(place, lambda v: (v is MISSING, v, NOTHING, SINGLETON, local))(fed)
    helper = op_in(place, is_missing)(fed)
    for (inside, *rest), seen in runs_in(place, [node, helper], {fed: MISSING}):
        assert inside
        assert seen
        assert all([a is b for a, b in zip(rest, [MISSING, NOTHING, SINGLETON, local], strict=True)])


def test_a_function_that_comes_back_is_the_function_that_left(place):
    def helper():
        return helper

    node = op_in(place, lambda: helper)()
    for value in runs_in(place, node):
        assert value is helper
        assert value() is helper


# Inputs belong to the function for this call


class Named:
    pass


PROXIED = Named()


def append(values):
    values.append(1)
    return len(values)


def put(values):
    values["n"] = values.get("n", 0) + 1
    return values["n"]


def put_number(row):
    row["n"] += 1
    return int(row["n"])


def add(values):
    values.add(len(values))
    return len(values)


def extend(values):
    values += b"x"
    return len(values)


def increase(values):
    values += 1
    return float(np.asarray(values).ravel()[0])


def bump(box):
    return box.bump()


def deep(values):
    values[0]["a"].append(1)
    return len(values[0]["a"])


def inside_objects(values):
    values[0].append(1)
    return len(values[0])


def _objects():
    array = np.empty(1, object)
    array[0] = []
    return array


def _rows_of_objects():
    rows = np.zeros(2, [("n", int), ("deep", [("o", object, 2)])])
    rows["deep"]["o"][0, 0] = []
    return rows


class Labelled(np.ndarray):
    """NumPy's recipe of an array with an attribute."""

    def __array_finalize__(self, other):
        self.label = getattr(other, "label", None)


def labelled(label):
    array = np.zeros(2).view(Labelled)
    array.label = label
    return array


class OwnFrame(pd.DataFrame):
    @property
    def _constructor(self):
        return OwnFrame


def cell(frame):
    return inside_objects(list(frame["o"]))


CHANGES = {
    "list": (list, append, 1),
    "dict": (dict, put, 1),
    "set": (set, add, 1),
    "bytearray": (bytearray, extend, 1),
    "deque": (collections.deque, append, 1),
    "subclass": (Listed, append, 1),
    "array": (lambda: np.zeros(2), increase, 1.0),
    "large array": (lambda: np.zeros(LARGE), increase, 1.0),
    "view": (lambda: np.zeros((3, 4)).T[1:], increase, 1.0),
    "masked array": (lambda: np.ma.array([0.0, 1.0], mask=[0, 1]), increase, 1.0),
    "object": (Box, bump, 1),
    "nested": (lambda: ({"a": []},), deep, 1),
    "array of objects": (_objects, inside_objects, 1),
    "rows of objects": (_rows_of_objects, lambda rows: inside_objects(rows["deep"]["o"][0]), 1),
    "row": (lambda: np.zeros(1, [("n", int)])[0], put_number, 1),
    "row of objects": (lambda: _rows_of_objects()[0], lambda row: inside_objects(row["deep"]["o"]), 1),
    "attribute of an array": (lambda: labelled([]), lambda array: append(array.label), 1),
    "cells of a frame": (lambda: pd.DataFrame({"n": [1], "o": [[]]}), cell, 1),
    "cells of an own frame": (lambda: OwnFrame({"n": [1], "o": [[]]}), cell, 1),
    "cells of a series": (lambda: pd.Series([[], "x"]), inside_objects, 1),
    "cells of a frame inside": (lambda: [pd.DataFrame({"o": [{}]})], lambda held: put(held[0]["o"][0]), 1),
}


EXPECTED = {name: expected for name, (_, _, expected) in CHANGES.items()}
"""What each change gives of a value that nobody has changed before."""


def of_each(make_node):
    """A node for each way to change a value, by its name."""
    return {name: make_node(name, make, function) for name, (make, function, _) in CHANGES.items()}


def test_a_constant_is_the_same_in_every_call(ray_session, place):
    """Where it stands makes no difference; nor what the program does to its object later."""
    mine = {name: make() for name, (make, _, _) in CHANGES.items()}
    alone = of_each(lambda name, make, function: op_in(place, function)(mine[name]))
    node = of_each(lambda name, make, function: op_in(place, function)(tf.constant(mine[name], tf.object)))
    inside = of_each(
        lambda name, make, function: op_in(place, lambda held: function(held["in"]))(
            {"in": mine[name], "tensor": tf.constant(1)}
        )
    )
    named = of_each(
        lambda name, make, function: op_in(place, lambda one, two=None: function(two))(tf.constant(1), two=mine[name])
    )
    for name, (_, function, _) in CHANGES.items():
        function(mine[name])
    for values in runs_in(place, [alone, node, inside, named], runs=3):
        assert values == [EXPECTED] * 4


def test_a_fed_value_is_never_changed(place):
    feeds = {tf.placeholder(tf.object, name=name.replace(" ", "_")): make() for name, (make, _, _) in CHANGES.items()}
    fed = dict(zip(CHANGES, feeds, strict=True))
    nodes = [of_each(lambda name, make, function: op_in(place, function)(fed[name])) for _ in range(2)]
    for values in runs_in(place, nodes, feeds, runs=3):
        assert values == [EXPECTED] * 2
    for (name, (_, function, expected)), mine in zip(CHANGES.items(), feeds.values(), strict=True):
        assert not isinstance(mine, np.ndarray) or mine.flags.writeable
        assert function(mine) == expected, name


def test_siblings_do_not_see_each_other_s_changes(place):
    """The last one may get the value itself; what is fetched stays as it was made."""
    sources = of_each(lambda name, make, function: op_in(place, lambda: make())())
    changed = [of_each(lambda name, make, function: op_in(place, function)(sources[name])) for _ in range(3)]
    with session_in(place) as session:
        for _ in range(3):
            assert session.run(changed) == [EXPECTED] * 3
            fetched = session.run([sources, *changed])[0]
            assert {name: CHANGES[name][1](value) for name, value in fetched.items()} == EXPECTED


def test_what_a_function_keeps_is_not_changed_by_the_next_one(place):
    kept = {}
    sources = of_each(lambda name, make, function: op_in(place, lambda: kept.setdefault(name, make()))())
    nodes = of_each(lambda name, make, function: op_in(place, function)(sources[name]))
    for values in runs_in(place, nodes):
        assert values == EXPECTED


def test_the_only_taker_gets_the_value_itself():
    """No copy is made of what nobody else holds: a chain that changes one large array holds one large array."""
    seen = set()

    def grow(array):
        seen.add(array.ctypes.data)
        array += 1
        return array

    node = tf.op(lambda: np.zeros(LARGE))()
    for _ in range(4):
        node = tf.op(grow)(node)
    total = tf.op(lambda array: float(array[0]))(node)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        for run in range(100):
            seen.clear()
            assert session.run(total) == 4.0
            assert run < 90 or len(seen) == 1  # compiled: an interpreted step holds what it gave


def test_an_array_that_is_only_read_is_not_copied():
    """Where a function's code shows that it changes no array, it gets a read-only view of what others see too."""
    fed = tf.placeholder(tf.float64, [None])
    mine = np.zeros(LARGE)
    nodes = [tf.op(lambda array: array.ctypes.data)(fed), tf.op(lambda array: [array.sum(), array.T[0]])(fed)]
    reads = [node.op.kernel.reads for node in nodes]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        where, _ = session.run(nodes, {fed: mine})
    assert reads == [False, True]
    assert where != mine.ctypes.data


def test_what_the_library_gives_can_be_written_to(place):
    """Views of the library's, which share memory or repeat it, are a function's own as well."""
    x = tf.constant(np.arange(6.0).reshape(2, 3))
    given = [tf.broadcast_to(x, [2, 2, 3]), tf.identity(x), tf.transpose(x), *tf.split(x, 2), x + 1, np.diagonal(x)]
    nodes = [op_in(place, increase)(each) for each in given]
    expected = [1.0, 1.0, 1.0, 1.0, 4.0, 2.0, 1.0]
    for values in runs_in(place, [nodes, nodes[0], given]):
        assert values[0] == expected
        assert values[2][1].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_call_that_is_tried_again_gets_what_the_first_try_got(place):
    def fail_once(values):
        values.append(1)
        if len(values) < 2 and not tries.setdefault("failed", 0):
            tries["failed"] = 1
            raise ValueError
        return len(values)

    tries = {}
    node = op_in(place, fail_once, retries=2)([])
    assert runs_in(place, node, runs=1) == [1]


def test_a_loop_s_function_changes_nothing_that_the_loop_holds(place):
    held = tf.constant(np.zeros(2))
    node = tf.op(increase, dtype=tf.float64, shape=[])
    total = tf.while_loop(lambda k, t: k < 3, lambda k, t: (k + 1, t + node(held)), [0, np.float64(0)])[1]
    assert runs_in(place, total) == [3.0] * (RUNS.get(place, 3))


@pytest.mark.parametrize("place", PLACES)
def test_a_variable_s_value_is_never_changed(place):
    variable = tf.Variable(np.zeros(3))
    node = op_in(place, increase)(variable)
    with session_in(place) as session:
        session.run(variable.initializer)
        for _ in range(4):
            assert session.run(node) == 1.0
        assert session.run(variable).tolist() == [0.0, 0.0, 0.0]


def test_one_call_gets_one_object_for_one_tensor(place):
    """f(a, a) sees that its arguments are one object, as in a plain call."""
    source = op_in(place, lambda: [1])()
    node = op_in(place, lambda a, b: a is b)(source, source)
    assert all(runs_in(place, [node, op_in(place, len)(source)])[0])


@dataclasses.dataclass
class Keeping:
    value: object


HELD = {
    "list": lambda tensor: [tensor],
    "deep": lambda tensor: {"a": [tensor]},
    "tuple": lambda tensor: ([tensor], 1),
    "subclass": lambda tensor: Listed([tensor]),
    "dataclass": Keeping,
}


def test_one_call_gets_one_object_for_one_structure_with_tensors(place):
    """However deep it stands, and if it stands in several arguments: what is changed in one is seen in the other."""

    def compare(one, other, inside, *, named):
        return all([each is one for each in (other, inside[0]["in"], inside[1], named)])

    compare, nodes = op_in(place, compare), {}
    for name, hold in HELD.items():
        held = hold(tf.constant(7))
        nodes[name] = compare(held, held, [{"in": held}, held, tf.constant(1)], named=held)
    for values in runs_in(place, nodes, runs=3):
        assert values == dict.fromkeys(HELD, True)


def test_a_local_class_may_have_any_members(place):
    """A cached property, a generic method, a partial method, a property."""

    class Local:
        def __init__(self, n):
            self.n = n

        @functools.cached_property
        def cached(self):
            return [self.n]

        @functools.singledispatchmethod
        def generic(self, x):
            return "any"

        @generic.register
        def _(self, x: int):
            return "int"

        def plus(self, x, y):
            return x + y

        plus_one = functools.partialmethod(plus, 1)

        @property
        def square(self):
            return self.n**2

    node = op_in(place, lambda o: (o.cached, o.cached is o.cached, o.generic(1), o.plus_one(2), o.square))
    assert runs_in(place, [node(op_in(place, Local)(3)), node(Local(4))]) == [
        [([3], True, "int", 3, 9), ([4], True, "int", 3, 16)]
    ] * RUNS.get(place, 3)


def test_arrays_in_a_value_share_no_memory(place):
    """As after pickling or copying; one array that is there twice is one."""

    def make():
        rows = np.zeros(4)
        return rows, rows[1:3], [rows[2:]], rows

    def write(rows, part, parts, again):
        rows += 1
        return part.tolist(), parts[0].tolist(), again is rows

    node = op_in(place, lambda value: write(*value))(op_in(place, make)())
    assert runs_in(place, node, runs=3) == [([0.0, 0.0], [0.0, 0.0], True)] * 3


# Results belong to the caller


def test_what_is_done_to_a_result_is_not_seen_by_the_next_run(place):
    """Whether the function keeps it, a part of it, or gives it twice."""
    kept = {}

    def giving(name, make):
        def give():
            value = kept.setdefault(name, make())
            return value, [value], {"a": value}

        return give

    whole = of_each(lambda name, make, function: op_in(place, giving(name, make))())
    parts = of_each(lambda name, make, function: op_in(place, giving(name, make), outputs=3)())
    with session_in(place) as session:
        for _ in range(3):
            one, several = session.run([whole, parts])
            for name, (_, function, expected) in CHANGES.items():
                first, second, third = several[name]
                for value in (one[name][1][0], first, second[0], third["a"]):
                    assert function(value) == expected, name


def test_a_fetched_constant_or_feed_is_a_copy(place):
    fed = tf.placeholder(tf.object)
    held = tf.constant([[1]], tf.object)
    mine = [[2]]
    for one, two, three in runs_in(place, [held, fed, tf.identity(fed)], {fed: mine}, runs=3):
        assert (one, two, three) == ([[1]], [[2]], [[2]])
        for value in (one, two, three):
            value[0].append(0)
    assert mine == [[2]]


def test_objects_that_cannot_be_copied_are_passed_as_they_are():
    """A lock, a generator: there is one of it, also inside of what is copied."""
    lock = threading.Lock()
    node = tf.op(lambda held: held)({"lock": lock, "list": []})
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        first, second = session.run(node), session.run(node)
    assert first["lock"] is lock
    assert second["lock"] is lock
    assert first["list"] is not second["list"]


class Owner:
    """Holds something that must be let go once."""

    def __init__(self):
        self.is_let_go = [False]

    def __del__(self):
        self.is_let_go.append(True)


def test_objects_with_a_finalizer_are_passed_without_a_copy(place):
    """A class with `__del__`: with a copy, what it holds would be let go twice."""
    owner = Owner()
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        node = tf.op(lambda held: held)([owner])
        assert session.run(node)[0] is owner
        del node
    assert owner.is_let_go == [False]


def test_a_bound_method_of_a_list_is_one_of_a_copy(place):
    """A builtin one as well as one of a class."""
    mine = [1]
    with tf.Graph().as_default():
        node = op_in(place, lambda add: (add(2), add.__self__)[1])(mine.append)
        with session_in(place) as session:
            assert [session.run(node) for _ in range(3)] == [[1, 2]] * 3
    assert mine == [1]


def test_a_call_gets_one_object_for_one_constant(place):
    """As a plain call does: also where one argument holds the other."""
    shared = np.zeros(2)

    def compare(one, other, holder):
        return one is other, holder[0] is one

    assert set(places.values(place, compare, shared, shared, [shared], runs=3)) == {(True, True)}


@pytest.mark.parametrize("place", ["caller", "task", "resident", "dynamic"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: open(__file__),
        lambda: memoryview(b"abc"),
        lambda: weakref.proxy(PROXIED),
        lambda: multiprocessing.get_context("spawn").Lock(),
        lambda: ctypes.CFUNCTYPE(ctypes.c_int)(int),
        lambda: ctypes.CDLL(None),
    ],
    ids=["file", "view", "proxy", "lock of processes", "function in C", "library"],
)
def test_values_that_do_not_pickle_stay_in_the_process_unchanged(place, make):
    """A result, a captured value, a constant: it is not replaced by what it stands for, whatever pickling it raises."""
    here = make()
    for function, args in ((make, ()), (lambda: here, ()), (lambda value: value, (here,)), (lambda v: v[0], ([here],))):
        made = places.values(place, function, *args, runs=3)
        assert {type(value) for value in made} == {type(here)}
        for value in made:
            getattr(value, "close", int)()


# Values keep their kind

KINDS = {
    "masked int8": np.ma.array([1, 2, 3], mask=[0, 1, 0], dtype=np.int8),
    "masked bool": np.ma.array([True, False], mask=[0, 1]),
    "masked large": np.ma.array(np.arange(LARGE) % 100, mask=np.arange(LARGE) % 2, dtype=np.int8),
    "masked": np.ma.masked,
    "recarray": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "structured": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "dates": np.array(["2020-01-01"], dtype="M8[D]"),
    "text": np.array(["a", "bc"]),
    "big-endian": np.arange(3, dtype=">i4"),
    "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "scalar": np.float32(1.5),
    "list": Listed([1, [2]]),
    "tuple": Tupled((1, [2])),
    "dict": Mapped(a=1),
    "labelled": labelled(["x"]),
    "pair": Pair(3),
    "ordered": collections.OrderedDict([("b", 1), ("a", [2])]),
    "default": collections.defaultdict(list, {1: [2]}),
    "counter": collections.Counter("aab"),
    "odd keys": {None: 1, 1.5: 2, (1, (2,)): 3, frozenset([1]): 4, Status.OK: 5, "x y": 6, b"": 7},
    "deque": collections.deque([1, 2], maxlen=2),
    "point": Point(5),
    "large list": Listed([np.zeros(LARGE), Point(1)]),
}


@pytest.mark.usefixtures("by_value")
def test_a_value_keeps_its_kind(place):
    """As a function's result, its constant, fed, and inside of others."""
    names = list(KINDS)
    feeds = {tf.placeholder(tf.object): KINDS[name] for name in names}
    same = op_in(place, lambda value: value)
    nodes = [[same(p), same(KINDS[name]), same([KINDS[name]])] for name, p in zip(names, feeds, strict=True)]
    for values in runs_in(place, nodes, feeds, runs=2):
        for name, (fed, given, inside) in zip(names, values, strict=True):
            for value in (fed, given, inside[0]):
                check_same(value, KINDS[name], name)


def check_same(value, expected, name):
    assert type(value) is type(expected), name
    if name == "masked":
        assert value is expected
    elif isinstance(expected, np.ma.MaskedArray):
        assert value.tolist() == expected.tolist()
        assert value.fill_value == expected.fill_value
    elif isinstance(expected, np.ndarray):
        assert value.tolist() == expected.tolist()
        assert (value.dtype, value.strides) == (expected.dtype, expected.strides)
        assert getattr(value, "label", None) == getattr(expected, "label", None)
    elif name == "large list":
        assert value[1] == expected[1]
        assert len(value[0]) == LARGE
    else:
        assert (value, repr(value)) == (expected, repr(expected)), name


def test_masked_arrays_are_fed_and_fixed_as_they_are(place):
    """A numeric tensor may hold one: what is masked stays so."""
    masked = np.ma.array([1, 2, 3], mask=[0, 1, 0], dtype=np.int8)
    fed = tf.placeholder(tf.int8, [3])
    nodes = [tf.reduce_sum(fed), tf.reduce_sum(tf.constant(masked)), op_in(place, lambda v: v.tolist())(fed)]
    for values in runs_in(place, nodes, {fed: masked}, runs=2):
        assert values == [4, 4, [1, None, 3]]


def test_a_value_of_rank_0_is_a_scalar(place):
    """The value of a tensor is a NumPy scalar there, whoever made it; inside of a structure an array stays one."""
    fed = tf.placeholder(tf.object)
    made = op_in(place, lambda: np.array(3.0))()
    kinds = op_in(place, lambda a, b, c: [type(x).__name__ for x in (a, b, c[0])])(made, fed, [np.array(1)])
    for value, seen in runs_in(place, [made, kinds], {fed: np.array(2)}):
        assert type(value) is np.float64
        assert seen == ["float64", "int64", "ndarray"]


def _nested(depth, kind):
    value = kind()
    for _ in range(depth):
        value = {"in": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize("kind", [list, dict, tuple])
def test_a_value_may_be_nested_5000_deep(kind):
    """It is the value, wherever it need not travel: as constant, feed, result, and between functions."""
    value, fed = _nested(5000, kind), tf.placeholder(tf.object)
    size = tf.op(lambda v: len(v))
    made = tf.op(lambda: _nested(5000, kind))()
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        for _ in range(3):
            assert session.run([size(value), size(fed), size(made)], {fed: value}) == [1, 1, 1]
            assert len(session.run(made)) == 1


class Linked:
    def __init__(self, link):
        self.link = link


def test_objects_may_be_linked_5000_deep():
    """Also where each taker gets a copy."""
    first = None
    for _ in range(5000):
        first = Linked(first)
    copy = copied(first)
    depth = 0
    while copy is not None:
        assert copy is not first
        copy, first, depth = copy.link, first.link, depth + 1
    assert depth == 5000


class Copied:
    """Changes what it is in as it is copied, as another thread may."""

    def __init__(self, changes=None):
        self.changes = changes

    def __deepcopy__(self, known):
        if self.changes is not None:
            self.changes()
        return Copied()


@pytest.mark.parametrize("kind", [set, dict])
def test_a_container_may_change_while_it_is_copied(kind):
    """A function gets what was there at one moment, whatever other threads do."""
    whole = kind()
    add = whole.add if kind is set else lambda part: whole.setdefault(part, part)
    add((Copied(lambda: add(3)),))
    add((2,))
    fed = tf.placeholder(object)
    sizes = [tf.op(len)(fed) for _ in range(2)]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        for _ in range(3):
            assert max(session.run(sizes, {fed: whole})) <= 3


def test_a_value_may_hold_itself(place):
    value = [1]
    value.append(value)
    fed = tf.placeholder(tf.object)
    same = op_in(place, lambda v: v)
    for values in runs_in(place, [same(value), same(fed)], {fed: value}, runs=2):
        for each in values:
            assert each[1] is each
            assert each is not value


def test_a_tensor_in_what_holds_itself_is_refused():
    held = [tf.constant(1)]
    held.append(held)
    with pytest.raises(ValueError, match="contains itself"):
        tf.op(len)(held)


def test_a_deep_or_cyclic_value_for_a_number_is_refused_in_few_words():
    """No recursion goes out of hand in an error's text."""
    deep, itself = _nested(5000, list), []
    itself.append(itself)
    number = tf.placeholder(tf.float32)
    with tf.Session() as session:
        for value in (deep, itself):
            with pytest.raises((TypeError, ValueError)):
                session.run(number, {number: value})
            with pytest.raises((TypeError, ValueError)):
                tf.constant(value)


@dataclasses.dataclass(frozen=True)
class Holder:
    tensor: object
    other: int = 3


def test_tensors_are_found_in_structures_of_every_kind(place):
    """Lists, tuples, dicts, sets, deques, dataclasses, and what is derived from them, which stay what they are."""
    two = tf.constant(2)
    pair = Pair(1)._replace(one=two)
    given = [
        (Listed([two]), Listed([2])),
        (collections.OrderedDict(a=two), collections.OrderedDict(a=2)),
        (collections.defaultdict(list, a=two), collections.defaultdict(list, a=2)),
        ({two}, {2}),
        (frozenset([two]), frozenset([2])),
        (collections.deque([two, 1]), collections.deque([2, 1])),
        (Holder(two), Holder(2)),
        (pair, Pair(1)._replace(one=2)),
        ({"a": [Holder((two,))]}, {"a": [Holder((2,))]}),
    ]
    same = op_in(place, lambda value: value)
    for values in runs_in(place, [same(value) for value, _ in given], runs=2):
        for value, (_, expected) in zip(values, given, strict=True):
            assert type(value) is type(expected)
            assert value == expected


def test_a_tensor_as_a_key_is_refused():
    with pytest.raises(TypeError, match="key"):
        tf.op(len)({tf.constant(1): 2})


FRAMES = [
    pd.DataFrame({"x": [1.0, 2.0], "text": ["a", "b"], "kind": pd.Categorical(["u", "v"])}, index=["p", "q"]),
    pd.Series([1, 2, 3], name="s"),
    pd.DataFrame({"x": np.arange(300_000.0)}),
    pa.table({"x": [1, 2], "text": ["a", None]}),
    scipy.sparse.csr_matrix(np.eye(3)),
]


def same(one, other):
    """Frames and matrices say in ways of their own that they are equal."""
    return bool(one.equals(other)) if hasattr(one, "equals") else (one != other).nnz == 0


def test_frames_tables_and_matrices_come_as_they_left(place):
    fed = [tf.placeholder(tf.object) for _ in FRAMES]
    step = op_in(place, lambda frame: (type(frame), frame))
    for results in runs_in(place, [step(one) for one in fed], dict(zip(fed, FRAMES, strict=True)), runs=2):
        for (kind, got), frame in zip(results, FRAMES, strict=True):
            assert kind is type(got) is type(frame)
            assert same(got, frame)


def test_a_frame_that_a_function_changes_is_the_functions_own(place):
    def widen(frame, number):
        frame["y"] = number
        frame.loc["p", "x"] = -1.0
        return frame

    fed, frame = tf.placeholder(tf.object), FRAMES[0].copy()
    made = op_in(place, lambda frame: frame)(fed)
    step = op_in(place, widen)
    for one, two, left in runs_in(place, [step(made, 1), step(made, 2), made], {fed: frame}, runs=2):
        assert (list(one.y), list(two.y)) == ([1, 1], [2, 2])
        assert same(left, FRAMES[0])
    assert same(frame, FRAMES[0])


def test_what_a_function_writes_behind_a_series_is_its_own(place):
    """Pandas does not notice such a write, and would change the program's series, too."""

    def behind(series):
        series.array[0] += 1
        return int(series[0])

    fed, mine = tf.placeholder(tf.object), pd.Series([0, 0])
    write, read = op_in(place, behind), op_in(place, lambda series: int(series[0]))
    again = itertools.cycle([False, True])
    failing = tf.op(retries=1, here=True)(lambda series: (behind(series), next(again) or 1 / 0)[0])
    given = [write(fed), write(mine), read(mine), write({"tensor": fed, "x": mine}["x"]), failing(mine), read(fed)]
    for values in runs_in(place, given, {fed: mine}):
        assert values == [1, 1, 0, 1, 1, 0]
    assert mine.tolist() == [0, 0]


class Answering:
    """Answers to every name, and takes every call."""

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self


class Private:
    """Has attributes of the library's private names."""

    _as_tensor = _as_graph_element = to_flat = shape = dtype = __array__ = 3
    nbytes = "many"


@pytest.mark.parametrize("make", [mock.Mock, mock.MagicMock, Answering, Private])
def test_a_value_is_never_asked_anything(make):
    value, fed = make(), tf.placeholder(tf.object)
    node = tf.op(lambda one, two, three: [type(x) for x in (one, two, three[0])])
    made = tf.op(lambda: value)()
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        kinds, result = session.run([node(value, fed, [value, tf.constant(1)]), made], {fed: value})
    assert kinds == [type(value)] * 3
    assert type(result) is type(value)


def test_objects_that_answer_to_any_name_are_sent(place):
    value, fed = Answering(), tf.placeholder(tf.object)
    value.__dict__["held"] = [1]
    node = op_in(place, lambda v: v.__dict__["held"])(fed)
    assert runs_in(place, node, {fed: value}, runs=2) == [[1], [1]]


@pytest.mark.parametrize("place", ["caller", "task", "auto", "isolated"])
def test_references_and_handles_of_ray_arrive_as_they_are(ray_session, place):
    """They are Python objects: nobody waits for them, or takes what they stand for.

    Local workers are no processes of Ray's, so what takes them is run in others.
    """
    ray = ray_session

    @ray.remote(num_cpus=0)
    class Late:
        def now(self):
            return 5

        def never(self):
            threading.Event().wait()

    actor, late = Late.remote(), Late.remote()
    reference, waiting = ray.put([1, 2]), late.never.remote()
    fed = tf.placeholder(tf.object)
    kind = op_in(place, lambda value: (type(value).__name__, value))
    nodes = [
        kind(fed),
        kind(waiting),
        op_in(place, lambda value: ray.get(value[0]))([reference]),
        op_in(place, lambda handle: ray.get(handle.now.remote()))(actor),
    ]
    for one, two, three, four in runs_in(place, nodes, {fed: reference}, runs=2):
        assert one == ("ObjectRef", reference)
        assert two == ("ObjectRef", waiting)
        assert ray.get(one[1]) == [1, 2]
        assert three == [1, 2]
        assert four == 5
    ray.kill(late)
    ray.kill(actor)
