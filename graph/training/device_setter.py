"""replica_device_setter: assigns operations to the tasks of a cluster, for programs with parameter servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weftwork.graph.devices import DeviceSpec
from weftwork.graph.operation import Operation

STANDARD_PS_OPS = (
    "Variable", "VariableV2", "AutoReloadVariable", "MutableHashTable", "MutableHashTableV2",
    "MutableHashTableOfTensors", "MutableHashTableOfTensorsV2", "MutableDenseHashTable", "MutableDenseHashTableV2",
    "VarHandleOp", "BoostedTreesEnsembleResourceHandleOp",
)  # fmt: skip
"""The operation types that belong on parameter servers."""


def replica_device_setter(
    ps_tasks: int = 0,
    ps_device: str = "/job:ps",
    worker_device: str = "/job:worker",
    merge_devices: bool = True,
    cluster: Any = None,
    ps_ops: Sequence[str] | None = None,
    ps_strategy: Callable[..., Any] | None = None,
) -> Callable[[Operation], str] | None:
    """A function for `tf.device` that puts variables on parameter servers, round-robin, and the rest on the worker.

    ps_tasks: the number of servers; or `cluster`, a ClusterSpec, ClusterDef or dict with the job of ps_device. Returns
    None if there are none. ps_strategy: a function that returns the task number for an operation; round-robin by
    default. Raises TypeError for a strategy that is not callable.
    worker_device: the device of all else.
    merge_devices: let inner scopes add to it.
    ps_ops: the types of operations that count as variables.
    """
    if cluster is not None:
        known = _jobs(cluster)
        job = DeviceSpec.from_string(ps_device).job or "ps"
        if not known.get(job):
            return None
        ps_tasks = len(known[job])
    if ps_tasks == 0:
        return None
    strategy = _InTurn(ps_tasks) if ps_strategy is None else ps_strategy
    if not callable(strategy):
        raise TypeError("ps_strategy must be callable")
    types = STANDARD_PS_OPS if ps_ops is None else tuple(ps_ops)

    def device_of(op: Operation) -> str:
        current = DeviceSpec.from_string(op.device or "")
        if ps_device and op.type in types:
            spec = DeviceSpec.from_string(ps_device)
            if spec.job and (current.job or spec.job) == spec.job:
                spec = spec.make_merged_spec(DeviceSpec(task=strategy(op)))
        else:
            spec = DeviceSpec.from_string(worker_device or "")
        return spec.make_merged_spec(current).to_string() if merge_devices else (op.device or spec.to_string())

    return device_of


def _jobs(cluster: Any) -> dict:
    """The tasks of each job of a ClusterSpec, a ClusterDef or a dict. Raises TypeError for anything else."""
    if hasattr(cluster, "as_dict"):
        return cluster.as_dict()
    if hasattr(cluster, "job"):
        return {job.name: dict(job.tasks) for job in cluster.job}
    if not isinstance(cluster, Mapping):
        raise TypeError(f"cluster must be a ClusterSpec, a ClusterDef or a dict, not {cluster!r}")
    return dict(cluster)


class _InTurn:
    """Task numbers 0, 1... round-robin."""

    def __init__(self, tasks: int):
        self._tasks, self._next = tasks, 0

    def __call__(self, op: Operation) -> int:
        task = self._next
        self._next = (task + 1) % self._tasks
        return task
