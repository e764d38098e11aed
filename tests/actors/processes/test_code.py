"""Sending code to other processes: large data is sent separately, and exists once in each process."""

from __future__ import annotations

import gc
import os
import warnings
import weakref

import numpy as np
import pytest

import weftwork as tf
from weftwork.actors.processes.code import LARGE, BlockMissing, pack_code, unpack_code
from weftwork.scheduler.machines import objects

LIMITS = np.zeros(300_000)


def lookup(i):
    """A function that other processes import, together with what it refers to."""
    return LIMITS[i]


@tf.op
def lookup_node(i):
    """As a node it is pickled by value, because its name refers to the node."""
    return LIMITS[i]


def script(text, **names):
    """The functions of a script, which other processes cannot import. Its file has a name of its own."""
    names.update(__name__="__main__", np=np)
    exec(compile(text, f"script-{id(names)}.py", "exec"), names)
    return names


TABLE = """
table = np.arange({size}, dtype=np.float64)
def first(i): return table[int(i)], table.ctypes.data
def second(i):
    def inner(): return table
    return inner()[int(i)], inner().ctypes.data
def change(x): table[0] = x
"""


def sent(program):
    """A program as unpickled in another process that was sent its blocks."""
    code, blocks = pack_code(program)
    return unpack_code(code, [key for key, _ in blocks], [bytes(data) for _, data in blocks])


@pytest.fixture
def quiet():
    """Suppress warnings about large variables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_large_arrays_go_apart_and_small_ones_with_the_code(quiet):
    large, small = script(TABLE.format(size=200_000)), script(TABLE.format(size=1000))
    code, blocks = pack_code(large["first"])
    assert len(code) < 2000
    assert [data.nbytes for _, data in blocks] == [1_600_000]
    code, blocks = pack_code(small["first"])
    assert len(code) > 8000
    assert blocks == []


def test_functions_that_go_one_after_another_refer_to_one_array_that_they_may_change(quiet):
    names = script(TABLE.format(size=200_000))
    first, second, change = [sent(names[name]) for name in ("first", "second", "change")]
    assert first(7)[0] == second(7)[0] == 7
    assert first(0)[1] == second(0)[1] != names["first"](0)[1]
    change(5)
    assert first(0)[0] == second(0)[0] == 5
    assert names["first"](0)[0] == 0


def test_an_array_that_has_changed_goes_again_and_equal_ones_stay_two(quiet):
    names = script(TABLE.format(size=200_000))
    (before, _), *_ = pack_code(names["first"])[1]
    assert pack_code(names["second"])[1][0][0] == before
    names["change"](1)
    (after, _), *_ = pack_code(names["first"])[1]
    other = pack_code(script(TABLE.format(size=200_000))["first"])[1][0][0]
    assert len({before, after, other}) == 3


def test_a_block_that_is_not_here_is_asked_for_and_goes_with_the_last_code_that_needs_it(quiet):
    code, blocks = pack_code(script(TABLE.format(size=200_000))["first"])
    keys = [key for key, _ in blocks]
    with pytest.raises(BlockMissing):
        unpack_code(code, keys, [None])
    first = unpack_code(code, keys, [bytes(data) for _, data in blocks])
    assert unpack_code(code, keys, [None])(3)[0] == first(3)[0] == 3
    del first
    gc.collect()
    with pytest.raises(BlockMissing):
        unpack_code(code, keys, [None])


def test_a_large_variable_of_a_script_is_told_once(recwarn):
    warnings.simplefilter("always")
    names = script(TABLE.format(size=1_000_000))
    place = names["second"].__code__.co_filename
    for _ in range(2):
        sent([names["second"], names["second"]])
    (told,) = recwarn
    assert (told.filename, told.lineno) == (place, 4)
    assert f"second ({place}:4) refers to the global 'table' of 8 MB" in str(told.message)


def test_a_large_variable_around_a_function_is_told(recwarn):
    warnings.simplefilter("always")
    around = np.zeros(LARGE)
    sent(lambda: around)
    (told,) = recwarn
    assert "refers to the variable 'around' of 8.39 MB" in str(told.message)
    assert told.filename == __file__


def test_nothing_is_told_of_what_other_processes_import_or_of_what_came_from_another():
    names = script(TABLE.format(size=1_000_000))
    with pytest.warns(UserWarning, match="'table'"):
        first = sent(names["first"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pack_code(lookup)[1] == []
        first.__code__ = first.__code__.replace(co_firstlineno=100)  # as if nobody had been told of it
        pack_code(first)


def test_a_node_of_a_module_is_told_as_well(recwarn):
    warnings.simplefilter("always")
    sent(lookup_node.kernel)
    assert ["refers to the global 'LIMITS' of 2.4 MB" in str(told.message) for told in recwarn] == [True]


@pytest.mark.parametrize("placement", ["task", "actor", "resident", "shared"])
def test_a_large_global_goes_to_the_store_and_to_each_process_once(
    ray_session, graph, quiet, monkeypatch, tmp_path, placement
):
    put, stored = objects.put, []
    monkeypatch.setattr(objects, "put", lambda value: stored.append(value.nbytes) or put(value))
    names = script(TABLE.format(size=200_000), os=os)
    exec("def where(i): return os.getpid(), *second(i)", names)
    options = {"name": f"code-{tmp_path.name}"} if placement == "shared" else {"placement": placement}
    with tf.Session(config=tf.ConfigProto(**options)) as session:
        seen = set()
        for name in ("where", "first", "where"):
            nodes = [tf.op(names[name])(float(i)) for i in range(4)]
            for _ in range(3):
                made = session.run(nodes)
                assert [values[-2] for values in made] == [0, 1, 2, 3]
                seen.update([(values[0], values[-1]) for values in made if name == "where"])
    assert len({pid for pid, _ in seen}) == len(seen)
    assert [size for size in stored if size >= LARGE] == ([1_600_000] if placement in ("task", "actor") else [])


def test_blocks_are_released_with_the_program_that_sent_them(ray_session, graph, quiet):
    names = script(TABLE.format(size=200_000))
    table = weakref.ref(names["table"])
    with tf.Session(config=tf.ConfigProto(placement="task")) as session:
        before = set(objects._blocks)
        session.run(tf.op(names["first"])(1.0))
        sent = objects._blocks.keys() - before
    graph.__init__()
    names.clear()
    gc.collect()
    assert sent
    assert table() is None
    assert not objects._blocks.keys() & sent
