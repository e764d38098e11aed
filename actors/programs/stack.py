"""Stack inspection: what the threads of this process do, and which program step led to a call."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection
from types import CodeType, FrameType

from weftwork.actors.programs.program import COMPILED, IN_PARTS, INTERPRETED


def under_way(
    frame: FrameType | None, runners: Collection[CodeType] = frozenset()
) -> tuple[int | None, FrameType | None]:
    """The program step that a frame was called from, and the frame that runs the program, whose code is in `runners`.

    Each is None if there is none. For nested programs it is the outermost one's step. This is meant for rare events: it
    costs nothing while programs run.
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


def step_of(error: BaseException) -> int | None:
    """The program step in which an error was raised, or None. Of nested programs, it is the outermost one's."""
    trace, start = error.__traceback__, 0
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code is INTERPRETED:
            return start + frame.f_locals.get("at", 0)
        if frame.f_code.co_filename == COMPILED:
            return start + max(0, trace.tb_lineno - 2)
        if frame.f_code is IN_PARTS:
            start = frame.f_locals.get("start", 0)
        trace = trace.tb_next
    return None


def frames_of_threads() -> dict[int, FrameType]:
    """The current frame of each thread of this process.

    Garbage collection is paused meanwhile. Up to Python 3.12 the interpreter may deadlock if it collects here, because
    its list of threads is locked (CPython issue 106883).
    """

    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()
