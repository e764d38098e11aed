"""Running programs in a process that works for a session: once per task, or for long in an actor.

A program reaches a process once; later requests carry only its id. Requests of one session are numbered, and an actor
answers a repeated one from memory, so a message that arrives twice is applied once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import Any

from weftwork.actors.messages import Request, check_pickles, describe, pack_values, unpack
from weftwork.actors.program import Program, StepFailed, Stopped, quiet

_KEPT_PROGRAMS = 256
_HOT = 8
"""Runs after which a program is compiled."""

_programs: OrderedDict[str, Program] = OrderedDict()
_runs: dict[str, int] = {}


class ProgramMissing(Exception):
    """The process has not got the program of a request that came without its code."""


def _program(request: Request) -> Program:
    program = _programs.get(request.program)
    if program is None:
        if request.code is None:
            raise ProgramMissing(request.program)
        program = _programs[request.program] = unpack(request.code)
        while len(_programs) > _KEPT_PROGRAMS:
            old, _ = _programs.popitem(last=False)
            _runs.pop(old, None)
    _programs.move_to_end(request.program)
    runs = _runs[request.program] = _runs.get(request.program, 0) + 1
    if runs == _HOT:
        program.compile()
    return program


@contextmanager
def _limited(seconds: float | None):
    """A stop list that fills up after `seconds`."""
    stop: list = []
    timer = None
    if seconds is not None:
        timer = threading.Timer(seconds, stop.append, [True])
        timer.daemon = True
        timer.start()
    try:
        yield stop
    finally:
        if timer is not None:
            timer.cancel()


def perform(request: Request, values: list) -> tuple[list, list]:
    """Run a request's program on `values`: its reply as [head, *large outputs], and all the outputs.

    A kernel that raises is part of the reply, with the number of its step; so is an output that does not pickle.
    """
    try:
        program = _program(request)
    except ProgramMissing:
        return [pack_values(["missing"])] + [None] * len(request.apart), []
    except Exception as error:  # its code does not load here: a package is missing, say
        return [pack_values(["unloadable", *describe(error)])] + [None] * len(request.apart), []
    measured: tuple = ()
    try:
        with _limited(request.deadline) as stop, quiet():
            if request.measure:
                outputs, *measured_lists = program.measure(values, stop)
                measured = tuple(measured_lists)
            else:
                outputs = program(values, stop)
    except StepFailed as failed:
        cause = failed.__cause__ or failed
        return [pack_values(["failed", failed.step, *describe(cause)])] + [None] * len(request.apart), []
    except Stopped:
        return [pack_values(["stopped"])] + [None] * len(request.apart), []
    apart = set(request.apart)
    for position, value in enumerate(outputs):
        try:
            check_pickles(value)
        except Exception as error:
            text = f"its output {position} is a {type(value).__name__} that does not pickle: {error}"
            failure = pack_values(["unpicklable", position, *describe(TypeError(text))])
            return [failure] + [None] * len(apart), []
    small = [None if position in apart else value for position, value in enumerate(outputs)]
    head = pack_values(["done", small, *measured])
    return [head, *[outputs[position] for position in request.apart]], outputs


def inputs_of(request: Request, arrived: tuple, held: Any = None) -> list:
    """A program's input values from those in the request, beside it (its code may be, too) and in the actor."""
    if request.code_beside:
        request.code, arrived = arrived[-1].data, arrived[:-1]
    values = unpack(request.small)
    for position, value in zip(request.arrived, arrived, strict=True):
        values[position] = value
    for position, name, version in request.held:
        values[position] = held(name, version)
    return values


def run_segment(message: bytes, *arrived: Any) -> Any:
    """The one task function: every segment that runs as a Ray task comes through here."""
    request: Request = unpack(message)
    reply, _ = perform(request, inputs_of(request, arrived))
    return reply[0] if len(reply) == 1 else tuple(reply)


class VariableServer:
    """Holds variables of one session, by (name, version), and runs the segments that change them.

    A version becomes the variable's value when the session says so, not when it is made: what a failed run made is
    never asked for again, and forgotten.
    """

    def __init__(self, epoch: str):
        self.epoch = epoch
        self._values: dict[str, dict[int, Any]] = {}
        self._last = -1
        self._reply: Any = None

    def run(self, epoch: str, sequence: int, message: bytes, *arrived: Any) -> Any:
        """Run a segment. A repeated sequence number gets the first one's reply."""
        if sequence == self._last:
            return self._reply
        request: Request = unpack(message)
        self._forget(request.forget)
        try:
            values = inputs_of(request, arrived, self._held)
        except KeyError as lacking:
            reply = [pack_values(["lacking", lacking.args[0]])] + [None] * len(request.apart)
        else:
            reply, outputs = perform(request, values)
            if outputs:
                for position, name, version in request.keeps:
                    self._values.setdefault(name, {})[version] = outputs[position]
        self._last = sequence
        self._reply = reply[0] if len(reply) == 1 else tuple(reply)
        return self._reply

    def store(self, epoch: str, message: bytes, *arrived: Any) -> None:
        """Take committed values: a list of (name, version, value), large values as arguments beside it."""
        rest = list(arrived)
        for name, version, value, beside in unpack(message):
            self._values[name] = {version: rest.pop(0) if beside else value}

    def _held(self, name: str, version: int) -> Any:
        try:
            return self._values[name][version]
        except KeyError:
            raise KeyError(name) from None

    def _forget(self, versions: tuple[tuple[str, int], ...]) -> None:
        for name, kept in versions:
            known = self._values.get(name)
            if known is not None:
                for version in [v for v in known if v < kept]:
                    del known[version]

    def describe(self) -> dict[str, Any]:
        """Who this is and what it holds: epoch, process id, names and versions."""
        import os

        return {
            "epoch": self.epoch,
            "pid": os.getpid(),
            "variables": {name: sorted(versions) for name, versions in self._values.items()},
        }

    def read(self, name: str) -> Any:
        """The newest version of a variable that the actor holds."""
        versions = self._values[name]
        return versions[max(versions)]
