"""Functions made of ingredients mean in every place and in every run what they mean in a plain loop.

An example is a small program: a module of state, functions of some lines each, and a graph of calls of them. Between
two runs the program changes some of its state, and feeds another value. The rule (docs/functions.md): each call gets
values of its own, each result is the caller's, the state is that of the moment at which the run began, what is written
is written in creation order, and what is said comes out once. `WEFTWORK_CHAOS=n` tries n times as many programs.

reading   a program that writes nothing, so that its functions may run anywhere; each line that reads stands in at least
          one function, so that one example meets every kind of state. It fails in the middle, and goes on
changing  the same, and the program changes members of its Enum, which keeps those functions that have one
writing   a program with a few lines that write, which keep some functions in the program
hiding    a program with one line of which only a call shows that it writes
ordered   a program with one line that writes; all its functions read what that writes, and little else
"""

from __future__ import annotations

import copy
import decimal
import functools
import importlib
import itertools
import logging
import os
import random
import sys
import types
import warnings
from collections import deque
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.meaning.places import op_in, session_in

PLACES = ["caller", "thread", "resident", "task", "dynamic", "auto"]
EXAMPLES = 10 * int(os.environ.get("WEFTWORK_CHAOS", "1"))
"""For each place: programs of each of the `TURNS`."""
TURNS = ["reading", "writing", "changing", "hiding", "ordered"]
RUNS, SEVERAL = 12, {"auto": 45}
CHANGES_A_RUN = 2

MODULE = '''
import contextvars, dataclasses, decimal, enum, functools, io, logging, os, queue, random, sys, warnings
import numpy as np

LEVEL, COUNT, TALLY, TABLE = 1, 0, [0], {"n": 1}
PAIR, LINE, KNOWN = ("pair", []), queue.Queue(), {}
LARGE, ROWS, BUFFER = np.zeros(200_000), [0] * 9_000, io.BytesIO()
GRID = {"w": np.zeros(30_000)}
NEST, SMALL, FAILS, FED = {"a": [{"n": 0}]}, np.zeros(3), False, 0
WORD = contextvars.ContextVar("word", default="none")
LOG = logging.getLogger("ingredients")

class Status(enum.Enum):
    OK = 1
    BAD = 2
    def hit(self):
        self.hits = getattr(self, "hits", 0) + 1
        return self.hits

class Box:
    total = 0
    def __init__(self, items):
        self.items = items
    def add(self):
        Box.total += 1
        return Box.total
    def count(self):
        type(self).total += 1
        return self.total
    def level(self):
        return LEVEL, Box.total
    def more(self, by):
        Box.total += by
        return Box.total
    one_more = functools.partialmethod(more, 1)

class Once(type):
    made = {}
    def __call__(cls):
        if cls not in Once.made:
            Once.made[cls] = super().__call__()
        return Once.made[cls]

class Settings(metaclass=Once):
    level = 0
    @functools.cached_property
    def first(self):
        return LEVEL

@dataclasses.dataclass
class Point:
    at: list

class Wrong(Exception):
    def __init__(self, text, *, odd):
        super().__init__(text)
        self.odd = odd
    cells = staticmethod(lambda function: function.__closure__)

HELD = Box([0])

def later():
    try:
        return LATER
    except NameError:
        return "missing"

def helper():
    return "helper", LEVEL

def fed():
    return FED

def level_of(run):
    return lambda: (run, LEVEL)

def shape_of(run):
    class Shape:
        number = run
        def name(self):
            return "shape", run, LEVEL, self.number
    return Shape

Shape = shape_of(0)

def adder_of(run):
    def add():
        TALLY.append(run)
        return run, len(TALLY)
    return add

def last_of(given):
    return [held[-1] for held in given if type(held) is list and held]

PART = functools.partial(helper)

def helper_of(run):
    def helper():
        return "new", run, LEVEL
    helper.calls = -run
    return helper

helper.calls = 0

def push(rows):
    rows.append(1)

def raised(rows, at=3):
    rows[at] += 1
    return rows[at]

def raised_cell(cell):
    cell.cell_contents += 1
    return cell.cell_contents

def bump():
    global COUNT
    COUNT += 1
    return COUNT

def chained():
    try:
        {}["chained"]
    except KeyError as error:
        raise ValueError(LEVEL) from error

def failing(seen):
    with decimal.localcontext() as context, np.errstate(divide="call", over="ignore"):
        context.prec = 3
        raise Wrong(str(decimal.Decimal(1) / 3), odd=seen)

def handling():
    try:
        {}["handled"]
    except KeyError:
        raise ValueError(LEVEL)

def chain(error):
    """What an exception was raised from."""
    found = []
    while error is not None and type(error).__name__ != "RemoteTraceback":
        found.append((type(error).__name__, error.args, error.__suppress_context__))
        error = error.__cause__ or error.__context__
    return found

def show(value, exact=EXACT):
    """A value as plain data, with what its class is here. exact: a function is known by its identity."""
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.tolist()
    if callable(value):
        names = {Box: "Box", show: "show", helper: "helper", bump: "bump"}
        return names.get(value) or (getattr(value, "__name__", "callable") if not exact else "method")
    if type(value) in (Box, Point):
        return type(value).__name__, [(name, show(item, exact)) for name, item in vars(value).items()]
    if type(value) in (list, tuple):
        return type(value).__name__, [show(item, exact) for item in value]
    if type(value) is dict:
        return [(show(key, exact), show(item, exact)) for key, item in value.items()]
    if type(value).__name__ == "Shape":
        return "Shape", type(value) is Shape, value.name()
    if isinstance(value, enum.Enum):
        return [name for name, member in Status.__members__.items() if member is value]
    return type(value).__name__, value

def spoil(value):
    """Change a value in place, and what is in it."""
    if type(value) is list:
        for item in value[:]:
            spoil(item)
        value.append(7)
    elif type(value) is dict:
        for item in list(value.values()):
            spoil(item)
        value["spoiled"] = value.get("spoiled", 0) + 1
    elif isinstance(value, np.ndarray) and value.dtype != object:
        value += 1
    elif type(value) in (Box, Point):
        for item in vars(value).values():
            spoil(item)
    elif type(value) is tuple:
        for item in value:
            spoil(item)

def make():
    cell, kept, calls, turns, ticks = [1], {"rows": [0]}, 0, 0, 0
    tick = lambda: ticks
    def turn(run):
        nonlocal turns
        turns, cell[0] = (run, cell[0]) if run % 2 else (turns, run)
'''
"""The beginning of a program. Its functions follow inside `make`."""
WRITERS = {
    """    def hit(self):
        self.hits = getattr(self, "hits", 0) + 1
        return self.hits
""": ("", {"write member"}),
    """    def add(self):
        Box.total += 1
        return Box.total
    def count(self):
        type(self).total += 1
        return self.total
""": ("", {"write by method", "write by class", "count in arguments"}),
    """    def more(self, by):
        Box.total += by
        return Box.total
    one_more = functools.partialmethod(more, 1)
""": ("", {"write partial method"}),
    """    global COUNT
    COUNT += 1
    return COUNT
""": ("    return COUNT\n", {"write by helper"}),
}
"""What of it writes state, what stands there in a program without certain lines, and these lines: a class with a method
that writes keeps the functions that make its objects in the program."""
LINES = {
    "global": "seen.append(LEVEL)",
    "closure": "seen.append(cell[0])",
    "class": "seen.append(Box.total)",
    "helper": "seen.append(helper())",
    "variable": "seen.append(WORD.get())",
    "table": "seen.append(TABLE['n'])",
    "environment": "seen.append(os.environ.get('INGREDIENT'))",
    "method": "seen.append(Box([]).level())",
    "attribute": "seen.append(helper.calls)",
    "text": "seen.append([getattr(Box, 'extra', None), getattr(helper, 'extra', None)])",
    "singleton": "seen.append([Settings().level, Settings() is Settings()])",
    "pair": "seen.append(len(PAIR[1]))",
    "member": "seen.append(getattr(Status.OK, 'hits', 0))",
    "items": "seen.append(ROWS[3])",
    "cell": "seen.append(turns)",
    "tick": "seen.append(tick())",
    "count": "seen.append(COUNT)",
    "tally": "seen.append(len(TALLY))",
    "calls": "seen.append(calls)",
    "errors": "seen.append([np.geterr()['divide'], np.geterr()['over']])",
    "call in lists": "seen.append([each() for held in given if type(held) is list for each in held if callable(each)])",
    "ask lists": "seen.append([type(each) is Box for held in given if type(held) is list for each in held])",
    "nest": "seen.append(NEST['a'][0]['n'])",
    "small": "seen.append(SMALL.tolist())",
    "held": "seen.append(HELD.items[0])",
    "later": "seen.append(later())",
    "part": "seen.append(PART())",
    "decimal": "seen.append(str(decimal.Decimal(1) / 3))",
    "buffer": "seen.append(len(BUFFER.getvalue()))",
    "large": "seen.append(float(LARGE[0]))",
    "grid": "seen.append(float(GRID['w'][1]))",
    "shape": "seen.append(Shape().name())",
    "ask shapes": "seen.append([each.name() for each in last_of(given) if type(each).__name__ == 'Shape'])",
    "method of table": "seen.append((lambda get: get('n'))(TABLE.get))",
    "views": "rows = np.arange(4.0); seen.append([rows, rows[1:], rows])",
    "write attribute": "helper.calls += 1; seen.append(helper.calls)",
    "write singleton": "Settings().level += 1; seen.append(Settings().level)",
    "write pair": "PAIR[1].append(1); seen.append(len(PAIR[1]))",
    "write member": "seen.append(Status.OK.hit())",
    "write items": "seen.append(raised(ROWS))",
    "write hidden items": "own = {'rows': ROWS}; raised(own['rows']); seen.append(ROWS[3])",
    "write hidden large": "own = {'rows': LARGE}; seen.append(float(raised(own['rows'])))",
    "write hidden cell": "seen.extend([raised_cell(each) for each in vars(Wrong)['cells'](tick)])",
    "write passed": "push(TALLY); seen.append(len(TALLY))",
    "write partial": "functools.partial(push, TALLY)(); seen.append(len(TALLY))",
    "write partial method": "seen.append(Box([]).one_more())",
    "write buffer": "BUFFER.write(b'a'); seen.append(len(BUFFER.getvalue()))",
    "write queue": "LINE.put(1); seen.append(LINE.qsize())",
    "write large": "LARGE[0] += 1; seen.append(float(LARGE[0]))",
    "write in several": "[raised(rows) for rows in (ROWS, LARGE)]; seen.append([ROWS[3], float(LARGE[3])])",
    "write view": "np.ravel(GRID['w'])[1:][0] += 1; seen.append(float(GRID['w'][1]))",
    "write rows": "[raised(row, 1) for row in GRID['w'].reshape(3, -1)]; seen.append(float(GRID['w'][1]))",
    "write fed": "seen.append([each() for each in last_of(given) if getattr(each, '__name__', '') == 'add'])",
    "write cached": "seen.append(Settings().first)",
    "write by text": "setattr(Box, 'extra', NUMBER); seen.append(Box.extra)",
    "write default": "seen.append((lambda known=KNOWN: known.setdefault('n', len(seen)))())",
    "write global": "COUNT += 1; seen.append(COUNT)",
    "write cell": "calls += 1; seen.append(calls)",
    "write list": "TALLY.append(1); seen.append(len(TALLY))",
    "write class": "Box.total += 1; seen.append(Box.total)",
    "write by helper": "seen.append(bump())",
    "write by method": "seen.append(Box([]).add())",
    "write closure": "cell[0] += 1; seen.append(cell[0])",
    "write by class": "seen.append(Box([]).count())",
    "call arguments": "seen.append([value() for value in given if callable(value) and value is not Box])",
    "ask arguments": "seen.append([value.level() for value in given if type(value) is Box])",
    "count in arguments": "seen.append([value.count() for value in given if type(value) is Box])",
    "spoil": "spoil(list(given))",
    "look": "seen.append([show(value) for value in given])",
    "same": "seen.append([one is other for one in given for other in given])",
    "print": "print('print', NUMBER)",
    "error": "print('error', NUMBER, file=sys.stderr)",
    "log": "LOG.warning('log %s', NUMBER)",
    "warn": "warnings.warn('warn NUMBER', stacklevel=1)",
    "python": "drawn.append(random.random())",
    "numpy": "drawn.append(float(np.random.rand()))",
}
ENDS = {
    "plain": "return seen",
    "twice": "return [seen, seen]",
    "kept": "kept['rows'] = kept['rows'] or seen; return kept, seen[:]",
    "table": "return TABLE, seen",
    "alias": "return given[0], seen",
    "status": "return {'ok': Status.OK, Status.BAD: seen}",
    "object": "return Box([seen, Point(seen)])",
    "array": "return np.arange(3.0) + len(seen), seen",
    "class": "return (Box, seen)",
    "function": "return helper, seen",
    "functions": "return [show, bump, seen]",
    "raise": "raise Wrong('wrong NUMBER', odd=seen)",
    "raise from": "chained()",
    "raise while handling": "handling()",
    "raise among contexts": "failing(seen)",
    "raise in group": "raise ExceptionGroup('group NUMBER', [Wrong('inner', odd=seen), KeyError(LEVEL)])",
}
if sys.version_info < (3, 11):
    del ENDS["raise in group"]
MAY_WRITE = {"singleton", "count in arguments", "call arguments", "buffer", "member"}
WRITING = MAY_WRITE.union([line for line in LINES if line[:5] == "write"])
"""Lines that write state, or may. In half of the programs there is none: one keeps the functions of its run in the
program, where nothing can be forgotten."""
QUIET_ENDS = [end for end in ENDS if end[:5] != "raise"]
"""Of several functions that raise, it is open which one is first: a program has one at most."""
CONSTANTS = {
    "number": "3",
    "list": "[1, [2]]",
    "dict": "{'a': [1], 'b': {}}",
    "array": "np.arange(3.0)",
    "object": "Box([1])",
    "dataclass": "Point([1, 2])",
    "status": "Status.OK",
    "function": "helper",
    "method": "Box([1]).level",
    "writer": "bump",
    "nested": "([1], {'k': (Box([np.zeros(2)]),)})",
}
CHANGES = {
    "global": lambda module, run: setattr(module, "LEVEL", run),
    "fed": lambda module, run: setattr(module, "FED", run),
    "helper": lambda module, run: setattr(module, "helper", module.helper_of(run)),
    "class": lambda module, run: setattr(module.Box, "total", 10 * run),
    "table": lambda module, run: module.TABLE.update(n=run),
    "pair": lambda module, run: module.PAIR[1].append(run),
    "attribute": lambda module, run: setattr(module.helper, "calls", 10 * run),
    "text": lambda module, run: setattr(module.Box, "extra", run),
    "singleton": lambda module, run: setattr(module.Settings(), "level", 10 * run),
    "member": lambda module, run: setattr(module.Status.OK, "hits", 10 * run),
    "large": lambda module, run: setattr(module, "LARGE", np.full(200_000, run)),
    "grid": lambda module, run: setattr(module, "GRID", {"w": np.full(30_000, run)}),
    "shape": lambda module, run: setattr(module, "Shape", module.shape_of(run)),
    "list": lambda module, run: module.TALLY.append(0),
    "variable": lambda module, run: module.WORD.set(f"word {run}"),
    "environment": lambda module, run: os.environ.update(INGREDIENT=str(run)),
    "closure": lambda module, run: module.turn(2 * run),
    "cell": lambda module, run: module.turn(2 * run + 1),
    "nest": lambda module, run: module.NEST["a"][0].update(n=run),
    "small": lambda module, run: module.SMALL.fill(run),
    "held": lambda module, run: setattr(module.HELD, "items", [run]),
    "later": lambda module, run: vars(module).pop("LATER", None) or setattr(module, "LATER", run),
    "part": lambda module, run: setattr(module, "PART", functools.partial(str, run)),
    "decimal": lambda module, run: setattr(decimal.getcontext(), "prec", 5 + run),
    "errors": lambda module, run: np.seterr(divide=["ignore", "warn", "raise"][run % 3]),
}
"""What the program changes between two runs, each read by the lines of that name, or by others as well."""
NAMES, NUMBERS = itertools.count(), itertools.count()
PLAIN = {"table", "environment", "nest", "tick", "variable", "later", "print"}
READERS = {
    "global": "count",
    "list": "tally",
    "cell": "calls",
    "closure": "closure",
    "attribute": "attribute",
    "pair": "pair",
    "view": "grid",
    "rows": "grid",
}
"""Lines that write, and those that read the same."""
HIDDEN = {"write hidden items": "items", "write hidden large": "large", "write hidden cell": "tick"}
"""What only a call shows, and the line that reads it: in the first run, others may have read it before."""


class Program:
    """A program that was drawn. calls: for each of its functions where its arguments come from: a call, or a text.

    turns: for each of the first runs the changes before it; they come again and again.
    """

    def __init__(self, chance, kind):
        self.bodies, self.calls = [], []
        reads = kind != "writing"
        self.goes_on = kind in ("reading", "changing")
        hidden = [chance.choice(sorted(HIDDEN))] if kind == "hiding" else []
        ordered = [chance.choice(sorted(READERS))] if kind == "ordered" else []
        reading = [READERS[name] for name in ordered]
        lines = sorted(PLAIN if ordered else LINES.keys() - WRITING - {HIDDEN[line] for line in hidden})
        lines += ["member"] if kind == "changing" else []
        count = chance.randint(4, 6)
        dealt = deque(chance.sample(lines, len(lines)))
        constants = sorted(CONSTANTS)
        ends = sorted(set(QUIET_ENDS) - {"kept"} if reads else QUIET_ENDS)
        writing = hidden + [f"write {name}" for name in ordered]
        if not reads:
            writing = [*chance.sample(sorted(WRITING), chance.randint(1, 3)), "member"]
        self.writing = set(writing)
        for number in range(count):
            body = [dealt.popleft() for _ in range(len(lines) // count + 1) if dealt]
            body += [writing.pop() for _ in range(number % 2) if writing] + reading
            self.bodies.append((chance.sample(body, len(body)), "plain" if ordered else chance.choice(ends)))
            sources = [*range(number)] * 3 + constants
            self.calls.append([chance.choice(sources) for _ in range(chance.randint(0, 3))] + ["fed"])
        last = chance.randrange(count)
        self.fails = f"if FAILS: {ENDS[chance.choice(sorted(ENDS.keys() - set(QUIET_ENDS)))]}"
        self.failing = last
        known = sorted(CHANGES.keys() - WRITING if reads and kind != "changing" else CHANGES)
        changes = chance.sample(known, len(known))
        self.turns = [changes[at : at + CHANGES_A_RUN] for at in range(0, len(changes), CHANGES_A_RUN)]
        self.imported = chance.random() < 0.5
        self.fetched = chance.sample(range(count), count if reads else chance.randint(2, count))

    @property
    def text(self):
        functions = ""
        for number, (lines, end) in enumerate(self.bodies):
            body = [LINES[line].replace("NUMBER", str(number)) for line in lines]
            body = ["global COUNT; nonlocal calls; seen, drawn = [], []", *body, "seen.append(len(drawn))"]
            body += [self.fails] if number == self.failing else []
            text = "\n        ".join([*body, ENDS[end]]).replace("NUMBER", str(number))
            functions += f"    def function_{number}(*given):\n        {text}\n"
        names = "".join([f"function_{number}, " for number in range(len(self.bodies))])
        module = MODULE
        for text, (other, lines) in WRITERS.items():
            assert text in module
            module = module if lines & self.writing else module.replace(text, other)
        module = module.replace("EXACT", str(self.imported))  # functions that no import finds are copies elsewhere
        return f"{module}{functions}    return turn, [{names}]\n"

    @contextmanager
    def module(self, folder):
        """A fresh module of the program."""
        name = f"ingredients_{next(NAMES)}"
        if self.imported:
            (folder / f"{name}.py").write_text(self.text)
            importlib.invalidate_caches()
            module = importlib.import_module(name)
        else:
            module = sys.modules[name] = types.ModuleType(name)
            exec(compile(self.text, f"<{name}>", "exec"), vars(module))
        random.seed(3)
        np.random.seed(3)
        os.environ.pop("INGREDIENT", None)
        try:
            with decimal.localcontext(decimal.Context()), np.errstate():
                yield module
        finally:
            del sys.modules[name]

    def changed(self, module, run, runs):
        """Change the program's state before a run. Returns the value to feed."""
        for name in self.turns[run % len(self.turns)] if run else ():
            CHANGES[name](module, run)
        module.FAILS = run == runs - 1 or (self.goes_on and run == runs // 2)
        last = module.adder_of(run) if "write fed" in self.writing else module.Shape()
        return [run, module.Box([run]), module.level_of(run), module.Box([run]).level, module.fed, last]

    def needed(self):
        """The calls that a run makes, in creation order."""
        found = set(self.fetched)
        for number in reversed(range(len(self.calls))):
            if number in found:
                found.update([source for source in self.calls[number] if isinstance(source, int)])
        return sorted(found)

    def in_a_loop(self, module, runs, heard):
        """The results of the runs by the rule, without the library."""
        module.turn, functions = module.make()
        outcomes = []
        fixed = {source: eval(CONSTANTS[source], vars(module)) for source in CONSTANTS}
        for run in range(runs):
            values = {**fixed, "fed": self.changed(module, run, runs)}
            try:
                for number in self.needed():
                    given = copy.deepcopy([values[source] for source in self.calls[number]])
                    values[number] = copy.deepcopy(functions[number](*given))
            except Exception as error:
                outcomes.append(outcome_of(error, module))
                heard()  # it is open which functions have said something before
                continue
            outcomes.append([module.show(values[number], True) for number in (*self.fetched, "fed")])
            outcomes.append(heard())
        return outcomes

    def in_a_graph(self, module, runs, place, heard):
        """The results of the runs in a place. Each fetched value is changed afterwards."""
        outcomes = []
        with tf.Graph().as_default(), session_in(place, cancel_grace_in_ms=30_000) as session:
            made: dict = {source: eval(CONSTANTS[source], vars(module)) for source in CONSTANTS}
            made["fed"] = tf.placeholder(tf.object)
            module.turn, functions = module.make()
            for number, function in enumerate(functions):
                made[number] = op_in(place, function)(*[made[source] for source in self.calls[number]])
            for run in range(runs):
                fed, before = self.changed(module, run, runs), len(repairs(session))
                try:
                    values = session.run([made[number] for number in self.fetched], {made["fed"]: fed})
                except tf.errors.OpError as error:
                    outcomes.append(outcome_of(error.__cause__, module))
                    heard()  # all that was under way has ended
                    continue
                outcomes.append([module.show(value, True) for value in [*values, fed]])
                # A run that began again has called the functions in the program twice.
                outcomes.append(Repeated(heard()) if len(repairs(session)) > before else heard())
                module.spoil(values)
        return outcomes


def repairs(session):
    """The events of runs that began again, because a worker died or a function turned out to write."""
    return [event for event in session.events() if event.kind == "repaired"]


class Repeated(list):
    """Words of which any may have been said twice."""

    def __eq__(self, other):
        return set(self) == set(other)


def outcome_of(error, module):
    """What a program sees of an exception."""
    inner = [outcome_of(each, module) for each in getattr(error, "exceptions", ())]
    return type(error) is module.Wrong, str(error), getattr(error, "odd", None), module.chain(error), inner


class Heard(logging.Handler):
    """Collects log messages."""

    def __init__(self):
        super().__init__()
        self.texts: list = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@contextmanager
def hearing(capsys):
    """A function that returns what was printed, logged and warned since its last call."""
    handler, logger = Heard(), logging.getLogger("ingredients")
    logger.addHandler(handler)
    capsys.readouterr()

    def heard():
        texts = [*capsys.readouterr(), *handler.texts]
        texts += [str(each.message) for each in warned if each.category is UserWarning]
        del handler.texts[:], warned[:]
        return sorted("\n".join(texts).split())

    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield heard
    finally:
        logger.removeHandler(handler)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("place", PLACES)
def test_a_program_of_functions_gives_in_a_graph_what_it_gives_in_a_loop(place, folder, capsys):
    runs = SEVERAL.get(place, RUNS)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))  # else most of the programs are alike
    def compare(chance):
        program = Program(chance, TURNS[next(NUMBERS) % len(TURNS)])
        with program.module(folder) as module, hearing(capsys) as heard:
            rule = program.in_a_loop(module, runs, heard)
        with program.module(folder) as module, hearing(capsys) as heard:
            ours = program.in_a_graph(module, runs, place, heard)
        for our, its in zip(ours, rule, strict=True):
            assert our == its if isinstance(our, Repeated) else repr(our) == repr(its), program.text

    compare()
