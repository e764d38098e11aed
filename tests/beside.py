"""Tests run in three processes: two cores have work, also while some of the tests wait.

The test run is forked when its tests are collected. Two processes begin with the tests that take `ray_session`, which
are the most work, and one with the others. All go file by file, and one that has no more of its own takes what is left
of the others: each process has a Ray from the first test that takes one. The first process also hears the reports of
the rest and passes them on: what is printed, and the exit status, are those of one run.
"""

from __future__ import annotations

import atexit
import base64
import io
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, groupby
from typing import Any, BinaryIO

import pytest
from _pytest.runner import runtestprotocol

_LEAST = 100
"""So many tests that need Ray, and so many that do not, are worth further processes."""
_PATIENCE = 60.0
"""Seconds that a process has to end its test, once it is told to stop."""


def pays(config: pytest.Config, *kinds: list[pytest.Item]) -> bool:
    """True if several processes are better than one: there are many tests, more than one core, and no debugger."""
    watched = config.option.capture == "no" or config.option.usepdb
    return not watched and len(os.sched_getaffinity(0)) > 1 and min(map(len, kinds)) >= _LEAST


def files(items: list[pytest.Item]) -> list[list[pytest.Item]]:
    """Tests that follow each other in one file, together."""
    return [list(group) for _, group in groupby(items, key=lambda item: item.path)]


class Shared:
    """Files of tests that several processes run. A pipe holds the numbers of those that are left."""

    def __init__(self, items: list[pytest.Item]):
        self._files = files(items)
        self._left, end = os.pipe()
        os.write(end, b"".join(number.to_bytes(2, "little") for number in range(len(self._files))))
        os.close(end)

    def __iter__(self) -> Iterator[list[pytest.Item]]:
        while number := os.read(self._left, 2):
            yield self._files[int.from_bytes(number, "little")]


def run(session: pytest.Session, parts: Iterable[list[pytest.Item]], after: Callable[[], object] = bool) -> None:
    """Run the tests of files as pytest's own loop does, and call `after` after each.

    A file is taken when the one before has ended, not earlier: another process may be idle by then.
    """
    for part in parts:
        for item, following in zip(part, [*part[1:], session], strict=True):  # the session: its fixtures stay
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            after()
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)


def to_word(value: Any) -> bytes:
    """A value in letters, without spaces."""
    return base64.b64encode(pickle.dumps(value))


def from_word(word: bytes) -> Any:
    """The value that a word stands for."""
    return pickle.loads(base64.b64decode(word))


class Teller:
    """In a further process: writes what each test did as a line of a file, and shows nothing."""

    def __init__(self, config: pytest.Config, file: BinaryIO):
        self._config, self._file, self._listener = config, file, os.getppid()
        self._has_ray = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test. The first half of its line says which, the second one has its reports."""
        if os.getppid() != self._listener:
            raise KeyboardInterrupt
        self._file.write(to_word([item.nodeid, item.location]))
        self._has_ray = self._has_ray or "ray_session" in item.fixturenames  # type: ignore[attr-defined]
        made = runtestprotocol(item, log=False, nextitem=nextitem)
        ray = None if self._has_ray else sys.modules.get("ray")
        if ray is not None and ray.is_initialized():
            ray.shutdown()
            if "place" not in item.fixturenames:  # in a place, nodes can look coarse enough on a busy machine
                made[-1].outcome, made[-1].longrepr = (
                    "failed",
                    "It has started a Ray of its own: it must take `ray_session`",
                )
        data = [self._config.hook.pytest_report_to_serializable(config=self._config, report=report) for report in made]
        self._file.write(b" " + to_word(data) + b"\n")
        return True


def work(session: pytest.Session, parts: Iterable[list[pytest.Item]], file: BinaryIO) -> None:
    """Be a further process: run tests, and end. The exit status is 0 where all have run, well or not."""
    status = 1
    try:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        capture.resume_global_capture()
        for stream in (sys.stdout, sys.stderr):  # what a test prints must not get into another process's files
            with suppress(io.UnsupportedOperation), tempfile.TemporaryFile() as own:
                os.dup2(own.fileno(), stream.fileno())
        capture.suspend_global_capture()
        session.config.pluginmanager.register(Teller(session.config, file))
        run(session, parts)
        status = 0
    except KeyboardInterrupt:
        pass
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        with suppress(BaseException):
            session._setupstate.teardown_exact(None)  # a Ray, and what an interrupted test leaves
            atexit._run_exitfuncs()
        os._exit(status)


class Beside:
    """A further process, seen from the first one.

    parts: the tests that it runs, one part after the other, as far as no other process has taken them.
    """

    def __init__(self, session: pytest.Session, *parts: Shared):
        self._config, self._file = session.config, tempfile.TemporaryFile(buffering=0)
        self._heard, self._rest = 0, b""
        self._status: int | None = None
        self._process = os.fork()
        if self._process == 0:
            work(session, chain(*parts), self._file)

    def hear(self) -> None:
        """Pass on the reports that have come since."""
        while told := os.pread(self._file.fileno(), 1 << 20, self._heard):
            self._heard += len(told)
            *lines, self._rest = (self._rest + told).split(b"\n")
            for line in lines:
                self._pass_on(*map(from_word, line.split()))

    def _pass_on(self, named: list, data: list[dict]) -> None:
        hook, name = self._config.hook, dict(zip(("nodeid", "location"), named, strict=True))
        hook.pytest_runtest_logstart(**name)
        for report in data:
            made = hook.pytest_report_from_serializable(config=self._config, data=report)
            hook.pytest_runtest_logreport(report=made)
        hook.pytest_runtest_logfinish(**name)

    def _ended(self) -> bool:
        if self._status is None:
            process, status = os.waitpid(self._process, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if process else None
        return self._status is not None

    def finish(self, session: pytest.Session) -> None:
        """Pass on what comes till the process ends. Stops the test run if it has died."""
        while not self._ended() and not session.shouldfail:
            self.hear()
            time.sleep(0.02)
        self.hear()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if self._status:
            last = from_word(self._rest)[0] if self._rest else "no test"
            raise session.Interrupted(f"a process beside has ended with {self._status} in {last}")

    def stop(self) -> None:
        """End the process, if it has not ended."""
        for number, seconds in ((signal.SIGINT, _PATIENCE), (signal.SIGKILL, _PATIENCE)):
            end = time.monotonic() + seconds
            if not self._ended():
                os.kill(self._process, number)
            while not self._ended() and time.monotonic() < end:
                time.sleep(0.02)
        self._file.close()
