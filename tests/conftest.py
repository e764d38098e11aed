"""One Ray for all tests of a process. They are kept apart by sessions, not by restarts."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from itertools import chain

# Hundreds of processes import the package: compiling it takes each of them longer than all else that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPATH"] = os.pathsep.join(
    [os.path.join(os.path.dirname(__file__), "lean"), *filter(None, [os.environ.get("PYTHONPATH")])]
)

# Before the first process of Ray starts: no metrics, no memory monitor, no niceness, no surprise init.
os.environ.update(
    RAY_AUTH_MODE="disabled",
    RAY_USAGE_STATS_ENABLED="0",
    RAY_memory_monitor_refresh_ms="0",
    RAY_ENABLE_AUTO_CONNECT="0",
    RAY_worker_niceness="0",
    RAY_task_events_report_interval_ms="0",
    RAY_prestart_worker_first_driver="0",  # these know no job, so that nobody forks them: see worker_program.py
    RAY_raylet_start_wait_time_s="100",  # several start at a time
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    OMP_NUM_THREADS="1",  # several processes that each use all cores take turns badly
    PYTEST_TIMEOUT="400",  # seconds: then a test fails, with the stacks of all threads, and the next one begins
)

import pytest

import weftwork as tf
from tests import beside
from tests.lean import sitecustomize  # noqa: F401
from tests.meaning.places import PLACES, WITH_RAY
from tests.programs import Program
from tests.warm import forked_workers
from weftwork.scheduler.machines.starting import DiedEarly, watched

sys.dont_write_bytecode = False
with suppress(ImportError):  # `make pythons` does without
    from hypothesis import settings

    settings.register_profile("busy", deadline=None)  # a machine that has other work is no failure
    settings.load_profile("busy")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # this is a script's background job
    signal.signal(signal.SIGINT, signal.default_int_handler)


def programs_of(item: pytest.Item) -> list[Program]:
    """The programs whose output a test checks: it, or a fixture that it takes, names them."""
    fixtures = getattr(item, "_fixtureinfo", None)
    taken = [each.func for found in fixtures.name2fixturedefs.values() for each in found] if fixtures else []
    codes = [getattr(function, "__code__", None) for function in (getattr(item, "function", None), *taken)]
    found = vars(getattr(item, "module", item))
    named = [found.get(name) for code in codes if code for name in code.co_names]
    return [value for value in named if isinstance(value, Program)]


def needs_ray(item: pytest.Item) -> bool:
    """True for a test that takes a Ray."""
    return "ray_session" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with a place takes Ray if that place does. Tests of what programs print come last: these run meanwhile."""
    for item in items:
        place = item.callspec.params.get("place") if hasattr(item, "callspec") else None
        if place in PLACES and "ray_session" not in item._fixtureinfo.argnames:
            others = [name for name in item.fixturenames if name != "ray_session"]
            item.fixturenames = ["ray_session", *others] if place in WITH_RAY else others
    items.sort(key=lambda item: bool(programs_of(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there now is left out of every collection of garbage from here on."""
    gc.collect()
    gc.freeze()


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests, in several processes where that pays, and what they will look at meanwhile."""
    if session.config.option.collectonly or session.testsfailed:
        return None
    looking = [item for item in session.items if programs_of(item)]
    needing = [item for item in session.items if needs_ray(item) and not programs_of(item)]
    others = [item for item in session.items if not needs_ray(item) and not programs_of(item)]
    needing.sort(key=lambda item: len(item.path.parts))  # the last ones decide how long one process waits for another
    further: list[beside.Beside] = []
    with_ray, without = beside.Shared(needing), beside.Shared(others)
    if beside.pays(session.config, needing, others):
        further = [beside.Beside(session, without, with_ray), beside.Beside(session, with_ray, without)]
    for item in reversed(looking):  # so that the first ones to look run theirs beside the last ones'
        for program in programs_of(item):
            program.start()  # not before the fork: it starts a thread
    if not further:
        return None
    try:
        everything = chain(with_ray, without, beside.files(looking))
        beside.run(session, everything, lambda: [process.hear() for process in further])
        for process in further:
            process.finish(session)
    finally:
        for process in further:
            process.stop()
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop all programs."""
    for item in session.items:
        for program in programs_of(item):
            program.stop()


def start_ray(attempts: int = 3) -> None:
    """Start a Ray, again if it gives up: a part of it that is not up within 15 s, on a busy machine, ends it."""
    import ray

    ray.shutdown()  # one that a session has started for nodes that looked coarse
    try:
        with watched():
            ray.init(
                address="local",
                num_cpus=4,
                resources={"loom": 2},
                object_store_memory=150 * 1024 * 1024,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
    except DiedEarly:
        if attempts == 1:
            raise
        start_ray(attempts - 1)


@pytest.fixture(scope="session")
def ray_session():
    """A Ray of this machine's own, with 4 CPUs whatever the machine has, and a made-up resource."""
    import ray

    with forked_workers():
        start_ray()
        yield ray
        ray.shutdown()


@pytest.fixture
def graph():
    """A fresh graph, the default one of the test."""
    graph = tf.Graph()
    with graph.as_default():
        yield graph


@pytest.fixture
def session(graph):
    """A session that runs everything in this process."""
    with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        yield session
