"""The machines of the cluster and their devices, as TensorFlow 1 names them.

machine    a node of the Ray cluster, numbered: the head is task 0, the others follow in a fixed order
job        "worker" where there are several machines, "localhost" for one; either name is understood for both
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from weftwork.graph.devices import DeviceSpec
from weftwork.graph.errors import FailedPreconditionError
from weftwork.scheduler.machines import backend, inventory

EVERYWHERE = ("weftwork", "numpy", "scipy", "cloudpickle")
"""What every machine must be able to import."""
JOBS = ("localhost", "worker")


@dataclass(frozen=True)
class DeviceAttributes:
    """A device: its full name, its type, its bytes of memory, and a number that changes when its machine restarts.

    The name is kept in its canonical form; ValueError for one that is none.
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
    """A machine: Ray's id of it ("" while Ray does not run), its number, its resources and labels."""

    id: str
    task: int
    resources: dict[str, float]
    labels: dict[str, str]

    def has(self, spec: DeviceSpec, cpus: int = 1) -> bool:
        """True when it has what a device string asks for; `cpus` is how many CPU devices a machine shows."""
        if spec.job not in (None, *JOBS) or spec.replica not in (None, 0) or spec.task not in (None, self.task):
            return False
        if spec.device_type is None:
            return True
        count = cpus if spec.device_type == "CPU" else self.resources.get(spec.device_type, 0.0)
        return count > (spec.device_index or 0)


def machines() -> list[Machine]:
    """The cluster's machines; this one alone while Ray is not running."""
    if not backend.is_running():
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return [Machine("", 0, {"CPU": float(os.cpu_count() or 1), "memory": float(memory)}, {})]
    nodes = sorted(inventory.nodes(), key=lambda node: (not _is_head(node), node["NodeID"]))
    return [
        Machine(node["NodeID"], task, node["Resources"], node.get("Labels") or {}) for task, node in enumerate(nodes)
    ]


@functools.lru_cache(maxsize=8)
def check_packages(cluster: frozenset[str], names: tuple[str, ...] = EVERYWHERE) -> None:
    """Raise FailedPreconditionError when a machine of the cluster lacks what every machine needs; asked once."""
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
    """The CPU devices of each machine and a GPU device for each GPU; this machine alone while Ray is not running.

    cpus: how many CPU devices a machine shows.   tasks: of a TensorFlow cluster, which then show theirs instead.
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
    """The full name of the CPU of a machine, this one for "", or of one of its GPUs."""
    known = machines()
    machine = machine or inventory.this_machine()
    task = next((m.task for m in known if m.id == machine), 0)
    kind = "CPU:0" if gpu is None else f"GPU:{gpu}"
    return f"/job:{JOBS[len(known) > 1]}/replica:0/task:{task}/device:{kind}"


def _is_head(node: dict) -> bool:
    return any(name.startswith("node:__internal_head__") for name in node["Resources"])
