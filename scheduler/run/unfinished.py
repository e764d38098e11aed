"""Unfinished: reports nodes that were called and did not finish, because one of them failed or the run was stopped.

Nothing here costs anything while runs go well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic
from typing import Any

from weftwork.actors.processes.messages import Ran
from weftwork.actors.programs.program import StepFailed
from weftwork.actors.programs.stack import step_of
from weftwork.graph.errors import text_of
from weftwork.graph.operation import Operation
from weftwork.scheduler.events.event import Lane
from weftwork.scheduler.plan.plan import Segment
from weftwork.scheduler.run.telling import WORTH, Node, Sent, lane, measured, took
from weftwork.scheduler.run.waiting import Called

STOPPED = "stopped"


def why_of(error: BaseException) -> str:
    """The text of an event for what a function raised. A stop is not its own error."""
    cause = error.__cause__ if isinstance(error, StepFailed) else error
    return f"{type(cause).__name__}: {text_of(cause)}" if isinstance(cause, Exception) else STOPPED


def segment_here(run: Any, segment: Segment, beside: bool, began: float, error: BaseException) -> None:
    """Report a segment that this thread ran until it raised `error`; the nodes that ended before too.

    beside: others ran beside it, in threads.
    """
    place = "thread" if beside and segment.slot else "caller"
    step = error.step if isinstance(error, StepFailed) else step_of(error)
    if step is None or not (run.telling is not None or monotonic() - began >= WORTH):
        return
    ops, done, since = _parts(run, segment, step, getattr(error, "measured", ()))
    if done:
        run.teller().ran_here(ops[: len(done)], done, done[0].start, took(done), lane(place))
    nodes_here(run, ops[len(done) :], place, since or began, error)


def _parts(run: Any, segment: Segment, step: int, known: Sequence) -> tuple[list[Operation], list[Node], float]:
    """The nodes of a segment up to a step; those before it if they were measured; and when the step began, or 0.0.

    known: the `measured` of the StepFailed.
    """
    ops, owners = run.flow.ops, segment.owners
    called = [ops[node] for node in owners[: step + 1] if node >= 0]
    if len(known) < 2 or run.telling is None or not run.telling.wants_nodes:
        return called, [], 0.0
    return called, measured(ops, owners[:step], known[1:]), known[0]


def nodes_here(run: Any, ops: Sequence[Operation], place: str, began: float, error: BaseException) -> None:
    """Report nodes that this thread called, one after another, from `began` until the last one raised `error`."""
    if run.telling is not None or monotonic() - began >= WORTH:
        run.teller().failed(ops, began, monotonic() - began, lane(place), why_of(error))


def nodes_there(
    run: Any, place: str, ops: Sequence[Operation], sent: Sent, report: Sequence, why: str, since: float = 0.0
) -> None:
    """Report nodes that another process called, from its `report`.

    since: when it called them, by its clock, if that is not in the report.
    """
    ran = Ran(*report)
    start = since or ran.start or ran.came + ran.packing + ran.loading
    if run.telling is not None or ran.left - start >= WORTH:
        run.teller().failed_there(place, ops, sent, report, start, monotonic(), why)


def segment_there(
    run: Any, segment: Segment, step: int | None, sent: Sent, report: Sequence, known: Sequence = (), why: str = STOPPED
) -> None:
    """Report a segment that another process ran until a step failed or was stopped.

    step: None if none has begun.   known: the `measured` of the StepFailed.
    """
    if step is None:
        return
    ops, done, since = _parts(run, segment, step, known)
    place = segment.place.value
    if done:
        own = Ran(*report)._replace(start=0.0)
        run.teller().ran_there(place, ops[: len(done)], done, sent, own, monotonic())
    nodes_there(run, place, ops[len(done) :], sent, report, why, since)


def waited(run: Any, place: str, op: Operation, since: float, error: BaseException | None = None) -> None:
    """Report a node that took no lane, and failed or was cancelled."""
    if run.telling is not None or monotonic() - since >= WORTH:
        why = STOPPED if error is None else why_of(error)
        run.teller().failed([op], since, monotonic() - since, Lane(place, "", os.getpid()), why)


def attempts(run: Any, found: Sequence[Any]) -> None:
    """Report segments that were cancelled in other processes, which no longer say where they ran."""
    for attempt in found:
        now, ops = monotonic(), run.ops_of(attempt.segment)
        run.teller().failed(ops, attempt.since, now - attempt.since, Lane(attempt.segment.place.value), STOPPED)


def left_behind(run: Any) -> None:
    """Report what had to be abandoned when the run ended: calls that did not return in time."""
    now = monotonic()
    for key, (segment, since, thread) in list(run.here.items()):
        if segment is not None:
            ops, place = run.ops_of(segment), "caller" if thread else "resident"
        elif run.cold is not None and key is run.cold:
            ops, place = [run.cold.current], "caller"
        else:
            ops, place = [run.flow.ops[key.node]] if isinstance(key, Called) else [], "caller"
        where = Lane(place, "", os.getpid() if thread else 0, thread)
        if any(ops) and now - since >= WORTH:
            run.teller().failed(ops, since, now - since, where, "abandoned")
