"""Run programs in a process that works for a session: in a Ray task, or in a long-lived actor.

A program is sent to a process once; later requests carry only its id. It does no harm to run a segment a second time:
it makes new versions of variables, and the session uses only those whose reply it has read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, sleep
from types import CodeType
from typing import Any

from weftwork.actors.processes.code import BlockMissing, unpack_code
from weftwork.actors.processes.messages import (
    Request,
    Watch,
    check_pickles,
    describe,
    pack_values,
    unpack,
    unwrap,
    wrap,
)
from weftwork.actors.processes.pickling import dumps
from weftwork.actors.processes.replay import tell_inputs
from weftwork.actors.programs import gpu
from weftwork.actors.programs.ambient import PLACE, Unknown
from weftwork.actors.programs.lru import Lru
from weftwork.actors.programs.output import RECORDER
from weftwork.actors.programs.program import Program, StepFailed, Stopped
from weftwork.actors.programs.sizes import size_of, sizes_of
from weftwork.actors.programs.stack import step_of
from weftwork.graph.kernels.team import limit
from weftwork.graph.python.forks import children_end
from weftwork.graph.python.frames import is_lazy, is_mapped, lazily_copied
from weftwork.graph.stacks import working
from weftwork.graph.user_function import RETRIED, STOPS, WATCHERS, UserFunction

_MAX_PROGRAMS = 256
KEPT_BYTES = 16 << 20
"""Maximum size of a version that an actor holds although it also lies in the object store.

It reads larger ones there.
"""
_COMPILED_AFTER = 40
"""Number of runs after which a program is compiled."""
_REPORTS_AFTER = 0.5
"""Seconds after which a segment reports its machine; it may take up to twice as long."""


class ProgramMissing(Exception):
    """A request came without code, and this process does not have the program."""


class Unreadable(Exception):
    """A value does not unpickle in this process. The cause says why."""


@dataclass
class _Entry:
    program: Program
    runs: int = 0


class Programs:
    """The programs of a process, by id. The least recently used ones are dropped."""

    def __init__(self, adapt: Callable[[Program], Program] | None = None):
        self._known: Lru[str, _Entry] = Lru(_MAX_PROGRAMS)
        self._adapt = adapt

    def get(self, request: Request) -> Program:
        """The program of a request. Raises ProgramMissing, or what unpickling its code raises."""
        known = self._known.find(request.program)
        if known is None:
            if request.code is None:
                raise ProgramMissing(request.program)
            try:
                program = unpack_code(request.code, request.blocks, request.came)
            except BlockMissing as missing:
                raise ProgramMissing(request.program) from missing
            if self._adapt is not None:
                program = self._adapt(program)
            known = self._known.keep(request.program, _Entry(program))
        if known.program.state is not None:
            known.program.state.arrive()
        known.runs += 1
        if known.runs >= _COMPILED_AFTER and not known.program.compiled:
            known.program.compile()
        return known.program

    def end(self, name: str) -> list[int]:
        """Finish a run of a program. Returns the numbers of its functions that changed captured objects.

        A program with changed objects no longer equals the session's, so it is dropped.
        """
        known = self._known.find(name)
        state = None if known is None else known.program.state
        if state is None:
            return []
        changed = state.changed()
        if changed or state.dirty:
            self._known.drop(name)
        return [] if state.isolated else changed


_TASKS = Programs()


@contextmanager
def stopping_after(seconds: float | None):
    """A stop list that fills up after `seconds`, or never."""
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


class Heartbeat:
    """Reports, from a thread of its own, on which machine a long segment runs.

    It also reports when a call with a time limit begins and ends, because the session counts the seconds and may end
    this process.

    tell: called with the segment's token, the number of the current call with a limit (0 before the first) and its
    limit (0.0 while none is running). It is set by the module that runs segments in processes.
    """

    def __init__(self):
        self.tell: Callable[[str, int, float], None] | None = None
        self._current = ""
        self._started = False
        self._calls, self._limit = 0, 0.0

    @contextmanager
    def watching(self, token: str):
        """Report the segment `token` while the block runs, if it takes long."""
        if token and self.tell is not None and not self._started:
            self._started = True
            threading.Thread(target=self._look, name="weftwork-heartbeat", daemon=True).start()
        self._calls, self._limit, self._current = 0, 0.0, token
        try:
            yield
        finally:
            self._current = ""

    def limited(self, seconds: float | None) -> None:
        """Note the beginning of a call that may take `seconds`; None: its end."""
        if self._current and self.tell is not None:
            self._calls, self._limit = self._calls + (seconds is not None), seconds or 0.0
            self.tell(self._current, self._calls, self._limit)

    def _look(self) -> None:
        before = ""
        while True:
            sleep(_REPORTS_AFTER)
            current = self._current
            if current and current == before:
                self.tell(current, self._calls, self._limit)  # type: ignore[misc]
            before = current


HEARTBEAT = Heartbeat()
WATCHERS.append(HEARTBEAT.limited)
_stops: list[Any] = []
"""Stop lists of the programs that run in this process."""


def stops_with(stop: Any) -> None:
    """Set the stop list of the running program. A call that waits for a retry checks it too."""
    _stops[:] = [stop]


def _look_for_stop() -> None:
    if any(_stops):
        raise Stopped


STOPS.append(_look_for_stop)


def call(program: Program, values: list, stop: Any, request: Request, watch: Watch) -> tuple[list, list]:
    """Run a program. Returns its outputs, and the measurements if the request asks for them."""
    stops_with(stop)
    with working(), children_end(), program.errors():
        measured: list = []
        watch.start = perf_counter()
        if request.measure:
            outputs, *measured = program.measure(values, stop)
        else:
            outputs = program(values, stop)
        watch.ran(sizes_of(values), sizes_of(outputs))
    return outputs, measured


def _missing(request: Request) -> list:
    """The reply to a request that refers to something this process does not have."""
    return _reply(request, ["missing"], [])


def _unreadable(request: Request, error: Unreadable) -> list:
    """The reply to a request with a value that does not unpickle here."""
    return _reply(request, ["unloadable", *describe(error.__cause__ or error)], [])


def perform(
    request: Request, values: list, programs: Programs, said: list, watch: Watch, device: bool = False
) -> tuple[list, list]:
    """Run a request's program on `values`. Returns the reply, as [head, *large outputs], and all outputs.

    A kernel that raises is reported in the reply, with its step; so is an output that does not pickle.
    said: a list that collects recorded output, which goes into the reply with the times of `watch`.
    device: the values are on a GPU, and outputs are copied from it.
    """
    try:
        loads = perf_counter()
        program = programs.get(request)
        watch.loaded(loads)
    except ProgramMissing:
        return _missing(request), []
    except Exception as error:  # the code does not unpickle here: a package is missing, say
        return _reply(request, ["unloadable", *describe(error)], []), []
    said.clear()  # output of module imports has appeared in the program already
    measured: list = []
    failure: list = []
    outputs: list = []
    try:
        with HEARTBEAT.watching(request.token), stopping_after(request.deadline) as stop:
            outputs, measured = call(program, values, stop, request, watch)
    except StepFailed as failed:
        taken = tell_inputs(failed, values, gpu.to_host) if device else tell_inputs(failed, values)
        failure = ["failed", failed.step, *describe(failed.__cause__ or failed), taken, watch.leaves(), failed.measured]
    except Stopped as stopped:
        failure = ["stopped", step_of(stopped), watch.leaves()]
    RECORDER.gather()
    if changed := programs.end(request.program):
        return _reply(request, ["wrote", changed], []), []
    if failure:
        return _reply(request, failure, said), []
    packs = perf_counter()
    leaving = [None if position in request.stays else value for position, value in enumerate(outputs)]
    if device:
        leaving = [gpu.to_host(value) for value in leaving]
    separate = {position: None for position in request.separate}
    for position, value in enumerate(leaving):
        try:
            if position in separate:
                separate[position] = wrap(value)
            else:
                check_pickles(value)
        except Exception as error:
            text = f"its output {position} is a {type(value).__name__} that cannot be pickled: {error}"
            return _reply(request, ["unpicklable", position, *describe(TypeError(text))], said), []
    small = [None if position in separate else value for position, value in enumerate(leaving)]
    large = [leaving[position] for position in request.separate]
    came = [_place_among(value, values, request.arrived) for value in large]
    watch.packing += perf_counter() - packs
    done = ["done", small, [size_of(value) for value in large], came, watch.leaves(), *measured]
    head = pack_values(with_said(done, said))
    return [
        head,
        *[separate[p] if place is None else None for p, place in zip(request.separate, came, strict=True)],
    ], outputs


RUNNERS: set[CodeType] = {perform.__code__}
"""Code objects that run programs in this process."""
RECORDER.runners = RUNNERS
RECORDER.dumps = dumps


def _retried(function: UserFunction, attempt: int, text: str) -> None:
    """Record that a call is being retried: when, and where. The run learns of it from the reply."""
    here = Watch.machine, os.getpid(), threading.get_native_id()
    RECORDER.take("retried", (attempt, text, perf_counter(), *here))


RETRIED.append(_retried)


def _reply(request: Request, reply: list, said: list) -> list:
    """A reply without outputs."""
    return [pack_values(with_said(reply, said)), *[None] * len(request.separate)]


def with_said(reply: list, said: list) -> list:
    """A reply, preceded by recorded output if there is any."""
    return ["said", said, *reply] if said else reply


def _place_among(output: Any, inputs: list, arrived: Iterable[int]) -> int | None:
    """The position of the stored input that an output is identical to, or None."""
    return next((position for position in arrived if inputs[position] is output), None)


def inputs_of(request: Request, arrived: tuple, held: Any = None) -> list:
    """A program's inputs, from the request, from the arguments beside it (which may include its code) and from the
    actor.

    Raises Unreadable, or KeyError for a value that the actor does not have.
    """
    if request.code_beside:
        request.code, arrived = arrived[-1].data, arrived[:-1]
    request.take_blocks(arrived[len(arrived) - sum(request.beside) :])
    arrived = arrived[: len(arrived) - sum(request.beside)]
    try:
        values = unpack(request.small)
        for position, value in zip(request.arrived, arrived, strict=True):
            values[position] = unwrap(value, lazily=True)
    except Exception as error:
        raise Unreadable from error
    for position, name, version in request.held:
        values[position] = held(name, version)
    return [as_input(value, request.mapped) for value in values]


def as_input(value: Any, mapped: list) -> Any:
    """A value as nodes take it. A frame that is read in the store is put into `mapped`, and lent as a lazy copy."""
    if is_lazy(type(value)) and is_mapped(value):
        mapped.append(value)
        return lazily_copied(value)
    return value


def run_segment(request: Request, arrived: tuple, said: list, watch: Watch) -> list:
    """Run a segment in a task, and return the reply.   said: the live recording of output."""
    PLACE.enter(*request.around)  # a task is always sent its surroundings
    watch.loaded(watch.came)
    try:
        values = inputs_of(request, arrived)
    except Unreadable as error:
        return _unreadable(request, error)
    watch.unpacked()
    return perform(request, values, _TASKS, said, watch)[0]


class VariableServer:
    """Holds variables of one session, by (name, version), and runs the segments that change them.

    A version becomes the variable's value only when the session says so. What a failed run made is never asked for and
    is forgotten. Values that stay here between two segments of a run are held in the same way.
    owns_gpu: the process owns a GPU, on which its values lie and its segments run.
    """

    def __init__(self, owns_gpu: bool = False):
        limit(1)
        PLACE.keep_own()
        self._device = owns_gpu and gpu.available()
        self._programs = Programs(gpu.for_device if self._device else None)
        self._values: dict[str, dict[int, Any]] = {}

    def run(self, message: bytes, *arrived: Any) -> Any:
        """Run a segment and return the reply."""
        watch = Watch()
        request: Request = unpack(message)
        self._forget(request.forget)
        with RECORDER.listening() as said:
            try:
                PLACE.enter(*request.around)
                watch.loaded(watch.came)
                values = inputs_of(request, arrived, self._held)
            except Unknown:
                reply = _missing(request)
            except KeyError as lacking:
                reply = _reply(request, ["lacking", lacking.args[0]], [])
            except Unreadable as error:
                reply = _unreadable(request, error)
            else:
                watch.unpacked()
                reply = self._perform(request, values, said, watch)
        return reply[0] if len(reply) == 1 else tuple(reply)

    def _perform(self, request: Request, values: list, said: list, watch: Watch) -> list:
        """Run a segment, keep the versions that it made, and return the reply."""
        if self._device:
            values = [gpu.to_device(value) for value in values]
        reply, outputs = perform(request, values, self._programs, said, watch, self._device)
        if outputs:
            separate = () if self._device else request.separate
            for position, name, version in request.keeps:
                if position not in separate or size_of(outputs[position]) <= KEPT_BYTES:
                    self._values.setdefault(name, {})[version] = outputs[position]
        return reply

    def store(self, message: bytes) -> None:
        """Store small committed values, given as (name, version, value)."""
        for name, version, value in unpack(message):
            self._values[name] = {version: gpu.to_device(value) if self._device else value}

    def drop(self, names: Iterable[str]) -> None:
        """Forget values that stayed here for a run that is over."""
        for name in names:
            self._values.pop(name, None)

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

    def pid(self) -> int:
        """The actor's process id."""
        return os.getpid()
