"""Servers: shared sessions with TensorFlow 1's interface. The servers of a cluster share its state.

A server answers at its address with its task and cluster. The keeper's server (see `cluster`) also has the host, which
holds the variables and queues of all tasks, and says in which Ray the host is. Sessions of other tasks join that Ray.
All tasks compute in one Ray, so a task is a place for state, not a share of the machines.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import weakref
from contextlib import suppress
from typing import Any, NamedTuple

from weftwork.graph.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnknownError,
)
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.request.config import ConfigProto, ServerDef
from weftwork.scheduler.session.cluster import ClusterSpec, Task
from weftwork.scheduler.session.host import Host

log = logging.getLogger("weftwork")

_AUTH = "RAY_AUTH_MODE"
_ANSWERS_WITHIN = 5.0
_LOOK = 0.2
_REMIND_AFTER = 10.0
"""Seconds after which a session repeats which task it waits for."""


class Server:
    """A task of a cluster. Sessions with its `target` share the cluster's state with sessions of the other tasks.

    server_or_cluster_def: the cluster, as a ClusterSpec or something that makes one; or a ServerDef.
    The state lives as long as the process of the keeper: the first "ps", else the first "chief" or "master", else the
    first task of the first job. Raises ValueError if job or task must be named, InvalidArgumentError for a task that is
    not in the cluster or an invalid address, UnknownError if the port is in use.
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
        self._server_def = _server_def(server_or_cluster_def, job_name, task_index, protocol, config)
        self._cluster = ClusterSpec(self._server_def.cluster)
        self._task = Task(self._server_def.job_name, self._server_def.task_index)
        if self._task not in self._cluster.tasks():
            raise InvalidArgumentError(None, None, f"Task {self._task} was not defined in {self._cluster}")
        self._socket = _bound(self._cluster.task_address(*self._task))
        self._port = self._socket.getsockname()[1]
        weakref.finalize(self, _close, self._socket)
        self._host: Any = None
        self._started = False
        if start:
            self.start()

    def start(self) -> None:
        """Start serving."""
        if self._started:
            return
        self._started = True
        keeper = self._cluster.keeper()
        answer = {
            "cluster": {
                job: {t.index: self._cluster.task_address(*t) for t in self._cluster.tasks() if t.job == job}
                for job in self._cluster.jobs
            },
            "task": self._task,
            "keeper": None if keeper == self._task else self._cluster.task_address(*keeper),
        }
        if keeper == self._task:
            config = ConfigProto(cluster_def=self._server_def.cluster)
            config.MergeFrom(self._server_def.default_session_config)
            self._host = hosts.host(Host, self.target, config, create=True, lasting=False)
            answer |= {"host": self.target, "ray": backend.address(), "auth": os.environ.get(_AUTH)}
        answering = threading.Thread(target=_answer, args=(self._socket, json.dumps(answer)), name="weftwork-server")
        answering.daemon = True
        answering.start()

    @property
    def server_def(self) -> ServerDef:
        """The server's definition: the cluster, its own job and task, the protocol, and the options of its sessions."""
        return self._server_def

    @property
    def target(self) -> str:
        """The target for sessions that use this server: "grpc://localhost:PORT"."""
        return f"grpc://localhost:{self._port}"

    def join(self) -> None:
        """Block forever."""
        threading.Event().wait()

    @staticmethod
    def create_local_server(config: ConfigProto | None = None, start: bool = True) -> Server:
        """A server on a free port, which is the only task of the job "local"."""
        return Server({"local": ["localhost:0"]}, protocol="grpc", config=config, start=start)


def _server_def(given: Any, job: str | None, index: int | None, protocol: Any, config: ConfigProto | None) -> ServerDef:
    made = ServerDef()
    if isinstance(given, ServerDef):
        made.CopyFrom(given)
        job, index = job or given.job_name or None, given.task_index if index is None else index
    else:
        try:
            made.cluster = ClusterSpec(given).as_cluster_def()
        except TypeError as error:
            raise TypeError(
                "Could not convert `server_or_cluster_def` to a `tf.train.ServerDef` or `tf.train.ClusterSpec`: "
                f"{error}"
            ) from None
    spec = ClusterSpec(made.cluster)
    if job is None:
        if len(spec.jobs) != 1:
            raise ValueError("Must specify an explicit `job_name`.")
        job = spec.jobs[0]
    if index is None:
        indices = spec.task_indices(job) if job in spec.jobs else [0]
        if len(indices) != 1:
            raise ValueError("Must specify an explicit `task_index`.")
        index = indices[0]
    made.job_name, made.task_index, made.protocol = job, index, protocol or made.protocol or "grpc"
    if not made.protocol.startswith("grpc"):
        raise NotFoundError(None, None, f"No server factory registered for the given ServerDef: {made!r}")
    if config is not None:
        made.default_session_config.MergeFrom(config)
    return made


def _bound(address: str) -> socket.socket:
    """Bind the port of an address, so that no other server can have it."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InvalidArgumentError(None, None, f'Could not parse port for local server from "{address}".')
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("", int(port)))
        taken.listen()
    except OSError as error:
        taken.close()
        raise UnknownError(None, None, f"Could not start the server on port {port}: {error}") from error
    return taken


def _close(listening: socket.socket) -> None:
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)  # wakes the thread in `accept`
    listening.close()


def _answer(listening: socket.socket, text: str) -> None:
    """Answer everybody who connects."""
    while True:
        try:
            asking, _ = listening.accept()
        except OSError:  # closed: the server is gone
            return
        with asking, suppress(OSError):
            asking.settimeout(_ANSWERS_WITHIN)
            asking.sendall(text.encode())


# Finding the host of a target


class Found(NamedTuple):
    """The host's actor, and the session's task and cluster (None if the server is on no cluster)."""

    host: Any
    task: Task | None
    cluster: ClusterSpec | None


def find(target: str, seconds: float | None) -> Found:
    """Find the host that serves `target`, "grpc://HOST:PORT". Waits for the cluster's keeper if that is not there yet.

    seconds: how long to wait before DeadlineExceededError; None means forever. Raises NotFoundError if nobody answers
    at the target itself, FailedPreconditionError if this process uses another Ray than the cluster.
    """
    end = None if seconds is None else time.monotonic() + seconds
    answer = _answer_of(target.removeprefix("grpc://"))
    while answer is None and end is not None and time.monotonic() < end:
        time.sleep(_LOOK)
        answer = _answer_of(target.removeprefix("grpc://"))
    if answer is None:
        return _by_name(target, waited=seconds)
    spec = ClusterSpec({job: {int(i): where for i, where in tasks.items()} for job, tasks in answer["cluster"].items()})
    keeper, reminded = spec.keeper(), time.monotonic() - _REMIND_AFTER / 2
    while True:
        kept = answer if answer["keeper"] is None else _answer_of(answer["keeper"])
        host = None if kept is None or "host" not in kept else _joined(kept)
        if host is not None:
            return Found(host, Task(*answer["task"]), spec)
        now = time.monotonic()
        if end is not None and now >= end:
            raise DeadlineExceededError(None, None, f"{keeper} did not answer within {seconds:g} s.")
        if now - reminded >= _REMIND_AFTER:
            reminded = now
            log.info("CreateSession still waiting for response from worker: %s", keeper)
        time.sleep(_LOOK)


def _answer_of(address: str) -> dict | None:
    """The answer of the server at "host:port", None if there is none."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _ANSWERS_WITHIN) as connection:
            parts = []
            while part := connection.recv(1 << 16):
                parts.append(part)
        return json.loads(b"".join(parts))
    except (OSError, ValueError):
        return None


def _joined(kept: dict) -> Any:
    """Join the keeper's Ray and find its host there. None if it cannot be found."""
    if not backend.is_running():
        if kept["auth"] is not None:  # only a path: the token is the user's own, and Ray finds it
            os.environ.setdefault(_AUTH, kept["auth"])
        try:
            backend.connect(kept["ray"])
        except (ConnectionError, RuntimeError):
            return None
    host = hosts.host(Host, kept["host"], None, create=False, lasting=False)
    if host is None and backend.address() != kept["ray"]:
        raise FailedPreconditionError(
            None,
            None,
            f"This process uses the Ray at {backend.address()}, but the cluster's is at {kept['ray']}. Make the "
            "session of the server before any other, or start all processes in one Ray (RAY_ADDRESS).",
        )
    return host


def _by_name(target: str, waited: float | None) -> Found:
    """The host with that name in this process's Ray, for a server on another machine."""
    if not backend.is_running():
        with suppress(ConnectionError, RuntimeError):
            backend.connect("auto")
    host = hosts.host(Host, target, None, create=False, lasting=False)
    if host is not None:
        return Found(host, None, None)
    if waited is not None:
        raise DeadlineExceededError(None, None, f"No server answered at {target} within {waited:g} s.")
    raise NotFoundError(None, None, f"There is no server at {target} in this Ray cluster.")
