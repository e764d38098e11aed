"""The values of a session's variables: pins and commits of one moment, locks in one order, draws given back."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import weftwork as tf
from weftwork.actors.programs.program import Stopped
from weftwork.graph.operation import LIBRARY, UNINITIALIZED
from weftwork.graph.streams import Draw, generator
from weftwork.scheduler.state.mirror import Draws, Mirror, new_version


class Seeded:
    """The parts of a random operation that Draws uses."""

    def __init__(self, name, seed=None, index=0):
        self.name, self.index = name, index
        self.attrs = {"_seed": seed}
        self.traits = LIBRARY


# Cells


def test_a_cell_is_made_once_and_has_no_value_at_first():
    mirror = Mirror()
    cell = mirror.cell("w")
    assert mirror.cell("w") is cell
    assert mirror.cell("v") is not cell
    assert cell.value is UNINITIALIZED
    assert {c.name for c in mirror.cells()} == {"v", "w"}
    assert mirror.pin([cell]) == [(UNINITIALIZED, 0)]


def test_threads_that_ask_for_a_cell_at_once_get_the_same_one():
    mirror, found, start = Mirror(), [], threading.Barrier(8)

    def ask():
        start.wait()
        found.append(mirror.cell("w"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_a_commit_publishes_values_and_versions_and_forgets_references():
    mirror = Mirror()
    v, w = mirror.cell("v"), mirror.cell("w")
    v.reference = "somewhere in Ray"
    mirror.put({v: (1, 10), w: (2, 11)})
    assert mirror.pin([w, v]) == [(2, 11), (1, 10)]
    assert v.reference is None


def test_versions_are_never_the_same():
    versions = [new_version() for _ in range(100)]
    assert len(set(versions)) == 100
    assert versions == sorted(versions)


def test_pins_see_a_commit_as_a_whole_or_not_at_all():
    mirror = Mirror()
    cells = [mirror.cell(name) for name in "abc"]
    done, torn = threading.Event(), []

    def write():
        for number in range(2000):
            mirror.put({cell: (number, number) for cell in cells})
        done.set()

    def read():
        while not done.is_set():
            if len(set(mirror.pin(cells))) != 1:
                torn.append(mirror.pin(cells))

    mirror.put({cell: (-1, 0) for cell in cells})
    threads = [threading.Thread(target=read), threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torn == []


# Locks


def test_cells_are_owned_by_one_and_let_go_when_it_fails():
    mirror = Mirror()
    cells = [mirror.cell(name) for name in "ab"]
    with mirror.owned(cells):
        assert set(mirror.owners) == set(cells)
    with pytest.raises(KeyError), mirror.owned(cells):
        raise KeyError
    assert not mirror.owners


def test_one_that_is_told_to_stop_while_it_waits_lets_go_of_what_it_has():
    mirror = Mirror()
    a, b = mirror.cell("a"), mirror.cell("b")
    with mirror.owned([b]):
        with pytest.raises(Stopped), mirror.owned([b, a], stop=["now"]):
            pytest.fail("it owns what another one owns")
        assert set(mirror.owners) == {b}
    with mirror.owned([a, b], stop=["now"]):  # what is free is taken all the same
        pass


def test_several_threads_of_one_owner_may_wait_for_the_same_cell():
    mirror, owner = Mirror(), object()
    cell = mirror.cell("a")
    first = mirror.owned([cell])
    first.__enter__()
    threads = [threading.Thread(target=mirror.wait_for, args=(cell, owner)) for _ in range(2)]
    for thread in threads:
        thread.start()
    first.__exit__(None, None, None)
    for thread in threads:
        thread.join()
    assert mirror.owners == {cell: owner}
    mirror.release([cell], owner)
    with mirror.owned([cell], stop=["now"]):
        pass


class Interrupting(dict):
    """Values of which the first one of a number is never there: as if Ctrl-C came while it is looked up."""

    def __init__(self, values, at):
        super().__init__(values)
        self.at = at

    def __getitem__(self, number):
        if number == self.at:
            self.at = None
            raise KeyboardInterrupt
        return super().__getitem__(number)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_commit_that_is_interrupted_is_whole(at):
    mirror = Mirror()
    cells = [mirror.cell(name) for name in "abc"]
    owner, writes = object(), [(cell, cell.name, n) for n, cell in enumerate(cells)]
    mirror.owners.update(dict.fromkeys(cells, owner))
    with pytest.raises(KeyboardInterrupt):
        mirror.commit(writes, Interrupting({0: 5, 1: 6, 2: 7}, at), owner)
    assert [cell.value for cell in cells] == [5, 6, 7]
    assert not mirror.owners


def test_threads_that_own_overlapping_sets_in_any_order_all_finish():
    mirror = Mirror()
    cells = [mirror.cell(name) for name in "abc"]
    total = dict.fromkeys("abc", 0)

    def work(order):
        for _ in range(200):
            with mirror.owned([cells[i] for i in order]):
                for i in order:
                    total[cells[i].name] += 1

    orders = [(0, 1), (1, 0), (2, 0), (0, 2), (1, 2), (2, 1, 0)]
    threads = [threading.Thread(target=work, args=[order]) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == {"a": 1000, "b": 800, "c": 800}


# Draws


def test_each_stream_counts_its_own_draws():
    draws = Draws(99)
    a, b = Seeded("a", (1, 2)), Seeded("b", None, index=7)
    assert draws.take([a, b, a], {}) == [((1, 2), 0), ((99, 7), 0), ((1, 2), 1)]
    assert draws.take([b], {}) == [((99, 7), 1)]


def test_a_failed_run_gives_its_draws_back():
    draws = Draws(0)
    a = Seeded("a", (1, 2))
    places = draws.take([a], {})
    draws.give_back([a], places)
    assert draws.take([a], {}) == places


def test_a_draw_is_not_given_back_past_a_run_that_has_gone_on():
    draws = Draws(0)
    a = Seeded("a", (1, 2))
    first = draws.take([a], {})
    second = draws.take([a], {})
    draws.give_back([a], first)
    assert draws.take([a], {}) == [((1, 2), 2)]
    assert second == [((1, 2), 1)]


def test_no_two_threads_get_the_same_draw():
    draws, got = Draws(0), []
    a = Seeded("a", (1, 2))

    def work():
        for _ in range(500):
            got.extend(draws.take([a], {}))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for _, number in got) == list(range(2000))


def test_a_draw_is_a_function_of_the_key_and_its_number():
    def numbers(key, draw):
        return generator(key, draw).random(4).tolist()

    assert numbers((1, 2), 3) == numbers((1, 2), 3)
    different = [numbers(*place) for place in [((1, 2), 3), ((1, 2), 4), ((2, 1), 3), ((1, 3), 3), ((-1, 2), 3)]]
    assert len({tuple(value) for value in different}) == len(different)


def test_the_kernels_of_one_random_function_are_equal():
    def normal(rng, shift):
        return rng.normal() + shift

    assert Draw(normal) == Draw(normal)
    assert hash(Draw(normal)) == hash(Draw(normal))
    assert Draw(normal) != Draw(generator)
    place = ((1, 2), 3)
    assert Draw(normal)(place, 5) == generator(*place).normal() + 5


def test_a_run_that_fails_moves_no_stream():
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        drawn = tf.random_uniform([3], seed=1)
        broken = tf.placeholder(tf.float32, [])
        check = tf.op(lambda x, y: 1 / int(y))(drawn, broken)
        first = session.run(drawn)
        with pytest.raises(tf.OpError):
            session.run(check, {broken: 0})
        second = session.run(drawn)
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        drawn = tf.random_uniform([3], seed=1)
        again = [session.run(drawn) for _ in range(2)]
    assert np.array_equal([first, second], again)
    assert not np.array_equal(first, second)
