"""C. Any callable is a node, and means what it means in a plain call.

Each case states its rule (docs/functions.md) in its first line, and is run 45 times in every place.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import functools
import io
import itertools
import math
import operator
import os
import sqlite3
import sys
import tempfile
import threading
import types

import numpy as np
import pytest

from tests.meaning.cases import SHARED, Cases, Fetch
from tests.meaning.places import PLACES

pytestmark = pytest.mark.usefixtures("ray_session")
case = Cases()


@pytest.mark.parametrize("place", PLACES)
def test_it_means_what_it_means_in_a_plain_call(ray_session, place):
    assert case.failures(place) == {}


def test_each_case_can_fail():
    assert case.wrong() == {}


def _plain(value):
    """A fetched structure with tuples for lists."""
    return tuple([_plain(each) for each in value]) if isinstance(value, (list, tuple)) else value


# 15. Methods, any names of arguments, decorated functions, objects with state


@case
def methods_of_every_kind(at):
    """An op in a class is what its function would be there: methods bind, and see the object as it is now."""

    class Base:
        unit = "m"

        def __init__(self, by):
            self.by = by

        def times(self, x):
            return self.by * x

        @classmethod
        def of_class(cls, x):
            return cls.unit, x

        @staticmethod
        def static(x):
            return x + 1

        @at.op
        def bound(self, x, *, name=0):
            return type(self) is Base, x, name

        def __call__(self, x):
            return self.by - x

    class Derived(Base):
        unit = "cm"

        def times(self, x):
            return super().times(x) + 1

    base, derived = Base(3), Derived(4)
    times = at.op(Base.times)
    nodes = [
        *[at.op(base.times)(2), at.op(derived.times)(2), times(base, 3)],
        *[at.op(Base.of_class)(1), at.op(derived.of_class)(1), at.op(Derived.static)(1), at.op(base)(1)],
        *[base.bound(2), derived.bound(3, name=4)],
    ]
    for run in range(45):
        base.by = 3 + run
        seen = yield nodes
        assert _plain(seen) == (2 * (3 + run), 9, 9, ("m", 1), ("cm", 1), 2, 2 + run, (True, 2, 0), (False, 3, 4))


@case
def arguments_of_any_name(at):
    """An argument may be called as the library's own keywords are."""

    def named(self, name, dtype, graph, shape, session, feed_dict, function, isolated, place, args, kwargs):
        return self, name, dtype, graph, shape, session, feed_dict, function, isolated, place, args, kwargs

    names = "self name dtype graph shape session feed_dict function isolated place args kwargs".split()
    made = at.op(lambda: 1)()
    node = at.op(named)(**{name: made if k % 2 else [name] for k, name in enumerate(names)})
    wanted = tuple(1 if k % 2 else [name] for k, name in enumerate(names))
    for _ in range(45):
        seen = yield node
        assert tuple(seen) == wanted
        seen[0].append(1)


def _cases_of_callables():
    @functools.lru_cache
    def cached(x):
        return [x, 2 * x]

    @functools.singledispatch
    def generic(x):
        return "other"

    @generic.register
    def _(x: int):
        return "int"

    def doubled(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return 2 * function(*args, **kwargs)

        return wrapper

    class Power:
        def __init__(self, by):
            self.by, self.calls = by, 0

        def __call__(self, x):
            self.calls += 1
            return x**self.by

    class Slotted:
        __slots__ = ("by",)

        def __init__(self, by):
            self.by = by

        def __call__(self, x):
            return x + self.by

    return {
        "builtin": (len, ("abc",), 3),
        "type": (dict, ([("a", 1)],), {"a": 1}),
        "ufunc": (np.add, (1, 2), 3),
        "method of an object": ([1, 2].count, (1,), 1),
        "method of text": ("a-{}".format, ("b",), "a-b"),
        "unbound method": (str.upper, ("abc",), "ABC"),
        "operator": (operator.itemgetter(1), ([1, 2],), 2),
        "method caller": (operator.methodcaller("split", "-"), ("a-b",), ["a", "b"]),
        "partial": (functools.partial(int, base=2), ("101",), 5),
        "partial of a partial": (functools.partial(functools.partial(pow, 2), 3), (5,), 3),
        "cached": (cached, (3,), [3, 6]),
        "generic": (generic, (3,), "int"),
        "decorated": (doubled(doubled(abs)), (-2,), 8),
        "object": (Slotted(3), (4,), 7),
        "lambda with defaults": (lambda x, k=[1], *, y=2: (x, k, y), (0,), (0, [1], 2)),
        "comprehension": (lambda n: [k for k in range(n) if k % 2], (5,), [1, 3]),
        "recursive": (_factorial, (5,), 120),
        "vectorized": (np.vectorize(lambda x: x + 1, otypes=[int]), (3,), 4),
        "compiled": (eval("lambda x: x * 3"), (2,), 6),
        "function made by hand": (types.FunctionType((lambda x: _K + x).__code__, {"_K": 4}), (1,), 5),
        "math": (math.hypot, (3, 4), 5.0),
        "reduce": (functools.reduce, (operator.mul, [1, 2, 3]), 6),
        "exit stack": (_stacked, (2,), [2, "closed"]),
    }


_K = 0


def _factorial(n):
    return 1 if n < 2 else n * _factorial(n - 1)


def _stacked(x):
    seen = [x]
    with contextlib.ExitStack() as stack:
        stack.callback(seen.append, "closed")
    return seen


@case
def callables_of_every_kind(at):
    """Functions, builtins, classes, objects, partial, cached, generic and decorated functions are nodes and helpers."""
    table = _cases_of_callables()
    nodes = [at.op(function)(*args) for function, args, _ in table.values()]
    helped = [at.op(lambda *args, function=function: function(*args))(*args) for function, args, _ in table.values()]
    wanted = _plain([value for *_, value in table.values()])
    for _ in range(45):
        one, two = yield [nodes, helped]
        assert (_plain(one), _plain(two)) == (wanted, wanted)
        one[list(table).index("cached")].append(1)


@case(places=SHARED)
def callables_with_state(at):
    """An object that counts its own calls counts each, wherever it is used."""

    class Counts:
        def __init__(self):
            self.calls = 0

        def __call__(self, x):
            self.calls += 1
            return self.calls + x

    counts = Counts()
    nodes = [at.op(counts)(0), at.op(lambda: counts(0))(), at.op(counts.__call__)(0)]
    for run in range(45):
        assert (yield nodes) == [3 * run + 1, 3 * run + 2, 3 * run + 3]
    assert counts.calls == 135


@case(places=SHARED)
def a_decorator_that_counts(at):
    """A decorator with state, by a cell or an attribute of the function, counts each call."""

    def counted(function):
        calls = 0

        @functools.wraps(function)
        def wrapper(*args):
            nonlocal calls
            calls += 1
            wrapper.calls = calls
            return function(*args), calls

        return wrapper

    @counted
    def add(x):
        return x + 1

    nodes = [at.op(add)(1), at.op(lambda: add(2))()]
    for run in range(45):
        assert _plain((yield nodes)) == ((2, 2 * run + 1), (3, 2 * run + 2))
        assert add.calls == 2 * run + 2


# 16. What cannot be pickled


@case(places=SHARED)
def what_cannot_be_pickled_is_captured(at):
    """A function that refers to a lock, a file, a connection or a thread-local runs in the program, in order."""
    lock, base, local = threading.Lock(), sqlite3.connect(":memory:", check_same_thread=False), threading.local()
    base.execute("create table seen (k)")
    file = tempfile.TemporaryFile("w+")
    pipe, local.value = os.pipe(), [0]
    condition, numbers = threading.Condition(), (k for k in itertools.count())

    class Holder:
        def __init__(self):
            self.lock, self.calls = threading.RLock(), 0

        def step(self):
            with self.lock:
                self.calls += 1
                return self.calls

    holder = Holder()

    def locked():
        with lock, condition:
            return lock.locked()

    def writes(k):
        base.execute("insert into seen values (?)", (k,))
        return base.execute("select count(*) from seen").fetchone()[0]

    def prints():
        file.write("x")
        return file.tell()

    def sends():
        os.write(pipe[1], b"x")
        return os.read(pipe[0], 1)

    nodes = [
        *[at.op(locked)(), at.op(writes)(1), at.op(writes)(2), at.op(prints)()],
        *[at.op(sends)(), at.op(holder.step)(), at.op(lambda: next(numbers))(), at.op(lambda: holder.step())()],
    ]
    try:
        for run in range(45):
            seen = yield nodes
            assert seen == [True, 2 * run + 1, 2 * run + 2, run + 1, b"x", 2 * run + 1, run, 2 * run + 2]
    finally:
        base.close()
        file.close()
        os.close(pipe[0])
        os.close(pipe[1])


@case(places=SHARED)
def what_cannot_be_pickled_is_passed(at):
    """Functions that make, take, return or are fed what cannot be pickled run in the program."""
    lock, fed = threading.Lock(), at.fed()
    made = at.op(lambda: (k for k in range(5)))()
    nodes = [
        at.op(sum)(made),
        at.op(lambda given: given is lock)(lock),
        at.op(lambda given: (given is lock, given))(fed),
        at.op(lambda given: given["lock"] is lock)({"lock": lock}),
        at.op(lambda: io.TextIOWrapper(io.BytesIO(b"text")))(),
        at.op(lambda: sys._getframe().f_code.co_name)(),
    ]
    for _ in range(45):
        one, two, (three, back), four, text, name = yield Fetch(nodes, {fed: lock})
        assert (one, two, three, four, text.read(), name) == (10, True, True, True, "text", "<lambda>")
        assert back is lock


# 17. Coroutines


@case
def functions_that_are_coroutines(at):
    """The value of an `async def` is its result, also of a method and under a partial."""

    async def inner(x):
        await asyncio.sleep(0)
        return x + 1

    class Later:
        by = 2

        async def times(self, x):
            return self.by * await inner(x)

    fed = at.fed()
    nodes = [at.op(inner)(fed), at.op(Later().times)(1), at.op(functools.partial(inner, 4))()]
    taken = at.op(lambda x: x + 1)(nodes[0])
    for run in range(45):
        assert (yield Fetch([*nodes, taken], {fed: run})) == [run + 1, 4, 5, run + 2]


# 18. Calls of pure functions that are merged


@case
def pure_functions(at):
    """`pure=True` merges calls of the same type and value, not those that are only equal."""
    zone = datetime.timezone(datetime.timedelta(hours=1))
    hour = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.timezone.utc)
    values = [
        *[1, True, 1.0, np.int8(1), np.float32(1), decimal.Decimal("1.0"), decimal.Decimal("1.00")],
        *[0.0, -0.0, [0.0], [-0.0], (1, 2), [1, 2], {"a": 1, "b": 2}, {"b": 2, "a": 1}],
        *[hour, hour.astimezone(zone), "1", b"1", frozenset([1]), frozenset([True]), 1 + 0j, None],
    ]
    pure = at.op(lambda value: (type(value).__name__, repr(value)), pure=True)
    nodes = [pure(value) for value in values * 2]
    wanted = [(type(value).__name__, repr(value)) for value in values * 2]
    for _ in range(45):
        assert [tuple(each) for each in (yield nodes)] == wanted


# 19. Functions that are defined again


@case
def functions_of_one_name(at):
    """A function that is defined again under the same name is another function."""

    def make(k):
        def function(x):
            return x + k

        scope = {}
        exec(f"def text(x): return x * {k}", scope)
        return [at.op(function)(1), at.op(lambda x, k=k: x - k)(1), at.op(scope["text"])(1)]

    nodes = [node for k in range(3) for node in make(k)]
    for _ in range(45):
        assert (yield nodes) == [1, 1, 0, 2, 0, 1, 3, -1, 2]


@case
def a_function_whose_code_is_replaced(at):
    """A function that gets other code (a notebook's autoreload) computes by it from the next run on."""

    def function(x):
        return x + 1

    nodes = [at.op(function)(1), at.op(lambda: function(2))()]
    for run in range(45):
        if run == 20:
            function.__code__ = (lambda x: x * 10).__code__
        assert (yield nodes) == ([10, 20] if run >= 20 else [2, 3])


@case
def an_op_inside_a_function(at):
    """An op that a function calls on values computes: it makes no node in the graph outside."""
    double = at.op(lambda x: 2 * x)
    node = at.op(lambda x: at_values(double, x) + 1)(3)
    for _ in range(45):
        assert (yield node) == 7


def at_values(op, x):
    """The value of an op that was called inside of a function."""
    made = op(x)
    return made.function(*made.args) if type(made).__name__ == "Call" else made
