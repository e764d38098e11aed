"""Output: what functions print, log and warn of comes out in the program, once each, before the run returns."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from contextlib import suppress

import pytest

import weftwork as tf
from tests.meaning.places import PLACES, RUNS, op_in, session_in
from tests.programs import Program

LOG = logging.getLogger("weft.said")


logging.addLevelName(35, "NOTE")


def speak(k):
    print("out", end=" ")
    print(k)
    print("err", k, file=sys.stderr)
    LOG.log(35 if k else 30, "log %d", k)
    LOG.info("not said %d", k)
    return k


@pytest.mark.parametrize("place", PLACES)
def test_what_is_said_comes_out_once_in_order(place, capsys, caplog):
    """print, print to stderr, logging: in the program's own streams and handlers, after each run, in creation order.

    Where a run is shared out, what is said in the caller comes before what was said elsewhere. Threads speak at the
    same time, and `print` writes a line in pieces, so lines of two threads can be mixed: their characters are counted.
    """
    threads = place in ("auto", "dynamic", "thread")
    order = sorted if threads else list
    pieces = sorted if threads else str.splitlines
    with tf.Graph().as_default():
        nodes = [op_in(place, speak)(k) for k in range(6)]
        with session_in(place) as session:
            for run in range(RUNS.get(place, 4)):
                caplog.clear()
                session.run(nodes)
                out, err = capsys.readouterr()
                assert pieces(out) == pieces("".join(f"out {k}\n" for k in range(6))), run
                assert pieces(err) == pieces("".join(f"err {k}\n" for k in range(6))), run
                assert order([(r.name, r.getMessage(), r.levelname) for r in caplog.records]) == [
                    ("weft.said", f"log {k}", "NOTE" if k else "WARNING") for k in range(6)
                ]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_written_past_python_comes_out_too(place, capfd):
    """A child's output, os.write, sys.stdout.buffer, a stream of the function's own."""

    def write(_):
        subprocess.run(["echo", "child"], check=True)
        os.write(1, b"os\n")
        own = io.StringIO()
        print("kept", file=own)
        return own.getvalue()

    with tf.Graph().as_default():
        node = op_in(place, write)(0)
        with session_in(place) as session:
            for _ in range(3):
                assert session.run(node) == "kept\n"
                sys.stdout.flush()
                assert sorted(capfd.readouterr().out.split()) == ["child", "os"]


class Counting(io.StringIO):
    """A stream of the program's own."""

    count = 0

    def write(self, text):
        self.count += 1
        return super().write(text)


def said_so_far():
    print("said")
    return sys.stdout.getvalue()  # type: ignore


def place_so_far():
    sys.stderr.write("four")
    return sys.stderr.tell()


def count_so_far():
    sys.stdout.write("once")
    return sys.stdout.count  # type: ignore


@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_a_function_may_ask_the_stream_that_the_program_has_put_in_place(ray_session, place, monkeypatch):
    """It runs in the program then, since the streams of other processes can only be written to."""
    for function, stream, name, expected in (
        (said_so_far, io.StringIO(), "stdout", ["said\n", "said\nsaid\n", "said\nsaid\nsaid\n"]),
        (place_so_far, io.StringIO(), "stderr", [4, 8, 12]),
        (count_so_far, Counting(), "stdout", [1, 2, 3]),
    ):
        with monkeypatch.context() as patched, tf.Graph().as_default(), session_in(place) as session:
            patched.setattr(sys, name, stream)
            node = op_in(place, function)()
            assert [session.run(node) for _ in range(3)] == expected


@pytest.mark.parametrize("place", PLACES)
def test_what_a_function_said_before_it_failed_comes_out(place, capsys):
    """With the error."""

    def fail():
        print("before")
        raise ValueError("no")

    with tf.Graph().as_default():
        node = op_in(place, fail)()
        with session_in(place) as session:
            for _ in range(3):
                with pytest.raises(tf.errors.OpError, match="no"):
                    session.run(node)
                assert capsys.readouterr().out == "before\n"


class Odd(UserWarning):
    """A warning of the program's own."""


def warn():
    warnings.warn("careful", Odd, stacklevel=1)
    return 1


@pytest.mark.parametrize("place", PLACES)
def test_warnings_obey_the_filters_of_the_program(place):
    """Shown always, once, never, or raised: as in a loop."""
    with tf.Graph().as_default():
        node = op_in(place, warn)()
        with session_in(place) as session:
            for action, shown in (("always", 3), ("default", 1), ("ignore", 0), ("once", 1)):
                with warnings.catch_warnings(record=True) as seen:
                    warnings.simplefilter(action)
                    for _ in range(3):
                        session.run(node)
                of_mine = [w for w in seen if w.category is Odd]
                assert [str(w.message) for w in of_mine] == ["careful"] * shown, action
                assert all(w.filename == __file__ for w in of_mine)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                for _ in range(3):
                    with pytest.raises(tf.errors.OpError, match="careful"):
                        session.run(node)


@pytest.mark.parametrize("place", PLACES)
def test_a_warning_of_no_line_of_the_program_is_shown(place):
    """Its `stacklevel` is larger than the stack, or the function says where it is from."""

    def warn_from_afar():
        warnings.warn("far", stacklevel=1000)
        warnings.warn_explicit("said", DeprecationWarning, "file", 3)

    with tf.Graph().as_default(), session_in(place) as session:
        node = op_in(place, warn_from_afar)().op
        for _ in range(3):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                session.run(node)
            assert [(str(w.message), w.category) for w in seen] == [("far", UserWarning), ("said", DeprecationWarning)]


@pytest.mark.parametrize("place", PLACES)
def test_a_call_that_is_repeated_in_the_program_says_things_once(ray_session, place, capsys):
    """It changes captured state unseen, returns what cannot be pickled, or fails as if only the place were wrong."""
    kept = [0]
    ways = {"add": lambda rows: rows.__setitem__(0, rows[0] + 1)}

    def write():
        print("write")
        ways["add"](kept)

    def lock():
        print("lock")
        return threading.Lock()

    def fail():
        print("fail")
        raise ImportError("nothing of this name")

    functions = [write, fail] if place in ("isolated", "actor") else [write, lock, fail]
    for function in functions:
        with tf.Graph().as_default(), session_in(place) as session:
            node = op_in(place, function)().op
            for _ in range(3):
                with suppress(tf.errors.OpError):
                    session.run(node)
                assert capsys.readouterr().out == f"{function.__name__}\n"


@pytest.mark.parametrize("place", ["caller", "task", "resident"])
def test_a_function_may_catch_what_it_says(place, capsys):
    """redirect_stdout, a handler of its own, catch_warnings."""

    def listen():
        import contextlib

        own = io.StringIO()
        with contextlib.redirect_stdout(own):
            print("inside")
        logger, handler = logging.getLogger("weft.inside"), logging.StreamHandler(own)
        logger.addHandler(handler)
        logger.error("heard")
        logger.removeHandler(handler)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            warnings.warn("caught", stacklevel=1)
        return own.getvalue(), len(seen)

    with tf.Graph().as_default():
        node = op_in(place, listen)()
        with session_in(place) as session:
            assert [session.run(node) for _ in range(3)] == [("inside\nheard\n", 1)] * 3
    assert capsys.readouterr().out == ""


PROGRAM = Program(
    script="""
import logging, sys
import weftwork as tf

logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)

def speak(k):
    print("said", k)
    logging.warning("logged %d", k)

nodes = [tf.op(isolated=True)(speak)(k) for k in range(3)]
with tf.Session() as session:
    session.run(nodes)
    print("ran")
    session.run(nodes)
"""
)


def test_a_program_prints_it_without_prefixes_and_no_second_time():
    """A Ray that Weftwork has started prints nothing of it itself."""
    done = PROGRAM.done()
    lines = [line for k in range(3) for line in (f"said {k}", f"WARNING logged {k}")]
    printed = [line for line in done.stdout.splitlines() if "waiting to start" not in line]  # so a slow one says
    assert printed == [*lines, "ran", *lines], done.stderr
    assert "said" not in done.stderr


INTERRUPTED = Program(
    script="""
import logging, os, sys
from weftwork.actors.programs.output import RECORDER

class Slow:
    def flush(self):
        raise KeyboardInterrupt

program, sys.stdout = os.dup(1), Slow()
try:
    with RECORDER.listening():
        raise AssertionError("it is cut short")
except KeyboardInterrupt:
    pass
with RECORDER.listening() as said:
    print("out")
    print("err", file=sys.stderr)
    logging.getLogger("said").warning("log")
    os.write(1, b"past")
    RECORDER.gather()
os.write(program, " ".join([event[0] for event in said]).encode())
"""
)


def test_a_worker_whose_first_run_was_cut_short_still_hears_everything():
    """Else stderr and logs of a process of Ray's were lost for good, if its first task was cancelled too soon."""
    assert INTERRUPTED.done().stdout == "out err log out"
