"""Objects of Python's and of packages that hold the program's functions: what these read and write is state."""

from __future__ import annotations

import argparse
import collections
import configparser
import functools
import json
import logging
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, RUNS, op_in, session_in
from weftwork.graph.python.captured import Captured

SHARING = [place for place in PLACES if place not in ("isolated", "actor")]
"""Places in which what a function writes lasts."""


class Slotted:
    """Has no dict."""

    __slots__ = ("call",)

    def __init__(self, call):
        self.call = call


class Rows(list):
    """A list of the program's."""


class Table(dict):
    """A dict of the program's."""


class Pair(NamedTuple):
    """A tuple of the program's."""

    call: Callable


class Answers:
    """Has a method that a library calls."""

    def __init__(self, call):
        self._call = call

    def answer(self, _):
        return self._call()


def parser(call):
    made = argparse.ArgumentParser()
    made.add_argument("n", type=call)
    return made


def config(call):
    made = configparser.ConfigParser(converters={"own": call})
    made["a"] = {"k": "1"}
    return made


KINDS: dict[str, tuple[Callable, Callable]] = {
    "encoder": (lambda call: json.JSONEncoder(default=call), lambda it: it.encode(Ellipsis)),
    "encoder, by a partial": (lambda c: json.JSONEncoder(default=functools.partial(c, 1)), lambda it: it.encode(...)),
    "encoder, by a method": (lambda c: json.JSONEncoder(default=Answers(c).answer), lambda it: it.encode(Ellipsis)),
    "decoder": (lambda call: json.JSONDecoder(object_hook=call), lambda it: it.decode("{}")),
    "parser": (parser, lambda it: it.parse_args(["3"]).n),
    "config": (config, lambda it: it["a"].getown("k")),
    "default dict": (collections.defaultdict, lambda it: it.__missing__("new")),
    "ordered dict": (lambda call: collections.OrderedDict(k=call), lambda it: it["k"]()),
    "deque": (lambda call: collections.deque([call]), lambda it: it[0]()),
    "chain": (lambda call: collections.ChainMap({"k": call}), lambda it: it["k"]()),
    "proxy": (lambda call: types.MappingProxyType({"k": call}), lambda it: it["k"]()),
    "namespace": (lambda call: types.SimpleNamespace(call=call), lambda it: it.call()),
    "keys": (lambda call: {call: 1}, lambda it: next(iter(it))()),
    "array": (lambda call: np.array([call]), lambda it: it[0]()),
    "series": (lambda call: pd.Series([call]), lambda it: it[0]()),
    "slots": (Slotted, lambda it: it.call()),
    "own list": (lambda call: Rows([call]), lambda it: it[0]()),
    "own dict": (lambda call: Table(k=call), lambda it: it["k"]()),
    "own tuple": (Pair, lambda it: it.call()),
}


NOT_SENT = ("decoder", "proxy")
"""Kinds that cannot be pickled."""


def number(value: Any) -> int:
    return int(value[0] if isinstance(value, list) else value)


def asking(use: Callable, holder: Any) -> Callable:
    return lambda: use(holder)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_held_function_reads_is_that_of_the_run(ray_session, place):
    level = 0

    def read(*_):
        return level

    kinds = [KINDS[name] for name in KINDS if place != "isolated" or name not in NOT_SENT]
    with tf.Graph().as_default():
        captured = [op_in(place, asking(use, hold(read)))() for hold, use in kinds]
        given = [op_in(place, use)(hold(read)) for hold, use in kinds]
        with session_in(place) as session:
            for run in range(RUNS.get(place, 4)):
                level = run
                assert {*map(number, session.run(captured + given))} == {run}


@pytest.mark.parametrize("place", SHARING)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_held_function_writes_lasts(place, kind):
    hold, use = KINDS[kind]
    calls: list[int] = []

    def count(*_):
        calls.append(1)
        return len(calls)

    with tf.Graph().as_default():
        holder = hold(count)
        nodes = [op_in(place, asking(use, holder))() for _ in range(2)]
        with session_in(place) as session:
            for run in range(4):
                assert [*map(number, session.run(nodes))] == [2 * run + 1, 2 * run + 2]
    assert len(calls) == 8


def test_a_logger_is_not_asked_for_what_it_holds():
    """Its handlers are the program's, and hear of a record after the run."""
    logger = logging.getLogger("held")
    calls: list = []

    class Handler(logging.Handler):
        def emit(self, record):
            calls.append(record)

    logger.addHandler(Handler())
    assert not Captured(lambda: logger.warning("x")).writes
