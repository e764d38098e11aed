"""Ray, behind a seam: work that it does. Only this file, `life`, `objects`, `inventory` and `hosts` call Ray.

handle   a task or actor call on its way: the reference of its head reply and those of its large outputs
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

from weftwork.actors.processes.messages import Watch, pack
from weftwork.actors.processes.worker import HEARTBEAT, VariableServer, run_segment
from weftwork.scheduler.machines.life import (
    FORGETTERS,
    Life,
    come_up,
    connect,
    is_named,
    is_running,
    life,
    ray,
    shutdown,
)

__all__ = ["come_up", "connect", "is_named", "is_running", "ray", "shutdown"]
_options: dict[Any, Any] = {}
GONE = "Ray has died, or was shut down."


class WorkerLost(Exception):
    """The process that ran a segment died."""


class ValueLost(WorkerLost):
    """A value went down with the machine that held it."""


class RayGone(ValueLost):
    """Ray has died, or was shut down."""


class StoreFull(Exception):
    """A value does not fit: neither into an object store nor onto the disk that it spills to."""


class Unplaceable(Exception):
    """The machine that a segment must run on is gone."""


class Interrupted(Exception):
    """A segment was cancelled."""


_buried: list[Any] = []


class Grip:
    """Something that Ray keeps for this process. It holds in one life of Ray only."""

    __slots__ = ("_life", "_raw")

    def __init__(self, raw: Any):
        self._raw, self._life = raw, life()

    @property
    def is_gone(self) -> bool:
        """True when it went down with its Ray."""
        return not self._life.is_on()

    @property
    def raw(self) -> Any:
        """What Ray knows it by. Raises RayGone."""
        if self.is_gone:
            raise RayGone(GONE)
        return self._raw

    def __del__(self, bury: Callable = _buried.append):
        life = getattr(self, "_life", None)
        if (
            life is not None and not life.is_on()
        ):  # Ray numbers anew in each life: to let it go would let another one go
            bury(self._raw)


class Reference(Grip):
    """A value in Ray's object stores."""

    __slots__ = ()


class Actor(Grip):
    """A process that Ray keeps for us."""

    __slots__ = ()


@dataclass(eq=False)
class Stored:
    """A value of the library's in Ray's object store. References that are values themselves are the user's."""

    reference: Any

    def hex(self) -> str:
        """The name under which Ray knows it."""
        return self.reference.hex()


@dataclass(eq=False)
class Handle:
    """A piece of work on its way. apart: its large outputs, as they come to lie in the store."""

    head: Reference
    apart: list[Reference] = field(default_factory=list)
    actor: Actor | None = None
    life: Life = field(default_factory=life)

    @classmethod
    def of(cls, refs: Any, apart: int, actor: Actor | None = None) -> Handle:
        """That of a call which has returned `refs`, with so many large outputs."""
        head, *rest = [Reference(ref) for ref in (refs if apart else [refs])]
        return cls(head, rest, actor)


# What dispatching costs, measured when it is first asked for


@functools.cache
def task_hop() -> float:
    """Seconds from the caller to a task and back, the median of some."""
    took = []
    message = pack(None)
    for _ in range(7):
        start = perf_counter()
        get(nothing_task().remote(message))
        took.append(perf_counter() - start)
    return statistics.median(took)


def nothing_task() -> Any:
    """The remote function that does nothing."""
    function = _options.get("nothing")
    if function is None:
        function = _options["nothing"] = ray().remote(max_retries=0, enable_task_events=False)(nothing)
    return function


def nothing(message: bytes) -> None:
    """The task that costs no more than its dispatch."""


def _forget() -> None:
    _options.clear()
    task_hop.cache_clear()


FORGETTERS.append(_forget)


# In the processes that work


def run_task(message: bytes, *arrived: Any) -> Any:
    """The one task function: every segment that runs as a Ray task comes through here."""
    if HEARTBEAT.tell is None:
        _enter()
    return run_segment(message, *arrived)


def _enter() -> None:
    """This process works for sessions: it can tell them where it is."""
    HEARTBEAT.tell = _leave_word
    Watch.machine = ray().get_runtime_context().get_node_id()


class VariableActor(VariableServer):
    """The variable server as a Ray actor."""

    def __init__(self, epoch: str, owns_gpu: bool):
        _enter()
        super().__init__(epoch, owns_gpu)


def _leave_word(token: str, call: int, limit: float) -> None:
    from ray.experimental.internal_kv import _internal_kv_put

    with suppress(Exception):  # without Ray's key-value store the session has lost this process anyway
        _internal_kv_put(token, f"{ray().get_runtime_context().get_node_id()} {call} {limit}")


# Work


def _task(returns: int, need: Any) -> Any:
    """The remote function for so many returns and such a need: made once, for `.options` costs 10 us."""
    key = (returns, need)
    function = _options.get(key)
    if function is None:
        options: dict[str, Any] = {
            "num_returns": returns,
            "max_retries": 0,
            "max_calls": 0,
            "enable_task_events": False,
        }
        if need is not None:
            options.update(ray_options(need))
        base = _options.get("task")
        if base is None:
            base = _options["task"] = ray().remote(max_calls=0)(run_task)
        options.pop("max_calls")
        function = _options[key] = base.options(**options)
    return function


def ray_options(need: Any) -> dict[str, Any]:
    """Ray's options for a need: CPU, GPU and memory have names of their own."""
    options: dict[str, Any] = on_machine(need.home.machine)
    if need.labels:
        options["label_selector"] = dict(need.labels)
    custom: dict[str, float] = {}
    for name, amount in need.resources:
        if name == "CPU":
            options["num_cpus"] = amount
        elif name == "GPU":
            options["num_gpus"] = amount
        elif name == "memory":
            options["memory"] = amount
        else:
            custom[name] = amount
    if custom:
        options["resources"] = custom
    return options


def on_machine(machine: str) -> dict[str, Any]:
    """Ray's options for one certain machine; none for "". Work for a machine that is gone fails, and does not wait."""
    if not machine:
        return {}
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(machine, soft=False)}


def submit(message: bytes, arrived: list[Reference], apart: int, need: Any) -> Handle:
    """Run a segment as a task."""
    beside = [reference.raw for reference in arrived]
    return Handle.of(_task(1 + apart, need).remote(message, *beside), apart)


def new_actor(epoch: str, home: Any) -> Actor:
    """A variable actor of a session: one process, which keeps no CPU for itself while it waits, but its GPU if any."""
    base = _options.get("actor")
    if base is None:
        base = _options["actor"] = ray().remote(
            num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=1, enable_task_events=False
        )(VariableActor)
    options = on_machine(home.machine)
    if home.gpu is not None:
        options["num_gpus"] = 1
    return Actor((base.options(**options) if options else base).remote(epoch, home.gpu is not None))


def get(reference: Any, seconds: float | None = None) -> Any:
    """The value of a reference as Ray has it. Raises RayGone, and what Ray raises."""
    try:
        return ray().get(reference, timeout=seconds)
    except SystemExit:  # what Ray raises in who waits, when it is shut down
        raise RayGone(GONE) from None


def is_up(actor: Actor, seconds: float) -> bool:
    """True once an actor answers; False when it does not within `seconds`, for it waits for its resources."""
    try:
        get(actor.raw.describe.remote(), seconds)
    except ray().exceptions.GetTimeoutError:
        return False
    return True


def submit_to(actor: Actor, epoch: str, sequence: int, message: bytes, arrived: list[Reference], apart: int) -> Handle:
    """Run a segment in an actor."""
    run = actor.raw.run
    method = run if apart == 0 else run.options(num_returns=1 + apart)
    beside = [reference.raw for reference in arrived]
    return Handle.of(method.remote(epoch, sequence, message, *beside), apart, actor)


def store_in(actor: Actor, epoch: str, message: bytes) -> None:
    """Hand an actor committed values, without waiting for it."""
    actor.raw.store.remote(epoch, message)


def drop_in(actor: Actor, names: list[str]) -> None:
    """Let an actor forget values, without waiting for it."""
    if not actor.is_gone:
        actor.raw.drop.remote(names)


class Word(NamedTuple):
    """What a segment said: on which machine it runs, and how many calls with a time limit it has begun.

    limit: the seconds of the last one, 0.0 once that has ended.
    """

    machine: str = ""
    call: int = 0
    limit: float = 0.0


def word(token: str) -> Word:
    """What a segment has said so far."""
    from ray.experimental.internal_kv import _internal_kv_get

    text = _internal_kv_get(token) if is_running() else None
    if not text:
        return Word()
    machine, call, limit = text.decode().split()
    return Word(machine, int(call), float(limit))


def forget_word(token: str) -> None:
    """The segment is done: what it said is of no use any more."""
    from ray.experimental.internal_kv import _internal_kv_del

    if is_running():
        _internal_kv_del(token)


def address() -> str:
    """The address of the Ray that runs, which is started if there is none. Raises as `ray`."""
    return ray().get_runtime_context().gcs_address


def is_task() -> bool:
    """True in a process of Ray's that works on a task."""
    return is_running() and not life().is_driver


def wait(handles: list[Handle], seconds: float) -> None:
    """Wait until one of these is there, so many seconds at most; in a task its CPU is free for others meanwhile."""
    heads = [handle.head.raw for handle in handles]
    ray().wait(heads, num_returns=1, timeout=seconds, fetch_local=False)


def on_done(handle: Handle, callback: Callable[[], None]) -> None:
    """Call `callback`, from another thread, once the head reply is there, or Ray is gone; it must not block."""
    pending = handle.life.pending
    pending[handle] = callback

    def ready(*_: Any) -> None:
        if pending.pop(handle, None) is not None:
            callback()

    try:
        handle.head.raw._on_ready(ready)
    except RayGone:
        ready()


def result(handle: Handle) -> Any:
    """The head reply. Raises RayGone, ValueLost, WorkerLost, Unplaceable, Interrupted, or what Ray raises else."""
    errors = handle.life.module.exceptions
    try:
        return get(handle.head.raw)
    except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:  # a worker's too: it is of both classes
        raise StoreFull(first_line(error)) from error
    except errors.RayTaskError as error:  # it is also of the class of its cause
        if isinstance(error.cause, errors.ObjectLostError):
            raise ValueLost(str(error.cause)) from error
        if isinstance(error.cause, (KeyboardInterrupt, errors.TaskCancelledError)):
            raise Interrupted from error
        raise
    except errors.TaskCancelledError as error:
        raise Interrupted from error
    except (errors.TaskUnschedulableError, errors.ActorUnschedulableError) as error:
        raise Unplaceable(str(error)) from error
    except (
        errors.WorkerCrashedError,
        errors.ActorDiedError,
        errors.ActorUnavailableError,
        errors.NodeDiedError,
        errors.OwnerDiedError,
        errors.ObjectLostError,
        errors.LocalRayletDiedError,
        errors.OutOfMemoryError,
    ) as error:
        raise WorkerLost(str(error)) from error


def first_line(error: Exception) -> str:
    """What an error of Ray's says, in short."""
    cause = getattr(error, "cause", error)
    return str(cause).strip().splitlines()[0]


def cancel(handles: Iterable[Handle], force: bool) -> None:
    """Ask pieces of work to stop; with force, kill their processes. What went down with its Ray needs nothing.

    A call of an actor is only ever stopped by force: Ray does not interrupt one that runs, and one that it takes back
    from the queue leaves a gap in the sequence, for which the actor waits half a minute.

    Tasks are cancelled in Ray's own thread. From any other, a cancel that comes while the thread takes a reply in makes
    Ray abort this process ("Tried to complete task that was not pending").
    """
    alive = [handle for handle in handles if handle.life.is_on()]
    tasks = [handle.head for handle in alive if handle.actor is None]
    if force:
        for handle in alive:
            if handle.actor is not None:
                kill(handle.actor)
    if not tasks:
        return
    module = alive[0].life.module

    def cancel_each(*_: Any) -> None:
        for head in tasks:
            with suppress(Exception):  # it is done already, or Ray is going down: there is nothing left to stop
                module.cancel(head.raw, force=force)

    try:
        there = module.put(None)  # what is there already calls back at once, in that thread
        there._on_ready(lambda *_: cancel_each(there))
    except Exception:  # no room in the store for anything
        cancel_each()


def kill(actor: Actor) -> None:
    """End an actor."""
    with suppress(Exception):  # it is dead already, or gone
        actor._life.module.kill(actor.raw)
