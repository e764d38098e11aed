"""Cases of what functions mean: each is run 45 times in every place, but for `FEW`.

A case is a generator. It makes nodes with `at.op`, and yields what it fetches, once a run; the value comes back from
the `yield`. Its docstring is the rule. The cases of a file share a session, but no run: a function that writes state
would keep those of others in the program.

Each case must pass `by_the_rule`, the plainest thing that obeys the rules, and fail in one of the `BROKEN` ways of
calling functions, which do what other libraries do: else it would show nothing.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from typing import Any, NamedTuple

import cloudpickle
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in

RUNS = range(1, 46)
"""The runs in which sharing, the contest and compiled plans are all met."""
FEW = {"task": 10, "isolated": 10}
"""Runs in places whose nodes never move, and take some milliseconds each."""
SHARED = [place for place in PLACES if place not in ("isolated", "actor")]
"""Places that leave a function the choice to run in the program, for what it writes there."""


class Case(NamedTuple):
    """A case.   places: where it holds."""

    make: Callable
    places: list[str]

    @property
    def name(self) -> str:
        """The situation, in few words."""
        return self.make.__name__


class Cases(list):
    """The cases of a file, each added by a decorator: `@case` or `@case(places=SHARED)`."""

    def __call__(self, make: Any = None, *, places: list[str] = PLACES) -> Any:
        """Add a case."""
        if make is None:
            return lambda make: self(make, places=places)
        assert inspect.isgeneratorfunction(make)
        assert make.__doc__, "a case begins with its rule"
        self.append(Case(make, places))
        return make

    def failures(self, place: str) -> dict[str, str]:
        """What fails in a place, by the names of the cases."""
        found: dict[str, str] = {}
        with tf.Graph().as_default(), session_in(place) as session:
            at = InSession(place, session)
            for case in self:
                if place in case.places:
                    found.update(play(case, at))
        return found

    def wrong(self) -> dict[str, str]:
        """The cases that show nothing: those that do not pass by the rule, and those that never fail."""
        found = {name: text for each in self for name, text in play(each, ByTheRule()).items()}
        for each in self:
            if not any(_fails(each, broken) for broken in BROKEN):  # the first one that fails is enough
                found[each.name] = "it never fails"
        return found


class Fetch(NamedTuple):
    """What a case yields where fetches alone do not do.   fails: the run fails, and its error comes back."""

    fetches: Any
    feeds: dict = {}
    fails: bool = False


def play(case: Case, at: Any) -> dict[str, str]:
    """Run a case. Returns what failed, by its name."""
    going, answer, number = case.make(at), None, 0
    last = FEW.get(getattr(at, "place", ""), 0)
    with closing(going):
        try:
            for number in (*RUNS, len(RUNS) + 1):
                asked = going.send(answer)
                assert number in RUNS, "it goes on"
                answer = at.run(asked if isinstance(asked, Fetch) else Fetch(asked))
                if number == last:
                    return {}
        except StopIteration:
            return {} if number not in RUNS else {case.name: f"it has {number - 1} runs"}
        except Exception as error:
            return {case.name: f"after {number - 1} runs: {''.join(traceback.format_exception(error, limit=-2))}"}
    return {}


def _fails(case: Case, broken: Callable) -> bool:
    with closing(broken()) as at:
        try:
            return bool(play(case, at))
        except BaseException:  # a case may raise any
            return True


class InSession:
    """Where nodes of a place are made and run."""

    def __init__(self, place: str, session: tf.Session):
        self.place, self._session = place, session

    def op(self, function: Callable, **options: Any) -> Any:
        """A function as a node of the place."""
        return op_in(self.place, function, **options)

    def fed(self) -> Any:
        """A node whose value is fed."""
        return tf.placeholder(tf.object)

    def run(self, asked: Fetch) -> Any:
        """Run what a case asks for."""
        if not asked.fails:
            return self._session.run(asked.fetches, asked.feeds)
        with pytest.raises(tf.errors.OpError) as caught:
            self._session.run(asked.fetches, asked.feeds)
        return caught.value.__cause__ or caught.value


class Call:
    """A node of what is no session."""

    def __init__(self, function: Any = None, args: tuple = (), kwargs: Any = None):
        self.function, self.args, self.kwargs = function, args, kwargs or {}


class ByTheRule:
    """Calls functions as a plain loop does, each with arguments of its own, and gives results away."""

    def op(self, function: Callable, **_: Any) -> Callable[..., Call]:
        """A function as a node."""
        kept = self.kept(function)
        return lambda *args, **kwargs: Call(kept, self.taken(args), self.taken(kwargs))

    def fed(self) -> Call:
        """A node whose value is fed."""
        return Call()

    def run(self, asked: Fetch) -> Any:
        """Run what a case asks for."""
        try:
            return self._value(asked.fetches, dict(asked.feeds))
        except BaseException as error:  # a case may raise any
            if not asked.fails:
                raise
            return error

    def _value(self, node: Any, values: dict) -> Any:
        if isinstance(node, (list, tuple)):
            return [self._value(each, values) for each in node]
        if not isinstance(node, Call):
            return node
        if node not in values:
            args = [self._taken_by_a_call(each, values) for each in node.args]
            kwargs = {name: self._taken_by_a_call(each, values) for name, each in node.kwargs.items()}
            values[node] = self.taken(self.call(node, args, kwargs))
        return self.taken(values[node])

    def _taken_by_a_call(self, value: Any, values: dict) -> Any:
        return self._value(value, values) if isinstance(value, Call) else self.taken(value)

    def kept(self, function: Callable) -> Any:
        """A function as it is kept."""
        return function

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of a call."""
        return _called(node.function, args, kwargs)

    def close(self) -> None:
        """End what there is to end."""

    def taken(self, value: Any) -> Any:
        """A value as it is handed over."""
        return copy.deepcopy(value, {id(each): each for each in _as_they_are(value)})


def _as_they_are(value: Any, depth: int = 3) -> Iterator[Any]:
    """What a copy of a value shares with it: objects without contents, nodes, and what cannot be copied."""
    if type(value) in (object, Call):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for each in (value.values() if isinstance(value, dict) else value) if depth else ():
            yield from _as_they_are(each, depth - 1)
    else:
        try:
            copy.deepcopy(value)
        except TypeError:
            yield value


def _called(function: Callable, args: list, kwargs: dict) -> Any:
    result = function(*args, **kwargs)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


class Sharing(ByTheRule):
    """Hands over what there is, without copies."""

    def taken(self, value: Any) -> Any:
        """The value itself."""
        return value


class Remembering(ByTheRule):
    """Calls each function once, and keeps its result."""

    def __init__(self):
        self._known: dict[Call, Any] = {}

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of the first call."""
        if node not in self._known:
            self._known[node] = super().call(node, args, kwargs)
        return self._known[node]


class Merging(ByTheRule):
    """Calls functions of one name once for arguments that are equal."""

    def __init__(self):
        self._known: list[tuple] = []

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of the first such call."""
        key = (getattr(node.function, "__qualname__", node.function), args, kwargs)
        for known, value in self._known:
            if known == key:
                return value
        self._known.append((self.taken(key), super().call(node, args, kwargs)))
        return self._known[-1][1]


class Repeating(ByTheRule):
    """Tries each function, and then calls it."""

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of the second call."""
        super().call(node, self.taken(args), self.taken(kwargs))
        return super().call(node, args, kwargs)


class InThreads(ByTheRule):
    """Calls functions in threads of a pool."""

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of a call in a thread."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(super().call, node, args, kwargs).result()


class Telling(ByTheRule):
    """Reports errors as texts."""

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of a call."""
        try:
            return super().call(node, args, kwargs)
        except Exception as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from None


class Pickling(ByTheRule):
    """Pickles functions when nodes are made, and sends each call to a process that began before the first run."""

    def __init__(self):
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("fork"))

    def kept(self, function: Callable) -> bytes:
        """A function's pickled bytes."""
        return cloudpickle.dumps(function)

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of a call in the process."""
        sent = cloudpickle.dumps((node.function, args, kwargs))
        return pickle.loads(self._pool.submit(_call_pickled, sent).result())

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


_loaded: dict[bytes, Callable] = {}


def _call_pickled(sent: bytes) -> bytes:
    text, args, kwargs = pickle.loads(sent)
    if text not in _loaded:
        _loaded[text] = pickle.loads(text)
    return cloudpickle.dumps(_called(_loaded[text], args, kwargs))


class Forgetting(ByTheRule):
    """Pickles everything for each call, without a memory of classes."""

    def kept(self, function: Callable) -> bytes:
        """A function's pickled bytes."""
        return cloudpickle.dumps(function)

    def call(self, node: Call, args: list, kwargs: dict) -> Any:
        """The result of a call of a copy."""
        function = _loaded_anew(node.function)
        args, kwargs = _loaded_anew(cloudpickle.dumps((args, kwargs)))
        return _loaded_anew(cloudpickle.dumps(_called(function, args, kwargs)))


def _loaded_anew(text: bytes) -> Any:
    cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()
    return pickle.loads(text)


class Asking(ByTheRule):
    """Asks each value whether it is one of its own."""

    def taken(self, value: Any) -> Any:
        """What the value says it is."""
        return value.taken() if hasattr(value, "taken") else super().taken(value)


BROKEN = [Sharing, Remembering, Merging, Repeating, Telling, Asking, Forgetting, InThreads, Pickling]
"""Ways to call functions, each of which breaks some rules."""
