"""Retries: notifies runs of calls that are repeated because their nodes have `retries`.

A function knows neither its node nor its run. In this process both are found on the stack, among its callers; another
process reports the step of the program in its reply.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from weftwork.actors.programs.stack import under_way
from weftwork.graph.operation import Operation
from weftwork.graph.user_function import RETRIED, UserFunction
from weftwork.scheduler.core.cold_run import ColdRun
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.calling import call_nodes

_RUNNERS = frozenset([Run.run_here.__code__, Run.call_here.__code__, call_nodes.__code__])


def _retried(function: UserFunction, attempt: int, text: str) -> None:
    """Notify the run of this thread that a call is repeated."""
    step, frame = under_way(sys._getframe(), _RUNNERS)
    if frame is not None:
        run = frame.f_locals["run" if frame.f_code is call_nodes.__code__ else "self"]
        op = _node(run, step, frame)
        run.teller().tell("retried", ops=() if op is None else (op,), attempt=attempt, text=text)


def tell_of_retries() -> None:
    """From now on, notify the runs of this process of retries."""
    if _retried not in RETRIED:
        RETRIED.append(_retried)


def _node(run: Run, step: int | None, frame: FrameType) -> Operation | None:
    """The node whose function a run is calling."""
    ops = run.flow.ops
    if frame.f_code is Run.run_here.__code__:
        return ops[frame.f_locals["segment"].owners[step]] if step is not None else None
    if frame.f_code is call_nodes.__code__:
        return ops[frame.f_locals["node"]]
    key: Any = frame.f_locals["key"]
    if isinstance(key, ColdRun):
        return key.current
    (node,) = key.segment.nodes
    return ops[node]
