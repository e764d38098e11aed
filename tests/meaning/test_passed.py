"""What helpers change in place is state of their caller: found in the code, or after one of the first calls."""

from __future__ import annotations

import contextlib
import copy
import functools
import operator
from typing import Any

import numpy as np
import pytest

from tests.meaning.places import PLACES, values
from weftwork.graph.python.captured import Captured

ROWS = [0] * 20_000
BOX = {"rows": ROWS}
NUMBER = 3
TABLE, NEST, WEIGHTS = {"a": [0]}, [[0], [1]], np.zeros((2, 2))
PARAMETERS = {"w": WEIGHTS}


def put(rows, at):
    rows[at] += 1


def put_twice(rows):
    put(rows, 1)
    put(rows, 2)


def put_first(*lists):
    lists[0][0] += 1


def put_named(**lists):
    lists["rows"][0] += 1


def wrapped(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


def there(rows, depth):
    return back(rows, depth - 1) if depth else rows


def back(rows, depth):
    rows[depth] += 1
    return there(rows, depth)


def copying(rows):
    rows = list(rows)
    rows.append(1)
    return rows


def counting(*args, **kwargs):
    kwargs["n"] = 1
    return len(args), args + (1,), kwargs


def increased(number):
    number += 1
    return number


class Putter:
    """Changes what it gets in each of the ways that a class has."""

    def __init__(self, *filled):
        for rows in filled:
            rows[0] = 1

    def put(self, rows):
        rows[0] += 1

    @staticmethod
    def put_static(rows):
        rows[0] += 1

    @classmethod
    def put_class(cls, rows):
        rows[0] += 1

    def __call__(self, rows):
        self.put(rows)


PUTTER, BOUND, LATER, WRAPPED = Putter(), functools.partial(put, ROWS), functools.partial(put, at=1), wrapped(put)


def the_table():
    return TABLE


def pick(table, key):
    return table[key]


def each_of(rows):
    yield from rows


@contextlib.contextmanager
def opened():
    yield TABLE


def reaching():
    """Functions that change what they reach from captured state: through a copy, a view, an iterator or a call."""

    def unpacked():
        first, *_ = NEST
        first.append(1)

    def the_rest():
        _, *rest = NEST
        rest[0].append(1)

    def matched():
        match NEST:
            case [_, *rest]:
                rest[0].append(1)

    def of_several():
        for each in (TABLE, PUTTER):
            each["b"] = 1

    def of_pairs():
        for _, row in zip(range(2), NEST, strict=True):
            row.append(1)

    def after_a_loop():
        for row in NEST:  # noqa: B007
            pass
        row.append(1)

    def one_way():
        rows = NEST if NUMBER else []
        rows.append([])

    def in_a_context():
        with opened() as table:
            table["b"] = 1

    def stepped():
        for key, weights in {**PARAMETERS}.items():
            weights -= PARAMETERS[key] * 0.1

    def from_a_function():
        table = the_table()
        table["a"].append(1)

    return [
        unpacked,
        the_rest,
        matched,
        of_several,
        of_pairs,
        after_a_loop,
        one_way,
        in_a_context,
        stepped,
        from_a_function,
        lambda: copy.copy(TABLE)["a"].append(1),
        lambda: TABLE.copy()["a"].append(1),
        lambda: {**TABLE}["a"].append(1),
        lambda: list(TABLE.values())[0].append(1),
        lambda: sorted(TABLE.items())[0][1].append(1),
        lambda: next(iter(NEST)).append(1),
        lambda: [row for row in NEST][0].append(1),
        lambda: (NEST + [[]])[0].append(1),
        lambda: max(NEST, key=len).append(1),
        lambda: pick(TABLE, "a").append(1),
        lambda: next(each_of(NEST)).append(1),
        lambda: memoryview(WEIGHTS).__setitem__(0, 1),
        lambda: np.asarray(WEIGHTS).ravel().__setitem__(0, 1),
        lambda: list.append(NEST, []),
        lambda: type(PUTTER).__setattr__(PUTTER, "n", 1),
        lambda: functools.partial(setattr, PUTTER, "n")(1),
    ]


def keeping_off():
    """Functions that change copies of captured state, and what they make themselves."""

    def grid():
        rows = [list(row) for row in NEST]
        rows[0][0] = 1
        return rows

    def scaled():
        weights = WEIGHTS * 2 + 1
        weights[0][1] = 1
        weights -= weights.max()
        return weights

    def copied():
        weights = WEIGHTS.copy() if NUMBER else np.asarray(NEST)
        weights[0] = 0
        return weights

    def sums():
        found: list = [[] for _ in NEST]
        for row, into in zip(NEST, found, strict=True):
            into.append(sum(row))
        return found

    def paired():
        for weights, into in [(WEIGHTS, []), (WEIGHTS, [])]:
            into.append(weights.sum())

    def appended():
        rows = [*NEST, []]
        rows.append([])
        rows[0] = 3
        table = {**TABLE, "b": 1}
        table["c"] = 1
        return rows, table

    def totals():
        total = 0
        for row in NEST:
            for number in row:
                number += 1
                total += number
        return total

    def chosen():
        row = WEIGHTS[0]
        positive = row[row > 0]
        positive[:] = 0
        return positive

    def of_an_argument(at, place):
        return copying(NEST[at]), place

    return [grid, scaled, copied, sums, paired, appended, totals, chosen, of_an_argument]


def calls():
    """Functions that call others with a captured list, and whether these change it."""

    def own():
        def inner(given):
            given[0] = 1

        inner(given=ROWS)

    def alias():
        mine = ROWS

        def write():
            mine[0] = 1

        write()

    def in_box():
        found = BOX["rows"]
        put(found, 1)

    def of_its_own():
        rows = list(ROWS)
        put(rows, 1)
        return rows

    return [
        (lambda: put(ROWS, 5), True),
        (lambda: put(at=1, rows=ROWS), True),
        (lambda: put_twice(ROWS), True),
        (lambda: put_first(ROWS), True),
        (lambda: put_named(rows=ROWS), True),
        (lambda: WRAPPED(ROWS, 1), True),
        (lambda: there(ROWS, 3), True),
        (lambda: (lambda given: given.__setitem__(0, 1))(ROWS), True),
        (lambda: [put(ROWS, at) for at in range(3)], True),
        (lambda: PUTTER.put(ROWS), True),
        (lambda: Putter.put_static(ROWS), True),
        (lambda: PUTTER.put_class(ROWS), True),
        (lambda: PUTTER(ROWS), True),
        (lambda: Putter(ROWS), True),
        (lambda: BOUND(1), True),
        (lambda: LATER(ROWS), True),
        (lambda: functools.partial(put, ROWS)(1), True),
        (lambda: list(map(put, [ROWS], [1])), True),
        (lambda: functools.reduce(put, [1], ROWS), True),
        (own, True),
        (alias, True),
        (in_box, True),
        (of_its_own, False),
        (lambda: copying(ROWS), False),
        (lambda: counting(ROWS, rows=ROWS), False),
        (lambda: increased(NUMBER), False),
        (lambda: sum(ROWS) + len(ROWS), False),
        (lambda rows: put(rows, 1), False),
        *[(function, True) for function in reaching()],
        *[(function, False) for function in keeping_off()],
    ]


@pytest.mark.parametrize(("function", "writes"), calls())
def test_code_tells_what_a_call_changes_in_place(function, writes):
    """However many functions the object passes through, and however they get it."""
    assert bool(Captured(function).writes) is writes


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("isolated", "actor")])
def test_what_a_helper_changes_in_a_large_container_stays_changed(ray_session, place):
    """Without another length: seen in the code, or only in a call, where a container of the function's own hides it."""
    rows, table = [0] * 20_000, dict.fromkeys(range(20_000), 0)
    held: Any = Putter()
    held.rows = [0] * 20_000

    def plainly():
        put(rows, 5)
        return rows[5]

    def hidden():
        own: dict = {}
        own["rows"], own["held"], own["table"] = rows, held.rows, table
        put(own["rows"], 7)
        put(own["held"], 7)
        operator.setitem(own["table"], 3, own["table"][3] + 1)
        return rows[7], held.rows[7], table[3]

    lists: dict = {at: [] for at in range(20_000)}

    def inside():
        list(lists.values())[5].append(1)
        return len(lists[5])

    assert values(place, plainly, runs=3) == values(place, inside, runs=3) == [1, 2, 3]
    assert values(place, hidden, runs=3) == [(run,) * 3 for run in (1, 2, 3)]
