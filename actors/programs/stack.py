"""The stack: what the threads do, and which step of a program has called the code that asks."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection
from types import CodeType, FrameType

from weftwork.actors.programs.program import COMPILED, IN_PARTS, INTERPRETED


def under_way(
    frame: FrameType | None, runners: Collection[CodeType] = frozenset()
) -> tuple[int | None, FrameType | None]:
    """The step of a program from which a frame was called; and the frame of who runs it, one of `runners`.

    None where there is none. Of programs inside of programs it is the outermost one's. It is for what happens seldom:
    nothing is noted while a program runs.
    """
    step = None
    while frame is not None and frame.f_code not in runners:
        code = frame.f_code
        if code is INTERPRETED:
            step = frame.f_locals.get("at")
        elif code.co_filename == COMPILED:
            step = max(0, frame.f_lineno - 2)
        elif code is IN_PARTS:
            step = (step or 0) + frame.f_locals.get("start", 0)
        frame = frame.f_back
    return step, frame


def frames_of_threads() -> dict[int, FrameType]:
    """What each thread of this process does.

    The collector rests meanwhile: up to Python 3.12 the interpreter may stand still for ever if it collects just then,
    for its list of threads is locked (CPython's issue 106883).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()
