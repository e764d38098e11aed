"""Coroutines as nodes, and named limits: calls that wait without a lane."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import weftwork as tf
from tests.waiting import LONG


class Seen:
    """How many calls go on at a time."""

    def __init__(self):
        self.now = self.most = 0
        self.threads: set = set()
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())

    def __exit__(self, *_):
        with self._lock:
            self.now -= 1


def waiting(seconds=0.1, **options):
    """An op that waits, and what is seen of its calls."""
    seen = Seen()

    async def wait(value):
        with seen:
            await asyncio.sleep(seconds)
        return value

    return tf.op(**options)(wait), seen


def test_many_coroutines_wait_at_the_same_time_in_one_thread(graph):
    """A hundred waits take as long as one, at the first run and at later ones, and no lane."""
    wait, seen = waiting(0.2)
    nodes = [wait(k) for k in range(100)]
    config = tf.ConfigProto(inter_op_parallelism_threads=1)
    before = threading.active_count()
    with tf.Session(config=config) as session:
        for _ in range(2):
            assert session.run(nodes) == list(range(100))
        assert session.placements["loop"] == (200, 200)
    assert (seen.most, len(seen.threads)) == (100, 1)
    assert threading.active_count() - before < 10


def test_coroutines_and_other_functions_are_one_graph(graph):
    """Functions on all cores and library nodes take what coroutines give, and coroutines what these give."""
    fetch, _ = waiting(0.01)
    parse = tf.op(dtype=tf.int32, shape=[])(lambda text: len(text))
    store = tf.op(outputs=2, dtype=[tf.float32, tf.object])(lambda n: (n, str(n)))
    pages = [fetch("x" * k) for k in range(10)]
    total = tf.add_n([parse(page) for page in pages])
    with tf.Session() as session:
        for _ in range(3):
            assert session.run([fetch(total), store(total), pages[3]]) == [45, [45.0, "45"], "xxx"]


def test_limits_hold_calls_of_coroutines_and_of_functions(graph):
    """The limit applies to the calls of all runs of the session together."""
    wait, seen = waiting(0.02, limits={"api": 1})
    twice = Seen()

    def two(value):
        with twice:
            time.sleep(0.02)
        return value

    blocks = tf.op(limits={"api": 2, "disk": 1})(two)
    nodes = [wait(k) for k in range(20)], [blocks(k) for k in range(6)]
    with tf.Session(config=tf.ConfigProto(limits={"api": 5, "disk": 3})) as session:
        runs = [session.submit(nodes) for _ in range(2)]
        assert [run.result(60) for run in runs] == [(list(range(20)), list(range(6)))] * 2
    assert seen.most == 5
    assert twice.most == 2


def test_limits_hold_inside_of_branches_and_loops(graph):
    wait, seen = waiting(0.01, limits={"api": 1}, dtype=tf.int32, shape=[])
    x = tf.placeholder(tf.int32)
    branch = tf.cond(x > 0, lambda: wait(x), lambda: wait(-x))
    each = tf.map_fn(wait, tf.range(4))
    with tf.Session(config=tf.ConfigProto(limits={"api": 1})) as session:
        assert session.run([branch, each, wait(7)], {x: -3})[::2] == [3, 7]
        assert session.run(each).tolist() == [0, 1, 2, 3]
    assert seen.most == 1


def test_a_limit_that_is_not_there_is_refused_before_anything_runs(graph):
    ran: list = []
    node = tf.op(limits={"api": 2})(lambda: 1)()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"takes 2 of the limit 'api'.*has 1") as raised:
        with tf.Session(config=tf.ConfigProto(limits={"api": 1, "disk": 2})) as session:
            session.run([tf.op(here=True)(lambda: ran.append(1))(), node])
    assert raised.value.op is node.op
    assert "test_awaiting.py" in str(raised.value)
    assert ran == []
    for wrong in ({"api": 0}, {"api": 1.5}, {1: 1}):
        with pytest.raises(ValueError, match="limits must map names to integers"):
            tf.op(limits=wrong)
    for option in ({"isolated": True}, {"resources": {"loom": 1}}, {"timeout": 1.0}):
        with pytest.raises(ValueError, match="limits, which count the calls in the program's own process"):
            tf.op(limits={"api": 1}, **option)(len)


def test_cancelling_a_run_cancels_its_coroutines(graph):
    """Also those that wait for a limit. They see a CancelledError, and have ended when the run has."""
    ended: list = []

    async def wait(k):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(k)

    nodes = [tf.op(limits={"api": 1})(wait)(k) for k in range(5)] + [tf.op(wait)("free")]
    with tf.Session(config=tf.ConfigProto(limits={"api": 2})) as session:
        future = session.submit(nodes)
        while len(session.waiting()) < 1 and not future.done():
            time.sleep(0.01)
        time.sleep(0.1)
        assert future.cancel()
        with pytest.raises(tf.errors.CancelledError):
            future.result(30)
        assert sorted(map(str, ended)) == ["0", "1", "free"]
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(nodes, options=tf.RunOptions(timeout_in_ms=1500))  # all have begun by then
        assert len(ended) == 6
        quick, _ = waiting(0.001, limits={"api": 2})
        assert session.run(quick(1)) == 1


def test_a_coroutine_that_fails_ends_the_others(graph):
    """The error names the node and carries the exception; CancelledError of its own is an error like others."""
    wait, seen = waiting(60)

    async def fails(error):
        await asyncio.sleep(0.01)
        raise error

    with tf.Session() as session:
        node = tf.op(fails)(KeyError("gone"))
        with pytest.raises(tf.errors.OpError, match="KeyError: 'gone'") as raised:
            session.run([wait(1), node])
        assert isinstance(raised.value.__cause__, KeyError)
        assert raised.value.op is node.op
        assert seen.now == 0
        with pytest.raises(tf.errors.OpError, match="CancelledError.*"):
            session.run([wait(1), tf.op(fails)(asyncio.CancelledError())])


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("inside", [False, True], ids=["of the coroutine", "of a task in it"])
def test_what_would_end_a_loop_is_an_error_of_its_node(graph, error, inside):
    """Other coroutines go on in the same loop, as they do after one that stops it."""

    async def fails():
        raise error(2)

    @tf.op
    async def quits():
        await (asyncio.create_task(fails()) if inside else fails())

    @tf.op
    async def stops():
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    with tf.Session() as session:
        loop = session.run(stops())
        with pytest.raises(tf.errors.OpError, match=f"{error.__name__}: 2") as raised:
            session.submit(quits()).result(LONG)
        assert type(raised.value.__cause__) is error
        assert session.submit(stops()).result(LONG) == loop


def test_retries_and_time_limits_of_a_coroutine_need_no_process(graph):
    tries: list = []

    @tf.op(retries=2, timeout=5)
    async def flaky(items):
        items.append(1)
        tries.append(len(items))
        if len(tries) < 3:
            raise OSError("not yet")
        return items

    late, _ = waiting(60, timeout=0.05, retries=3)
    with tf.Session() as session:
        assert session.run(flaky([0])) == [0, 1]
        assert tries == [2, 2, 2]
        node = late(1)
        with pytest.raises(tf.errors.DeadlineExceededError, match=r"longer than its time limit of 0\.05 s") as raised:
            session.run(node)
        assert raised.value.op is node.op
        assert set(session.placements) == {"loop"}


def test_coroutines_share_the_loop_and_what_belongs_to_it(graph):
    """A lock of one call is that of the next one; a coroutine awaits other ops; sessions may be used in a loop."""
    kept: dict = {}

    @tf.op
    async def inner(k):
        lock = kept.setdefault("lock", asyncio.Lock())
        async with lock:
            await asyncio.sleep(0.001)
        return k, id(asyncio.get_running_loop())

    @tf.op
    async def outer(k):
        return await asyncio.gather(*[inner(k + n) for n in range(3)])

    async def main(session):
        return await session.run_async(outer(1)), session.run([inner(5), outer(5)])

    with tf.Session() as session:
        first = session.run((outer(0), inner(9)))
        again = asyncio.run(main(session))
    assert [k for k, _ in (*first[0], first[1], *again[0])] == [0, 1, 2, 9, 1, 2, 3]
    assert len({loop for _, loop in (*first[0], first[1], *again[0], again[1][0])}) == 1


def test_a_coroutine_may_change_its_arguments_and_state(graph):
    """Nobody else sees the arguments; what it writes to the program's state is written, as in any asyncio program."""
    log: list = []

    @tf.op
    async def adds(items):
        items.append(1)
        await asyncio.sleep(0.01)
        log.append(len(items))
        return items

    rows = tf.op(lambda: [0])()
    nodes = [adds(rows) for _ in range(20)]
    with tf.Session() as session:
        assert session.run([rows, *nodes]) == [[0]] + [[0, 1]] * 20
    assert log == [2] * 20
