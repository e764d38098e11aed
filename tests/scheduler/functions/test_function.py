"""`weftwork.function`: plain functions that are traced into the program's graph and replayed."""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import numpy as np
import pytest

import weftwork as wf


@wf.op
def kind_of(value):
    """The value and its type, as a user's function gets them."""
    return [value, type(value).__name__]


@wf.function
def doubled(x):
    """Twice x."""
    return x * 2


class Scale:
    """A method, and state of the object's own."""

    def __init__(self, by):
        self.by, self.total = by, None

    @wf.function
    def times(self, x):
        """x, scaled."""
        return x * self.by

    @wf.function
    def summed(self, x):
        """The sum of all x so far."""
        if self.total is None:
            self.total = wf.shared(0.0)
        return self.total.add(x)


class Mode(enum.Enum):
    """A static argument."""

    UP = 1
    DOWN = 2


def traced(function, **options):
    """The function, and the list that gets an entry for each time that its body runs."""
    runs: list = []

    @functools.wraps(function)
    def body(*args, **kwargs):
        runs.append(1)
        return function(*args, **kwargs)

    return wf.function(**options)(body), runs


# Kinds of call


def test_a_function_is_traced_once_for_each_structure_and_each_type():
    """Other numbers, other shapes of arrays and other objects of one type replay the trace."""
    f, runs = traced(lambda x: wf.op(lambda v: v)(x))
    for calls, expected in (
        ([1, 2, 3], 1),
        ([1.5, 2.5], 2),
        ([np.float32([1]), np.float32([1, 2]), np.ones((2, 2), np.float32)], 3),
        ([np.int8(1), np.int8(2)], 4),
        ([[1, 2], [3, 4]], 5),
        ([(1, 2)], 6),
        ([{"a": 1}, {"a": 2}], 7),
        ([{"b": 1}], 8),
        ([threading.Lock(), threading.Lock()], 9),
        ([np.array(["a"]), np.array(["longer", "text"])], 10),
        ([1, 1.5, [5, 6]], 10),
    ):
        for value in calls:
            result = f(value)
            assert np.array_equal(result, value) if isinstance(value, np.ndarray) else result == value
        assert len(runs) == expected


def test_each_value_of_a_static_argument_makes_a_trace():
    """None, bools, text, Enum members and functions are there as they are while it is traced."""
    f, runs = traced(lambda x, how: (x if how else -x, str(how)))
    for how in (None, True, False, "up", b"up", Mode.UP, Mode.DOWN, len, wf.float32):
        for x in (1, 2):
            assert f(x, how) == (x if how else -x, str(how))
    assert len(runs) == 9


def test_shapes_count_where_that_is_asked_for():
    """With shapes=True each shape makes a trace; declared ones are known while it is traced, and checked at a call."""
    exact, runs = traced(lambda x: [d.value for d in x.shape], shapes=True)
    assert [exact(np.ones(n)) for n in (2, 3, 2)] == [[2], [3], [2]]
    assert len(runs) == 2

    @wf.function(shapes={"x": (None, 2)})
    def rows(x):
        return x.shape[1].value, wf.reduce_sum(x, axis=1)

    assert rows(np.ones((3, 2)))[0] == 2
    assert rows(np.ones((4, 2)))[1].tolist() == [2, 2, 2, 2]
    assert rows.trace_count == 1
    for wrong in (np.ones((3, 3)), np.ones(2)):
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            rows(wrong)


def test_arguments_by_name_by_position_and_by_default_are_one_kind_of_call():
    f, runs = traced(lambda x, y=2, *more, z=3: x + y + z + sum(more))
    body = wf.function(lambda x, y, z=3: (x, y, z))
    assert [body(1, 2), body(1, y=2), body(y=2, x=1), body(x=1, y=2, z=4)] == [(1, 2, 3)] * 3 + [(1, 2, 4)]
    assert body.trace_count == 2
    assert f(1) == 6
    assert f(1, 2, 3, 4, z=0) == 10


def test_a_static_argument_without_a_hash_is_refused_by_name():
    """An unknown argument name is refused too; a wrong call raises Python's own error."""

    @wf.function(static="mode")
    def f(x, mode):
        return x if mode == "a" else -x

    assert [f(1, "a"), f(1, mode="b"), f(2, "a")] == [1, -1, 2]
    for call in (lambda: f(1, ["a"]), lambda: f(1, mode={"a": 1})):
        with pytest.raises(TypeError, match=r"argument 'mode' of f is static.*unhashable"):
            call()
    with pytest.raises(ValueError, match="f has no argument 'node'; it has x, mode"):
        wf.function(static=["node"])(f.function)
    for call in (lambda: f(), lambda: f(1, "a", 3), lambda: f(1, other=2)):
        with pytest.raises(TypeError, match="argument"):
            call()


def test_text_and_long_lists_may_be_data():
    """`traced` makes an argument one piece of data: a user's function gets the object."""

    @wf.function(traced=("path", "rows"))
    def f(path, rows=()):
        return kind_of(path), wf.op(len)(rows), wf.strings.length(path)

    for n in (3, 1000):
        assert f("é" * n, list(range(n))) == (["é" * n, "str"], n, 2 * n)
    assert f.trace_count == 1


def test_what_cannot_be_traced_is_refused_where_it_is_made():
    async def waits():
        return 1

    def items():
        yield 1

    for wrong in (waits, items, 3, Scale, kind_of):
        with pytest.raises(TypeError, match=r"weftwork\.function|async def"):
            wf.function(wrong)


def test_python_that_needs_a_value_says_what_to_do():
    """A branch, a range or a conversion of data: name the argument in static=."""
    for function in (lambda n: 1 if n > 0 else 2, lambda n: list(range(n)), lambda n: float(n)):
        with pytest.raises(TypeError, match=r"static=\(\.\.\.\)"):
            wf.function(function)(3)
        assert wf.function(static=("n",))(function)(3) == function(3)


# Values


def test_users_functions_get_the_very_arguments():
    """A number is a plain number for them, and a structure the same structure."""

    @dataclasses.dataclass
    class Point:
        x: int
        y: list

    point = Point(1, [2.5, "name"])
    f = wf.function(lambda *args: [kind_of(arg) for arg in args])
    given = (3, 2.5, 1j, 2**70, [1, (2, {"a": 3})], point, np.float32(1.5))
    made: Any = f(*given)
    assert made == [[each, type(each).__name__] for each in given]
    sums = wf.function(lambda n, x: [kind_of(n + 1), kind_of(-n * 2 // 3), kind_of(x / 2 + n), n + 1, x])
    assert sums(4, 1.0) == [[5, "int"], [-3, "int"], [4.5, "float"], 5, 1.0]
    assert type(sums(4, 1.0)[3]) is int


def test_pythons_numbers_take_the_dtype_of_what_stands_beside_them():
    """As in NumPy: a float beside a float32 array leaves it float32, and alone it is exact."""
    f = wf.function(lambda x, rate: (x * rate, x - rate * 2 * x, rate * 2, rate))
    for dtype in (np.float32, np.float64, np.float16):
        x = np.ones(3, dtype)
        made = f(x, 0.1)
        assert [value.dtype for value in made[:2]] == [dtype, dtype]
        assert np.array_equal(made[0], x * 0.1)
        assert made[2:] == (0.2, 0.1)
        assert type(made[2]) is float
    assert f(np.int32([1]), 3)[0].dtype == np.int32
    assert wf.function(lambda n: n + 1)(2**40) == 2**40 + 1


def test_results_have_the_structure_that_the_function_returns():
    @wf.function
    def f(x):
        sparse = wf.SparseTensor([[0]], wf.stack([x]), [2])
        return {"list": [x, (x, None, "text")], "nothing": wf.no_op(), "mutable": [1], "sparse": sparse}

    first, second = f(1), f(2)
    assert first["list"] == [1, (1, None, "text")]
    assert first["nothing"] is None
    first["mutable"].append(2)
    assert second["mutable"] == f(2)["mutable"] == [1]
    assert second["sparse"].values.tolist() == [2]
    assert wf.function(lambda: None)() is None
    assert wf.function(lambda: 5)() == 5


def test_an_array_that_was_passed_is_nobody_elses():
    """A function gets no way to write into it, and a result is the caller's own."""
    x = np.ones(3)
    same = wf.function(lambda x: x)(x)
    same[0] = 5
    assert x.tolist() == [1, 1, 1]


# State


def test_what_a_function_writes_is_seen_by_its_next_lines():
    """A read means the value at its line, and what is written is written in each call, returned or not."""
    total = wf.shared(0)

    @wf.function
    def f(n):
        before = total.get() + 0
        total.add(n)
        between = total.get() * 1
        total.set(between * 10)
        return before, between, total

    assert f(3) == (0, 3, 30)
    assert f(1) == (30, 31, 310)
    assert total.get() == 310


def test_branches_and_loops_are_in_order_with_the_lines_around_them():
    total = wf.shared(0)

    @wf.function
    def f(n):
        total.set(n)
        wf.cond(n > 0, lambda: total.add(1), lambda: total.set(-1))
        after = total.get() * 1
        seen = wf.cond(n > 0, lambda: total.get() * 2, lambda: total.get() * 3)

        def body(k):
            with wf.control_dependencies([total.add(10)]):
                return k + 1

        wf.while_loop(lambda k: k < 3, body, [0])
        return after, seen, total.get()

    assert f(5) == (6, 12, 36)
    assert f(-5) == (-1, -3, 29)


def test_functions_with_effects_are_called_in_each_call():
    """Whether somebody needs what they return or not; pure ones only where somebody does."""
    said: list = []
    say = wf.op(here=True)(lambda x: said.append(x))
    pure = wf.op(pure=True, here=True)(lambda x: said.append("pure"))

    @wf.function
    def f(x):
        say(x)
        pure(x)
        wf.cond(wf.constant(True), lambda: say("inside"), lambda: say("never"))
        return x

    assert [f(1), f(2)] == [1, 2]
    assert sorted(map(str, said)) == ["1", "2", "inside", "inside"]


def test_variables_that_are_made_inside_belong_to_the_function():
    """They are made once and keep their values; their first value may depend on the first call's arguments."""

    class Counter:
        def __init__(self):
            self.value = None

        @wf.function
        def add(self, x):
            if self.value is None:
                self.value = wf.Variable(x * 10)
            return self.value.assign_add(x)

    first, second = Counter(), Counter()
    assert [first.add(1), first.add(2), second.add(5)] == [11, 13, 55]
    assert len(first.add.variables) == 1

    @wf.function
    def unguarded(x):
        return wf.shared(0.0).add(x)

    assert [unguarded(1), unguarded(2)] == [1, 3]
    with pytest.raises(ValueError, match="unguarded makes a variable in a later trace.*once"):
        unguarded(1.5)
    assert unguarded(1) == 4


def test_variables_of_layers_are_shared_by_the_traces_of_a_function():
    """A variable of `get_variable` has the same name in each trace."""
    rows = np.ones((2, 4), np.float32)

    @wf.function(shapes=True)
    def net(x):
        return wf.layers.dense(wf.layers.dense(x, 3), 1)

    two, three = net(rows), net(np.ones((3, 4), np.float32))
    assert net.trace_count == 2
    assert len(net.variables) == 4
    assert np.allclose(two, three[:2])


def test_a_training_step_is_a_function():
    """Gradients and updates: the loss is that of before the update."""
    w = wf.Variable([3.0, -2.0])

    @wf.function
    def step(rate):
        loss = wf.reduce_sum(w * w)
        w.assign_sub(rate * wf.gradients(loss, [w])[0])
        return loss

    losses = [step(0.1) for _ in range(5)]
    assert np.allclose(losses, [13 * 0.64**k for k in range(5)])
    optimizer = wf.train.AdamOptimizer(0.1)
    again = wf.function(lambda x: optimizer.minimize(wf.reduce_sum((w - x) ** 2), var_list=[w]))
    assert again(1.0) is None
    again(2.0)
    assert again.trace_count == 1


def test_threads_lose_no_update_and_trace_once():
    total = wf.shared(0)
    f, runs = traced(lambda n: total.add(n))
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(f, [1] * 100)) == list(range(1, 101))
    assert (total.get(), len(runs)) == (100, 1)


# Methods, and functions in functions


def test_a_method_has_traces_for_each_object():
    one, two = Scale(2), Scale(3)
    assert [one.times(5), two.times(5), Scale.times(two, 4)] == [10, 15, 12]
    one.by = 10
    assert one.times(5) == 50
    other = copy.copy(one)
    other.by = 7
    assert [other.times(1), one.times(1), copy.deepcopy(two).times(1)] == [7, 10, 3]
    assert cloudpickle.loads(cloudpickle.dumps(two)).times(2) == 6
    assert [two.summed(1.0), two.summed(1.0), one.summed(5.0)] == [1, 2, 5]


def outermost(function):
    """A decorator that hides what it wraps."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def test_a_method_under_a_decorator_has_traces_for_each_object():
    @dataclasses.dataclass  # without a hash
    class Adds:
        k: int

        @outermost
        @wf.function
        def add(self, x):
            return x + self.k

        @property
        @wf.function
        def twice(self):
            return wf.constant(2) * self.k

        @functools.cached_property
        @wf.function
        def thrice(self):
            return wf.constant(3) * self.k

    one, other = Adds(1), Adds(5)
    assert [one.add(2), other.add(x=2), one.add(3), one.twice, other.twice, other.thrice] == [3, 7, 4, 2, 10, 15]


def test_divmod_is_a_tuple():
    assert wf.function(lambda a: divmod(a, 2))(7) == (3, 1)


def test_an_argument_that_contains_itself_is_refused_unless_it_is_one_datum():
    ring: list = [1]
    ring.append(ring)
    with pytest.raises(ValueError, match="contains itself .*: use traced="):
        wf.function(lambda x: x)(ring)
    assert wf.function(traced="x")(lambda x: x)(ring)[0] == 1


def test_run_passes_values_on_inside_a_function_that_runs_as_a_node():
    """There, the call of an op is its value."""

    def compute(x):
        return wf.run(kind_of(x)), wf.run({"a": [x, None]})

    assert wf.run(wf.op(compute)("text")) == (["text", "str"], {"a": ["text", None]})


def test_a_method_of_a_class_has_traces_for_each_class():
    class Model:
        by = 2

        @classmethod
        @wf.function
        def times(cls, x):
            return x * cls.by

    class Other(Model):
        by = 3

    assert [Model.times(1), Other.times(1), Other().times(2), Model().times(2)] == [2, 3, 6, 4]
    Model.by = 10
    assert [Model.times(1), Other.times(1)] == [10, 3]


def test_a_function_in_a_function_is_part_of_its_trace():
    inner, runs = traced(lambda x: x + 1)
    outer = wf.function(lambda x: inner(inner(x)) * 2)
    assert [outer(1), outer(2)] == [6, 8]
    assert (len(runs), inner.trace_count) == (2, 0)


def test_a_function_makes_nodes_of_tensors(graph):
    """In a graph that a program makes, and fetching the result brings its effects."""
    total = wf.Variable(0.0)

    @wf.function
    def f(x):
        total.assign_add(x)
        return x + 1

    x = wf.placeholder(wf.float32)
    y = f(x)
    assert y.graph is graph
    with wf.Session() as session:
        session.run(total.initializer)
        assert session.run([y, f(y)], {x: 1}) == [2, 3]
        assert session.run(total) == 3


def test_a_function_is_called_by_nodes_too():
    """A function of the session's that runs as a node calls it on values."""
    assert wf.run([wf.op(lambda x: doubled(x) + 1)(3)]) == [7]


# What it refers to


def test_a_closure_that_has_changed_is_seen():
    """A rebinding, a change in place, an attribute and a helper; what an op's function refers to is the op's matter."""
    scale, table, holder, noise = 2, {"by": 3}, Scale(4), [0]

    def helper(x):
        return x * scale

    @wf.op(here=True)
    def counts(x):
        noise.append(x)
        return len(noise)

    @wf.function
    def f(x):
        counts(x)
        return helper(x), x * table["by"], x * holder.by

    assert f(1) == (2, 3, 4)
    assert f(1) == (2, 3, 4)
    assert f.trace_count == 1
    scale = 20
    assert f(1) == (20, 3, 4)
    table["by"] = 30
    holder.by = 40
    assert f(1) == (20, 30, 40)
    assert f.trace_count == 3


def test_changes_made_by_tracing_itself_do_not_count():
    """Side effects happen while it is traced, and then never again."""
    log: list = []

    @wf.function
    def f(x):
        log.append(type(x).__name__)
        return x

    assert [f(1), f(1.5), f(2), f(2.5)] == [1, 1.5, 2, 2.5]
    assert log == ["Tensor", "Tensor"]


def test_tracing_again_is_told_and_bounded(caplog):
    """What differs is said; a program that traces again and again is warned, and ends with an error."""

    @wf.function(max_traces=7)
    def f(x, how):
        return x

    with caplog.at_level(logging.INFO, "weftwork"):
        for k in range(7):
            f(1, f"text {k}")
    assert "f is traced again (trace 2), for how: 'text 1'" in caplog.text
    (warned,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "was traced 5 times" in warned.getMessage()
    with pytest.raises(RuntimeError, match=r"traced 7 times.*max_traces.*'text 8'"):
        f(1, "text 8")
    assert f(1, "text 3") == 1


# The session behind it


def test_the_session_behind_functions_is_an_ordinary_one(tmp_path):
    """A Saver, names of nodes, `explain`, and the thread's default session where it has entered one."""
    weight = wf.shared(1.5, name="weight_behind")
    f = wf.function(lambda x: x * weight)
    assert f(2.0) == 3
    session = wf.get_session()
    with session.graph.as_default():
        saver = wf.train.Saver([weight])
    path = saver.save(session, str(tmp_path / "state"))
    assert weight.set(9.0) == 9
    saver.restore(session, path)
    assert session.run("weight_behind:0") == 1.5
    assert "Mul" in str(f.explain(2.0)) or "mul" in str(f.explain(2.0))
    trace = f.trace(2.0)
    assert session.run(trace.outputs, {trace.inputs[0]: 4.0}) == [6]
    other = wf.Session(graph=session.graph)
    with other.as_default():
        assert wf.get_session() is other
        assert weight.set(2.0) == 2
        assert f(2.0) == 4
    assert f(2.0) == 3


def test_run_gives_the_values_of_nodes():
    """An op outside of functions makes a node; `run` computes it, in the session of its graph."""
    node = kind_of(3)
    assert isinstance(node, wf.Tensor)
    assert wf.run({"a": node, "b": [node, node]}) == {"a": [3, "int"], "b": [[3, "int"]] * 2}
    variable = wf.Variable(wf.constant([1, 2]))
    assert wf.run(variable).tolist() == [1, 2]
    x = wf.placeholder(wf.float32)
    assert wf.run(x * 2, {x: 3}) == 6
    with wf.Graph().as_default():
        assert wf.run(kind_of("there")) == ["there", "str"]


def test_a_shared_value_is_written_from_any_thread_and_graph_by_one_node():
    """Its graph does not grow with each call, and a value that does not fit is refused."""
    total, rows = wf.shared(0), wf.shared([0])
    given = [1]

    def write(count):
        total.add(count)
        rows.set(given)
        with wf.Graph().as_default():
            return rows.add([count])

    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(write, range(4)))) == 4
    given.append(2)
    assert (total.get(), rows.get()[0]) == (6, 1)
    nodes = len(total.graph.get_operations())
    for count in range(10):
        total.add(count)
        total.set(total.get() * 2)
    assert len(total.graph.get_operations()) == nodes + 2  # of the first `set`
    assert total.set(wf.constant(5, wf.int64)) == total.get() == 5
    for wrong in ("x", 2.5, [1, 2], None):
        with pytest.raises((TypeError, ValueError)):
            total.add(wrong)
    assert total.get() == 5


class Answers:
    """Gives no attribute away, not even an unknown one."""

    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize("value", [len, dict, 10**400, np.longdouble(1.5)])
def test_a_shared_value_keeps_its_type(value):
    got = wf.shared(value).get()
    assert type(got) is type(value)
    assert np.all(got == value)
    assert type(wf.shared(Answers()).get()) is Answers


def test_a_shared_value_is_any_object():
    for value in (1, 2.5, True, "text", None, [1, 2], {"a": 1}, np.float32([1, 2])):
        holder = wf.shared(value)
        assert np.array_equal(holder.get(), value) if isinstance(value, np.ndarray) else holder.get() == value
    assert wf.shared(2**40).add(1) == 2**40 + 1
    texts = wf.shared("a")
    assert wf.function(lambda: texts.set(wf.op(lambda old: old + "b")(texts.get())))() == "ab"
    with wf.Graph().as_default():
        inside = wf.shared(3)
        assert (inside.get(), inside.add(1)) == (3, 4)
        with wf.Session() as session:
            assert inside.get() == 3
            session.run(inside.assign(7))
            assert inside.get() == 7
        assert inside.get() == 4


def test_another_session_may_be_set_and_a_closed_one_is_replaced():
    graph = wf.get_session().graph
    with pytest.raises(ValueError, match="another graph"):
        wf.set_session(wf.Session(graph=wf.Graph()))
    with pytest.raises(TypeError, match="takes a session"):
        wf.set_session("local")
    f = wf.function(lambda x: x + 1)
    before = wf.get_session()
    try:
        mine = wf.Session(graph=graph, config=wf.ConfigProto(placement="caller"))
        wf.set_session(mine)
        assert f(1) == 2
        assert wf.get_session() is mine
        mine.close()
        assert f(1) == 2
        assert wf.get_session() not in (mine, before)
    finally:
        wf.set_session(before)


def test_a_graph_that_was_entered_is_the_programs(graph):
    """Functions and values that are made in it, or called in it, are in it, from other threads too."""
    total = wf.shared(0)

    @wf.function
    def f(n):
        return total.add(n)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(f, [1] * 20)) == list(range(1, 21))
    assert f(1) == 21
    assert f.trace(1).graph is total.graph is wf.get_session().graph is graph
    assert doubled(4) == 8
    assert doubled.trace(4).graph is graph


def test_a_fresh_default_graph_begins_anew(monkeypatch):
    """After `reset_default_graph` functions are traced in the new graph."""
    from weftwork.graph import stacks

    monkeypatch.setattr(stacks._Program, "graph", stacks._Program.graph)
    monkeypatch.setattr(stacks.local, "fallback", stacks.local.fallback)
    f = wf.function(lambda x: x + 1)
    assert f(1) == 2
    wf.reset_default_graph()
    assert f(1) == 2
    assert f.trace(1).graph is wf.get_default_graph() is wf.get_session().graph
