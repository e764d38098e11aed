"""A program in which nothing needs Ray (`quiet`), or whose Ray ends in one way after the other (`ends`)."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import psutil

import weftwork as tf
from tests.waiting import LONG
from weftwork.scheduler.machines import backend
from weftwork.scheduler.views.account import accounts


def quiet() -> dict:
    """What of all that is no work for Ray has started it."""
    started = []
    queue = tf.FIFOQueue(4, [tf.int32], shapes=[[]])
    get, v, x = queue.dequeue(), tf.Variable(1), tf.op(abs)(-3)
    limits = tf.train.limit_epochs(tf.constant([1]), num_epochs=1)
    session = tf.Session()
    session.run([v.initializer, tf.local_variables_initializer()])

    def limit():
        try:
            session.run(get, options=tf.RunOptions(timeout_in_ms=100))
        except tf.errors.DeadlineExceededError:
            return True

    def interrupt():
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            session.run(get)
        except KeyboardInterrupt:
            return True

    def cancel():
        future = session.submit(get)
        while not session.waiting():
            time.sleep(0.01)
        return future.cancel()

    def end():
        session.run(limits)
        try:
            session.run(limits)
        except tf.errors.OutOfRangeError:
            return True

    def failure():
        try:
            session.run(tf.Assert(tf.equal(v, 2), [v]))
        except tf.errors.InvalidArgumentError:
            return True

    def reset():
        try:
            tf.Session.reset("", config=tf.ConfigProto(name="nobody"))
        except tf.errors.NotFoundError:
            return True

    def large():  # long programs, with large arrays, go to local workers
        table, out = np.arange(200_000.0), tf.placeholder(tf.int32, [])
        nodes = [tf.op(lambda k, at: float(table[k + at]))(k, out) for k in range(1000)]
        with tf.Session(config=tf.ConfigProto(placement="resident")) as many:
            return [many.run(nodes, {out: at})[-1] for at in range(4)] == [999.0, 1000.0, 1001.0, 1002.0]

    def fed():  # a new function is called elsewhere at first, with what it reads
        array, part = tf.placeholder(tf.float64, [None]), tf.op(lambda values, at: float(values[at]))
        return session.run([part(array, k) for k in range(4)], {array: np.arange(2_000_000.0)}) == [0.0, 1.0, 2.0, 3.0]

    def look():
        return session.explain(x), session.list_devices(), session.placements

    def close():
        session.close()
        return True

    for step in (limit, interrupt, cancel, end, failure, reset, large, fed, look, close):
        done = step()
        if not done:
            started.append(f"{step.__name__} went wrong")
        if "ray" in sys.modules:
            started.append(step.__name__)
            break
    return {"started": started}


def ends() -> dict:
    """What runs give, by how their Ray has ended before them or meanwhile."""
    plus = tf.op(isolated=True)(lambda x: x + 1)
    slow = tf.op(isolated=True, dtype=tf.int64)(lambda: time.sleep(3) or 5)()
    large = tf.Variable(tf.zeros([100_000]))
    y, grown = plus(1), large.assign_add(tf.op(isolated=True, dtype=tf.float32, shape=[100_000])(np.ones)(100_000, "f"))
    session, seen = tf.Session(), {}
    seen["before"] = "ray" in sys.modules or session.run(tf.add(1, 2)) != 3 or "ray" in sys.modules

    def run(what: str, fetch=y) -> None:
        try:
            seen[what] = int(session.run(fetch, options=tf.RunOptions(timeout_in_ms=1000 * LONG)))
        except tf.errors.OpError as error:
            seen[what] = type(error).__name__
            print(what, error, file=sys.stderr)

    def end(name: str) -> None:
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith(name):
                    process.kill()
                    process.wait()

    signal.signal(signal.SIGTERM, lambda *_: seen.setdefault("told", True))
    threads = [threading.Thread(target=run, args=[f"thread {n}"]) for n in range(8)]
    for thread in threads:
        thread.start()
    try:
        session.run(y, options=tf.RunOptions(timeout_in_ms=100))
    except tf.errors.DeadlineExceededError:
        seen["limit"] = not backend.is_running()
    for thread in threads:
        thread.join()
    first = next(account for account in accounts(session.events()) if account.over and not account.error)
    seen["shares"] = {share: seconds / first.seconds for share, seconds in first.shares.items()}
    seen["started"] = [event.text for event in first.of_kinds("started")]
    import ray

    seen["after"], seen["device"] = ray.is_initialized(), session.list_devices()[0].name
    run("after the thread")
    os.kill(os.getpid(), signal.SIGTERM)
    session.run(large.initializer)
    session.run(grown.op)
    end("raylet")
    run("after its raylet")
    run("large", tf.reduce_sum(large))
    session.run(large.initializer)
    run("large again", tf.reduce_sum(large))
    threading.Timer(1, end, ["gcs_server"]).start()
    run("while its head ends", slow)
    threading.Timer(1, ray.shutdown).start()
    run("while it is shut down", slow)
    from ray.experimental import internal_kv
    from ray.remote_function import RemoteFunction

    with at_call(RemoteFunction, "_remote", after=replace):
        run("as its task was sent")
    with at_call(RemoteFunction, "_remote", before=lambda: end("raylet")):
        run("as its raylet dies")
    with at_call(ray, "put", before=ray.shutdown):
        run("as its input is put", tf.size(plus(tf.placeholder_with_default(np.ones(100_000), [100_000]))))
    with at_call(internal_kv, "_internal_kv_get", before=ray.shutdown):
        run(
            "as its limit is watched", tf.op(isolated=True, timeout=100, dtype=tf.int64)(lambda: time.sleep(0.2) or 7)()
        )
    with at_call(ray, "nodes", before=ray.shutdown):
        seen["devices"] = len(session.list_devices())
    ray.shutdown()
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    run("in another one")
    seen["cpus"] = int(ray.cluster_resources()["CPU"])
    ray.shutdown()
    seen["stillborn"], seen["left"] = stillborn(session, y)
    run("after it could not start")
    session.close()
    return seen


def stillborn(session: tf.Session, fetch: Any) -> tuple[str, list[str]]:
    """The error of a run whose Ray loses its raylet each time that it is starting, and what is left of that Ray."""
    from ray._private.node import Node

    start = Node.start_raylet

    def dies(*arguments) -> None:
        start(*arguments)
        for process in psutil.Process().children():
            if process.name() == "raylet":
                process.kill()

    Node.start_raylet = dies
    try:
        session.run(fetch)
    except tf.errors.UnavailableError as error:
        return error.message, [each.name() for each in psutil.Process().children() if each.name() == "gcs_server"]
    finally:
        Node.start_raylet = start
    return "", []


@contextmanager
def at_call(owner: Any, name: str, before: Callable = int, after: Callable = int) -> Iterator[None]:
    """Do something just before or after the next call of a function of Ray's."""
    function = getattr(owner, name)

    def call(*arguments, **options):
        setattr(owner, name, function)
        before()
        made = function(*arguments, **options)
        after()
        return made

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, function)


def replace() -> None:
    """Replace Ray by another."""
    import ray

    ray.shutdown()
    backend.ray()


if __name__ == "__main__":
    print(json.dumps({"quiet": quiet, "ends": ends}[sys.argv[1]]()))
