"""What nodes ask for, against what the cluster has: refused before anything runs, for Ray would wait for ever."""

from __future__ import annotations

from typing import Any

from weftwork.graph.devices import DeviceSpec
from weftwork.graph.errors import InvalidArgumentError, OpError
from weftwork.graph.operation import Operation
from weftwork.scheduler import backend
from weftwork.scheduler.dataflow import Dataflow
from weftwork.scheduler.failures import at_node


def check_requirements(flow: Dataflow, config: Any) -> None:
    """Raise InvalidArgumentError for a node that asks for resources or a device that no machine has."""
    checked: set = set()
    for op in flow.ops:
        asked = op.traits.resources
        if asked and asked not in checked:
            _check_resources(op, dict(asked))
            checked.add(asked)
        if op.device and op.device not in checked:
            _check_device(op, config)
            checked.add(op.device)


def _check_resources(op: Operation, asked: dict[str, float]) -> None:
    machines = [node["Resources"] for node in backend.nodes()]
    for machine in machines:
        if all(machine.get(name, 0.0) >= amount for name, amount in asked.items()):
            return
    raise _cannot_place(op, f"it asks for {_text(asked)} on one machine, but the cluster has {_cluster(machines)}")


def _check_device(op: Operation, config: Any) -> None:
    spec = DeviceSpec.from_string(op.device)
    if spec.device_type in (None, "CPU") or config.allow_soft_placement:
        return
    resource = spec.device_type
    machines = [node["Resources"] for node in backend.nodes()] if backend.is_running() else []
    most = max([machine.get(resource, 0.0) for machine in machines], default=0.0)
    if most <= (spec.device_index or 0):
        raise _cannot_place(
            op,
            f"{op.name} was explicitly assigned to {op.device} but available devices are "
            f"[ {_cluster(machines) or 'CPU of this machine'} ]. Use ConfigProto(allow_soft_placement=True) to let it "
            "run on a CPU instead",
        )


def _cannot_place(op: Operation, reason: str) -> OpError:
    return at_node(InvalidArgumentError, op, f"Cannot assign a device for operation {op.name}: {reason}.")


def _text(resources: dict[str, float]) -> str:
    return ", ".join(f"{name}: {amount:g}" for name, amount in sorted(resources.items()))


def _cluster(machines: list[dict[str, float]]) -> str:
    shown = [
        "{" + _text({k: v for k, v in machine.items() if not k.startswith(("node:", "object_store"))}) + "}"
        for machine in machines
    ]
    return ", ".join(shown)
