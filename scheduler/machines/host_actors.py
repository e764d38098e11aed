"""The hosts of shared sessions as Ray actors, found by name."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import Any

from weftwork.actors.processes.messages import pack
from weftwork.scheduler.machines import backend
from weftwork.scheduler.machines.life import Life

_NAMESPACE = "weftwork"
_MAX_RUNS = 512
"""Maximum number of runs that a host works on at once, including those waiting in queues. Each takes a thread."""


def host(kind: type, name: str, config: Any, create: bool, lasting: bool) -> Any:
    """The host with a name in this cluster, created if `create` is true; else None.

    kind: the actor's class.   lasting: whether it outlives the process that creates it.
    """
    if not (create or backend.is_named()):  # there can be no host, so Ray is not started to look for one
        return None
    while True:
        with suppress(backend.RayGone):  # then in the next Ray
            return _living(backend.life(), kind, name, config, create, lasting)


def _living(of: Life, kind: type, name: str, config: Any, create: bool, lasting: bool) -> Any:
    """The host of one Ray. Raises RayGone."""
    from ray.experimental.internal_kv import _internal_kv_exists, _internal_kv_put

    for number in itertools.count():  # Ray may still find a dead actor by its name, so each has a name of its own
        full = f"{name} {number}"
        if backend.asked(of, _internal_kv_exists, f"weftwork dead {full}"):
            continue
        actor = _host(of, kind, full, config, create, lasting)
        if actor is None:
            return None
        try:
            ask(actor, "hello")
            return actor
        except backend.RayGone:
            raise
        except backend.WorkerLost:
            backend.asked(of, _internal_kv_put, f"weftwork dead {full}", b"1")
    return None


def _host(of: Life, kind: type, name: str, config: Any, create: bool, lasting: bool) -> Any:
    if not create:
        try:
            return backend.Actor(backend.asked(of, of.module.get_actor, name, namespace=_NAMESPACE), of)
        except ValueError:
            return None
    options = {"lifetime": "detached"} if lasting else {}
    actor = of.module.remote(num_cpus=0, max_restarts=0, max_concurrency=_MAX_RUNS, enable_task_events=False)(kind)
    actor = actor.options(name=name, namespace=_NAMESPACE, get_if_exists=True, **options)
    return backend.Actor(backend.asked(of, actor.remote, pack(config)), of)


def ask(actor: Any, method: str, *args: Any) -> Any:
    """Call a host's method and return the result. Raises WorkerLost if the host is gone."""
    call = getattr(actor.raw, method)
    errors = actor.life.module.exceptions
    try:
        return backend.get(backend.asked(actor.life, call.remote, *args), actor.life)
    except (errors.ActorDiedError, errors.ActorUnavailableError) as error:
        raise backend.WorkerLost(str(error)) from error


def tell(actor: Any, method: str, *args: Any) -> None:
    """Call a host's method without waiting."""
    with suppress(backend.RayGone):
        backend.asked(actor.life, getattr(actor.raw, method).remote, *args)


def end_host(actor: Any) -> None:
    """End a host: it writes its last checkpoint, then its process is killed."""
    if not actor.is_gone:
        try:
            ask(actor, "close")
        except backend.WorkerLost:
            return
        backend.kill(actor)
