"""Waiting for the lock of a variable that another run holds."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

from weftwork.actors.programs.program import Stopped
from weftwork.graph.errors import FailedPreconditionError, OpError, at_node
from weftwork.scheduler.run.limits import is_around
from weftwork.scheduler.run.waiting import Awaited, parts
from weftwork.scheduler.state.mirror import Cell


def wait_for_lock(run: Any, cell: Cell) -> None:
    """Wait until a run has the lock of a variable. Raises its `stopped()`.

    Raises FailedPreconditionError if a function of the run that holds the lock waits for this run.
    """
    run.awaited = Awaited("lock", monotonic(), lambda: (f"the lock of {cell.name}",))
    try:
        if any([is_around(part, run) for part in _holding(run, cell)]):
            raise _own_lock(run, cell)
        run.mirror.wait_for(cell, run, run.stop)
    except Stopped:
        raise run.stopped() from None
    finally:
        run.awaited = None


def _holding(run: Any, cell: Cell) -> Iterator[Any]:
    """The run that holds a lock, and all its parts."""
    owner = run.mirror.owners.get(cell)
    while getattr(owner, "outer", None) is not None:
        owner = owner.outer
    return parts(owner) if owner in run.mirror.running else iter(())


def _own_lock(run: Any, cell: Cell) -> OpError:
    op = run.flow.variables[cell.name]
    text = (
        f"A function has started a run that writes {cell.name}, and waits for it. But its own run writes {cell.name}, "
        "too: it holds the lock until it commits, so both would wait for ever. Let one of the two leave the variable "
        "alone, for example by returning the value to be assigned."
    )
    return at_node(FailedPreconditionError, op, text)
