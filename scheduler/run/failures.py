"""How what went wrong in a segment becomes the error that `run` raises: by class, with the node and its line."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from weftwork.graph.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    OpError,
    RemoteTraceback,
    ResourceExhaustedError,
    UnavailableError,
    at_node,
    from_exception,
    text_of,
)
from weftwork.graph.operation import Operation
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.specializations import forget_plans

_LOG = logging.getLogger("weftwork")
_OF_THE_PLACE = ("main thread", "event loop", "Ray has not been")
"""What errors say of a thread or a process that is not the program's."""


def node_error(op: Operation, error: BaseException, remote: str | None = None) -> OpError:
    """The error of a node whose kernel raised `error`; `remote` is its traceback when that was in another process.

    The class follows `error` (`from_exception`); `error` is the `__cause__`.
    """
    message = error.message if isinstance(error, OpError) else f"{type(error).__name__}: {text_of(error)}"
    failure = at_node(from_exception(error), op, message)
    if remote is not None:
        error.__cause__ = RemoteTraceback(remote)
    failure.__cause__ = error
    return failure


def uninitialized(ops: list[Operation]) -> OpError:
    """Variables that are read have no value: all of them are named."""
    op = ops[0]
    message = f"Attempting to use uninitialized value {op.name}"
    if len(ops) > 1:
        message += "; also uninitialized: " + ", ".join(sorted(o.defined_at for o in ops[1:]))
    return FailedPreconditionError(None, op, f"{message}\n\t [[node {op.defined_at} ]]")


def lost(ops: list[Operation], attempts: int, reason: str) -> OpError:
    """The process that ran these nodes died, again and again."""
    ops = list(dict.fromkeys([op.listed for op in ops]))
    names = ", ".join(op.defined_at for op in ops[:5]) + (", ..." if len(ops) > 5 else "")
    first = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    return UnavailableError(
        None,
        ops[0],
        f"The process that ran {names} died {attempts} times: {first}\n\t [[node {ops[0].defined_at} ]]",
    )


def block(kernels: Iterable[Any]) -> None:
    """Processes have died under these functions: they are never called in this one."""
    for kernel in kernels:
        COSTS.block(kernel)
    forget_plans()


def does_not_fit(op: Operation, what: str, reason: str) -> OpError:
    """`what` of a node, a value, found no room in an object store."""
    return at_node(
        ResourceExhaustedError,
        op,
        f"{what} of {op.name} does not fit: the object store of its machine has no room for it, nor has the disk that "
        f"it spills to ({reason}). Make it smaller, or in parts, or give Ray more room (object_store_memory).",
    )


def unloadable(ops: list[Operation], error: BaseException, remote: str) -> OpError:
    """The code of a segment could not be loaded where it was to run."""
    failure = at_node(
        InvalidArgumentError,
        ops[0],
        f"The function of node {ops[0].name} could not be loaded in a worker: {type(error).__name__}: {error}. What it "
        "needs must be importable on every machine of the cluster.",
    )
    error.__cause__ = RemoteTraceback(remote)
    failure.__cause__ = error
    return failure


def is_of_the_place(error: BaseException) -> bool:
    """True for an error that may be due to where the function ran: it is called in the caller, and that decides."""
    if isinstance(error, ImportError):
        return True
    text = text_of(error) if isinstance(error, Exception) else ""
    return any(word in text for word in _OF_THE_PLACE)


def let_stay(op: Operation, kernel: Any, why: BaseException) -> bool:
    """A function turns out to run in the program's own process only: say so, once. True the first time."""
    new = HISTORY.let_stay(kernel)
    if new:
        _LOG.info("%s runs in the program's own process from now on: %s", op.defined_at, why)
    return new
