"""B. A function gives the same value from every place and in every run, that of a plain loop.

Each case states its rule (docs/functions.md) in its first line, and is run 45 times in every place.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import itertools
import logging
import os
import random
import string
import sys
import threading
import types
import warnings

import numpy as np
import pytest

from tests.meaning.cases import SHARED, Cases, Fetch
from tests.meaning.places import PLACES

pytestmark = pytest.mark.usefixtures("ray_session")
case = Cases()
LEVEL = 0
WORD = contextvars.ContextVar("word", default=0)
LOG = logging.getLogger("meaning.cases")
LOG.propagate = False


@pytest.mark.parametrize("place", PLACES)
def test_the_value_is_the_same(ray_session, place):
    assert case.failures(place) == {}


def test_each_case_can_fail():
    assert case.wrong() == {}


# 7. Classes keep their identity


@case
def members_of_an_enumeration(at):
    """A class that comes back is the class that left."""

    class Status(enum.Enum):
        OK, BAD = 1, 2

    made, fed = at.op(lambda: [Status.OK, {"k": Status.BAD}])(), at.fed()
    asked = at.op(lambda seen, mine: (seen[0] is Status.OK, mine is Status.BAD, mine))(made, fed)
    for _ in range(45):
        (one, two), (first, second, third) = yield Fetch([made, asked], {fed: Status.BAD})
        assert one is Status.OK
        assert (two["k"], third) == (Status.BAD, Status.BAD)
        assert first
        assert second


@case
def instances_of_the_programs_classes(at):
    """isinstance, equality and type hold for what comes back, and between functions."""

    @dataclasses.dataclass(frozen=True)
    class Point:
        x: int

    class Own(Exception):
        pass

    made = at.op(lambda: (Point(1), Own("text"), Point, np.array([Point(2)], object)))()
    asked = at.op(lambda v: (v[0] == Point(1), type(v[1]) is Own, v[2] is Point, v[3][0] == Point(2)))(made)
    for _ in range(45):
        (point, error, kind, array), seen = yield [made, asked]
        assert (point, type(error), kind, array[0]) == (Point(1), Own, Point, Point(2))
        assert tuple(seen) == (True,) * 4


@case
def an_error_is_caught_by_its_class(at):
    """What one function returns or raises is caught by another one's `except`."""

    class Own(Exception):
        pass

    def catches(error):
        try:
            raise error
        except Own:
            return "caught"

    node = at.op(catches)(at.op(lambda: Own())())
    for _ in range(45):
        assert (yield node) == "caught"


@case
def sentinels(at):
    """An object without contents keeps its identity."""
    missing, fed = object(), at.fed()
    node = at.op(lambda given, default=missing: (given is missing, default is missing, missing))(fed)
    for _ in range(45):
        given, default, back = yield Fetch(node, {fed: missing})
        assert given
        assert default
        assert back is missing


# 8. Inputs belong to the function for this call


def _grow(value):
    """Change a value in place, and tell what it was."""
    before = repr(value)
    if isinstance(value, np.ndarray):
        value += 1
    elif isinstance(value, (set, collections.Counter)):
        value.update([len(value) + 5])
    elif isinstance(value, dict):
        value[len(value)] = 1
    elif isinstance(value, tuple):
        value[0].append(1)
    elif isinstance(value, io.StringIO):
        before = value.getvalue()
        value.write("x")
    elif hasattr(value, "append"):
        value.append(1)
    else:
        value.items = [*value.items, 1]
        value.items.append(2)
    return before


class _Box:
    def __init__(self, *items):
        self.items = [*items]

    def __repr__(self):
        return f"_Box{self.items}"


def _mutable():
    return [
        [1],
        {"a": 1},
        {1},
        bytearray(b"ab"),
        collections.deque([1]),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        collections.defaultdict(list, a=[1]),
        ([1], 2),
        np.arange(3.0),
        np.ma.array([1, 2], mask=[0, 1]),
        np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)])["a"],
        types.SimpleNamespace(items=[1]),
        _Box(1),
        io.StringIO("ab"),
        np.zeros(20_000),
    ]


@case
def constants_changed_in_place(at):
    """A constant argument is the same in every call."""
    nodes = [at.op(_grow)(value) for value in _mutable()]
    before = [_grow(value) for value in _mutable()]
    for _ in range(45):
        assert (yield nodes) == before


@case
def feeds_changed_in_place(at):
    """A fed object is never changed, and never made read-only."""
    mine, fed = _mutable(), [at.fed() for _ in _mutable()]
    nodes = [at.op(_grow)(each) for each in [*fed, *fed]]
    before = [_grow(value) for value in _mutable()]
    for _ in range(45):
        assert (yield Fetch(nodes, dict(zip(fed, mine, strict=True)))) == before * 2
        assert [repr(value) for value in mine[:-2]] == [repr(value) for value in _mutable()[:-2]]
        assert all(value.flags.writeable for value in mine if isinstance(value, np.ndarray))


@case
def values_of_nodes_changed_in_place(at):
    """Siblings do not see each other's changes, and the fetched value sees none."""
    made = [at.op(lambda k=k: _mutable()[k])() for k in range(len(_mutable()))]
    nodes = [[at.op(_grow)(each), at.op(_grow)(each), each] for each in made]
    before = [_grow(value) for value in _mutable()]
    for _ in range(45):
        for (one, two, value), was in zip((yield nodes), before, strict=True):
            assert (one, two, _grow(value)) == (was, was, was)


@case
def default_arguments_are_captured_state(at):
    """A function that changes its own default argument writes state; its caller's arguments it does not."""
    mine = [0]

    def count(given, known=(1,)):
        given.append(1)
        return len(given), known

    node = at.op(count)(mine)
    for _ in range(45):
        assert list((yield node)) == [2, (1,)]
        assert mine == [0]


# 9. Results belong to the caller


@case(places=SHARED)
def a_result_that_the_function_keeps(at):
    """A fetched value is yours: what you write to it is not seen by the next run."""
    kept = {}

    def make():
        return kept.setdefault("rows", [np.zeros(2), {"a": []}])

    node = at.op(make)()
    for _ in range(45):
        rows, row = yield node
        assert rows[0] == 0
        assert row == {"a": []}
        rows += 1
        row["a"].append(1)


@case
def a_result_that_is_captured(at):
    """What a function returns of what it captured is a copy."""
    table, array = {"rows": [1, [2]]}, np.zeros(3)
    node = at.op(lambda: [table, array, (array, table["rows"])])()
    for _ in range(45):
        one, two, (three, four) = yield node
        assert (one, float(two.sum()), float(three.sum()), four) == ({"rows": [1, [2]]}, 0.0, 0.0, [1, [2]])
        one["rows"][1].append(1)
        two += 1
        three += 1
    assert table == {"rows": [1, [2]]}
    assert array.sum() == 0


@case
def two_outputs_that_share(at):
    """The outputs of a function share nothing with each other, nor two fetches of one node."""

    def make():
        rows = [0]
        return {"one": rows}, {"two": rows}

    node = at.op(make)()
    taken = [at.op(lambda pair, k=k: pair[k])(node) for k in (0, 1)]
    for _ in range(45):
        one, two, again = yield [*taken, node]
        one["one"].append(1)
        assert two == {"two": [0]}
        assert again[0] == {"one": [0]}


@case
def a_constant_and_a_feed_that_are_fetched(at):
    """A fetched feed or constant is a copy."""
    mine, fed = [[1]], at.fed()
    node = at.op(lambda x: x)(fed)
    for _ in range(45):
        one = yield Fetch(node, {fed: mine})
        assert one == [[1]]
        one[0].append(2)
        assert mine == [[1]]


# 10. Captured state has one rule: a run uses the state of the moment at which it began


@case
def a_global_that_is_bound_anew(at):
    """A run uses the globals of the moment at which it began."""
    node = at.op(lambda: LEVEL)()
    for run in range(45):
        globals()["LEVEL"] = run // 2
        assert (yield node) == run // 2


@case
def a_cell_that_is_bound_anew(at):
    """A run uses the closure cells of the moment at which it began."""
    level = 0

    def inner():
        return level

    node = at.op(lambda: inner() + level)()
    for run in range(45):
        level = run // 2
        assert (yield node) == 2 * level


@case
def a_helper_that_is_defined_anew(at):
    """A helper that was defined again counts from the next run on."""
    helpers = types.SimpleNamespace()
    helper = functools.partial(int, 0)
    node = at.op(lambda: helper() + helpers.other())()
    for run in range(45):
        helpers.other = helper = lambda run=run: run
        assert (yield node) == 2 * run


@case
def what_a_class_holds(at):
    """Attributes, methods and bases of a class are those of the moment at which the run began."""

    class Base:
        total = 0

        def method(self):
            return self.total

    class Derived(Base):
        pass

    node = at.op(lambda: (Derived().method(), Base.total, getattr(Derived, "late", None)))()
    for run in range(45):
        Base.total = run
        if run % 3 == 0:
            Base.method = lambda self, run=run: run - run % 3
        if run == 20:
            Derived.late = 1
        assert list((yield node)) == [run - run % 3, run, 1 if run >= 20 else None]


@case
def what_was_missing_at_first(at):
    """A name that was missing when the node was made is found once it is there."""
    name = f"LATE_{id(at)}"
    find = eval(f"lambda: {name}", globals())

    def look():
        try:
            return find()
        except NameError:
            return "missing"

    node = at.op(look)()
    try:
        for run in range(45):
            if run >= 10:
                globals()[name] = run
            assert (yield node) == (run if run >= 10 else "missing")
    finally:
        globals().pop(name, None)


@case
def what_a_module_holds(at):
    """Attributes of the program's modules are those of the moment at which the run began."""
    name = f"meaning_module_{id(at)}"
    module = sys.modules[name] = types.ModuleType(name)
    exec("def level():\n    return LEVEL\nLEVEL = 0", vars(module))
    node = at.op(lambda: (module.level(), module.LEVEL))()
    try:
        for run in range(45):
            module.LEVEL = run
            if run == 30:
                module.level = lambda: -1
            assert list((yield node)) == [-1 if run >= 30 else run, run]
    finally:
        del sys.modules[name]


@case
def what_is_put_into_another_module(at):
    """A name that the program has put into a module of Python's is found, with its value of now."""
    name = f"MEANING_{id(at)}"
    node = at.op(eval(f"lambda: string.{name}", globals()))()
    try:
        for run in range(45):
            setattr(string, name, run)
            assert (yield node) == run
    finally:
        delattr(string, name)


@case
def parts_of_a_function(at):
    """Defaults, keyword defaults, attributes and code of a function are those of the moment at which the run began."""

    def function(a=0, *, b=0):
        return a, b

    function.level = 0
    node = at.op(lambda: (*function(), function.level))()
    for run in range(45):
        function.__defaults__, function.__kwdefaults__, function.level = (run,), {"b": run}, run
        if run == 40:
            function.__code__ = (lambda a=0, *, b=0: (a, "new")).__code__
        assert list((yield node)) == [run, "new" if run >= 40 else run, run]


@case
def small_objects_changed_by_the_program(at):
    """Changes in place of small captured objects are seen: lists, dicts, sets, arrays, objects, tuples of them."""
    held = [[], {}, set(), np.zeros(3), _Box(), (["in a tuple"],), collections.deque(), bytearray()]
    rows, table, kinds, array, box, pair, line, text = held
    partial = functools.partial(lambda rows, k: (len(rows), k), rows)

    class Holder:
        inner = {"rows": rows}

        def count(self):
            return len(self.inner["rows"])

    node = at.op(
        lambda: (
            [len(rows), len(table), len(kinds), float(array[0]), len(box.items), len(pair[0]), len(line), len(text)],
            [partial(3), Holder().count(), [len(each) for each in held if isinstance(each, (list, dict))]],
        )
    )()
    for run in range(45):
        if run % 2:
            rows.append(run)
            table[run] = kinds.add(run)
            array[0] = len(rows)
            box.items.append(run)
            pair[0].append(run)
            line.append(run)
            text.append(run)
        k = len(rows)
        seen, (one, two, three) = yield node
        assert seen == [k, k, k, k, k, k + 1, k, k]
        assert (list(one), two, three) == ([k, 3], k, [k, k])


@case(places=SHARED)
def functions_that_write_state(at):
    """A function that writes captured or global state runs in the program, once a run, in creation order."""
    rows, total = [], 0

    class Counter:
        count = 0

    def appends(k):
        rows.append(k)
        return len(rows)

    def adds(k):
        nonlocal total
        total += k
        Counter.count += 1
        return total, Counter.count

    nodes = [at.op(appends)(1), at.op(adds)(2), at.op(appends)(3), at.op(lambda: (len(rows), total))()]
    for run in range(45):
        one, two, three, four = yield nodes
        assert [one, list(two), three, list(four)] == [
            2 * run + 1,
            [2 * run + 2, run + 1],
            2 * run + 2,
            [2 * run + 2, 2 * run + 2],
        ]
        assert rows == [1, 3] * (run + 1)


@case(places=SHARED)
def iterators_and_generators(at):
    """An iterator, a generator or a counter that is captured is state: each call takes the next."""
    numbers, made, lines = itertools.count(), (k * k for k in range(100)), iter("abc" * 100)
    node = at.op(lambda: (next(numbers), next(made), next(lines)))()
    for run in range(45):
        assert list((yield node)) == [run, run * run, "abc"[run % 3]]


@case(places=SHARED)
def what_only_a_call_shows(at):
    """What the code does not show is seen after the call: the call counts once."""
    table = {"n": 0}

    def hidden():
        for each in [table]:
            change = type(each).__setitem__
            change(each, "n", each["n"] + 1)
        return table["n"]

    node = at.op(hidden)()
    for run in range(45):
        assert (yield node) == run + 1


@case(places=SHARED)
def a_cache_that_functions_fill(at):
    """A cache by hand is filled once: its values are those of a plain loop."""
    cache, calls = {}, []

    def cached(k):
        if k not in cache:
            calls.append(k)
            cache[k] = len(calls)
        return cache[k]

    nodes = [at.op(cached)(k) for k in (1, 2, 1)]
    for _ in range(45):
        assert (yield nodes) == [1, 2, 1]
    assert calls == [1, 2]


@case(places=SHARED)
def what_a_cached_function_remembers(at):
    """What a cached function has returned in the program is what other functions get, as the program has changed it."""
    level = 0

    @functools.cache
    def settings():
        return types.SimpleNamespace(level=0)

    @functools.lru_cache(maxsize=4)
    def rows(k):
        return [k]

    @functools.cache
    def at_first():
        return level

    nodes = [at.op(lambda: settings().level)(), at.op(lambda k: len(rows(k)))(3), at.op(lambda: at_first())()]
    at_first()
    for run in range(45):
        level = run
        settings().level = run + 2
        if run == 20:
            rows(3).append(1)
        assert (yield nodes) == [run + 2, 2 if run >= 20 else 1, 0]


# 11. What is around a function is as in the program when the run begins


@case
def the_folder_the_environment_and_the_path(at):
    """Folder, os.environ and sys.path are those of the program when the run begins."""
    node = at.op(lambda: (os.getcwd(), os.environ.get("MEANING"), "MEANING_GONE" in os.environ, sys.path[0]))()
    before, path = os.getcwd(), sys.path[:]
    try:
        for run in range(45):
            os.chdir("/" if run % 2 else "/tmp")
            os.environ["MEANING"] = str(run)
            sys.path[0:0] = [f"/meaning{run}"]
            wanted = [os.getcwd(), str(run), False, f"/meaning{run}"]
            assert list((yield node)) == wanted
    finally:
        os.chdir(before)
        os.environ.pop("MEANING", None)
        sys.path[:] = path


@case
def the_contexts_of_numbers(at):
    """Decimal's context, NumPy's errstate and print options are those of the program when the run begins."""

    def asks():
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            np.divide(np.ones(1), np.zeros(1))
        return str(decimal.Decimal(1) / 7), len(heard), str(np.array([1.23456789]))

    node = at.op(asks)()
    for run in range(45):
        with decimal.localcontext() as context, np.errstate(divide="warn" if run % 2 else "ignore"):
            context.prec = 3 + run
            with np.printoptions(precision=run % 7 + 1):
                wanted = asks()
                assert tuple((yield node)) == wanted


@case(places=SHARED)
def a_handler_of_numpys_errors(at):
    """What `seterrcall` was given is called in the program, for "call" and for "log"."""

    class Log:
        times = 0

        def write(self, text):
            self.times += 1

    def divides(how):
        with np.errstate(divide=how):
            return float((np.ones(1) / np.zeros(1))[0])

    heard, log = [], Log()
    nodes = {how: at.op(divides)(how) for how in ("call", "log")}
    before = np.geterrcall()
    try:
        for run in range(45):
            np.seterrcall(log if run % 2 else lambda kind, flag: heard.append(kind))
            assert (yield nodes["log" if run % 2 else "call"]) == float("inf")
            assert len(heard) + log.times == run + 1
    finally:
        np.seterrcall(before)


@case
def context_variables_and_limits(at):
    """Context variables, the recursion limit and the filters of warnings are those of the program."""

    def asks():
        try:
            warnings.warn("asked", UserWarning, stacklevel=1)
            heard = "silent"
        except UserWarning:
            heard = "raised"
        return WORD.get(), sys.getrecursionlimit(), heard

    node, limit, token = at.op(asks)(), sys.getrecursionlimit(), WORD.set(0)
    try:
        for run in range(45):
            WORD.set(run)
            sys.setrecursionlimit(limit + run)
            with warnings.catch_warnings():
                warnings.simplefilter("error" if run % 2 else "ignore")
                assert list((yield node)) == [run, limit + run, "raised" if run % 2 else "silent"]
    finally:
        sys.setrecursionlimit(limit)
        WORD.reset(token)


@case
def the_main_thread(at):
    """A function that needs the main thread runs in the main thread of its process."""
    node = at.op(lambda: (signal_of_main(), threading.current_thread() is threading.main_thread()))()
    for _ in range(45):
        assert list((yield node)) == ["default", True]


def signal_of_main():
    import signal

    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    return signal.signal(signal.SIGUSR2, before) and "default"


# 12. What functions say comes out once, in the program


class _Heard(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@case
def what_functions_say(at):
    """Prints, logs and warnings come out once each, unprefixed, before the run returns."""

    def says(k):
        print("print", k)
        print("error", k, file=sys.stderr)
        LOG.warning("log %s", k)
        warnings.warn(f"warn {k}", stacklevel=1)
        return k

    nodes, heard = [at.op(says)(k) for k in range(2)], _Heard()
    LOG.addHandler(heard)
    try:
        for _ in range(45):
            heard.texts.clear()
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    yield nodes
            assert sorted(out.getvalue().splitlines()) == ["print 0", "print 1"]
            assert sorted(err.getvalue().splitlines()) == ["error 0", "error 1"]
            assert sorted(heard.texts) == ["log 0", "log 1"]
            assert sorted([str(each.message) for each in warned]) == ["warn 0", "warn 1"]
    finally:
        LOG.removeHandler(heard)


# 13. Random numbers


@case
def seeded_numbers(at):
    """With seeds a second program draws the same numbers; without, no two calls draw the same."""

    def draws(k):
        return random.random(), float(np.random.rand()), k

    nodes = [at.op(draws)(k) for k in range(2)]
    seen = []
    for run in range(45):
        if run % 15 == 0:
            random.seed(5)
            np.random.seed(5)
        seen.append([tuple(each) for each in (yield nodes)])
    assert seen[:15] == seen[15:30] == seen[30:]
    flat = [number for each in seen[:15] for draw in each for number in draw[:2]]
    assert len(set(flat)) == 60


# 14. Values keep their kind


class _Pair(collections.namedtuple("_Pair", "one two")):
    def __new__(cls, one):
        return super().__new__(cls, one, one + 1)

    def __deepcopy__(self, known):
        return self


class _Listed(list):
    pass


class _Mapped(dict):
    pass


class _Answering:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def _kinds():
    itself = [1]
    itself.append(itself)
    return [
        np.ma.array(np.arange(4, dtype=np.int8), mask=[0, 1, 0, 1], fill_value=7),
        np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
        np.array("2020-01-01", "M8[D]"),
        _Pair(1),
        _Listed([1]),
        _Mapped(a=1),
        collections.ChainMap({"a": 1}, {"b": 2}),
        {(1, "a"): 1, frozenset([1]): 2, None: 3, 1.5: 4},
        datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),
        decimal.Decimal("1.10"),
        fractions.Fraction(1, 3),
        range(3),
        slice(1, 2),
        1 << 100,
        "umläut",
        b"bytes",
        1 + 2j,
        float("inf"),
        True,
        None,
        Ellipsis,
        NotImplemented,
        types.SimpleNamespace(a=1),
        itself,
    ]


def _kind(value):
    return type(value).__name__, repr(value), str(getattr(value, "dtype", ""))


@case
def kinds_of_values(at):
    """A value keeps its type and its contents: as a result, as an argument, and fed."""
    wanted = [_kind(value) for value in _kinds()]
    made = at.op(_kinds)()
    fed = at.fed()
    asked = [at.op(lambda values: [_kind(value) for value in values])(each) for each in (made, fed, _kinds())]
    for _ in range(45):
        value, *seen = yield Fetch([made, *asked], {fed: _kinds()})
        assert [_kind(each) for each in value] == wanted
        assert seen == [wanted] * 3


@case
def objects_that_answer_to_every_name(at):
    """A value is never asked anything: what answers to every attribute passes as it is."""
    fed = at.fed()
    nodes = [at.op(lambda: _Answering())(), at.op(lambda each: type(each) is _Answering)(fed)]
    for _ in range(45):
        value, seen = yield Fetch(nodes, {fed: _Answering()})
        assert type(value) is _Answering
        assert seen
