"""Ray behind a seam: submitting work. Only `backend`, `life`, `objects`, `inventory` and `host_actors` call Ray.

handle   a submitted task or actor call: references to its head reply and to its large outputs
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from weftwork.actors.processes.batches import run_message
from weftwork.actors.processes.messages import Watch
from weftwork.actors.processes.worker import HEARTBEAT, VariableServer
from weftwork.scheduler.machines.life import (
    FORGETTERS,
    WAITED,
    Life,
    come_up,
    connect,
    is_named,
    is_running,
    life,
    ray,
    shutdown,
)

__all__ = ["WAITED", "come_up", "connect", "is_named", "is_running", "life", "ray", "shutdown"]
_options: dict[Any, Any] = {}
GONE = "Ray has died, or was shut down."


class WorkerLost(Exception):
    """The process that ran a segment has died."""


class ValueLost(WorkerLost):
    """A value was lost with the machine that held it."""


class Unreadable(ValueLost):
    """A value does not unpickle in this process."""


class RayGone(ValueLost):
    """Ray has died, or was shut down."""


class StoreFull(Exception):
    """A value fits neither into an object store nor onto the disk that the store spills to."""


class Unplaceable(Exception):
    """The machine on which a segment must run is gone."""


class Interrupted(Exception):
    """A segment was cancelled."""


_buried: list[Any] = []


class Grip:
    """Something that Ray keeps for this process. It is valid during one life of Ray only."""

    __slots__ = ("life", "_raw")

    def __init__(self, raw: Any, of: Life):
        self._raw, self.life = raw, of

    @property
    def is_gone(self) -> bool:
        """True if it was lost with its Ray."""
        return not self.life.is_on()

    @property
    def raw(self) -> Any:
        """Ray's own object. Raises RayGone."""
        if self.is_gone:
            raise RayGone(GONE)
        return self._raw

    def __del__(self, bury: Callable = _buried.append):
        life = getattr(self, "life", None)
        # Object ids repeat in the next life, so releasing an old one would release another object.
        if life is not None and not life.is_on():
            bury(self._raw)


class Reference(Grip):
    """A reference to a value in Ray's object stores."""

    __slots__ = ()


class Actor(Grip):
    """A handle of a Ray actor."""

    __slots__ = ()


@dataclass(eq=False)
class Handle:
    """A submitted piece of work. separate: references to its large outputs."""

    head: Reference
    separate: list[Reference]
    actor: Actor | None
    life: Life

    @classmethod
    def of(cls, refs: Any, separate: int, life: Life, actor: Actor | None = None) -> Handle:
        """The handle of a call that returned `refs`, with `separate` large outputs, and began in `life`."""
        head, *rest = [Reference(ref, life) for ref in (refs if separate else [refs])]
        return cls(head, rest, actor, life)


# Calls that do nothing


def nothing_task() -> Any:
    """The remote function that does nothing."""
    function = _options.get("nothing")
    if function is None:
        function = _options["nothing"] = ray().remote(max_retries=0, enable_task_events=False)(nothing)
    return function


def nothing(message: bytes) -> None:
    """A task that does nothing, so it costs as much as its dispatch."""


FORGETTERS.append(_options.clear)


# In worker processes


def run_task(message: bytes, *arrived: Any) -> Any:
    """The one task function: runs every segment and every batch that is a Ray task."""
    if HEARTBEAT.tell is None:
        _set_up_worker()
    return run_message(message, *arrived)


def _run_named_task(message: bytes, *arrived: Any) -> Any:
    """`run_task`, of a task that Ray knows by the names of its nodes."""
    with _seen_in_ray():
        return run_task(message, *arrived)


def _seen_in_ray() -> Any:
    """A context whose time `ray timeline` shows under the name of its task; by itself, it shows functions' names."""
    from ray._private.worker import global_worker

    worker: Any = global_worker
    return worker.core_worker.profile_event(b"weftwork", {"name": ray().get_runtime_context().get_task_name()})


def _set_up_worker() -> None:
    """Set this worker process up to report where segments run."""
    HEARTBEAT.tell = _report
    Watch.machine = ray().get_runtime_context().get_node_id()


class VariableActor(VariableServer):
    """The variable server as a Ray actor."""

    def __init__(self, owns_gpu: bool):
        _set_up_worker()
        super().__init__(owns_gpu)

    def run_named(self, message: bytes, *arrived: Any) -> Any:
        """`run`, of a call that Ray knows by the names of its nodes."""
        with _seen_in_ray():
            return self.run(message, *arrived)


def _report(token: str, call: int, limit: float) -> None:
    from ray.experimental.internal_kv import _internal_kv_put

    with suppress(Exception):  # without Ray's key-value store, the session has lost this process anyway
        _internal_kv_put(token, f"{ray().get_runtime_context().get_node_id()} {call} {limit}")


# Work


def _task(returns: int, need: Any, name: str) -> Any:
    """The remote function for a number of returns and a need. Cached without `name`: `.options` takes 10 us.

    name: what Ray's dashboard calls the task; if it is empty, the dashboard does not show it.
    """
    key = (returns, need)
    if not name and (known := _options.get(key)) is not None:
        return known
    options: dict[str, Any] = {"num_returns": returns, "max_retries": 0, **_known_as(name)}
    if need is not None:
        options.update(ray_options(need))
    runs = _run_named_task if name else run_task
    base = _options.get(runs) or _options.setdefault(runs, ray().remote(max_calls=0)(runs))
    function = base.options(**options)
    if not name:
        _options[key] = function
    return function


def _known_as(name: str) -> dict[str, Any]:
    """Ray's options for a task or call with a name; what has none takes no place in Ray's records."""
    return {"name": name, "enable_task_events": True} if name else {"enable_task_events": False}


def ray_options(need: Any) -> dict[str, Any]:
    """Ray's options for a need. CPU, GPU and memory have options of their own."""
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
    """Ray's options to run on one machine; none for "". Work for a machine that is gone fails instead of waiting."""
    if not machine:
        return {}
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(machine, soft=False)}


def submit(message: bytes, arrived: list[Reference], separate: int, need: Any, name: str = "") -> Handle:
    """Submit a segment as a task.   name: under which Ray's dashboard shows it; "" for not at all."""
    of = life()
    beside = [reference.raw for reference in arrived]
    return Handle.of(asked(of, _task(1 + separate, need, name).remote, message, *beside), separate, of)


def new_actor(home: Any) -> Actor:
    """Start a variable actor of a session: a process that holds no CPU while it waits, but its GPU if it has one."""
    of, base = life(), _options.get("actor")
    if base is None:
        base = _options["actor"] = ray().remote(
            num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=1, enable_task_events=False
        )(VariableActor)
    options = on_machine(home.machine)
    if home.gpu is not None:
        options["num_gpus"] = 1
    return Actor(asked(of, (base.options(**options) if options else base).remote, home.gpu is not None), of)


def asked(of: Life, call: Callable, *arguments: Any, **options: Any) -> Any:
    """The result of a call to the Ray of one life. Raises RayGone if that is gone, and what Ray raises.

    Take the life first: a Ray may be replaced by another at any moment, which does not know what the last one made.
    """
    try:
        return call(*arguments, **options)
    except SystemExit:  # Ray raises it in waiting threads when it is shut down
        pass
    except Exception:
        if not of.is_over():
            raise
    raise RayGone(GONE)


def get(reference: Any, of: Life, seconds: float | None = None) -> Any:
    """The value of a reference of one life, as stored by Ray. Raises RayGone, and what Ray raises."""
    if not of.is_on():
        raise RayGone(GONE)
    return asked(of, of.module.get, reference, timeout=seconds)


def is_up(actor: Actor, seconds: float) -> bool:
    """True once an actor answers. False if it does not within `seconds`, because it waits for its resources."""
    try:
        get(asked(actor.life, actor.raw.pid.remote), actor.life, seconds)
    except actor.life.module.exceptions.GetTimeoutError:
        return False
    return True


def submit_to(actor: Actor, message: bytes, arrived: list[Reference], separate: int, name: str = "") -> Handle:
    """Submit a segment to an actor.   name: as for `submit`."""
    of = actor.life
    method = actor.raw.run_named if name else actor.raw.run
    if name or separate:
        method = method.options(num_returns=1 + separate, **_known_as(name))
    beside = [reference.raw for reference in arrived]
    return Handle.of(asked(of, method.remote, message, *beside), separate, of, actor)


def store_in(actor: Actor, message: bytes) -> None:
    """Send committed values to an actor, without waiting. Raises RayGone."""
    asked(actor.life, actor.raw.store.remote, message)


def drop_in(actor: Actor, names: list[str]) -> None:
    """Make an actor forget values, without waiting."""
    with suppress(RayGone):
        asked(actor.life, actor.raw.drop.remote, names)


class Word(NamedTuple):
    """What a segment has reported: its machine, and the number of calls with a time limit that it has begun.

    limit: the limit of the current call in seconds, 0.0 if there is none.
    """

    machine: str = ""
    call: int = 0
    limit: float = 0.0


def word(of: Life, token: str) -> Word:
    """What a segment has reported so far; nothing once its Ray is gone."""
    from ray.experimental.internal_kv import _internal_kv_get

    text = None
    with suppress(RayGone):
        text = asked(of, _internal_kv_get, token) if of.is_on() else None
    if not text:
        return Word()
    machine, call, limit = text.decode().split()
    return Word(machine, int(call), float(limit))


def forget_word(of: Life, token: str) -> None:
    """Delete the report of a segment that is done."""
    from ray.experimental.internal_kv import _internal_kv_del

    if of.is_on():
        with suppress(RayGone):
            asked(of, _internal_kv_del, token)


def address() -> str:
    """The address of the running Ray, which is started if necessary. Raises like `ray`."""
    return ray().get_runtime_context().gcs_address


def is_task() -> bool:
    """Whether this process is a Ray worker that runs a task."""
    return is_running() and not life().is_driver


def wait(handles: list[Handle], seconds: float) -> None:
    """Wait until one of the handles is done, at most `seconds`. Inside a task, its CPU is released meanwhile."""
    of, heads = handles[0].life, [handle.head.raw for handle in handles]
    asked(of, of.module.wait, heads, num_returns=1, timeout=seconds, fetch_local=False)


def on_done(handle: Handle, callback: Callable[[], None]) -> None:
    """Call `callback` from another thread once the head reply is there, or Ray is gone. It must not block."""
    pending = handle.life.pending
    pending[handle] = callback

    def ready(*_: Any) -> None:
        if pending.pop(handle, None) is not None:
            callback()

    try:
        asked(handle.life, handle.head.raw._on_ready, ready)
    except RayGone:
        ready()


def result(handle: Handle) -> Any:
    """The head reply. Raises RayGone, ValueLost, WorkerLost, Unplaceable, Interrupted, or any other error of Ray."""
    errors = handle.life.module.exceptions
    try:
        return get(handle.head.raw, handle.life)
    except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:  # before RayTaskError: a worker's is both
        raise StoreFull(first_line(error)) from error
    except errors.RayTaskError as error:  # it is also an instance of its cause's class
        if isinstance(error.cause, errors.ObjectLostError):
            raise ValueLost(str(error.cause)) from error
        if isinstance(error.cause, (KeyboardInterrupt, errors.TaskCancelledError)):
            raise Interrupted from error
        raise
    except errors.TaskCancelledError as error:
        raise Interrupted from error
    except (errors.TaskUnschedulableError, errors.ActorUnschedulableError) as error:
        raise Unplaceable(str(error)) from error
    except tuple([getattr(errors, name) for name in _LOST]) as error:
        for output in handle.separate:  # Ray prints an error that nobody asks for
            with suppress(Exception):
                get(output.raw, handle.life, 0)
        raise WorkerLost(str(error)) from error


_LOST = (  # Ray's errors for a reply that is lost with a process or a machine
    *("WorkerCrashedError", "ActorDiedError", "ActorUnavailableError", "NodeDiedError", "OwnerDiedError"),
    *("ObjectLostError", "LocalRayletDiedError", "OutOfMemoryError"),
)


def first_line(error: Exception) -> str:
    """A short text for an error of Ray's."""
    cause = getattr(error, "cause", error)
    return str(cause).strip().splitlines()[0]


def cancel(handles: Iterable[Handle], force: bool) -> None:
    """Ask pieces of work to stop; with `force`, kill their processes. Handles of a Ray that is gone are ignored.

    Calls of an actor can only be stopped by force. Ray does not interrupt a running one, and removing a queued one
    leaves a gap in the sequence, for which the actor waits half a minute.

    Tasks are cancelled in Ray's own thread. A cancel from another thread that arrives while a reply is being received
    makes Ray abort this process ("Tried to complete task that was not pending").
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
            with suppress(Exception):  # it is already done, or Ray is going down
                module.cancel(head.raw, force=force)

    try:
        there = module.put(None)  # an object that is there calls back at once, in Ray's thread
        there._on_ready(lambda *_: cancel_each(there))
    except Exception:  # the store has no room for anything
        cancel_each()


def kill(actor: Actor) -> None:
    """Kill an actor."""
    with suppress(Exception):  # it is already dead, or Ray is gone
        actor.life.module.kill(actor.raw)
