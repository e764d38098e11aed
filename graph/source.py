"""Where a node was created: the innermost line of the user's program, not of this package.

Finding it is a frame walk of about a microsecond. The line number is computed only when it is asked for.
"""

from __future__ import annotations

import dis
import os
import sys
from functools import lru_cache
from types import CodeType

import numpy as np

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that contains graph/, actors/ and scheduler/. Frames of files in it are ours."""

_OURS = (
    *(os.path.join(PACKAGE, part) + os.sep for part in ("graph", "actors", "scheduler")),
    os.path.join(os.path.dirname(np.__file__), "lib") + os.sep,  # the mixin through which `a + b` reaches us
)


class Source:
    """A line of code, kept as (code object, instruction) until its text is needed."""

    __slots__ = ("_code", "_instruction", "_text")

    def __init__(self, code: CodeType | None, instruction: int, text: str | None = None):
        self._code, self._instruction, self._text = code, instruction, text

    @property
    def text(self) -> str:
        """`FILE:LINE`, or `<unknown>` for a node that no user code created."""
        if self._text is None:
            if self._code is None:
                self._text = "<unknown>"
            else:
                self._text = f"{self._code.co_filename}:{_line(self._code, self._instruction)}"
        return self._text

    @property
    def function(self) -> str:
        """The name of the function that contains the line."""
        return self._code.co_name if self._code is not None else "<unknown>"

    def __reduce__(self):
        return Source, (None, 0, self.text)

    def __repr__(self) -> str:
        return f"<Source {self.text}>"


def _line(code: CodeType, instruction: int) -> int:
    line = code.co_firstlineno
    for start, number in dis.findlinestarts(code):
        if start > instruction:
            break
        line = number if number is not None else line
    return line


@lru_cache(maxsize=4096)  # cached by name: a cache of code objects would keep them alive
def is_ours(filename: str) -> bool:
    """True for a file of this package."""
    return os.path.abspath(filename).startswith(_OURS)


def caller(known: dict[tuple[int, int], Source] | None = None) -> Source:
    """The innermost frame outside this package, at least two of whose functions are on the stack.

    known: sources to share, by code object and instruction; a new one is added.
    """
    frame = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if not is_ours(code.co_filename):
            if known is None:
                return Source(code, frame.f_lasti)
            place = id(code), frame.f_lasti  # the source keeps the code object alive
            source = known.get(place)
            if source is None:
                source = known[place] = Source(code, frame.f_lasti)
            return source
        frame = frame.f_back
    return Source(None, 0)
