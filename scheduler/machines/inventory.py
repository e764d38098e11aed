"""The resources of the cluster: machines, CPUs, GPUs, memory, packages."""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

from weftwork.graph.cores import usable_cores
from weftwork.scheduler.machines import backend, life

_known_facts: Any = None
_CACHED_SECONDS = 1.0
"""Seconds for which facts about the cluster are cached."""


def _asked(question: Callable[[Any], Any]) -> Any:
    """What a function finds out about Ray, which it is given. If that is gone meanwhile, it asks the next one."""
    while True:
        of = life.life()
        with suppress(backend.RayGone):
            return backend.asked(of, question, of.module)


def resources() -> dict[str, float]:
    """The cluster's total resources, as in {"CPU": 8.0}."""
    return dict(_asked(lambda ray: ray.cluster_resources()))


def nodes() -> list[dict[str, Any]]:
    """The living machines of the cluster, as Ray describes them."""
    return [node for node in _asked(lambda ray: ray.nodes()) if node["Alive"]]


def cluster() -> frozenset[str]:
    """A value that changes within a second when a machine joins or leaves."""
    return _facts()[0] if backend.is_running() else frozenset()


def machine_count() -> int:
    """The number of machines; 1 while Ray does not run."""
    return len(_facts()[0]) if backend.is_running() else 1


def _facts() -> tuple[frozenset[str], int, int]:
    """The machines, their CPUs, and this machine's CPUs. Cached for a second, because asking takes a millisecond."""
    global _known_facts
    now = perf_counter()
    if _known_facts is None or now > _known_facts[0] + _CACHED_SECONDS:
        alive = nodes()
        cpus = {node["NodeID"]: node["Resources"].get("CPU", 0.0) for node in alive}
        own = int(cpus.get(this_machine(), 0.0))
        _known_facts = (now, (frozenset(cpus), int(sum(cpus.values())), own))
    return _known_facts[1]


def store_bytes() -> float:
    """The capacity of all object stores, in bytes."""
    return resources().get("object_store_memory", float("inf"))


def this_machine() -> str:
    """Ray's id of this machine; "" while Ray does not run."""
    return _asked(lambda ray: ray.get_runtime_context().get_node_id()) if backend.is_running() else ""


def address_of(machine: str) -> str:
    """The address of a machine with this id of Ray's. If several machines share an address, the id is appended.

    "" stands for this machine.
    """
    return _addresses(cluster()).get(machine, machine) if machine else ""


def machine_at(address: str) -> str:
    """The inverse of `address_of`: Ray's id of the machine with an address."""
    return next((m for m, shown in _addresses(cluster()).items() if shown == address), address) if address else ""


@functools.lru_cache(maxsize=8)
def _addresses(cluster: frozenset[str]) -> dict[str, str]:
    """The unique address of each machine, by id."""
    if not cluster:
        return {}
    known = {node["NodeID"]: node["NodeManagerAddress"] for node in nodes()}
    shown = {m: a if [*known.values()].count(a) == 1 else f"{a} ({m[:8]})" for m, a in known.items()}
    return {**shown, this_machine(): ""}


def local_gpus() -> int:
    """The number of GPUs that this machine seems to have, without asking Ray."""
    return len(glob.glob("/proc/driver/nvidia/gpus/*")) or len(glob.glob("/dev/kfd"))


def cpus() -> int:
    """The number of CPUs for tasks: the cluster's, or this process's while Ray does not run."""
    return max(1, _facts()[1]) if backend.is_running() else usable_cores()


def has_cpus() -> bool:
    """Whether any machine has a CPU. Without one, no task ever starts."""
    return not backend.is_running() or _facts()[1] > 0


def own_cpus() -> int:
    """The number of this machine's CPUs that work may use: as Ray reports it, if Ray runs.

    The head of a cluster often reports none, so that it is spared. If Ray was started with more CPUs than the machine
    has, for functions that wait, that many may work at once.
    """
    if not backend.is_running():
        return usable_cores()
    rays = _facts()[2]
    return rays if rays > (os.cpu_count() or 1) else min(usable_cores(), rays)


def slots() -> int:
    """The number of nodes that can run at once:

    the cluster's CPUs as last seen, or this process's if there are more.
    """
    seen = max(1, _known_facts[1][1]) if _known_facts is not None and backend.is_running() else cpus()
    return max(seen, usable_cores())


def free(resource: str, machine: str) -> float:
    """The amount of a resource that is free, on one machine or, for "", in the whole cluster."""
    if not machine:
        return _asked(lambda ray: ray.available_resources()).get(resource, 0.0)
    from ray._private.state import available_resources_per_node

    return _asked(lambda _: available_resources_per_node()).get(machine, {}).get(resource, 0.0)


def holders() -> list[str]:
    """Living actors, which may hold CPUs, grouped by class: "Class (pid 123)", "Class (4 of them)"."""
    from ray._private.state import actors

    pids: dict[str, list[int]] = {}
    for actor in _asked(lambda _: actors()).values():
        if actor["State"] == "ALIVE":
            pids.setdefault(actor["ActorClassName"], []).append(actor["Pid"])
    return [f"{k} (pid {some[0]})" if len(some) == 1 else f"{k} ({len(some)} of them)" for k, some in pids.items()]


def missing_packages(names: tuple[str, ...]) -> dict[str, list[str]]:
    """The packages that cannot be imported, for each machine by id. All machines are asked at once."""

    def missing(names):
        import importlib

        lacking = []
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError as error:
                lacking.append(f"{name} ({error})")
        return lacking

    missing.__module__ = "__main__"  # pickle it by value: the machine may lack our package

    def on_each(ray: Any) -> dict[str, Any]:
        machines = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        tasks = [_light_task(ray, missing, machine).remote(names) for machine in machines]
        return dict(zip(machines, ray.get(tasks), strict=True))

    return _asked(on_each)


def _light_task(ray: Any, function: Callable, machine: str) -> Any:
    """A remote function that takes no CPU of its machine."""
    options = {"num_cpus": 0, "max_retries": 0, "enable_task_events": False, **backend.on_machine(machine)}
    return ray.remote(**options)(function)


@functools.cache
def has_package(name: str, machine: str) -> bool:
    """Whether a machine has a package."""
    if not machine:
        return importlib.util.find_spec(name) is not None
    return _asked(lambda ray: ray.get(_light_task(ray, _installed, machine).remote(name)))


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _forget() -> None:
    global _known_facts
    _known_facts = None
    has_package.cache_clear()
    _addresses.cache_clear()


life.FORGETTERS.append(_forget)
