"""The devices of the cluster, as TensorFlow 1 names them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from weftwork.scheduler import backend


@dataclass(frozen=True)
class DeviceAttributes:
    """A device: its full name, its type, its bytes of memory, and a number that changes when its machine restarts."""

    name: str
    device_type: str
    memory_limit_bytes: int
    incarnation: int


def list_devices() -> list[DeviceAttributes]:
    """A CPU device for each machine and a GPU device for each GPU; this machine alone while Ray is not running."""
    if not backend.is_running():
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return [DeviceAttributes("/job:localhost/replica:0/task:0/device:CPU:0", "CPU", memory, os.getpid())]
    devices = []
    machines = sorted(backend.nodes(), key=lambda node: (not _is_head(node), node["NodeID"]))
    job = "localhost" if len(machines) == 1 else "worker"
    for task, machine in enumerate(machines):
        resources = machine["Resources"]
        prefix = f"/job:{job}/replica:0/task:{task}/device:"
        life = int(machine["NodeID"][:15], 16) or 1
        devices.append(DeviceAttributes(f"{prefix}CPU:0", "CPU", int(resources.get("memory", 0)), life))
        for index in range(int(resources.get("GPU", 0))):
            devices.append(DeviceAttributes(f"{prefix}GPU:{index}", "GPU", 0, life))
    return devices


def _is_head(node: dict) -> bool:
    return any(name.startswith("node:__internal_head__") for name in node["Resources"])
