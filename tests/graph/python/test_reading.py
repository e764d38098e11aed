"""Which functions are seen to change no array that they are given, by their code alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from weftwork.graph.python.reading import reads_only

SCALE, TABLE = 3.0, np.arange(4)


def doubled(x):
    return x * 2


def changed(x):
    x[0] = 1
    return x


def renamed(x):
    function = np.exp
    return function(x, x)


def waits(x):
    async def later():
        return x

    return later()


def counted(x):
    return counted(x[1:]) + 1 if len(x) else 0


def looped(x):
    total = 0.0
    for row in x:
        if row.sum() > 0 and not row.any():
            total = total + math.sqrt(float(row.max()))
    return total


def passed_on(function):
    def inner(x):
        return function(x)

    return inner


READERS = {
    "arithmetic": lambda x, y: x + y * 2 - x**2 / (1 + y),
    "comparisons": lambda x: (x > 0) & (x[0] is not None),
    "indices and slices": lambda x: x[1:, None][::2],
    "methods and fields": lambda x: x.T.reshape(-1).sum() + x.size,
    "NumPy": lambda x: np.linalg.norm(np.add(x, 1)) + np.dot(x, x),
    "functions of one argument": lambda x: np.sqrt(np.exp(-x) + 1) * np.log(x),
    "more arguments than two, and nothing to write into": lambda x: np.where(x > 0, np.clip(x, 0, 1), np.zeros(3)),
    "a function of SciPy's": lambda x: special.expit(x),
    "makers of arrays": lambda x: np.asarray(x) + np.arange(4),
    "comprehensions": lambda *rows: sum([row[-1] for row in rows]) + max(row[0] for row in rows),
    "a comprehension with a variable of the function": lambda x, k: {n: x[n] * k for n in range(3)},
    "a function in the function": lambda x: (lambda y: y * 2)(x),
    "several calls in a row": lambda x: np.sin(x).sum() + np.interp(x, x, x, 0.0),
    "builtins": lambda x: max(len(x), abs(int(x[0]))),
    "globals": lambda x: x * SCALE + TABLE,
    "helpers": lambda x: doubled(x) + 1,
    "a reader behind two functions of the same code": passed_on(passed_on(doubled)),
    "recursion": counted,
    "loops and branches": looped,
    "containers": lambda x: {"a": [x, (x, 1)], "b": f"{x.ndim}"},
}
WRITERS = {
    "an element": changed,
    "a helper that writes": lambda x: changed(x),
    "a writer behind two functions of the same code": passed_on(passed_on(changed)),
    "in place": lambda x: x.__iadd__(1),
    "a method that changes": lambda x: x.sort(),
    "an unknown method": lambda x: x.anything(),
    "an attribute": lambda x: setattr(x, "shape", (1,)),
    "out": lambda x: np.exp(x, out=x),
    "out by its place": lambda x: np.add(x, 1, x),
    "out by the second place": lambda x: np.exp(x, x),
    "out by the second place, after a call": lambda x: np.exp(np.exp(x), x),
    "out by the second place, of two": lambda x: np.modf(x, x),
    "out by the third place": lambda x: np.dot(x, x, x),
    "out by the fourth place": lambda x: np.clip(x, 0, 1, x),
    "out by a place that a branch hides": lambda x, y: np.exp(x if y else 1, x),
    "a comprehension that writes": lambda x: [row.sort() for row in x],
    "a comprehension that calls an argument": lambda x, f: [f(row) for row in x],
    "a function in the function that writes": lambda x: (lambda y: y.fill(0))(x),
    "a coroutine in the function": waits,
    "at": lambda x: np.add.at(x, 0, 1),
    "a function by another name": renamed,
    "a writer of NumPy's": lambda x: np.copyto(x, 1),
    "an argument that is called": lambda x, f: f(x),
    "what is not defined": lambda x: nobody_knows(x),  # type: ignore[name-defined]  # noqa: F821
}


@pytest.mark.parametrize("what", READERS)
def test_a_function_whose_steps_only_read_is_seen_to_read(what):
    assert reads_only(READERS[what])


@pytest.mark.parametrize("what", WRITERS)
def test_a_function_that_may_write_is_not(what):
    assert not reads_only(WRITERS[what])


def test_an_operation_in_place_is_a_write():
    def grown(x):
        x += 1
        return x

    assert not reads_only(grown)


def test_what_is_no_function_of_python_s_is_not_looked_into():
    assert not reads_only(len)
    assert not reads_only(type("Called", (), {"__call__": doubled})())
