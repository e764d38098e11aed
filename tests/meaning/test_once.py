"""What exists once, in the program: finalizers, caches, identities, files that children get, hooks."""

from __future__ import annotations

import csv
import functools
import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from types import ModuleType

import pytest

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in, values

HERE = ["caller", "thread", "resident", "dynamic", "auto"]
RUNS = 3


class Folder:
    """Removes its folder when it ends."""

    def __init__(self):
        self.name = tempfile.mkdtemp()
        self._end = weakref.finalize(self, os.rmdir, self.name)


@pytest.mark.parametrize("place", HERE)
def test_what_a_finalizer_guards_lasts_as_long_as_its_object(place):
    """Two functions take it."""
    with tf.Graph().as_default():
        made = op_in(place, lambda: [Folder()])()
        nodes = [op_in(place, lambda held: os.path.isdir(held[0].name))(made) for _ in range(2)]
        with session_in(place) as session:
            assert [session.run(nodes) for _ in range(RUNS)] == [[True, True]] * RUNS


@pytest.mark.parametrize("place", PLACES)
def test_a_captured_object_with_a_finalizer_is_used_wherever_functions_run(ray_session, place):
    folder = tempfile.TemporaryDirectory()
    try:
        assert values(place, lambda: os.path.isdir(folder.name), runs=RUNS) == [True] * RUNS
    finally:
        folder.cleanup()


@pytest.mark.parametrize("place", HERE)
def test_what_a_cached_function_returned_is_changed_in_the_program(place):
    @functools.cache
    def settings():
        return {"level": 0}

    def raised():
        settings()["level"] += 1
        return settings()["level"]

    assert values(place, raised, runs=RUNS) == [1, 2, 3]
    assert settings() == {"level": 3}


@pytest.mark.parametrize("place", HERE)
def test_the_cache_that_a_function_asks_about_is_the_program_s(place):
    @functools.cache
    def double(number):
        return number * 2

    double(1)
    assert values(place, lambda: (double(2), double.cache_info().currsize), runs=RUNS) == [(4, 2)] * RUNS


@pytest.mark.parametrize("place", HERE)
def test_what_a_process_has_is_what_the_program_has(place):
    class Base:
        pass

    known = [Base()]
    numbers = {id(known): "known"}

    def listed():
        objects = [each for each in gc.get_objects() if type(each) is Base]
        return len(Base.__subclasses__()), len(objects), numbers.get(id(known))

    kept: list[type] = []
    seen = values(place, listed, runs=RUNS, between=lambda run: kept.append(type("Sub", (Base,), {})))
    assert seen == [(run + 1, 1, "known") for run in range(RUNS)]


@pytest.mark.parametrize("place", HERE)
def test_a_child_gets_the_program_s_files(place):
    """As its standard output, and by number: a worker has others under these numbers."""
    reading, writing = os.pipe()
    said = [sys.executable, "-c", f"import os; os.write({writing}, b'b')"]

    def passed(number):
        return subprocess.run(said, pass_fds=[number], check=False).returncode

    def printed(number):
        return subprocess.run(["printf", "a"], stdout=number, check=False).returncode

    try:
        assert values(place, printed, writing, runs=2) == [0, 0]
        assert values(place, passed, writing, runs=2) == [0, 0]
        assert os.read(reading, 9) == b"aabb"
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("place", HERE)
def test_a_hook_for_errors_of_threads_hears_of_those_that_functions_start(place, monkeypatch):
    heard: list = []
    monkeypatch.setattr(threading, "excepthook", lambda error: heard.append(error.exc_type))

    def start():
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()

    values(place, start, runs=RUNS)
    assert heard == [ZeroDivisionError] * RUNS


@pytest.mark.parametrize("place", HERE)
def test_a_dialect_that_the_program_has_registered_is_known(place):
    def register(run):
        csv.register_dialect("weft", delimiter=",;|"[run])

    try:
        assert values(place, lambda: csv.get_dialect("weft").delimiter, runs=RUNS, between=register) == list(",;|")
    finally:
        csv.unregister_dialect("weft")


@pytest.mark.parametrize("place", ["resident", "dynamic"])
def test_a_module_that_is_put_in_the_place_of_another_is_imported(place, monkeypatch):
    def find():
        import weft_replaced  # type: ignore[import-not-found]

        return weft_replaced.value

    def replace(run):
        made = ModuleType("weft_replaced")
        made.value = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "weft_replaced", made)

    assert values(place, find, runs=RUNS, between=replace) == [0, 1, 2]


@pytest.mark.parametrize("place", ["resident", "dynamic"])
def test_a_class_and_a_function_are_as_the_program_has_changed_them(place):
    """Its bases, names that are gone from it, and the defaults of keywords in their own dict."""

    class One:
        number = 1

        def told(self):
            return "One"

    class Two:
        number = 2

    class Kind(One):
        pass

    class Telling(One):
        number = 5

        def told(self):
            return "Telling"

    def default(*, number=0):
        return number

    def change(run):
        Kind.__bases__ = (Two if run else One,)
        default.__kwdefaults__["number"] = run

    seen = values(place, lambda: (Kind().number, default()), runs=RUNS, between=change)
    assert seen == [(1, 0), (2, 1), (2, 2)]

    def delete(run):
        if run:
            delattr(Telling, ["", "told", "number"][run])

    seen = values(place, lambda: (Telling().told(), Telling.number), runs=RUNS, between=delete)
    assert seen == [("Telling", 5), ("One", 5), ("One", 1)]


@pytest.mark.parametrize("place", ["resident", "dynamic"])
def test_a_partial_has_the_arguments_that_the_program_has_given_it(place):
    """Its keywords are a dict, and it can be made anew; as a node, and as a helper."""

    def told(*args, **kwargs):
        return args, sorted(kwargs.items())

    partial = functools.partial(told, 1, key=0)

    def change(run):
        if run == 2:
            partial.__setstate__((told, (2,), {"new": 2}, {}))
        else:
            partial.keywords["key"] = run

    expected = [((1,), [("key", 0)]), ((1,), [("key", 1)]), ((2,), [("new", 2)])]
    for function in (partial, lambda: partial()):
        assert values(place, function, runs=RUNS, between=change) == expected
        partial.__setstate__((told, (1,), {"key": 0}, {}))


@pytest.mark.parametrize("place", ["resident", "dynamic"])
def test_the_start_method_of_processes_is_the_program_s(place):
    before = multiprocessing.get_start_method(allow_none=True)

    def change(run):
        multiprocessing.set_start_method(["spawn", "fork", "spawn"][run], force=True)

    try:
        seen = values(place, lambda: multiprocessing.get_start_method(), runs=RUNS, between=change)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert seen == ["spawn", "fork", "spawn"]
