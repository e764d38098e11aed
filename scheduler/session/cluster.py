"""Clusters as in TensorFlow 1: jobs made of tasks, each a server at an address; and which task holds a node's state.

keeper    the task whose server holds the variables and queues of the whole cluster: the first of the job "ps", else of
          "chief" or "master", else of the first job by name
place     the task that holds the state of a node: the one that the node's device names, else the session's. As in
          TensorFlow, two tasks may have variables of the same name
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from weftwork.graph.devices import DeviceSpec
from weftwork.graph.graph import Graph
from weftwork.graph.operation import Kind
from weftwork.scheduler.request.config import ClusterDef

_KEEPERS = ("ps", "chief", "master")


class Task(NamedTuple):
    """A task: the name of its job, and its number."""

    job: str
    index: int

    def __str__(self) -> str:
        return f"/job:{self.job}/replica:0/task:{self.index}"


class ClusterSpec:
    """The jobs of a cluster: maps names to lists of "host:port", or to {task index: "host:port"}. Or a ClusterDef.

    Raises TypeError for anything else, including names and addresses that are not strings.
    """

    def __init__(self, cluster: Any):
        if isinstance(cluster, ClusterDef):
            cluster = {job.name: dict(job.tasks) for job in cluster.job}
        if isinstance(cluster, ClusterSpec):
            cluster = cluster._jobs
        if not isinstance(cluster, Mapping):
            raise TypeError(
                "`cluster` must be a dictionary mapping one or more job names to lists of network addresses, or a "
                f"`ClusterDef` protocol buffer, not {cluster!r}"
            )
        self._jobs = {_text(job, "Job name"): _tasks(job, tasks) for job, tasks in cluster.items()}

    @property
    def jobs(self) -> list[str]:
        """The names of the jobs."""
        return list(self._jobs)

    def num_tasks(self, job_name: str) -> int:
        """The number of tasks of a job. Raises ValueError for an unknown job."""
        return len(self._of(job_name))

    def task_indices(self, job_name: str) -> list[int]:
        """The task numbers of a job."""
        return sorted(self._of(job_name))

    def task_address(self, job_name: str, task_index: int) -> str:
        """The address of a task. Raises ValueError for an unknown task."""
        tasks = self._of(job_name)
        if task_index not in tasks:
            raise ValueError(f"No task with index {task_index!r} in job {job_name!r}")
        return tasks[task_index]

    def job_tasks(self, job_name: str) -> list[str | None]:
        """The addresses of a job's tasks, with None for numbers that are left out."""
        tasks = self._of(job_name)
        return [tasks.get(i) for i in range(max(tasks, default=-1) + 1)]

    def as_dict(self) -> dict[str, Any]:
        """The jobs as plain data: lists of addresses, or dicts if numbers are left out or a job is empty."""
        made: dict[str, Any] = {}
        for job, tasks in self._jobs.items():
            whole = tasks and self.task_indices(job) == [*range(len(tasks))]
            made[job] = self.job_tasks(job) if whole else {number: tasks[number] for number in sorted(tasks)}
        return made

    def as_cluster_def(self) -> ClusterDef:
        """The jobs as a ClusterDef, sorted by name."""
        cluster = ClusterDef()
        for job in sorted(self._jobs):
            cluster.job.add(name=job, tasks=self._jobs[job])
        return cluster

    def tasks(self) -> list[Task]:
        """All tasks, sorted by job and number."""
        return [Task(job, index) for job in sorted(self._jobs) for index in self.task_indices(job)]

    def keeper(self) -> Task:
        """The task that holds the cluster's state."""
        named = [job for job in _KEEPERS if self._jobs.get(job)]
        known = self.tasks()
        return next(task for task in known if task.job == named[0]) if named else known[0]

    def _of(self, job_name: str) -> dict[int, str]:
        if job_name not in self._jobs:
            raise ValueError(f"No such job in cluster: {job_name!r}")
        return self._jobs[job_name]

    def __eq__(self, other: object) -> bool:
        return self._jobs == (other._jobs if isinstance(other, ClusterSpec) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def __repr__(self) -> str:
        jobs = self.as_dict()
        return f"ClusterSpec({{{', '.join([f'{job!r}: {jobs[job]!r}' for job in sorted(jobs)])}}})"

    __hash__ = None  # type: ignore[assignment]


def _text(value: Any, what: str) -> str:
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{what} {value!r} must be bytes or unicode")
    return value.decode() if isinstance(value, bytes) else value


def _tasks(job: Any, tasks: Any) -> dict[int, str]:
    if isinstance(tasks, (list, tuple)):
        tasks = dict(enumerate(tasks))
    if not isinstance(tasks, Mapping):
        raise TypeError(f"The tasks for job {job!r} must be a list or a dictionary from integers to strings.")
    return {int(index): _text(address, "Task address") for index, address in tasks.items()}


def place_state(graph: Graph, own: Task, spec: ClusterSpec) -> None:
    """Rename the state of a graph by the task that holds it, unless that is the keeper.

    own: the session's task. The graph is changed, so nobody else may use it.
    """
    keeper = spec.keeper()
    names: dict[str, str] = {}
    queues: dict[tuple[str, str], str] = {}
    for op in graph.operations:
        if op.kind is Kind.VARIABLE:
            holder = _task_of(op.device, own, spec)
            if holder != keeper:
                names[op.name] = _name_on(op.name, holder)
                graph.also_named(names[op.name], op)
                op.attrs = {**op.attrs, "_variable": names[op.name]}
        elif op.attrs.get("_variable") in names:
            op.attrs = {**op.attrs, "_variable": names[op.attrs["_variable"]]}
        elif op.kind is Kind.QUEUE and "_queue" in op.attrs:
            key = op.attrs["_container"], op.attrs["_queue"]
            if op.attrs["_word"] == "make":
                holder = _task_of(op.device, own, spec)
                queues[key] = key[1] if holder == keeper else _name_on(key[1], holder)
            chosen = op.attrs["_choices"]
            if chosen is not None:
                chosen = tuple([(box, queues.get((box, name), name), *rest) for box, name, *rest in chosen])
            op.attrs = {**op.attrs, "_queue": queues.get(key, key[1]), "_choices": chosen}


def _task_of(device: str, own: Task, spec: ClusterSpec) -> Task:
    asked = DeviceSpec.from_string(device)
    if asked.job is None or asked.job not in spec.jobs:
        return own
    if asked.task is not None:
        return Task(asked.job, asked.task)
    return own if own.job == asked.job else Task(asked.job, min(spec.task_indices(asked.job), default=0))


def _name_on(name: str, task: Task) -> str:
    """The name of a node's state on a task. The spaces keep it apart from names of nodes."""
    return f"{name} on {task.job} {task.index}"
