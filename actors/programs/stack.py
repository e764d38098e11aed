"""The stack: which step of a program has called the code that asks."""

from __future__ import annotations

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
