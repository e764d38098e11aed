"""Errors: what a function raises is an error of its node, whatever it is and wherever it ran; Ctrl-C ends the run.

The error names the type, the text as far as it can be had, and the node; its cause is of the user's class.
"""

from __future__ import annotations

import asyncio
import builtins
import copyreg
import ctypes
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in
from tests.programs import Program
from tests.waiting import LONG, until

pytestmark = pytest.mark.usefixtures("ray_session")


class BadStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NoStr(Exception):
    def __str__(self) -> Any:
        return None


class StrExits(Exception):
    def __str__(self) -> str:
        sys.exit(5)


class UnpicklingExits(Exception):
    def __reduce__(self) -> Any:
        return sys.exit, (4,)


class UnpicklingRaises(Exception):
    def __reduce__(self) -> Any:
        return int, ("x",)


class UnpicklesAsAnother(Exception):
    def __reduce__(self) -> Any:
        return int, (3,)


class Odd(Exception):
    def __init__(self, a: int, b: str, *, c: float):
        super().__init__(f"{a} {b} {c}")


class HoldsALock(Exception):
    def __init__(self, text: str):
        super().__init__(text)
        self.lock, self.number = threading.Lock(), 3


class Base(BaseException):
    pass


class WantsMore(Exception):
    def __new__(cls, text: str, *, odd: int) -> Any:
        return super().__new__(cls, text)

    def __init__(self, text: str, *, odd: int):
        super().__init__(text)


class HasArgs(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        return ("other",)


class Answers(Exception):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")


RAISED = {
    "by hand": lambda: KeyboardInterrupt("text"),
    "SystemExit": lambda: SystemExit("text"),
    "GeneratorExit": lambda: GeneratorExit("text"),
    "CancelledError": lambda: asyncio.CancelledError("text"),
    "BadStr": lambda: BadStr("text"),
    "NoStr": lambda: NoStr("text"),
    "StrExits": lambda: StrExits("text"),
    "UnpicklingExits": lambda: UnpicklingExits("text"),
    "UnpicklingRaises": lambda: UnpicklingRaises("text"),
    "UnpicklesAsAnother": lambda: UnpicklesAsAnother("text"),
    "Odd": lambda: Odd(1, "text", c=0.5),
    "HoldsALock": lambda: HoldsALock("text"),
    "Base": lambda: Base("text"),
    "WantsMore": lambda: WantsMore("text", odd=1),
    "HasArgs": lambda: HasArgs("text"),
    "Answers": lambda: Answers("text"),
}


def raises_from():
    try:
        raise Odd(1, "inner", c=0.5)
    except Odd as error:
        raise ValueError("outer") from error


def raises_while_handling():
    try:
        raise Odd(1, "inner", c=0.5)
    except Odd:
        raise ValueError("outer")  # noqa: B904


@pytest.mark.parametrize("place", PLACES)
def test_an_error_comes_with_those_that_it_was_raised_from(place):
    """The exception that the function named as the cause, or was handling, is of its class too."""
    for function in (raises_from, raises_while_handling):
        with tf.Graph().as_default(), session_in(place) as session:
            node = op_in(place, function)()
            for _ in range(2):
                with pytest.raises(tf.errors.InvalidArgumentError) as caught:
                    session.run(node)
                outer: Any = caught.value.__cause__
                inner = outer.__cause__ if function is raises_from else outer.__context__
                assert (type(outer), type(inner), str(inner)) == (ValueError, Odd, "1 inner 0.5")


def raises_a_chain():
    try:
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            raise ValueError("v") from error
    except ValueError:
        raise KeyError("k")  # noqa: B904


def raises_a_long_chain():
    error = ValueError("first")
    for number in range(40):
        try:
            raise ValueError(number) from error
        except ValueError as now:
            error = now
    raise error


def raises_without_context():
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        raise ValueError("v") from None


class Reduced(Exception):
    def __reduce__(self) -> Any:
        return Reduced, self.args


def raises_with_a_note():
    error = Reduced("text")
    if sys.version_info >= (3, 11):
        error.add_note("noted")
    raise error


def raises_a_group():
    first = ValueError("v")
    first.add_note("noted")
    first.__cause__ = KeyError("k")
    group: Any = builtins.ExceptionGroup  # type: ignore[attr-defined]
    raise group("many", [first, group("more", [OSError(2, "no", "file")])])


def chain_of(error):
    """An exception and those that it was raised from, without the traceback of another process."""
    found = []
    while error is not None and not isinstance(error, tf.errors.RemoteTraceback):
        found.append((type(error), error.args, error.__suppress_context__, getattr(error, "__notes__", None)))
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("function", [raises_a_chain, raises_a_long_chain, raises_without_context, raises_with_a_note])
def test_the_chain_of_an_error_is_that_of_a_plain_call(ray_session, place, function):
    """Which was the cause and which the context, and whether the context counts."""
    try:
        function()
    except Exception as error:
        plain = chain_of(error)
    with tf.Graph().as_default(), session_in(place) as session:
        node = op_in(place, function)()
        with pytest.raises(tf.errors.OpError) as caught:
            session.run(node)
    ours = chain_of(caught.value.__cause__)
    assert ours == plain[: len(ours)]
    assert len(ours) == len(plain) or plain[0][2]  # what was raised "from None" may have lost it


class Locking(Exception):
    """It cannot be pickled, nor can an argument."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lock, self.code = threading.Lock(), 3


def raises_from_what_cannot_be_sent():
    raise ValueError("outer") from Locking("inner")


def caught_from(function):
    try:
        function()
    except Exception as error:
        return error


CHAINS = [raises_a_chain, raises_without_context, raises_with_a_note, raises_from_what_cannot_be_sent]


@pytest.mark.parametrize("place", PLACES)
def test_an_exception_that_is_a_value_keeps_its_chain(ray_session, place, monkeypatch):
    """As a result, inside of others, and as an argument. What cannot be sent of those that it was raised from is left
    out, as in an error."""
    with suppress(ImportError):  # Dask has it, and makes it reduce exceptions
        from tblib.pickling_support import pickle_exception

        monkeypatch.setitem(copyreg.dispatch_table, ValueError, pickle_exception)
    plain = [chain_of(caught_from(function)) for function in CHAINS]
    with tf.Graph().as_default(), session_in(place) as session:
        made = [op_in(place, lambda function: [caught_from(function)])(function) for function in CHAINS]
        same = [op_in(place, lambda error: error)(caught_from(function)) for function in CHAINS]
        for _ in range(3):
            errors, again = session.run([made, same])
            assert [chain_of(error) for (error,) in errors] == plain
            assert [chain_of(error) for error in again] == plain
            assert errors[-1][0].__cause__.code == 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
@pytest.mark.parametrize("place", PLACES)
def test_a_group_stays_one_if_a_member_cannot_be_sent(ray_session, place):
    class Own(builtins.ExceptionGroup):  # type: ignore
        pass

    def fail():
        inner = Own("inner", [Locking("lock")])
        inner.code = 4
        raise Own("outer", [ValueError("v"), inner, TypeError(threading.Lock())]) from inner

    with tf.Graph().as_default(), session_in(place) as session:
        with pytest.raises(tf.errors.UnknownError) as caught:
            session.run(op_in(place, fail)())
    group: Any = caught.value.__cause__
    first, inner, last = group.exceptions
    assert (type(group), type(inner), group.message, inner.code) == (Own, Own, "outer", 4)
    assert group.__cause__ is inner
    assert (type(first), type(last), inner.exceptions[0].code) == (ValueError, TypeError, 3)
    assert group.split(ValueError)[0].exceptions == (first,)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
@pytest.mark.parametrize("place", PLACES)
def test_a_group_keeps_its_errors_with_their_causes_and_notes(ray_session, place):
    with tf.Graph().as_default(), session_in(place) as session:
        node = op_in(place, raises_a_group)()
        with pytest.raises(tf.errors.UnknownError) as caught:
            session.run(node)
    group: Any = caught.value.__cause__
    first, inner = group.exceptions
    assert (group.message, first.__notes__, inner.exceptions[0].filename) == ("many", ["noted"], "file")
    assert (type(first.__cause__), first.__cause__.args) == (KeyError, ("k",))


@pytest.mark.parametrize("place", PLACES)
def test_an_error_knows_the_name_that_was_missing(ray_session, place):
    class Missing(AttributeError):
        pass

    def name():
        return nowhere  # type: ignore[name-defined]  # noqa: F821

    def own():
        raise Missing("text", name="own")

    with tf.Graph().as_default(), session_in(place) as session:
        for function, missing in ((name, "nowhere"), (lambda: sys.nowhere, "nowhere"), (own, "own")):  # type: ignore
            with pytest.raises(tf.errors.UnknownError) as caught:
                session.run(op_in(place, function)())
            cause: Any = caught.value.__cause__
            assert cause.name == missing


@pytest.mark.parametrize("place", PLACES)
def test_whatever_a_function_raises_is_an_error_of_its_node(place):
    def fails(which: str) -> None:
        raise RAISED[which]()

    with tf.Graph().as_default():
        which = tf.placeholder(tf.string, [])
        node = op_in(place, lambda name: fails(name.decode()), name="node")(which)
        with session_in(place) as session:
            for name, make in RAISED.items():
                for _ in range(2):
                    with pytest.raises(tf.errors.OpError) as caught:
                        session.run(node, {which: name})
                    error, text = caught.value, str(caught.value)
                    assert type(error.__cause__) is type(make()), (place, name, text)
                    assert type(error.__cause__).__name__ in text
                    assert "text" in text
                    assert "[[node node (defined at" in text
                    assert error.op.name == "node"


def test_it_is_so_in_every_run():
    x = tf.placeholder(tf.int32, [])

    def fails(k: Any) -> Any:
        if k:
            raise KeyboardInterrupt("text")
        return k

    nodes = [tf.op(fails)(x) for _ in range(2)]
    with tf.Session() as session:
        for run in range(45):
            session.run(nodes, {x: 0})
            if run in (0, 1, 2, 4, 16, 40, 44):
                with pytest.raises(tf.errors.UnknownError, match="KeyboardInterrupt: text"):
                    session.run(nodes, {x: 1})


@pytest.mark.parametrize("place", ["caller", "dynamic", "auto"])
def test_a_function_that_ends_its_process_fails_and_the_program_goes_on(ray_session, place):
    x = tf.placeholder(tf.int32, [])

    def ends(k: Any) -> Any:
        if k:
            os._exit(3)
        return k

    with tf.Graph().as_default():
        x = tf.placeholder(tf.int32, [])
        node = op_in(place, ends, name="node")(x)
        with session_in(place) as session:
            for _ in range(3):
                session.run(node, {x: 0})
            with pytest.raises(tf.errors.UnavailableError, match="node"):
                session.run(node, {x: 1})
            assert session.run(node, {x: 0}) == 0


@pytest.mark.parametrize("place", ["dynamic", "auto"])
def test_that_is_so_for_a_function_that_releases_the_gil_which_others_of_its_kind_run_in_threads(place):
    mine = os.getpid()

    def naps(k: Any) -> Any:
        time.sleep(0.01)
        if k and os.getpid() != mine:
            os._exit(3)
        return os.getpid()

    with tf.Graph().as_default():
        x = tf.placeholder(tf.int32, [])
        made = tf.op(naps, name="node")
        nodes = [made(x), *[made(0) for _ in range(5)]]
        with session_in(place) as session:
            for _ in range(4):
                assert mine not in session.run(nodes, {x: 0})
            with pytest.raises(tf.errors.UnavailableError, match="node"):
                session.run(nodes, {x: 1})


def test_a_function_that_has_crashed_a_worker_is_never_called_in_the_program():
    x = tf.placeholder(tf.int32, [])

    def crashes(k: Any) -> int:
        if k:
            ctypes.string_at(0)
        return os.getpid()

    node = tf.op(crashes, name="node")(x)
    with tf.Session() as session:
        with pytest.raises(tf.errors.UnavailableError, match="node"):
            session.run(node, {x: 1})
        assert os.getpid() not in {session.run(node, {x: 0}) for _ in range(45)}


@pytest.mark.parametrize("limit", [0, 1000 * LONG])
@pytest.mark.parametrize("place", ["caller", "dynamic", "auto"])
def test_ctrl_c_ends_the_run_as_itself(place, limit, tmp_path):
    begun, mine = tmp_path / "begun", os.getpid()

    def waits() -> None:
        begun.touch()
        for _ in range(20 * LONG):  # Python notices a signal that comes just before a wait only after it
            time.sleep(0.05)

    def strike() -> None:
        until(begun.exists)
        os.kill(mine, signal.SIGINT)

    with tf.Graph().as_default():
        node = op_in(place, waits)()
        with session_in(place, cancel_grace_in_ms=200) as session:
            threading.Thread(target=strike).start()
            with pytest.raises(KeyboardInterrupt):
                session.run(node, options=tf.RunOptions(timeout_in_ms=limit))


def test_a_handler_of_the_program_that_raises_ends_the_run_as_well():
    def handler(*_: Any) -> None:
        raise KeyboardInterrupt("mine")

    def strike() -> None:
        assert begun.wait(LONG)
        os.kill(os.getpid(), signal.SIGINT)

    begun = threading.Event()
    before = signal.signal(signal.SIGINT, handler)
    try:
        node = tf.op(lambda: begun.set() or [time.sleep(0.05) for _ in range(20 * LONG)], here=True)()
        with tf.Session() as session:
            threading.Thread(target=strike).start()
            with pytest.raises(KeyboardInterrupt, match="mine"):
                session.run(node)
    finally:
        signal.signal(signal.SIGINT, before)


TBLIB = Program(
    script="""
import pickle, threading
import weftwork as tf
from tblib import pickling_support
pickling_support.install()

class HoldsALock(Exception):
    lock = None
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()

def fails():
    raise HoldsALock("text")

if __name__ == "__main__":
    for placement in ("caller", "dynamic"):
        with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement=placement)) as session:
            try:
                session.run(tf.op(fails)())
            except tf.errors.OpError as error:
                again = pickle.loads(pickle.dumps(error))
                print(type(again).__name__, "HoldsALock: text" in str(again))
"""
)


def test_an_error_pickles_though_its_cause_does_not_also_where_tblib_is_installed():
    ended = TBLIB.done()
    assert ended.stdout.split() == ["UnknownError", "True"] * 2, ended.stderr[-2000:]
    with pytest.raises(tf.errors.OpError) as caught, tf.Session() as session:
        session.run(tf.op(lambda: RAISED["HoldsALock"]().__class__.nothing)())
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)
