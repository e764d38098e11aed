"""Retries of users' functions, told as events: which node, which try follows, and why.

In this process nobody hands a function its run, so it is looked for where it is called, up the stack: a retry is rare.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from weftwork.actors.programs.program import step_of
from weftwork.graph.operation import Operation
from weftwork.graph.user_function import RETRIED, UserFunction
from weftwork.scheduler.run.nested import Call
from weftwork.scheduler.run.run import Run


def _told(function: UserFunction, attempt: int, text: str) -> None:
    """A function that runs in this process is called again."""
    frame: FrameType | None = sys._getframe(1)
    step = None
    while frame is not None:
        code, names = frame.f_code, frame.f_locals
        step = step_of(frame) if step is None else step
        if code is Run.run_here.__code__:
            run, owners = names["self"], names["segment"].owners
            ops = [run.flow.ops[owners[step]]] if step is not None else []
            run.teller().tell("retried", ops=tuple(ops), attempt=attempt, text=text)
            return
        if code is Run.call_here.__code__:
            run = names["self"]
            run.teller().tell("retried", ops=tuple(_called(run, names["key"])), attempt=attempt, text=text)
            return
        frame = frame.f_back


def _called(run: Run, key: Any) -> list[Operation]:
    """The node that a run calls under a key of `Run.here`: one that is shared out, a branch or a loop, or cold."""
    if isinstance(key, tuple):
        return [run.flow.ops[key[1]]]
    if isinstance(key, Call):
        return run.ops_of(key.segment)
    return [run.cold.current]


def told_of_retries() -> None:
    """Tell of retries from now on: of each once, however often this is called."""
    if _told not in RETRIED:
        RETRIED.append(_told)
