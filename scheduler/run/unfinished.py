"""Unfinished: reports segments that were begun and did not end, because a node failed or the run was stopped.

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
from weftwork.scheduler.run.telling import Node, Sent, measured
from weftwork.scheduler.run.waiting import Called

STOPPED = "stopped"


def why_of(error: BaseException | None) -> str:
    """The text of an event for what a function raised. A stop is not its own error."""
    cause = error.__cause__ if isinstance(error, StepFailed) else error
    return f"{type(cause).__name__}: {text_of(cause)}" if isinstance(cause, Exception) else STOPPED


def segment_here(run: Any, segment: Segment, place: str, began: float, error: BaseException) -> None:
    """Report a segment that this thread ran until it raised `error`; the nodes that ended before too."""
    step = error.step if isinstance(error, StepFailed) else step_of(error)
    if step is not None:
        ops, done, since = _parts(run, segment, step, getattr(error, "measured", ()))
        run.ran_here(done, place)
        run.failed(ops[len(done) :], place, since or began, error)


def segment_there(
    run: Any, segment: Segment, step: int | None, sent: Sent, report: Sequence, known: Sequence = (), why: str = STOPPED
) -> None:
    """Report a segment that another process ran until a step failed or was stopped.

    step: None if none has begun.   known: the `measured` of the StepFailed.
    """
    if step is None:
        return
    ops, done, since = _parts(run, segment, step, known)
    place, ran = segment.place.value, Ran(*report)
    if done:
        run.teller().ran_there(place, ops[: len(done)], done, sent, ran._replace(start=0.0), monotonic())
        ran = ran._replace(loading=0.0)
    run.teller().ran_there(place, ops[len(done) :], (), sent, ran, monotonic(), since, why)


def _parts(run: Any, segment: Segment, step: int, known: Sequence) -> tuple[list[Operation], list[Node], float]:
    """The nodes of a segment up to a step; those before it if they were measured; and when the step began, or 0.0.

    known: the `measured` of the StepFailed.
    """
    ops, owners = run.flow.ops, segment.owners
    called = [ops[node] for node in owners[: step + 1] if node >= 0]
    if len(known) < 2 or run.telling is None or not run.telling.wants_nodes:
        return called, [], 0.0
    return called, measured(ops, owners[:step], known[1:]), known[0]


def attempts(run: Any, found: Sequence[Any]) -> None:
    """Report segments that were cancelled in other processes, which no longer say where they ran."""
    for attempt in found:
        _abandoned(run, run.ops_of(attempt.segment), attempt.since, Lane(attempt.segment.place.value), STOPPED)


def left_behind(run: Any) -> None:
    """Report what had to be abandoned when the run ended: calls that did not return in time."""
    for key, (segment, since, thread) in list(run.here.items()):
        if segment is not None:
            ops, place = run.ops_of(segment), "caller" if thread else "resident"
        elif run.cold is not None and key is run.cold:
            ops, place = [run.cold.current], "caller"
        else:
            ops, place = [run.flow.ops[key.node]] if isinstance(key, Called) else [], "caller"
        if any(ops):
            _abandoned(run, ops, since, Lane(place, "", os.getpid() if thread else 0, thread), "abandoned")


def _abandoned(run: Any, ops: Sequence[Operation], since: float, where: Lane, why: str) -> None:
    run.teller().ran_here(ops, (), since, monotonic() - since, where, why=why)
