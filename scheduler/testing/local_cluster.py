"""tf.test: a cluster of servers on this machine."""

from __future__ import annotations

import socket
from typing import Any

from weftwork.scheduler.session.server import Server


def create_local_cluster(
    num_workers: int, num_ps: int, protocol: str = "grpc", worker_config: Any = None, ps_config: Any = None
) -> tuple[list[Any], list[Any]]:
    """Create a cluster on this machine. Returns the servers of the job "worker" and those of the job "ps".

    num_workers, num_ps: how many servers of each job.   worker_config, ps_config: ConfigProtos.
    """
    ports = _free_ports(num_workers + num_ps)
    addresses = [f"localhost:{port}" for port in ports]
    cluster: dict = {"worker": addresses[:num_workers], "ps": addresses[num_workers:]}
    cluster = {job: tasks for job, tasks in cluster.items() if tasks}
    made = {
        job: [
            Server(cluster, job_name=job, task_index=task, protocol=protocol, config=config)
            for task in range(len(cluster.get(job, ())))
        ]
        for job, config in (("worker", worker_config), ("ps", ps_config))
    }
    return made["worker"], made["ps"]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
