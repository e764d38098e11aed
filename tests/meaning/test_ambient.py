"""Surroundings: in every place a function sees those of the program at the beginning of the run."""

from __future__ import annotations

import contextlib
import decimal
import gc
import importlib.util
import locale
import logging
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
import warnings

import numpy as np
import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in, values
from weftwork.scheduler.compile.emit import write_program
from weftwork.scheduler.compile.lowering import lower


def mode_of_a_new_file():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "new")
        file.touch()
        return oct(file.stat().st_mode)


def around():
    """A function's surroundings, as it sees them."""
    return {
        "folder": os.getcwd(),
        "environment": (os.environ.get("WEFT_CASE"), "WEFT_GONE" in os.environ),
        "path": sys.path[0],
        "recursion": sys.getrecursionlimit(),
        "decimal": (str(decimal.Decimal(1) / 7), decimal.getcontext().traps[decimal.Inexact]),
        "errors": np.geterr(),
        "printing": str(np.array([1.23456789])),
        "filters": [action in ("error", "ignore") and action for action, *_ in warnings.filters][:2],
        "level": logging.getLogger("weft.case").getEffectiveLevel(),
        "arguments": sys.argv[:],
        "digits": sys.get_int_max_str_digits(),
        "locale": locale.setlocale(locale.LC_ALL),
        "clock": time.localtime(0).tm_hour,
        "permissions": mode_of_a_new_file(),
        "collects": (gc.isenabled(), gc.get_threshold()),
        "turn": sys.getswitchinterval(),
    }


@contextlib.contextmanager
def other_surroundings(folder, k):
    """Everything is changed, and put back."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.chdir(folder)
        patch.setenv("WEFT_CASE", str(k))
        patch.syspath_prepend(f"/weft{k}")
        stack.enter_context(decimal.localcontext(decimal.Context(prec=10 + k)))
        stack.enter_context(np.errstate(divide=["raise", "ignore", "warn"][k % 3], under="call" if k % 2 else "print"))
        stack.enter_context(np.printoptions(precision=k + 1))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error" if k % 2 else "ignore", UserWarning)
        logger, limit = logging.getLogger("weft.case"), sys.getrecursionlimit()
        stack.callback(logger.setLevel, logger.level)
        stack.callback(sys.setrecursionlimit, limit)
        logger.setLevel(logging.DEBUG + k)
        sys.setrecursionlimit(limit + k)
        stack.callback(sys.set_int_max_str_digits, sys.get_int_max_str_digits())
        sys.set_int_max_str_digits(5000 + k)
        stack.callback(locale.setlocale, locale.LC_ALL, locale.setlocale(locale.LC_ALL))
        locale.setlocale(locale.LC_ALL, "C" if k % 2 else "C.UTF-8")
        patch.setattr(sys, "argv", ["weft", str(k)])
        patch.setenv("TZ", f"WFT{k}")
        time.tzset()
        stack.callback(os.umask, os.umask(0o020 * k))
        stack.callback(gc.enable)
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(5000 + k, 10, 10)
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(0.006 + k / 1000)
        if k == 1:
            gc.disable()
        yield
    time.tzset()


@pytest.mark.parametrize("place", PLACES)
def test_all_that_is_around_a_function_is_as_in_the_program(place, tmp_path):
    """Folder, environment, path, numbers, filters, levels, arguments, locale, time zone: those of the run's begin."""
    with tf.Graph().as_default():
        node = op_in(place, around)()
        with session_in(place) as session:
            assert session.run(node) == around()
            for k in range(3):
                (tmp_path / str(k)).mkdir()
                with other_surroundings(tmp_path / str(k), k):
                    wanted = around()
                    assert [session.run(node) for _ in range(3)] == [wanted] * 3
            assert session.run(node) == around()


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_that_was_deleted_is_missing_everywhere(place, tmp_path, monkeypatch):
    def where():
        try:
            return os.getcwd()
        except FileNotFoundError:
            return "gone"

    with tf.Graph().as_default():
        node = op_in(place, where)()
        with session_in(place) as session:
            for _ in range(2):
                (tmp_path / "gone").mkdir()
                monkeypatch.chdir(tmp_path / "gone")
                (tmp_path / "gone").rmdir()
                assert [session.run(node) for _ in range(2)] == ["gone"] * 2
                monkeypatch.chdir(tmp_path)
                assert session.run(node) == str(tmp_path)


@pytest.mark.parametrize("place", ["resident", "dynamic", "task", "auto"])
def test_what_follows_the_program_sees_its_functions(place):
    """A debugger, a profiler, a tool for coverage: it is asked for before the run, and not in other processes."""
    seen = []

    def step():
        return len(seen)

    def follow(frame, event, arg):
        if frame.f_code is step.__code__:
            seen.append(event)

    for set_follower in (sys.setprofile, sys.settrace):
        before = sys.getprofile() if set_follower is sys.setprofile else sys.gettrace()

        def change(run, set_follower=set_follower, before=before):
            seen.clear()
            set_follower(follow if run == 2 else before)

        try:
            values(place, step, runs=3, between=change)
        finally:
            set_follower(before)
        assert seen[:1] == ["call"]


def nodes_before_one_that_is_elsewhere(place):
    """After how many other nodes one is not in the caller: a forced plan for workers gives the caller some too."""
    for count in range(20):
        with tf.Graph().as_default():
            for _ in range(count):
                tf.no_op()
            node = op_in(place, os.getpid)()
            with session_in(place) as session:
                if session.run(node) != os.getpid():
                    return count
    raise AssertionError(place)


@pytest.mark.parametrize("place", ["task", "resident", "actor", "isolated"])
def test_what_a_function_changes_around_it_is_gone_with_the_run(place, tmp_path, monkeypatch):
    """In another process: by calls that its code does not show."""
    here = os.getcwd()
    monkeypatch.chdir(here)  # it is the program's again, come what may

    def change(folder):
        getattr(os, "".join(["ch", "dir"]))(folder)
        getattr(os, "".join(["envi", "ron"]))["WEFT_GONE"] = "1"
        getattr(sys, "".join(["pa", "th"])).insert(0, folder)
        return os.getcwd()

    before = nodes_before_one_that_is_elsewhere(place)
    with tf.Graph().as_default():
        for _ in range(before):
            tf.no_op()
        node, after = op_in(place, change)(str(tmp_path)), op_in(place, around)()
        with session_in(place) as session:
            for _ in range(3):
                assert session.run(node) == str(tmp_path)
                assert session.run(after) == around()
                assert os.getcwd() == here


@pytest.mark.parametrize("place", [place for place in PLACES if place != "isolated"])
def test_what_changes_the_surroundings_changes_those_of_the_program(place, tmp_path):
    """A function whose code calls os.chdir, or writes to os.environ, runs in the program, as in a loop."""

    def move(folder):
        os.chdir(folder)
        os.environ["WEFT_CASE"] = folder

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("/")
        patch.setenv("WEFT_CASE", "")
        values(place, move, str(tmp_path), runs=2)
        assert (os.getcwd(), os.environ["WEFT_CASE"]) == (str(tmp_path), str(tmp_path))


@pytest.mark.parametrize("place", PLACES)
def test_a_module_is_found_as_in_the_program(place, tmp_path):
    """Through a late entry of sys.path; one that is imported from a file, under a name that no path leads to."""
    (tmp_path / "weft_late.py").write_text("LEVEL = 2\ndef late(x):\n    return x * LEVEL\nclass Late:\n    pass\n")
    (tmp_path / "elsewhere").mkdir()
    hidden = tmp_path / "elsewhere" / "file.py"
    hidden.write_text("LEVEL = 5\ndef hidden(x):\n    return x * LEVEL\n")
    spec = importlib.util.spec_from_file_location("weft_hidden", hidden)
    with pytest.MonkeyPatch.context() as patch:
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "weft_hidden", module)
        spec.loader.exec_module(module)
        patch.syspath_prepend(str(tmp_path))
        import weft_late  # type: ignore[import-not-found]

        patch.setitem(sys.modules, "weft_late", weft_late)
        with tf.Graph().as_default():
            nodes = [op_in(place, function)(3) for function in (weft_late.late, module.hidden)]
            nodes.append(op_in(place, lambda: type(weft_late.Late()).__name__)())
            with session_in(place) as session:
                assert session.run(nodes) == [6, 15, "Late"]
                weft_late.LEVEL, module.LEVEL = 3, 6
                assert [session.run(nodes) for _ in range(3)] == [[9, 18, "Late"]] * 3
    for name in ("weft_late", "weft_hidden"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("place", PLACES)
def test_a_function_runs_in_the_main_thread(place):
    """As in a loop: `signal` works."""

    def main_thread():
        before = signal.getsignal(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, before)
        return threading.current_thread() is threading.main_thread()

    assert set(values(place, main_thread)) == {True}
    assert set(values(place, lambda: threading.current_thread() is threading.main_thread(), runs=3)) == {True}


def test_a_run_in_the_background_has_the_context_of_who_began_it(ray_session):
    """submit: decimal and NumPy contexts are those of the thread that called it."""
    with tf.Graph().as_default(), tf.Session() as session, decimal.localcontext(decimal.Context(prec=9)):
        node = tf.op(lambda: decimal.getcontext().prec)()
        assert session.submit(node).result() == 9


def test_nodes_of_the_library_are_silent_and_functions_are_as_the_program_says(ray_session):
    """One graph of both, in many runs: 1/0 is inf in a node, and what `np.errstate` says in a function."""
    zero = np.float64(0)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float64, [])
        quietly = 1 / x
        node = tf.op(lambda y: np.float64(1) / np.float64(0) + y)(quietly) * 0 + quietly
        with tf.Session() as session, np.errstate(divide="ignore", invalid="ignore"):
            for _ in range(45):
                assert session.run(quietly, {x: zero}) == np.inf
                assert np.isnan(session.run(node, {x: zero}))
            with np.errstate(divide="raise"), pytest.raises(tf.errors.OpError, match="FloatingPointError"):
                session.run(node, {x: zero})
            assert np.geterr()["divide"] == "ignore"


def test_a_large_graph_of_both_is_silent_and_loud_in_turns(ray_session):
    """A run without a plan: 60 nodes, a third of them functions."""
    with tf.Graph().as_default():
        values_ = [tf.op(lambda k: np.geterr()["divide"] == "raise" and k)(k) for k in range(20)]
        rows = [tf.cast(value, tf.float64) / 0.0 for value in values_]
        with tf.Session() as session, np.errstate(divide="raise"):
            for _ in range(4):
                got = session.run([*values_, *rows])
                assert got[1:20] == list(range(1, 20))
                assert got[21:] == [np.inf] * 19


def test_what_a_function_sets_of_numpy_stays_in_a_graph_of_both(ray_session):
    """np.seterr in a function between nodes of the library: as in a loop."""

    def strict(x):
        np.seterr(divide="raise")
        return x

    with tf.Graph().as_default():
        x = tf.placeholder(tf.float64, [])
        after = tf.op(lambda y: np.geterr()["divide"])(tf.op(strict)(1 / x) * 0.0)
        with tf.Session() as session, np.errstate(divide="ignore"):
            for _ in range(4):
                np.seterr(divide="ignore")
                assert session.run(after, {x: 0.0}) == "raise"
                assert np.geterr()["divide"] == "raise"


def test_a_program_that_is_called_by_itself_leaves_numpy_s_errors_as_they_were():
    """One of both sorts of nodes, outside of a run."""
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.float64, [])
        flow = lower([tf.op(lambda x: x)(fed + 1.0) * 2.0], [fed])
        inputs, outputs = tuple(flow.feeds.values()), (flow.fetched[0],)
        program, _ = write_program(flow, [0, 1, 2], inputs, outputs, [8.0] * len(flow.producer))
        before = np.geterr()
        assert program([np.float64(1)], []) == [4.0]
        assert np.geterr() == before
