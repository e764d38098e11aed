"""Which functions are seen, by their code and arguments, to be soon interrupted, and to hold the GIL."""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import threading
import time
from collections import Counter, OrderedDict

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph.python.interruptible import Code, are_data

FACTOR, TABLE, NAMES = 3, np.arange(4), {"a": [1, 2], "b": ("x",)}
LOCK = threading.Lock()


class Thing:
    """Of a user's class."""


THING = Thing()


def helped(x):
    return FACTOR * x + len(NAMES["a"])


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def counted(text):
    found = {}
    for word in text.split():
        found[word] = found.get(word, 0) + 1
    return found


def looped(n):
    total = 0
    while total < n:
        total += 1
    return total


def checked(x):
    if x < 0:
        raise ValueError(f"{x} is negative")
    return math.sqrt(x)


def caught(x):
    while True:
        try:
            x += 1
        except BaseException:
            pass


def passed_on(function):
    def inner(x):
        return function(x)

    return inner


INTERRUPTIBLE = {
    "arithmetic": lambda x, y: (x + y) * 2 - x / 3 // 1 % 5,
    "small powers": lambda x: x**2 + x**0.5 + 10.0**x,
    "a loop in Python": looped,
    "a loop over a range": lambda n: [k * k for k in range(n)],
    "a generator over a range": lambda n: sum(k for k in range(n)),
    "text": counted,
    "sorting": lambda rows: sorted(rows, key=lambda row: -row[1])[:3],
    "containers": lambda x: {"a": [x, *x], "b": {x: 1}, "c": x},
    "comprehensions": lambda rows: {k: [x for x in row if x] for k, row in rows.items()},
    "JSON": lambda text: json.loads(text)["x"],
    "a helper": lambda x: helped(x) - 1,
    "recursion": fibonacci,
    "an error": checked,
    "a counter": lambda text: Counter(text).most_common(3),
    "itertools": lambda *rows: list(itertools.chain(*rows)),
    "NumPy": lambda x: np.sqrt(np.where(x > 0, x, TABLE[0])).sum(axis=0),
    "an array that is written to": lambda x: x.fill(0),
    "linear algebra": lambda a, b: np.linalg.solve(a.T @ a + np.eye(a.shape[1]), b),
    "formats": lambda x: f"{x:.3f} {x!r}",
    "a function in a function": passed_on(helped),
}
NOT = {
    "a range that C goes through": lambda n: sum(range(n)),
    "a range in a list": lambda n: list(range(n)),
    "a range by another name": lambda n, every=range: sum(every(n)),
    "a power": lambda n: n**n,
    "a power of two": lambda n: 2**n,
    "a high power": lambda n: n**1000,
    "a shift": lambda n: 1 << n,
    "a factorial": lambda n: math.factorial(n),
    "combinations": lambda n: math.comb(n, n // 2),
    "sleep": lambda x: time.sleep(x),
    "a lock": lambda x: LOCK.acquire(),
    "a file": lambda path: open(path),
    "input": lambda: input(),
    "printing": lambda x: print(x),
    "an import": lambda x: __import__("os"),
    "a regular expression": lambda text: re.match("(a*)*b", text),
    "an attribute of anything": lambda x: x.anything(),
    "an argument that is called": lambda f: f(1),
    "an object of a class": lambda x: THING,
    "a class": lambda x: Thing(),
    "a default that is no data": lambda x, thing=THING: x,
    "whoever catches all": caught,
    "convolution": lambda x: np.convolve(x, x),
    "endless iterators": lambda n: sum(itertools.repeat(1, n)),
    "drawing": lambda n: np.random.rand(n),
    "a helper that waits": passed_on(passed_on(lambda x: time.sleep(x))),
    "eval": lambda text: eval(text),
    "what is not defined": lambda x: nobody_knows(x),  # type: ignore[name-defined]  # noqa: F821
}


def is_interruptible(function):
    return Code(function).is_interruptible


@pytest.mark.parametrize("what", INTERRUPTIBLE)
def test_a_function_of_short_steps_is_seen_to_be_interruptible(what):
    assert is_interruptible(INTERRUPTIBLE[what])


@pytest.mark.parametrize("what", NOT)
def test_a_function_that_may_block_or_reach_outside_is_not(what):
    assert not is_interruptible(NOT[what])


def test_functions_that_store_outside_and_coroutines_are_not():
    counter = 0

    def counts():
        nonlocal counter
        counter += 1

    def stores(x):
        global _STORED
        _STORED = x

    async def later(x):
        return x

    assert not any(map(is_interruptible, (counts, stores, later)))


def test_what_is_no_function_of_python_s_is_not_looked_into():
    assert not is_interruptible(len)
    assert not is_interruptible(functools.partial(helped, 1))
    assert not is_interruptible(functools.lru_cache(helped))


@pytest.mark.parametrize(
    "value",
    [1, 2.5, "x", b"x", None, True, np.float32(1), [1, [2, (3,)]], NAMES, TABLE, {1}, OrderedDict(a=1)],
    ids=repr,
)
def test_numbers_text_arrays_and_containers_are_data(value):
    assert are_data([value])


@pytest.mark.parametrize(
    "value",
    [
        THING,
        [THING],
        {"a": {"b": THING}},
        len,
        np.array([THING]),
        LOCK,
        re.compile("a"),
        range(3),
        iter([]),
        1 << 10**6,
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_functions_and_iterators_are_not(value):
    assert not are_data([1, value])


def test_large_values_take_long_so_they_do_not_count():
    assert are_data([np.zeros(10**6)])
    assert not are_data([np.zeros(10**7)])
    assert not are_data(["x" * 40_000_000, "y" * 40_000_000])
    assert not are_data([[0] * 10**7])


def test_loops_are_seen_in_any_shape():
    loops = {what for what, function in INTERRUPTIBLE.items() if Code(function).has_loops}
    assert loops == {
        *("a loop in Python", "a loop over a range", "a generator over a range", "text", "comprehensions", "recursion"),
    }


def test_only_arrays_release_the_gil():
    assert not Code(counted).uses_arrays
    assert not Code(INTERRUPTIBLE["recursion"]).uses_arrays
    assert Code(INTERRUPTIBLE["NumPy"]).uses_arrays
    assert Code(INTERRUPTIBLE["linear algebra"]).uses_arrays
    assert not are_data([[TABLE]], arrays=False)
    kernel = tf.op(lambda rows: [row for row in rows]).kernel
    assert kernel.holds_gil([[1, 2]])
    assert not kernel.holds_gil([[TABLE]])


def test_a_kernel_that_waits_between_attempts_or_has_a_limit_is_tried_elsewhere():
    assert tf.op(helped).kernel.can_be_interrupted([1])
    assert not tf.op(helped).kernel.can_be_interrupted([THING])
    assert not tf.op(helped, retries=2).kernel.can_be_interrupted([1])
    assert not tf.op(helped, timeout=3.0).kernel.can_be_interrupted([1])
