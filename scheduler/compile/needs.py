"""Needs: what nodes ask for beyond a process, checked against what the cluster has.

need     a node's resources, labels, machine, GPU, process of its own, and time limit
home     the machine and GPU of an actor that holds variables; ANYWHERE if neither is given

A need that no machine meets is refused before anything runs, because Ray would wait forever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from weftwork.graph.devices import DeviceSpec
from weftwork.graph.drawing.words import bytes_text
from weftwork.graph.errors import InvalidArgumentError, OpError, at_node
from weftwork.graph.graph import Graph
from weftwork.graph.operation import LIBRARY, Operation, Tensor
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import settle_effects
from weftwork.scheduler.compile.pruning import makers_of, prune
from weftwork.scheduler.machines import backend, inventory
from weftwork.scheduler.machines.devices import Machine, list_devices, machines


class Home(NamedTuple):
    """Where an actor lives: Ray's id of the machine ("" for any), and the index of its GPU, or None."""

    machine: str = ""
    gpu: int | None = None


ANYWHERE = Home()


class Need(NamedTuple):
    """What a node needs: Ray resources, a label selector, a home, a process of its own, a time limit for one call.

    timeout: in seconds; for a branch or a loop, the smallest inside. Such nodes run in a worker, which reports each
    call.
    """

    resources: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    home: Home = ANYWHERE
    isolated: bool = False
    timeout: float | None = None

    @property
    def alone(self) -> bool:
        """Whether it needs more than a home, so that the node becomes a task of its own."""
        return bool(self.resources or self.labels or self.isolated or self.timeout is not None)


def settle_needs(flow: Dataflow, config: Any) -> None:
    """Set `flow.needs`, and find the nodes that must run in the caller.

    Raises InvalidArgumentError for a node whose need no machine meets.
    """
    known: dict[Any, Need] = {}
    flow.needs = {}
    if config.debug:  # everything runs in the caller
        settle_effects(flow)
        flow.awaited = frozenset()
        return
    if config.placement == "task" and flow.ops and not inventory.has_cpus():
        raise _cannot_place(flow.ops[0], f'the session has placement="task", which {_NEEDS_CPU}')
    last, asked, need = LIBRARY, "", _NOTHING
    for node, op in enumerate(flow.ops):
        if op.traits is not last or op.device != asked:  # neighbours usually need the same
            last, asked = op.traits, op.device
            need = known.get((last, asked))
            if need is None:
                need = known[last, asked] = _need(op, config)
                if need == _NOTHING:
                    need = known[last, asked] = _NOTHING
        if need is not _NOTHING:
            flow.needs[node] = need
    settle_effects(flow)


_NOTHING = Need()


def missing_devices(graph: Graph, config: Any) -> set[str]:
    """The devices that nodes of a graph ask for and that no machine has."""
    asked = [(device, spec) for device in list(graph.devices) if not _anywhere(spec := _spec(device, config))]
    cluster = machines() if asked else ()
    return {device for device, spec in asked if not _machines_with(spec, cluster, config)}


def check_devices(elements: Sequence[Tensor | Operation], fed: Collection[Tensor], config: Any) -> None:
    """Raise InvalidArgumentError if a node's device is missing, even if these elements do not need the node.

    With `place_pruned_graph` only nodes that the elements need count. With `allow_soft_placement` none does.
    """
    if not elements or config.allow_soft_placement or config.debug:
        return
    graph = elements[0].graph
    bad = missing_devices(graph, config)
    if not bad:
        return
    if not config.graph_options.place_pruned_graph:
        raise _no_device(graph.devices[min(bad, key=lambda device: graph.devices[device].index)], config)
    for op in prune(makers_of(elements, fed), set(fed)):
        if op.device in bad:
            raise _no_device(op, config)


def is_free(flow: Dataflow) -> bool:
    """Whether every node may run anywhere: none needs anything, a queue or the caller's process included."""
    bound = flow.needs or flow.queued or flow.waiting or flow.awaited or flow.here
    return not (bound or any([op.traits.here for op in flow.ops]))


def is_sharable(flow: Dataflow) -> bool:
    """Whether there are nodes that may run anywhere, which can be shared out, despite the needs of others."""
    if flow.queued or flow.waiting or (flow.needs and flow.writes):
        return False
    return len(flow.needs.keys() | flow.awaited) < len(flow.ops)


def _spec(device: str, config: Any) -> DeviceSpec:
    """The device that a string asks for. Tasks of the session's own cluster span all machines, so they are left out."""
    spec = DeviceSpec.from_string(device)
    if spec.job is not None:
        for job in config.cluster_def.job:
            if job.name == spec.job and spec.replica in (None, 0) and (spec.task is None or spec.task in job.tasks):
                return DeviceSpec(device_type=spec.device_type, device_index=spec.device_index)
    return spec


def _anywhere(spec: DeviceSpec) -> bool:
    """Whether any machine's CPU meets a request."""
    return spec.job is None and spec.task is None and spec.device_type in (None, "CPU") and not spec.device_index


_NEEDS_CPU = "needs a CPU for a task, and no machine of the cluster has one"


def _need(op: Operation, config: Any) -> Need:
    traits = op.traits
    if traits.awaited:
        _check_limits(op, config)
        return _NOTHING
    home = ANYWHERE
    asks = traits.resources or traits.labels
    if asks or ("GPU" in op.device and inventory.local_gpus()):
        backend.ray()  # only Ray knows what there is
    if op.device and not _anywhere(spec := _spec(op.device, config)):
        home = _home(op, spec, machines(), config)
    if traits.here and traits.user:
        if home.machine not in ("", inventory.this_machine()):
            raise _cannot_place(op, f"it must run in the caller's process, which is not on {op.device}")
        home = ANYWHERE
    if asks:
        _check(op, [machine for machine in machines() if home.machine in ("", machine.id)])
    elif traits.isolated and not inventory.has_cpus():
        raise _cannot_place(op, f"it is isolated, which {_NEEDS_CPU}")
    return Need(traits.resources, traits.labels, home, traits.isolated, traits.timeout)


def _check_limits(op: Operation, config: Any) -> None:
    """Raise InvalidArgumentError for a node that takes more of a limit than the session has."""
    for name, amount in op.traits.limits:
        most = config.limits.get(name, 0)
        if most < amount:
            there = ", ".join([f"{key!r}: {config.limits[key]}" for key in config.limits]) or "none"
            raise at_node(
                InvalidArgumentError,
                op,
                f"{op.name} takes {amount} of the limit {name!r}, but the session has {most}. Create the session with "
                f"ConfigProto(limits={{{name!r}: N}}); its limits are: {there}",
            )


# Devices


def _home(op: Operation, spec: DeviceSpec, cluster: Sequence[Machine], config: Any) -> Home:
    """The machine and GPU that a device string names. With soft placement a missing device means ANYWHERE."""
    found = _machines_with(spec, cluster, config)
    if not found:
        if config.allow_soft_placement:
            return ANYWHERE
        raise _no_device(op, config)
    here = inventory.this_machine()
    machine = next((m for m in found if m.id == here), found[0])
    if spec.device_type == "GPU":
        if op.traits.user or inventory.has_package("cupy", machine.id):
            return Home(machine.id, spec.device_index or 0)
        if not config.allow_soft_placement:
            raise _cannot_place(
                op,
                f"it is to run on {op.device}, but CuPy, with which the library's operations run on a GPU, is not "
                "installed there: install weftwork[gpu], or let it run on a CPU with "
                "ConfigProto(allow_soft_placement=True)",
            )
    return ANYWHERE if machine.id == here else Home(machine.id)


def _machines_with(spec: DeviceSpec, cluster: Sequence[Machine], config: Any) -> list[Machine]:
    """The machines that have a device."""
    return [machine for machine in cluster if machine.has(spec, _cpus(config))]


def _cpus(config: Any) -> int:
    return max(1, config.device_count.get("CPU", 1))


def _no_device(op: Operation, config: Any) -> OpError:
    tasks = [(job.name, task) for job in config.cluster_def.job for task in job.tasks]
    available = ", ".join([device.name for device in list_devices(_cpus(config), tasks)])
    return _cannot_place(
        op,
        f"Operation was explicitly assigned to {op.device} but available devices are [ {available} ]. Make sure "
        "the device specification refers to a valid device, or let it run elsewhere with "
        "ConfigProto(allow_soft_placement=True)",
    )


# Resources and labels


def _check(op: Operation, found: Sequence[Machine]) -> None:
    asked, labels = dict(op.traits.resources), dict(op.traits.labels)
    for machine in found:
        enough = all(machine.resources.get(name, 0.0) >= amount for name, amount in asked.items())
        if enough and all(_matches(machine.labels.get(name), wanted) for name, wanted in labels.items()):
            return
    wanted = [_text(asked)] if asked else []
    wanted += [f"the labels {labels}"] if labels else []
    raise _cannot_place(op, f"it asks for {' and '.join(wanted)} on one machine, but the cluster has {_shown(found)}")


def _matches(label: str | None, wanted: str) -> bool:
    """Whether a label matches a selector of Ray's: `a`, `!a`, `in(a, b)`, `!in(a, b)`."""
    refused = wanted.startswith("!")
    wanted = wanted.removeprefix("!")
    options = [wanted]
    if wanted.startswith("in(") and wanted.endswith(")"):
        options = [option.strip() for option in wanted[3:-1].split(",")]
    return (label in options) != refused


def _cannot_place(op: Operation, reason: str) -> OpError:
    return at_node(InvalidArgumentError, op, f"Cannot assign a device for operation {op.name}: {reason}.")


def _text(resources: dict[str, float]) -> str:
    texts = {name: bytes_text(amount) if name == "memory" else f"{amount:g}" for name, amount in resources.items()}
    return ", ".join([f"{name}: {texts[name]}" for name in sorted(texts)])


def _shown(cluster: Sequence[Machine]) -> str:
    hidden = ("node:", "object_store")
    return ", ".join(
        [
            "{"
            + _text({k: v for k, v in m.resources.items() if not k.startswith(hidden)})
            + "}"
            + (f" labelled {_owner_labels(m.labels)}" if _owner_labels(m.labels) else "")
            for m in cluster
        ]
    )


def _owner_labels(labels: dict[str, str]) -> dict[str, str]:
    """Labels given by the cluster's owner, without Ray's own."""
    return {name: value for name, value in labels.items() if not name.startswith("ray.io/")}
