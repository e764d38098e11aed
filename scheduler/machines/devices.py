"""The machines of the cluster and their devices, by TensorFlow 1's names.

machine    a numbered node of the Ray cluster: the head is task 0, the others follow in a fixed order
job        "worker" if there are several machines, "localhost" if there is one; both names are accepted for either
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from weftwork.graph.cores import usable_cores
from weftwork.graph.devices import DeviceSpec
from weftwork.graph.errors import FailedPreconditionError
from weftwork.scheduler.machines import backend, inventory

EVERYWHERE = ("weftwork", "numpy", "scipy", "cloudpickle")
"""Packages that every machine must be able to import."""
JOBS = ("localhost", "worker")


@dataclass(frozen=True)
class DeviceAttributes:
    """A device: full name, type, memory in bytes, and a number that changes when its machine restarts.

    The name is converted to its canonical form. Raises ValueError for an invalid name.
    """

    name: str
    device_type: str
    memory_limit_bytes: int
    incarnation: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", DeviceSpec.from_string(self.name).to_string())

    def __repr__(self) -> str:
        return f"_DeviceAttributes({self.name}, {self.device_type}, {self.memory_limit_bytes}, {self.incarnation})"


@dataclass(frozen=True)
class Machine:
    """A machine: Ray's id ("" while Ray does not run), number, resources and labels."""

    id: str
    task: int
    resources: dict[str, float]
    labels: dict[str, str]

    def has(self, spec: DeviceSpec, cpus: int = 1) -> bool:
        """Whether it has the device that a spec asks for. cpus: the number of CPU devices per machine."""
        if spec.job not in (None, *JOBS) or spec.replica not in (None, 0) or spec.task not in (None, self.task):
            return False
        if spec.device_type is None:
            return True
        count = cpus if spec.device_type == "CPU" else self.resources.get(spec.device_type, 0.0)
        return count > (spec.device_index or 0)


def machines() -> list[Machine]:
    """The cluster's machines; only this one while Ray does not run."""
    if not backend.is_running():
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return [Machine("", 0, {"CPU": float(usable_cores()), "memory": float(memory)}, {})]
    nodes = sorted(inventory.nodes(), key=lambda node: (not _is_head(node), node["NodeID"]))
    return [
        Machine(node["NodeID"], task, node["Resources"], node.get("Labels") or {}) for task, node in enumerate(nodes)
    ]


@functools.lru_cache(maxsize=8)
def check_packages(cluster: frozenset[str], names: tuple[str, ...] = EVERYWHERE) -> None:
    """Raise FailedPreconditionError if a machine of the cluster lacks a package. Checked once per cluster."""
    if len(cluster) < 2:
        return
    address = {node["NodeID"]: node["NodeManagerAddress"] for node in inventory.nodes()}
    for machine, lacking in inventory.missing_packages(names).items():
        if lacking:
            raise FailedPreconditionError(
                None,
                None,
                f"Machine {address.get(machine, '')} ({machine}) cannot import {', '.join(lacking)}. Every machine of "
                "the cluster needs the same packages as this one: install them there (weftwork from its wheel, see "
                "deploy/README.md), put them into the image, or send them with ray.init(runtime_env=...).",
            )


def list_devices(cpus: int = 1, tasks: Sequence[tuple[str, int]] = ()) -> list[DeviceAttributes]:
    """All devices: a CPU for each machine, and a GPU for each GPU. Only this machine's while Ray does not run.

    cpus: the number of CPU devices per machine.   tasks: (job, task) of a TensorFlow cluster, to be shown instead.
    """
    found = []
    known = machines()
    if tasks:
        memory, life = int(known[0].resources.get("memory", 0)), int(known[0].id[:15] or "1", 16) or 1
        for job, index in tasks:
            name = f"/job:{job}/replica:0/task:{index}/device:CPU:"
            found += [DeviceAttributes(f"{name}{number}", "CPU", memory, life) for number in range(cpus)]
        return found
    job = JOBS[0] if len(known) == 1 else JOBS[1]
    for machine in known:
        prefix = f"/job:{job}/replica:0/task:{machine.task}/device:"
        life = int(machine.id[:15], 16) or 1 if machine.id else os.getpid()
        memory = int(machine.resources.get("memory", 0))
        found += [DeviceAttributes(f"{prefix}CPU:{index}", "CPU", memory, life) for index in range(cpus)]
        for index in range(int(machine.resources.get("GPU", 0))):
            found.append(DeviceAttributes(f"{prefix}GPU:{index}", "GPU", 0, life))
    return found


def device_name(machine: str = "", gpu: int | None = None) -> str:
    """The full name of a machine's CPU, or of one of its GPUs. "" is this machine."""
    known = machines()
    machine = machine or inventory.this_machine()
    task = next((m.task for m in known if m.id == machine), 0)
    kind = "CPU:0" if gpu is None else f"GPU:{gpu}"
    return f"/job:{JOBS[len(known) > 1]}/replica:0/task:{task}/device:{kind}"


def _is_head(node: dict) -> bool:
    return any(name.startswith("node:__internal_head__") for name in node["Resources"])
