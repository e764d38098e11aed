"""Ray, behind a seam: the only file of the scheduler that calls it.

Ray is started when something first needs it, joined when it runs already, and left as it was found.

handle   a task or actor call on its way: the reference of its head reply and those of its large outputs
"""

from __future__ import annotations

import atexit
import functools
import glob
import hashlib
import importlib.util
import itertools
import os
import random
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, perf_counter, sleep
from typing import Any

import numpy as np

from weftwork.actors.messages import pack
from weftwork.actors.program import Program
from weftwork.actors.worker import HERALD, VariableServer, run_segment

_INLINE_CODE = 64 * 1024
"""Bytes of a program up to which it goes with the request."""
_KEPT_BY_OWNER = 101 * 1024
"""Bytes, with its header, up to which Ray keeps a value in the process that asked for it."""
_KNOWN_WITHIN = 2.0
"""Seconds after which a value of which no machine is known counts as lost."""
_SHORT = 64 * 1024
"""Bytes below which an object is looked at that should be a large value: errors are that short."""
_lock = threading.RLock()
_ray: Any = None
_started_here = False
_options: dict[Any, Any] = {}
_known_facts: Any = None
_FACTS_HOLD = 1.0
"""Seconds for which what was seen of the cluster is taken to hold."""


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
    global _known_facts
    _known_facts = None
    _options.clear()
    has_package.cache_clear()
    task_hop.cache_clear()


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


def resources() -> dict[str, float]:
    """What the cluster has in all: {"CPU": 8.0, ...}."""
    return dict(ray().cluster_resources())


def nodes() -> list[dict[str, Any]]:
    """The machines of the cluster that are alive, as Ray describes them."""
    return [node for node in ray().nodes() if node["Alive"]]


def cluster() -> frozenset[str]:
    """Something that changes when a machine comes or goes; seen within a second."""
    return _facts()[0] if is_running() else frozenset()


def machine_count() -> int:
    """The machines of the cluster; 1 while Ray is not running."""
    return len(_facts()[0]) if is_running() else 1


def _facts() -> tuple[frozenset[str], int]:
    """The machines and their CPUs together: asked for once a second at most, for it takes a millisecond."""
    global _known_facts
    now = perf_counter()
    if _known_facts is None or now > _known_facts[0] + _FACTS_HOLD:
        alive = nodes()
        cpus = int(sum([node["Resources"].get("CPU", 0.0) for node in alive]))
        _known_facts = (now, (frozenset([node["NodeID"] for node in alive]), max(1, cpus)))
    return _known_facts[1]


def store_bytes() -> float:
    """The bytes that the object stores of all machines hold together."""
    return ray().cluster_resources().get("object_store_memory", float("inf"))


def this_machine() -> str:
    """Ray's id of the machine that this process works on; "" while Ray is not running."""
    return ray().get_runtime_context().get_node_id() if is_running() else ""


def local_gpus() -> int:
    """The GPUs that this machine seems to have, without asking Ray."""
    return len(glob.glob("/proc/driver/nvidia/gpus/*")) or len(glob.glob("/dev/kfd"))


def cpus() -> int:
    """The CPUs that tasks may use: the cluster's, or this machine's while Ray is not running."""
    if is_running():
        return _facts()[1]
    return os.cpu_count() or 1


def local_cpus() -> int:
    """The CPUs of this process."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


# What dispatching costs, measured when it is first asked for


@functools.cache
def task_hop() -> float:
    """Seconds from the caller to a task and back, the median of some."""
    took = []
    message = pack(None)
    for _ in range(7):
        start = perf_counter()
        ray().get(_nothing_task().remote(message))
        took.append(perf_counter() - start)
    return statistics.median(took)


def _nothing_task() -> Any:
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


def _leave_word(token: str) -> None:
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(token, ray().get_runtime_context().get_node_id())


# Work


def code_of(program: Program) -> tuple[str, bytes | None, Any]:
    """A program's id and its pickled form, inline or as a reference where it is long; kept with the program."""
    shipped = program.shipped
    if shipped is None:
        text = pack(program)
        name = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        if len(text) <= _INLINE_CODE:
            shipped = (name, text, None)
        else:  # an array: workers that have the program already do not even copy it
            shipped = (name, None, put(np.frombuffer(text, np.uint8)))
        program.shipped = shipped
    return shipped


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


# Hosts of shared sessions

_NAMESPACE = "weftwork"
_SESSIONS_AT_ONCE = 512
"""Runs that a host works on at a time, with those that wait in queues; others wait. A thread each."""


def host(name: str, config: Any, create: bool, lasting: bool) -> Any:
    """The host of that name in this cluster, made if `create` says so; else None.

    lasting: it outlives the process that makes it.
    """
    from ray.experimental.internal_kv import _internal_kv_exists, _internal_kv_put

    ray()
    for life in itertools.count():  # Ray may go on to find a dead actor by its name: each life has a name of its own
        full = f"{name} {life}"
        if _internal_kv_exists(f"weftwork dead {full}"):
            continue
        actor = _host(full, config, create, lasting)
        if actor is None:
            return None
        try:
            ask(actor, "hello")
            return actor
        except WorkerLost:
            _internal_kv_put(f"weftwork dead {full}", b"1")
    return None


def _host(name: str, config: Any, create: bool, lasting: bool) -> Any:
    module = ray()
    if not create:
        try:
            return module.get_actor(name, namespace=_NAMESPACE)
        except ValueError:
            return None
    from weftwork.scheduler.host import Host

    options = {"lifetime": "detached"} if lasting else {}
    actor = module.remote(num_cpus=0, max_restarts=0, max_concurrency=_SESSIONS_AT_ONCE, enable_task_events=False)(Host)
    return actor.options(name=name, namespace=_NAMESPACE, get_if_exists=True, **options).remote(pack(config))


def ask(actor: Any, method: str, *args: Any) -> Any:
    """The result of a host's method. Raises WorkerLost when it is gone."""
    module = ray()
    try:
        return module.get(getattr(actor, method).remote(*args))
    except (module.exceptions.ActorDiedError, module.exceptions.ActorUnavailableError) as error:
        raise WorkerLost(str(error)) from error


def tell(actor: Any, method: str, *args: Any) -> None:
    """Call a host's method without waiting for it."""
    if is_running():
        getattr(actor, method).remote(*args)


def end_host(actor: Any) -> None:
    """Let a host end: it writes its last checkpoint, then its process is ended."""
    if is_running():
        try:
            ask(actor, "close")
        except WorkerLost:
            return
        kill(actor)


def is_up(actor: Any, seconds: float) -> bool:
    """True once an actor answers; False when it does not within `seconds`, for it waits for its resources."""
    module = ray()
    try:
        module.get(actor.describe.remote(), timeout=seconds)
    except module.exceptions.GetTimeoutError:
        return False
    return True


def free(resource: str, machine: str) -> float:
    """How much of a resource nobody holds at the moment, on one machine or, for "", in the cluster."""
    module = ray()
    if not machine:
        return module.available_resources().get(resource, 0.0)
    from ray._private.state import available_resources_per_node

    return available_resources_per_node().get(machine, {}).get(resource, 0.0)


def missing_packages(names: tuple[str, ...]) -> dict[str, list[str]]:
    """For each machine, by its id, which of these packages cannot be imported there. All machines are asked at once."""

    def missing(names):
        import importlib

        lacking = []
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError as error:
                lacking.append(f"{name} ({error})")
        return lacking

    missing.__module__ = "__main__"  # so that it travels as code: there may be nothing to import it from
    asked = {}
    for node in nodes():
        options = {"num_cpus": 0, "max_retries": 0, "enable_task_events": False, **on_machine(node["NodeID"])}
        asked[node["NodeID"]] = ray().remote(**options)(missing).remote(names)
    return {machine: ray().get(reference) for machine, reference in asked.items()}


@functools.cache
def has_package(name: str, machine: str) -> bool:
    """True when a machine has a package installed."""
    if not machine:
        return importlib.util.find_spec(name) is not None
    task = ray().remote(num_cpus=0, max_retries=0, enable_task_events=False, **on_machine(machine))(_installed)
    return ray().get(task.remote(name))


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def submit_to(actor: Any, epoch: str, sequence: int, message: bytes, arrived: list, apart: int) -> Handle:
    """Run a segment in an actor."""
    method = actor.run if apart == 0 else actor.run.options(num_returns=1 + apart)
    refs = method.remote(epoch, sequence, message, *arrived)
    return Handle(refs, [], actor) if apart == 0 else Handle(refs[0], refs[1:], actor)


def store_in(actor: Any, epoch: str, message: bytes, arrived: list) -> Any:
    """Hand an actor committed values, without waiting for it."""
    return actor.store.remote(epoch, message, *arrived)


def drop_in(actor: Any, names: list[str]) -> None:
    """Let an actor forget values, without waiting for it."""
    actor.drop.remote(names)


def word(token: str) -> str | None:
    """The machine that a segment said it runs on, if it has."""
    from ray.experimental.internal_kv import _internal_kv_get

    text = _internal_kv_get(token)
    return text.decode() if text else None


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
        raise StoreFull(_first_line(error)) from error
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


def fetch(reference: Any) -> Any:
    """The value of a reference. Raises ValueLost when it is gone, StoreFull when it was never there."""
    module = ray()
    errors = module.exceptions
    try:
        return module.get(reference)
    except errors.ObjectLostError as error:
        raise ValueLost(str(error)) from error
    except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
        raise StoreFull(_first_line(error)) from error


def check_made(reference: Any, size: int) -> None:
    """Raise StoreFull when a large output of `size` bytes has found no room: Ray keeps a short error in its place."""
    stored = _size(reference)
    if stored is not None and stored < min(size, _SHORT):
        fetch(reference)


def _size(reference: Any) -> int | None:
    """The bytes of an object of this process, as far as it knows."""
    from ray.experimental import get_local_object_locations

    return get_local_object_locations([reference]).get(reference, {}).get("object_size")


def _first_line(error: Exception) -> str:
    cause = getattr(error, "cause", error)
    return str(cause).strip().splitlines()[0]


def is_lost(reference: Any) -> bool:
    """True for a reference whose value is gone: a task is asked to look at it where it lies."""
    try:
        ray().get(_nothing_task().options(num_cpus=0).remote(reference))
    except ray().exceptions.RayTaskError as error:
        return isinstance(error.cause, ray().exceptions.ObjectLostError)
    except ray().exceptions.RayError:
        return False
    return False


def lie_on(references: list) -> set[str]:
    """The machines, of those that are alive, on which one of these values lies or more."""
    from ray.experimental import get_object_locations

    places = get_object_locations(references)
    return {machine for place in places.values() for machine in place["node_ids"]} & cluster()


def copies(reference: Any, count: int) -> list:
    """References to copies of a value on `count` machines where it does not lie, or on fewer where there are no more.

    They are there when this returns. A value that Ray keeps in this process needs none. Raises ValueLost.
    """
    made, failed = [], set()
    end = monotonic() + _KNOWN_WITHIN
    while not (lies_on := lie_on([reference])):  # what was made just now lies nowhere yet, for all that is known here
        if (size := _size(reference)) is not None and size <= _KEPT_BY_OWNER:
            fetch(reference)
            return []
        if monotonic() > end:
            raise ValueLost("no machine has it")
        sleep(0.001)
    while len(made) < count:
        others = sorted(cluster() - lies_on - failed)
        if not others:
            break
        chosen = random.sample(others, min(len(others), count - len(made)))  # so that no machine gets all copies
        copy = ray().remote(num_cpus=0, num_returns=2, max_retries=0, enable_task_events=False)(copied)
        started = [(machine, *copy.options(**on_machine(machine)).remote(reference)) for machine in chosen]
        for machine, result, done in started:
            if _is_copied(reference, result, done):
                made.append(result)
                lies_on.add(machine)
            else:
                failed.add(machine)
    return made


def _is_copied(reference: Any, copy: Any, done: Any) -> bool:
    """Wait for a copy; False when its machine has failed or has no room. Raises ValueLost: there is nothing to copy."""
    module = ray()
    try:
        module.get(done)
        check_made(copy, _size(reference) or 0)
        return True
    except module.exceptions.RayTaskError as error:
        if isinstance(error.cause, module.exceptions.ObjectLostError):
            raise ValueLost(str(error.cause)) from error
        return False
    except (module.exceptions.RayError, StoreFull):
        return False


def copied(value: Any) -> tuple[Any, bool]:
    """The task that makes a copy: what a task returns is a value of its own, where the task ran."""
    return value, True


def put(value: Any) -> Any:
    """A reference to `value` in the object store, owned by this process. Raises StoreFull."""
    module = ray()
    try:
        return module.put(value)
    except (module.exceptions.ObjectStoreFullError, module.exceptions.OutOfDiskError) as error:
        raise StoreFull(_first_line(error)) from error


def is_reference(value: Any) -> bool:
    """True for a reference that Ray keeps."""
    return _ray is not None and isinstance(value, _ray.ObjectRef)


def cancel(handle: Handle, force: bool) -> None:
    """Ask a piece of work to stop; with force, kill its process.

    A call of an actor is only ever stopped by force: Ray does not interrupt one that runs, and one that it takes back
    from the queue leaves a gap in the sequence, for which the actor waits half a minute.
    """
    module = ray()
    try:
        if handle.actor is None:
            module.cancel(handle.head, force=force)
        elif force:
            module.kill(handle.actor)
    except Exception:  # it is done already, or Ray is going down: there is nothing left to stop
        return


def kill(actor: Any) -> None:
    """End an actor."""
    if is_running():
        try:
            ray().kill(actor)
        except Exception:  # it is dead already
            return
