"""Targets: whether a session has an engine of its own, or shares the engine of a host."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from weftwork.graph.errors import NotFoundError
from weftwork.graph.graph import Graph
from weftwork.scheduler.core.engine import Engine
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines import host_actors as hosts
from weftwork.scheduler.request.config import ConfigProto, RunOptions
from weftwork.scheduler.session.cluster import ClusterSpec
from weftwork.scheduler.session.host import Host
from weftwork.scheduler.session.server import find
from weftwork.scheduler.session.shared_engine import SharedEngine


def engine_of(target: str, config: ConfigProto, graph: Graph) -> tuple[Engine | SharedEngine, ClusterSpec | None]:
    """A new engine for the session; or the shared engine of the host that the target or the config names.

    For the host of a server, also returns the server's cluster.
    """
    entropy = uuid.uuid4().int & ((1 << 63) - 1)
    if config.isolate_session_state or config.cluster_def.job:
        return Engine(config, entropy), None
    if config.debug and (config.name or target.startswith("grpc://")):
        raise ValueError(
            "ConfigProto(debug=True) runs everything in this process, but a named session, or a server's, runs in "
            "another one. Leave out the name, or use isolate_session_state=True: the session has variables of its own."
        )
    if target.startswith("grpc://"):
        found = find(target, timeout_of(None, config))
        task_options = None if found.task is None else (found.task, config.allow_soft_placement)
        return SharedEngine(found.host, graph, ends=False, task_options=task_options), found.cluster
    if config.name:
        lasting = config.lifetime == "detached"
        there = hosts.host(Host, _hosted(config), config, create=False, lasting=lasting)
        host = there or hosts.host(Host, _hosted(config), config, create=True, lasting=lasting)
        return SharedEngine(host, graph, ends=there is None and not lasting), None
    return Engine(config, entropy), None


def host_named(name: str, config: ConfigProto) -> Any:
    """The host with a name, or None. Raises DeadlineExceededError if there is a time limit."""
    if not name.startswith("grpc://"):
        return hosts.host(Host, name, config, create=False, lasting=False) if name else None
    with suppress(NotFoundError):
        return find(name, timeout_of(None, config)).host
    return None


def _hosted(config: ConfigProto) -> str:
    return f"session {config.name}"


def connect(target: str, config: ConfigProto) -> None:
    """Join the Ray that `target` names. For "" and "local" nothing is joined until Ray is needed (see `life`)."""
    if not target:
        return
    if target.startswith("grpc://"):
        return  # the server will say which Ray to join

    host, _, port = target.rpartition(":")
    if target not in ("auto", "local") and not target.startswith("ray://") and not (host and port.isdigit()):
        raise NotFoundError(
            None,
            None,
            "No session factory registered for the given session options: "
            f'{{target: "{target}" config: {config!r}}} Registered factories are "", "local", "auto", "HOST:PORT" of a '
            'Ray cluster, and "ray://HOST:PORT".',
        )
    try:
        backend.connect(target)
    except (ConnectionError, RuntimeError) as error:
        raise NotFoundError(None, None, f"There is no Ray cluster at {target!r}: {error}") from error


def timeout_of(options: RunOptions | None, config: ConfigProto) -> float | None:
    milliseconds = options.timeout_in_ms if options is not None else 0
    if milliseconds <= 0:
        milliseconds = config.operation_timeout_in_ms
    return milliseconds / 1000 if milliseconds > 0 else None
