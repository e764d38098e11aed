"""What the cluster has: machines, CPUs, GPUs, memory, packages."""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
from time import perf_counter
from typing import Any

from weftwork.scheduler.machines import backend, life

_known_facts: Any = None
_FACTS_HOLD = 1.0
"""Seconds for which what was seen of the cluster is taken to hold."""


def resources() -> dict[str, float]:
    """What the cluster has in all: {"CPU": 8.0, ...}."""
    return dict(backend.ray().cluster_resources())


def nodes() -> list[dict[str, Any]]:
    """The machines of the cluster that are alive, as Ray describes them."""
    return [node for node in backend.ray().nodes() if node["Alive"]]


def cluster() -> frozenset[str]:
    """Something that changes when a machine comes or goes; seen within a second."""
    return _facts()[0] if backend.is_running() else frozenset()


def machine_count() -> int:
    """The machines of the cluster; 1 while Ray is not running."""
    return len(_facts()[0]) if backend.is_running() else 1


def _facts() -> tuple[frozenset[str], int, int]:
    """The machines, their CPUs, and this one's: asked for once a second at most, for it takes a millisecond."""
    global _known_facts
    now = perf_counter()
    if _known_facts is None or now > _known_facts[0] + _FACTS_HOLD:
        alive = nodes()
        cpus = {node["NodeID"]: node["Resources"].get("CPU", 0.0) for node in alive}
        own = int(cpus.get(this_machine(), 0.0))
        _known_facts = (now, (frozenset(cpus), int(sum(cpus.values())), own))
    return _known_facts[1]


def store_bytes() -> float:
    """The bytes that the object stores of all machines hold together."""
    return backend.ray().cluster_resources().get("object_store_memory", float("inf"))


def this_machine() -> str:
    """Ray's id of the machine that this process works on; "" while Ray is not running."""
    return backend.ray().get_runtime_context().get_node_id() if backend.is_running() else ""


def address_of(machine: str) -> str:
    """How a machine that Ray knows by this id is called: by its address, with the id where several share that.

    "" is this one.
    """
    return _addresses(cluster()).get(machine, machine) if machine else ""


def machine_at(address: str) -> str:
    """Ray's id of a machine of this address, as `address_of` gives it."""
    return next((m for m, shown in _addresses(cluster()).items() if shown == address), address) if address else ""


@functools.lru_cache(maxsize=8)
def _addresses(cluster: frozenset[str]) -> dict[str, str]:
    """How the machines of a cluster are called."""
    if not cluster:
        return {}
    known = {node["NodeID"]: node["NodeManagerAddress"] for node in nodes()}
    shown = {m: a if [*known.values()].count(a) == 1 else f"{a} ({m[:8]})" for m, a in known.items()}
    return {**shown, this_machine(): ""}


def local_gpus() -> int:
    """The GPUs that this machine seems to have, without asking Ray."""
    return len(glob.glob("/proc/driver/nvidia/gpus/*")) or len(glob.glob("/dev/kfd"))


def cpus() -> int:
    """The CPUs that tasks may use: the cluster's, or this machine's while Ray is not running."""
    if backend.is_running():
        return max(1, _facts()[1])
    return os.cpu_count() or 1


def has_cpus() -> bool:
    """Whether any machine of the cluster has one: without, no task ever begins."""
    return not backend.is_running() or _facts()[1] > 0


def local_cpus() -> int:
    """The CPUs of this process."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def own_cpus() -> int:
    """The CPUs of this machine that work may use: what Ray says that it has, while Ray runs.

    A cluster's head is often said to have none, to spare it.
    """
    if not backend.is_running():
        return local_cpus()
    return min(local_cpus(), _facts()[2])


def slots() -> int:
    """How many nodes can run at a time: on the cluster's CPUs, as last seen, or on this process's if these are more."""
    seen = max(1, _known_facts[1][1]) if _known_facts is not None and backend.is_running() else cpus()
    return max(seen, local_cpus())


def free(resource: str, machine: str) -> float:
    """How much of a resource nobody holds at the moment, on one machine or, for "", in the cluster."""
    module = backend.ray()
    if not machine:
        return module.available_resources().get(resource, 0.0)
    from ray._private.state import available_resources_per_node

    return available_resources_per_node().get(machine, {}).get(resource, 0.0)


def holders() -> list[str]:
    """The actors that live in this cluster, which may hold CPUs, by class: "Class (pid 123)", "Class (4 of them)"."""
    from ray._private.state import actors

    pids: dict[str, list[int]] = {}
    for actor in actors().values():
        if actor["State"] == "ALIVE":
            pids.setdefault(actor["ActorClassName"], []).append(actor["Pid"])
    return [f"{k} (pid {some[0]})" if len(some) == 1 else f"{k} ({len(some)} of them)" for k, some in pids.items()]


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
        options = {"num_cpus": 0, "max_retries": 0, "enable_task_events": False, **backend.on_machine(node["NodeID"])}
        asked[node["NodeID"]] = backend.ray().remote(**options)(missing).remote(names)
    return {machine: backend.get(reference) for machine, reference in asked.items()}


@functools.cache
def has_package(name: str, machine: str) -> bool:
    """True when a machine has a package installed."""
    if not machine:
        return importlib.util.find_spec(name) is not None
    task = backend.ray().remote(num_cpus=0, max_retries=0, enable_task_events=False, **backend.on_machine(machine))(
        _installed
    )
    return backend.get(task.remote(name))


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _forget() -> None:
    global _known_facts
    _known_facts = None
    has_package.cache_clear()
    _addresses.cache_clear()


life.FORGETTERS.append(_forget)
