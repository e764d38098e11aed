"""Any callable is a node, and means the same in every place: `docs/functions.md`, "Callables".

The first line of each test states the rule. What a test calls `everywhere` is run in all places, several times.
"""

from __future__ import annotations

import abc
import asyncio
import collections
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import operator
import os
import pathlib
import pickle
import sys
import threading
import types
import uuid
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest

import weftwork as tf
from tests.waiting import LONG
from weftwork.actors.processes.messages import pack, unpack

PLACES = ("auto", "caller", "actor", "task", "resident", "mixed")


@pytest.fixture
def everywhere(ray_session, graph):
    """Assert the values of tensors in every place, in the first run and in later ones."""

    def check(fetches, expected, runs=3):
        for place in PLACES:
            with tf.Session(config=tf.ConfigProto(placement=place)) as session:
                for _ in range(runs):
                    assert session.run(fetches) == expected, place

    return check


class Scale:
    """A class with every kind of method as a node."""

    unit = "m"

    def __init__(self, by):
        self.by = by

    @tf.op
    def times(self, x, name=""):
        return self.by * x, name

    @tf.op(outputs=2, isolated=True)
    def both(self, x):
        return x, self.by

    @classmethod
    @tf.op
    def inner_class(cls, x):
        return cls.unit, x

    @tf.op
    @classmethod
    def outer_class(cls, x):
        return cls.unit, x

    @staticmethod
    @tf.op
    def inner_static(x):
        return x + 1

    @tf.op
    @staticmethod
    def outer_static(x):
        return x + 1

    @property
    @tf.op
    def doubled(self):
        return 2 * self.by

    def add(self, x, y):
        return x + y + self.by

    add_one = tf.op(functools.partialmethod(add, 1))
    add_two = functools.partialmethod(tf.op(add), 2)

    @functools.singledispatchmethod
    def kind_of(self, x):
        return "other"

    @kind_of.register
    def _(self, x: int):
        return "int"

    kind = tf.op(kind_of)
    length = tf.op(len)

    @tf.op
    async def later(self, x):
        await asyncio.sleep(0)
        return self.by + x

    @tf.op
    def __call__(self, x):
        return self.by - x


class Thick(Scale):
    """Inherits the nodes."""

    unit = "cm"

    @tf.op
    def times(self, x):
        return Scale.times.function(self, x)[0] + 1


def test_a_method_binds_its_object_and_a_class_method_its_class(everywhere):
    """An Op in a class is what its function would be there: methods bind, static methods and builtins do not."""
    scale, thick = Scale(3), Thick(4)
    x = tf.constant(2)
    everywhere(
        [
            scale.times(x),
            scale.times(x, name="n"),
            scale.both(5),
            [Scale.inner_class(1), thick.inner_class(1), Scale.outer_class(1), thick.outer_class(1)],
            [scale.inner_static(1), Scale.inner_static(1), scale.outer_static(1), Scale.outer_static(1)],
            [scale.doubled, thick.doubled],
            [scale.add_one(1), scale.add_two(1)],
            [scale.kind(1), scale.kind("a")],
            scale.length([1, 2]),
            scale.later(1),
            scale(1),
            thick.times(1),
            Scale.times(scale, 7),
        ],
        [
            (6, ""),
            (6, "n"),
            [5, 3],
            [("m", 1), ("cm", 1), ("m", 1), ("cm", 1)],
            [2, 2, 2, 2],
            [6, 8],
            [5, 6],
            ["int", "other"],
            2,
            4,
            2,
            5,
            (21, ""),
        ],
    )


def third(*values):
    return values[:1], values[-1:]


class Partly:
    plain = functools.partial(third, 3)
    op = tf.op(plain)


@pytest.mark.filterwarnings("ignore:functools.partial will be a method descriptor:FutureWarning")
def test_a_partial_in_a_class_binds_where_it_does_in_plain_python():
    """From Python 3.14 on."""
    partly = Partly()
    plain = partly.plain()
    with tf.Session() as session:
        assert session.run(partly.op(2)) == ((3,), (2,))
        last = session.run(partly.op())[1][0]
    assert (type(last) is Partly) == (plain[1][0] is partly) == (sys.version_info >= (3, 14))


def test_anything_that_is_called_may_be_bound_to_an_object():
    nodes = [tf.op(types.MethodType(functools.partial(third, 3), 1))(2), tf.op(types.MethodType(Scale(3), 1))()]
    with tf.Session() as session:
        assert session.run(nodes) == [((3,), (2,)), 2]


def test_two_functions_of_one_name_and_object_have_each_a_token_of_its_own():
    """By it is remembered what they cost."""

    class Both:
        one, other = tf.op(lambda self: 1), tf.op(lambda self: 2)

    both = Both()
    assert both.one.kernel.token is both.one.kernel.token is not both.other.kernel.token


def test_a_method_s_node_has_its_name_and_one_kernel_for_each_object(graph):
    """Methods of one object are the same function, of two objects two."""
    scale = Scale(1)
    made = scale.times(1)
    assert made.op.name == "times"
    assert made.op.kernel is scale.times.kernel is not Scale(1).times.kernel
    assert Scale.times.function is Scale.__dict__["times"].function
    assert isinstance(scale.times, tf.Op)


def test_a_method_may_have_a_gradient_that_is_a_method(graph):
    """The gradient of a method is bound as the method is."""

    class Power:
        def __init__(self, n):
            self.n = n

        @tf.op(dtype=tf.float64, shape=[])
        def of(self, x):
            return x**self.n

        @of.gradient
        def of_gradient(self, grad, x):
            return grad * self.n * x ** (self.n - 1)

    x = tf.constant(2.0, tf.float64)
    grads = tf.gradients(Power(3).of(x) + Power(2).of(x), x)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert session.run(grads) == [16.0]


def test_an_abstract_method_may_be_an_op():
    """`@abstractmethod` means the same under and over `@op`."""

    class Under(abc.ABC):
        @tf.op
        @abc.abstractmethod
        def f(self): ...

    class Over(abc.ABC):
        @abc.abstractmethod
        @tf.op
        def f(self): ...

    for abstract in (Under, Over):
        with pytest.raises(TypeError, match="abstract"):
            abstract()  # pyright: ignore[reportAbstractUsage]


def test_arguments_may_have_any_name(everywhere):
    """All arguments are the function's: no keyword is taken from it, but `name` where the function has none."""
    words = [
        *("self", "cls", "name", "dtype", "shape", "outputs", "pure", "kernel", "inputs", "attrs", "traits", "graph"),
        *("template", "values", "function", "args", "kwargs", "stop", "grad", "here", "instance", "owner", "op"),
    ]
    plain = eval(f"lambda {', '.join(words)}: [{', '.join(words)}]")
    values = list(range(len(words)))
    x = tf.constant(1)
    everywhere(
        [
            tf.op(plain)(**dict(zip(words, values, strict=True))),
            tf.op(plain)(*values),
            tf.op(lambda **k: k)(self=1, name=2, template=x),
            tf.op(outputs=1)(lambda **k: k)(self=1, name=2, template=x)[0],
            tf.op(pure=True, dtype=tf.int32)(lambda self, *, name: self + name)(self=x, name=3),
        ],
        [values, values, {"self": 1, "name": 2, "template": 1}, {"self": 1, "name": 2, "template": 1}, 4],
    )


def test_name_names_the_node_only_where_the_function_has_no_such_argument(graph):
    """A function's own `name` gets `name=`; a positional-only one cannot, so then it names the node."""

    def positional(name, /):
        return name

    def wrapping(function):
        return functools.wraps(function)(lambda *a, **k: function(*a, **k))

    assert tf.op(lambda x: x)(1, name="given").op.name == "given"
    assert tf.op(positional)("a", name="given").op.name == "given_1"
    assert tf.op(lambda name: name)(name="a").op.name == "function"
    assert tf.op(lambda **k: k)(name="a").op.name == "function_1"
    assert tf.op(wrapping(lambda x: x))(1, name="wrapped").op.name == "wrapped"
    assert tf.op(functools.partial(lambda name: name, name="x"))(name="y").op.name == "partial"
    with pytest.raises(TypeError, match="`name=` names the node: a string, not 5"):
        tf.op(len)([1], name=5)


@functools.lru_cache(maxsize=8)
def squared(n):
    """A cached function of a module."""
    return n * n


@functools.singledispatch
def kind_of(x):
    """A generic function of a module."""
    return "other"


kind_of.register(list, lambda x: "list")


def traced(function):
    """A decorator that says what it wraps."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return "traced", function(*args, **kwargs)

    return call


class Counter:
    """A callable with a state of its own."""

    def __init__(self, start):
        self.start = start

    def __call__(self, n):
        return self.start + n


Pair = collections.namedtuple("Pair", "a b")


def test_any_callable_is_a_node_or_a_helper(everywhere):
    """Cached, generic, partial and decorated functions, objects, builtins, ufuncs and classes: as nodes, as helpers."""
    local_cache = functools.lru_cache(lambda n: n + 1)
    local_kind = functools.singledispatch(lambda x: "other")
    local_kind.register(int, lambda x: "int")
    fib = functools.cache(lambda n: n if n < 2 else fib(n - 1) + fib(n - 2))
    depth = functools.singledispatch(lambda x: 0)
    depth.register(list, lambda x: 1 + max(map(depth, x), default=0))
    partial = functools.partial(pow, 2)
    counter = Counter(10)
    x = tf.constant(3)
    callables = [
        (squared, (3,), 9),
        (local_cache, (3,), 4),
        (kind_of, ([],), "list"),
        (local_kind, (1,), "int"),
        (fib, (30,), 832040),
        (depth, ([[1], [[2]]],), 3),
        (partial, (3,), 8),
        (functools.partial(local_cache), (3,), 4),
        (traced(lambda n: n), (3,), ("traced", 3)),
        (counter, (3,), 13),
        (counter.__call__, (3,), 13),
        (len, ([1, 2],), 2),
        ("abc".upper, (), "ABC"),
        (str.upper, ("abc",), "ABC"),
        (np.add, (1, 2), 3),
        (np.vectorize(lambda a: a * 2), (4,), 8),
        (operator.itemgetter(1), ((5, 6),), 6),
        (operator.methodcaller("upper"), ("a",), "A"),
        (int, ("7",), 7),
        (dict, (), {}),
        (Pair, (1, 2), Pair(1, 2)),
        (Pair._make, ([1, 2],), Pair(1, 2)),
        (functools.reduce, (operator.add, [1, 2, 3]), 6),
    ]

    def helped(function):
        return tf.op(lambda *args: function(*args))

    nodes = [tf.op(function)(*args) for function, args, _ in callables]
    helpers = [helped(function)(*args) for function, args, _ in callables]
    counts = tf.op(Counter)(5)
    everywhere(
        [nodes, helpers, tf.op(lambda c: c(1))(counts), tf.op(squared)(x)],
        [[e for _, _, e in callables], [e for _, _, e in callables], 6, 9],
    )


def test_an_op_has_what_its_function_has(graph):
    """What an Op has not got itself is its function's."""
    cached = tf.op(functools.lru_cache(lambda n: n))
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run([cached(1), cached(1)])
    assert cached.cache_info().hits == 1
    assert tf.op(kind_of).dispatch(list)([]) == "list"
    with pytest.raises(AttributeError, match="missing"):
        tf.op(len).missing  # noqa: B018


def test_what_cannot_be_called_is_refused():
    """A value that is neither callable nor becomes callable in a class is refused at once."""
    for wrong in (2, "text", property(len), functools.cached_property(len)):
        with pytest.raises(TypeError, match=r"weftwork\.op takes a function"):
            tf.op(wrong)
        with pytest.raises(TypeError, match=r"weftwork\.op takes a function"):
            tf.op(pure=True)(wrong)


# Calls of pure functions that may be made once


class Text(str):
    """Text that says more than its characters."""

    __slots__ = ()


class Word(str):
    """Another one."""

    __slots__ = ()


class Level(enum.IntEnum):
    """One, as an enumeration."""

    ONE = 1


class Grade(enum.IntEnum):
    """One, as another one."""

    ONE = 1


class Always:
    """An object that says that it is equal to everything."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


ROME, LONDON = datetime.timezone(datetime.timedelta(hours=1), "A"), datetime.timezone(datetime.timedelta(hours=0), "B")
NOON = datetime.datetime(2020, 1, 1, 12, tzinfo=ROME)
HOUR = NOON.timetz()
DIFFERENT = [
    (1, True, 1.0, 1 + 0j, decimal.Decimal(1), fractions.Fraction(1), Level.ONE, Grade.ONE, np.int32(1), np.int64(1)),
    (
        np.float32(1),
        np.float64(1),
        np.bool_(True),
        np.datetime64(1, "s"),
        np.datetime64(1, "ms"),
        np.timedelta64(1, "s"),
    ),
    (0.0, -0.0, 0),
    ([0.0], [-0.0], (0.0,), (-0.0,)),
    ({"a": 0.0}, {"a": -0.0}),
    (complex(0, 0.0), complex(0, -0.0)),
    ({1: "x"}, {True: "x"}, {1.0: "x"}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (frozenset([1]), frozenset([True]), frozenset([1.0])),
    (slice(1, 2), slice(True, 2)),
    (range(0, 3, 2), range(0, 4, 2)),
    (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    ("a", b"a", Text("a"), Word("a")),
    (NOON, NOON.astimezone(LONDON), NOON.replace(tzinfo=None)),
    (HOUR, NOON.astimezone(LONDON).timetz()),
    (datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, fold=1), datetime.date(2020, 1, 1)),
    (Pair(1, 2), (1, 2), [1, 2], Pair(True, 2)),
    (None, False, 0, "", ()),
    (pathlib.PureWindowsPath("A"), pathlib.PureWindowsPath("a")),
    (Always(), Always(), Counter(1), Counter(1)),
    (np.zeros(2), np.zeros(2), np.zeros(2, np.int8)),
]
SAME = [
    *(1, True, 1.5, -0.0, float("nan"), 1j, "a", b"a", None, Level.ONE, np.float32(2), np.datetime64(1, "s")),
    *([1, [2.0, "x"]], (1, (2,)), {"a": [1]}, slice(1, None), range(3), frozenset([1, "a"]), Pair(1, float("nan"))),
    *(decimal.Decimal("1.00"), fractions.Fraction(1, 2), NOON, NOON.date(), HOUR, datetime.timedelta(1)),
    *(uuid.UUID(int=5), pathlib.PurePosixPath("a/b"), Counter(3), len, squared, Always(), np.ones(3)),
]


@pytest.mark.parametrize("values", DIFFERENT, ids=range(len(DIFFERENT)))
def test_calls_of_a_pure_function_are_not_merged_for_arguments_that_are_only_equal(graph, values):
    """Arguments are the same if type and value are, to the last bit; equality is not asked."""
    called = []

    @tf.op(pure=True)
    def note(x, key=None):
        called.append(x)
        return x

    x = tf.constant(1)
    nodes = [node for v in values for node in (note(v), note(1, key=v), note([x, v]), note({"a": (v, x)}))]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run(nodes)
    assert len(called) == 4 * len(values)


@pytest.mark.parametrize("value", SAME, ids=[f"{k}-{type(v).__name__}" for k, v in enumerate(SAME)])
def test_calls_of_a_pure_function_of_the_same_arguments_are_made_once(graph, value):
    """Immutable values are compared by value, others by identity; a new list of the same items is the same."""
    called = []
    note = tf.op(pure=True)(lambda *args, key=None: called.append(args))
    x = tf.constant(1)
    nodes = [note(copied, key=[x, copied]) for copied in (value, fresh(value))]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run(nodes)
    assert len(called) == 1


def fresh(value):
    """An equal value that is another object, of the types that are known by value."""
    if isinstance(value, (list, tuple, dict, float, complex, decimal.Decimal, datetime.date, np.generic)):
        return pickle.loads(pickle.dumps(value))
    return value


def test_what_is_nested_too_deep_or_holds_itself_is_not_merged(graph):
    """Comparison stops for values that are nested too deeply or contain themselves."""
    deep: list = []
    loop = [deep]
    deep.append(loop)
    called = []
    note = tf.op(pure=True)(lambda x: called.append(1))
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        session.run([note(frozenset([1])), note(types.SimpleNamespace(a=loop))])
    assert len(called) == 2


def test_constants_of_one_content_and_other_units_are_two(graph):
    """NumPy scalars are the same if their dtypes are, units and fields included."""
    pair = tf.op(pure=True)(lambda x: str(x))
    units = [tf.constant(np.datetime64(1, unit), tf.object) for unit in ("s", "ms")]
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        one, two = session.run([pair(unit) for unit in units])
    assert one != two


# Ops inside functions


@tf.op
def fibonacci(n):
    """A node that calls itself."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@tf.op(outputs=2, dtype=[tf.int32, tf.string])
def parted(text):
    """Length and text."""
    return len(text), text


def test_an_op_that_a_function_calls_on_values_computes(everywhere, graph):
    """It gives what its node would give, in every place, in threads of the function too, and makes no node outside."""
    inner = tf.op(isolated=True, retries=1)(lambda x, y=1: x + y)
    nothing = tf.op(outputs=0)(lambda: 5)
    scale = Scale(4)

    def outer(x):
        with ThreadPoolExecutor(2) as pool:
            threads = list(pool.map(fibonacci, [5, 6]))
        length, text = parted("abc")
        return [
            *(inner(x), inner(x, y=2), inner(x, name="unused"), [inner(k) for k in range(2)], nothing()),
            *(type(length).__name__, int(length), text, scale.times(x)[0], tf.op(doubled)(x)),
            all(type(v) is int for v in threads) or os.getpid() == caller,
        ]

    caller = os.getpid()
    nodes = [tf.op(outer)(tf.constant(2)), fibonacci(10)]
    before = graph.version
    everywhere(nodes, [[3, 4, 3, [1, 2], None, "int32", 3, b"abc", 8, 4, True], 55])
    assert graph.version == before


def test_an_op_in_a_graph_that_a_function_has_entered_makes_a_node(everywhere):
    """A function may build and run a graph of its own; what the session's own functions call computes again."""

    def whole(k):
        with tf.Graph().as_default() as mine, tf.Session(config=tf.ConfigProto(placement="caller")) as session:
            node = fibonacci(k)
            value = session.run([node, tf.op(lambda n: fibonacci(n))(k)])
            return isinstance(node, tf.Tensor), mine.version, value, fibonacci(k).graph is mine

    everywhere(tf.op(whole)(6), (True, 2, [8, 8], True), runs=2)


def test_outside_of_functions_an_op_makes_a_node(graph):
    """Also after a run, after one that failed, and while runs go on in other threads."""
    begun, goes_on = threading.Event(), threading.Event()
    waits = tf.op(here=True)(lambda: (begun.set(), goes_on.wait(LONG))[1])()
    fails = tf.op(lambda: 1 / 0)()
    with tf.Session() as session:
        with pytest.raises(tf.errors.OpError):
            session.run(fails)
        assert isinstance(fibonacci(3), tf.Tensor)
        future = session.submit(waits)
        assert begun.wait(LONG)
        assert isinstance(fibonacci(3), tf.Tensor)
        goes_on.set()
        assert future.result()


# Functions that are defined again


def test_a_function_that_is_defined_again_is_another_one(everywhere):
    """A notebook's cell that is run again defines another function, of the same name, with costs of its own."""
    cell = {"__name__": "__main__", "tf": tf}
    kernels, nodes = [], []
    for number in (1, 2):
        exec(f"@tf.op\ndef step(x):\n    return x + {number}\n", cell)
        nodes.append(cell["step"](10))
        kernels.append(cell["step"].kernel)
    assert kernels[0] is not kernels[1]
    everywhere(nodes, [11, 12])


def test_methods_and_partials_of_the_same_are_one_function(graph):
    """They are new objects each time; what is known of the function is known once. A new function is another one."""
    items: list = []
    scale = Scale(2)
    assert tf.op(items.append).kernel is tf.op(items.append).kernel is not tf.op([].append).kernel
    assert tf.op(scale.add).kernel is tf.op(scale.add).kernel is not tf.op(Scale(2).add).kernel
    assert len({tf.op(functools.partial(pow, 2)).kernel for _ in range(3)}) == 1
    assert len({tf.op(functools.partial(int, base=k)).kernel for k in (2, 8)}) == 2
    assert len({tf.op(lambda x: x).kernel for _ in range(2)}) == 2


def test_a_gradient_belongs_to_the_op_that_it_was_given_to(graph):
    """Two ops of one function may have two gradients, or one of them none."""

    def flipped(x, by):
        same = tf.op(dtype=tf.float64, shape=[])(lambda v: v)
        same.gradient(lambda grad, v: -by * grad)
        return same(x)

    x = tf.constant(1.0, tf.float64)
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        assert session.run(tf.gradients(flipped(x, 2) + flipped(x, 3), x)) == [-5]


def test_a_function_of_a_module_that_is_loaded_again_travels_as_it_is_now(tmp_path, monkeypatch):
    """Other processes may have the module as it was: from the reload on its functions and classes go by value."""
    file = tmp_path / "reloaded_steps.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def written(number):
        file.write_text(f"def helper(x):\n    return x + {number}\ndef step(x):\n    return helper(x)\n")

    written(1)
    steps = importlib.import_module("reloaded_steps")
    before, kernel = pack(steps.step), tf.op(steps.step).kernel
    written(200)
    importlib.reload(steps)
    after = pack(steps.step)
    assert tf.op(steps.step).kernel is not kernel
    assert len(before) < 100
    try:
        del sys.modules["reloaded_steps"]
        written(1)
        assert [unpack(code)(1) for code in (before, after)] == [2, 201]
    finally:
        cloudpickle.unregister_pickle_by_value(steps)


# async


async def doubled(x):
    """A coroutine function of a module."""
    await asyncio.sleep(0)
    return 2 * x


class Asks:
    """An object whose call is a coroutine."""

    async def __call__(self, x):
        return await doubled(x)


def test_an_async_function_gives_its_result(everywhere):
    """`async def` as a node gives what it returns, run in an event loop of its own; so do those that wrap one."""

    async def together(*numbers):
        return await asyncio.gather(*map(doubled, numbers))

    async def fails():
        raise LookupError("gone")

    def guarded(function):
        @functools.wraps(function)
        def call(*args):
            return asyncio.run(function(*args))

        return call

    x = tf.constant(4)
    everywhere(
        [
            tf.op(doubled)(x),
            tf.op(together)(1, 2),
            tf.op(outputs=2)(together)(1, 2),
            tf.op(dtype=tf.float32)(doubled)(1.5),
            tf.op(functools.partial(doubled, 3))(),
            tf.op(Asks())(5),
            tf.op(guarded(doubled))(6),
            tf.op(pure=True)(doubled)(7),
        ],
        [8, [2, 4], [2, 4], 3.0, 6, 10, 12, 14],
    )
    with tf.Session() as session, pytest.raises(tf.errors.UnknownError, match="LookupError: gone"):
        session.run(tf.op(fails)())


def test_an_async_function_runs_where_a_loop_is_running_already(graph):
    """A session may be used in a coroutine: the node's loop is another one, with the same context variables."""
    import contextvars

    level = contextvars.ContextVar("level", default=0)

    async def read():
        await asyncio.sleep(0)
        return level.get()

    node = tf.op(here=True)(read)()

    async def main():
        level.set(7)
        with tf.Session() as session:
            return session.run([node, tf.py_func(doubled, [2], tf.int32)])

    assert asyncio.run(main()) == [7, 4]


def test_an_async_generator_is_refused_where_it_is_made():
    """A node gives one value: an async generator is refused, and what to write instead is said."""

    async def items():
        yield 1

    for wrong in (items, functools.partial(items), traced(items)):
        with pytest.raises(TypeError, match="items is an async generator|async generator"):
            tf.op(wrong)
    with pytest.raises(TypeError, match="async generator"):
        tf.py_func(items, [], tf.int32)
