"""Servers: shared sessions under TensorFlow 1's names. A server is a host; its target names it.

Several tasks of a ClusterSpec share one Ray cluster, which does the work of all of them; so each server is a place for
variables, not a share of the machines.
"""

from __future__ import annotations

import socket
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from weftwork.graph.errors import InvalidArgumentError, UnknownError
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.session.host import Host


class ClusterSpec:
    """The jobs of a cluster: name -> list of "host:port", or {task index: "host:port"}.

    Raises TypeError for anything else, also for names and addresses that are no strings.
    """

    def __init__(self, cluster: Any):
        if isinstance(cluster, ClusterSpec):
            self._jobs = {job: dict(tasks) for job, tasks in cluster._jobs.items()}
            return
        if not isinstance(cluster, Mapping):
            raise TypeError(
                "`cluster` must be a dictionary mapping one or more job names to lists of network addresses, or a "
                f"`ClusterDef` protocol buffer, not {cluster!r}"
            )
        self._jobs: dict[str, dict[int, str]] = {}
        for job, tasks in cluster.items():
            if not isinstance(job, str):
                raise TypeError(f"Job name {job!r} must be bytes or unicode")
            if isinstance(tasks, (list, tuple)):
                self._jobs[job] = dict(enumerate(tasks))
            elif isinstance(tasks, Mapping):
                self._jobs[job] = {int(number): address for number, address in tasks.items()}
            else:
                raise TypeError(f"The tasks for job {job!r} must be a list or a dictionary from integers to strings.")
            for address in self._jobs[job].values():
                if not isinstance(address, str):
                    raise TypeError(f"Task address {address!r} must be bytes or unicode")

    @property
    def jobs(self) -> list[str]:
        """The names of the jobs."""
        return list(self._jobs)

    def num_tasks(self, job_name: str) -> int:
        """How many tasks a job has. Raises ValueError for an unknown job."""
        return len(self._tasks(job_name))

    def task_indices(self, job_name: str) -> list[int]:
        """The numbers of a job's tasks."""
        return sorted(self._tasks(job_name))

    def task_address(self, job_name: str, task_index: int) -> str:
        """The address of a task. Raises ValueError for an unknown one."""
        tasks = self._tasks(job_name)
        if task_index not in tasks:
            raise ValueError(f"No task with index {task_index!r} in job {job_name!r}")
        return tasks[task_index]

    def job_tasks(self, job_name: str) -> list[str | None]:
        """The addresses of a job's tasks, None where a number is left out."""
        tasks = self._tasks(job_name)
        return [tasks.get(i) for i in range(max(tasks, default=-1) + 1)]

    def as_dict(self) -> dict[str, Any]:
        """The jobs as plain data: a list of addresses, or a dict where numbers are left out."""
        made: dict[str, Any] = {}
        for job, tasks in self._jobs.items():
            whole = self.task_indices(job) == [*range(len(tasks))]
            made[job] = self.job_tasks(job) if whole else {number: tasks[number] for number in sorted(tasks)}
        return made

    def _tasks(self, job_name: str) -> dict[int, str]:
        if job_name not in self._jobs:
            raise ValueError(f"No such job in cluster: {job_name!r}")
        return self._jobs[job_name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClusterSpec) and self._jobs == other._jobs

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def __repr__(self) -> str:
        jobs = self.as_dict()
        return f"ClusterSpec({{{', '.join([f'{job!r}: {jobs[job]!r}' for job in sorted(jobs)])}}})"

    __hash__ = None  # type: ignore[assignment]


class Server:
    """A place for variables that sessions with its `target` share; it lasts until its process ends.

    Raises ValueError where job or task must be named, InvalidArgumentError for a bad address, UnknownError for a port
    that is in use.
    """

    def __init__(
        self,
        server_or_cluster_def: Any,
        job_name: str | None = None,
        task_index: int | None = None,
        protocol: str | None = None,
        config: ConfigProto | None = None,
        start: bool = True,
    ):
        self._cluster = ClusterSpec(server_or_cluster_def)
        if job_name is None:
            if len(self._cluster.jobs) != 1:
                raise ValueError("Must specify an explicit `job_name`.")
            job_name = self._cluster.jobs[0]
        if task_index is None:
            if self._cluster.num_tasks(job_name) != 1:
                raise ValueError("Must specify an explicit `task_index`.")
            task_index = self._cluster.task_indices(job_name)[0]
        address = self._cluster.task_address(job_name, task_index)
        self._socket = _bound(address)
        self._port = self._socket.getsockname()[1]
        weakref.finalize(self, self._socket.close)
        self._config = ConfigProto(allow_soft_placement=True)  # the spec's jobs are no machines of ours
        if config is not None:
            self._config.MergeFrom(config)
        self.server_def = {"job_name": job_name, "task_index": task_index, "cluster": self._cluster.as_dict()}
        self._host: Any = None
        if start:
            self.start()

    def start(self) -> None:
        """Begin to serve."""
        if self._host is None:
            self._host = hosts.host(Host, self.target, self._config, create=True, lasting=False)

    @property
    def target(self) -> str:
        """What a Session takes to run here: "grpc://localhost:PORT"."""
        return f"grpc://localhost:{self._port}"

    def join(self) -> None:
        """Block for ever."""
        threading.Event().wait()

    @staticmethod
    def create_local_server(config: ConfigProto | None = None, start: bool = True) -> Server:
        """A server of its own, on a free port."""
        return Server({"local": ["localhost:0"]}, protocol="grpc", config=config, start=start)


def _bound(address: str) -> socket.socket:
    """The port of an address, taken: it is the server's name, and nobody else's."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InvalidArgumentError(None, None, f"Could not interpret {address!r} as a host-port pair: no port.")
    taken = socket.socket()
    try:
        taken.bind(("", int(port)))
    except OSError as error:
        taken.close()
        raise UnknownError(None, None, f"Could not start the server on port {port}: {error}") from error
    return taken
