"""Turns failures in a segment into the errors that `run` raises, with the right class, the node and its line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from weftwork.actors.processes.replay import reported_inputs
from weftwork.actors.programs.bodies import Control
from weftwork.actors.programs.failed_call import FailedCall, Stored
from weftwork.graph.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    OpError,
    ResourceExhaustedError,
    UnavailableError,
    add_remote,
    at_node,
    from_exception,
    message_of,
    text_of,
)
from weftwork.graph.nest import Slot
from weftwork.graph.operation import Kind, Operation
from weftwork.graph.user_function import UserFunction
from weftwork.graph.variables.handles import no_value_text
from weftwork.scheduler.compile.dataflow import Dataflow
from weftwork.scheduler.compile.effects import functions_of
from weftwork.scheduler.compile.emit import is_users
from weftwork.scheduler.machines import backend, objects, room
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.specializations import forget_plans

_LOG = logging.getLogger("weftwork")
_READ_ONLY = ("read-only", "read only")
_OF_THE_PLACE = (
    *("main thread", "event loop", "Ray has not been"),
    *_READ_ONLY,
    *(
        "unknown encoding",
        "unknown error handler",
        "python callback specified",
        "log specified for",
        "Bad file descriptor",
    ),
)
"""Words in errors of functions that cannot run in another thread or process: there a captured array is read-only, and
what the program has registered with Python, or opened, is missing."""


def node_error(
    op: Operation, error: BaseException, remote: str | None = None, call: FailedCall | None = None
) -> OpError:
    """The error of a node whose kernel raised `error`; `remote` is the traceback if it was raised in another process.

    The class depends on `error` (`from_exception`), which is the `__cause__`.   call: the call that failed; in a branch
    or a loop, the innermost call, which `error` knows, takes precedence.
    """
    if op.kind is Kind.CONTROL and isinstance(error, OpError) and error.call is not None:
        call = error.call
    ours = not is_users(op.kernel)
    failure = at_node(from_exception(error, ours), op, message_of(error, ours), call)
    if remote is not None:
        add_remote(error, remote)
    failure.__cause__ = error
    return failure


# The call that failed


def call_of(flow: Dataflow, node: int, inputs: Sequence[Any] | None, why: str = "") -> FailedCall:
    """The call of a node with these inputs.   inputs: None if unknown, for the reason `why`."""
    kernel, op = flow.kernels[node], flow.ops[node].listed
    return FailedCall(
        kernel, flow.attrs[node], inputs, op.defined_at, is_users(kernel), isinstance(kernel, Control), why
    )


def call_in_run(run: Any, node: int) -> FailedCall:
    """The call of a node whose inputs are among a run's values."""
    return call_of(run.flow, node, [_kept(run.values[number]) for number in run.flow.inputs[node]])


def only_call(run: Any, segment: Any) -> FailedCall | None:
    """The only call of a segment; None if it makes several."""
    return call_in_run(run, segment.nodes[0]) if len(segment.nodes) == 1 else None


def call_of_step(flow: Dataflow, node: int, taken: list | None, why: str = "") -> FailedCall | None:
    """The call of a node, from the inputs of its step in a program; None for a step that belongs to no node."""
    if node < 0:
        return None
    kernel = flow.kernels[node]
    direct = kernel.direct(flow.attrs[node]["template"]) if type(kernel) is UserFunction else None
    if direct is not None and taken is not None:  # the step calls the function directly, with its arguments
        by = {arg.index: value for arg, value in zip(direct[0], taken, strict=True) if type(arg) is Slot}
        taken = [by[at] for at in range(len(by))]
    return call_of(flow, node, taken, why)


def reported_call(run: Any, segment: Any, step: int, report: Any) -> FailedCall | None:
    """The call of a segment's step, with the inputs that a worker reported."""
    taken, why = reported_inputs(report, lambda position: _kept(run.values[segment.inputs[position]]))
    return call_of_step(run.flow, segment.owners[step], taken, why)


def _kept(value: Any) -> Any:
    """A value as an error keeps it: a value in Ray's store stays there."""
    if type(value) is not backend.Reference:
        return value
    return Stored(partial(objects.fetch, value), objects.size_in_store(value))


def uninitialized(ops: list[Operation]) -> OpError:
    """The error of a run that reads variables without a value; it names all of them."""
    op = ops[0]
    message = no_value_text(op)
    if len(ops) > 1:
        message += "; also uninitialized: " + ", ".join(sorted(o.defined_at for o in ops[1:]))
    return FailedPreconditionError(None, op, f"{message}\n\t [[node {op.defined_at} ]]")


def lost(ops: list[Operation], attempts: int, reason: str, call: FailedCall | None = None) -> OpError:
    """The error of nodes whose process died again and again.   call: the call in progress at the time, if known."""
    ops = list(dict.fromkeys([op.listed for op in ops]))
    names = ", ".join(op.defined_at for op in ops[:5]) + (", ..." if len(ops) > 5 else "")
    first = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    first = f"{first} {room.shortage()}".rstrip()
    message = f"The process that ran {names} died {attempts} times: {first}\n\t [[node {ops[0].defined_at} ]]"
    return at_node(UnavailableError, ops[0], message, call)


def block(kernels: Iterable[Any]) -> None:
    """Never call these functions in this process, because processes have died in them."""
    for kernel in kernels:
        COSTS.block(kernel)
    forget_plans()


def does_not_fit(op: Operation, what: str, reason: str) -> OpError:
    """The error of a node's value, described by `what`, that an object store has no room for."""
    return at_node(
        ResourceExhaustedError,
        op,
        f"{what} of {op.name} does not fit: the object store of its machine has no room for it, nor has the disk that "
        f"it spills to ({reason}). Make it smaller, or in parts, or give Ray more room (object_store_memory).",
    )


def unloadable(ops: list[Operation], error: BaseException, remote: str) -> OpError:
    """The error of a segment whose code, or an input, could not be loaded where it was to run."""
    failure = at_node(
        InvalidArgumentError,
        ops[0],
        f"The function of node {ops[0].name}, or what it takes, could not be loaded in a worker: "
        f"{type(error).__name__}: {text_of(error)}. What it needs must be importable on every machine of the cluster.",
    )
    add_remote(error, remote)
    failure.__cause__ = error
    return failure


def is_of_the_place(error: BaseException) -> bool:
    """True for an error that may be due to the place of the call, which is then repeated in the caller."""
    if isinstance(error, ImportError):
        return True
    text = text_of(error) if isinstance(error, Exception) else ""
    return any(word in text for word in _OF_THE_PLACE)


def let_stay(op: Operation, kernel: Any, why: BaseException) -> bool:
    """Note that a function can only run in the program's own process, and log that once. True the first time.

    One that something read-only has stopped there is taken to write what it has captured: it runs in its turn.
    """
    new = HISTORY.let_stay(kernel)
    if new:
        for function in functions_of([kernel]) if any(word in text_of(why) for word in _READ_ONLY) else ():
            if function.captured.has_data:
                function.captured.record_write()
        _LOG.info("From now on, %s runs in this process: %s", op.defined_at, why)
    return new


def fetch_output(run: Any, number: int, reference: Any, lazily: bool = False) -> Any:
    """A run's value in Ray's store. If it does not load here, its function runs here from now on; raises ValueLost.

    lazily: as for `objects.fetch`.
    """
    try:
        return objects.fetch(reference, lazily)
    except backend.Unreadable as error:
        node = run.flow.producer[number]
        if node >= 0 and error.__cause__ is not None:
            run.stays(node, error.__cause__)
            forget_plans()
        raise
