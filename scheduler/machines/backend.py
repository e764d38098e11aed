"""Ray, behind a seam: its life, and work that it does. Only this file, `objects`, `inventory` and `hosts` call Ray.

Ray is started when something first needs it, joined when it runs already, and left as it was found.

handle   a task or actor call on its way: the reference of its head reply and those of its large outputs
"""

from __future__ import annotations

import atexit
import functools
import os
import statistics
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

from weftwork.actors.processes.messages import pack
from weftwork.actors.processes.worker import HERALD, VariableServer, run_segment

_lock = threading.RLock()
_ray: Any = None
_started_here = False
_options: dict[Any, Any] = {}
FORGETTERS: list[Callable[[], None]] = []
"""Called when what was known of the last Ray does not hold any more."""


class WorkerLost(Exception):
    """The process that ran a segment died."""


class ValueLost(WorkerLost):
    """A value went down with the machine that held it."""


class StoreFull(Exception):
    """A value does not fit: neither into an object store nor onto the disk that it spills to."""


class Unplaceable(Exception):
    """The machine that a segment must run on is gone."""


class Interrupted(Exception):
    """A segment was cancelled."""


@dataclass(eq=False)
class Handle:
    """A piece of work on its way."""

    head: Any
    apart: list = field(default_factory=list)
    actor: Any = None


def ray() -> Any:
    """The ray module, with Ray running: initialised by the program, or by this call.

    The address is the one the session's target named, else a Ray of this machine's own.
    """
    global _ray, _started_here
    if _ray is not None and _ray.is_initialized():
        return _ray
    with _lock:
        import ray as module

        if not module.is_initialized():
            _start(module, None)
        if _ray is None or not _options:
            _forget()
        _ray = module
    return _ray


def connect(address: str | None) -> None:
    """Join the Ray at `address` ("auto", "host:port", "ray://..."), unless the program is connected already."""
    global _ray
    with _lock:
        import ray as module

        if not module.is_initialized():
            _start(module, address)
        _ray = module


def _start(module: Any, address: str | None) -> None:
    """Start Ray on this machine, or join one: what it prints to the log stays out of the program's way."""
    global _started_here
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        module.init(
            address="local",
            include_dashboard=False,
            log_to_driver=True,
            logging_level="ERROR",
        )
        _started_here = True
        atexit.register(shutdown)
    else:
        module.init(address=address, logging_level="ERROR")
    _forget()


def _forget() -> None:
    """Another Ray: what was known of the last one does not hold."""
    _options.clear()
    task_hop.cache_clear()
    for forget in FORGETTERS:
        forget()


def shutdown() -> None:
    """Stop the Ray that this module started; one that was there before stays."""
    global _started_here, _ray
    with _lock:
        if _started_here and _ray is not None and _ray.is_initialized():
            _ray.shutdown()
        _started_here, _ray = False, None
        _forget()


def is_running() -> bool:
    """True when Ray is initialised in this process."""
    if _ray is not None:
        return _ray.is_initialized()
    import sys

    module = sys.modules.get("ray")
    return module is not None and getattr(module, "is_initialized", bool)()


def reference_types() -> tuple[type, ...]:
    """The types of the references that Ray gives out; none while this process has not used Ray."""
    return () if _ray is None else (_ray.ObjectRef,)


# What dispatching costs, measured when it is first asked for


@functools.cache
def task_hop() -> float:
    """Seconds from the caller to a task and back, the median of some."""
    took = []
    message = pack(None)
    for _ in range(7):
        start = perf_counter()
        ray().get(nothing_task().remote(message))
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


# In the processes that work


def run_task(message: bytes, *arrived: Any) -> Any:
    """The one task function: every segment that runs as a Ray task comes through here."""
    HERALD.tell = _leave_word
    return run_segment(message, *arrived)


class VariableActor(VariableServer):
    """The variable server as a Ray actor."""

    def __init__(self, epoch: str, owns_gpu: bool):
        HERALD.tell = _leave_word
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


def submit(message: bytes, arrived: list, apart: int, need: Any) -> Handle:
    """Run a segment as a task."""
    refs = _task(1 + apart, need).remote(message, *arrived)
    return Handle(refs, []) if apart == 0 else Handle(refs[0], refs[1:])


def new_actor(epoch: str, home: Any) -> Any:
    """A variable actor of a session: one process, which keeps no CPU for itself while it waits, but its GPU if any."""
    base = _options.get("actor")
    if base is None:
        base = _options["actor"] = ray().remote(
            num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=1, enable_task_events=False
        )(VariableActor)
    options = on_machine(home.machine)
    if home.gpu is not None:
        options["num_gpus"] = 1
    return (base.options(**options) if options else base).remote(epoch, home.gpu is not None)


def is_up(actor: Any, seconds: float) -> bool:
    """True once an actor answers; False when it does not within `seconds`, for it waits for its resources."""
    module = ray()
    try:
        module.get(actor.describe.remote(), timeout=seconds)
    except module.exceptions.GetTimeoutError:
        return False
    return True


def submit_to(actor: Any, epoch: str, sequence: int, message: bytes, arrived: list, apart: int) -> Handle:
    """Run a segment in an actor."""
    method = actor.run if apart == 0 else actor.run.options(num_returns=1 + apart)
    refs = method.remote(epoch, sequence, message, *arrived)
    return Handle(refs, [], actor) if apart == 0 else Handle(refs[0], refs[1:], actor)


def store_in(actor: Any, epoch: str, message: bytes) -> None:
    """Hand an actor committed values, without waiting for it."""
    actor.store.remote(epoch, message)


def drop_in(actor: Any, names: list[str]) -> None:
    """Let an actor forget values, without waiting for it."""
    actor.drop.remote(names)


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

    text = _internal_kv_get(token)
    if not text:
        return Word()
    machine, call, limit = text.decode().split()
    return Word(machine, int(call), float(limit))


def forget_word(token: str) -> None:
    """The segment is done: what it said is of no use any more."""
    from ray.experimental.internal_kv import _internal_kv_del

    if is_running():
        _internal_kv_del(token)


def on_done(handle: Handle, callback: Callable[[], None]) -> None:
    """Call `callback`, from a thread of Ray's, once the head reply is there; it must not block."""
    handle.head._on_ready(lambda *_: callback())


def result(handle: Handle) -> Any:
    """The head reply. Raises ValueLost, WorkerLost, Unplaceable, Interrupted, or what Ray raises else."""
    module = ray()
    errors = module.exceptions
    try:
        return module.get(handle.head)
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
    """Ask pieces of work to stop; with force, kill their processes.

    A call of an actor is only ever stopped by force: Ray does not interrupt one that runs, and one that it takes back
    from the queue leaves a gap in the sequence, for which the actor waits half a minute.

    Tasks are cancelled in Ray's own thread. From any other, a cancel that comes while the thread takes a reply in makes
    Ray abort this process ("Tried to complete task that was not pending").
    """
    module, handles = ray(), list(handles)
    tasks = [handle.head for handle in handles if handle.actor is None]
    if force:
        for handle in handles:
            if handle.actor is not None:
                kill(handle.actor)
    if not tasks:
        return

    def cancel_each(*_: Any) -> None:
        for head in tasks:
            with suppress(Exception):  # it is done already, or Ray is going down: there is nothing left to stop
                module.cancel(head, force=force)

    try:
        there = module.put(None)  # what is there already calls back at once, in that thread
        there._on_ready(lambda *_: cancel_each(there))
    except Exception:  # no room in the store for anything
        cancel_each()


def kill(actor: Any) -> None:
    """End an actor."""
    if is_running():
        try:
            ray().kill(actor)
        except Exception:  # it is dead already
            return
