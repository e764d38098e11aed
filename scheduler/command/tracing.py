"""Tracing: runs a program, and writes a timeline and a report of its runs."""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType

from weftwork.graph.source import is_ours
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import listen
from weftwork.scheduler.views.account import accounts
from weftwork.scheduler.views.costs import write_text
from weftwork.scheduler.views.page import report
from weftwork.scheduler.views.timeline import write_timeline

_MOST, _REPORTED = 500_000, 5
"""The last events are kept, up to this number. The report covers the longest runs, up to this number."""


def trace(file: str, args: Sequence[str], out: str | None, say: Callable[[str], None]) -> int:
    """Run a program with its arguments, write a timeline and a report of its runs, and return its status.

    out: prefix of the files' names; by default the program's name.
    Raises OSError if the program, or the folder for the files, does not exist, and OpErrors if these cannot be written.
    """
    out = out or os.path.splitext(os.path.basename(file))[0]
    with open(file, "rb"), open(f"{out}.timeline.json", "ab"):  # otherwise the program would run for nothing
        pass
    events: deque[Event] = deque(maxlen=_MOST)
    with listen(events.append, nodes=True):
        status = _run(file, args)
    runs = accounts(events)
    write_timeline(list(events), f"{out}.timeline.json")
    say(f"{len(runs)} run{'s' * (len(runs) != 1)}.")
    say(f"Timeline: {out}.timeline.json (open it at ui.perfetto.dev or in chrome://tracing)")
    if runs:
        longest = sorted(runs, key=lambda run: run.seconds)[-_REPORTED:]
        write_text(f"{out}.report.html", report([run for run in runs if run in longest]))
        what = "all runs" if len(longest) == len(runs) else f"the {len(longest)} longest runs"
        say(f"Report of {what}: {out}.report.html (open it in a browser)")
    return status


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """A traceback, from the user's first frame on."""
    while trace is not None and (is_ours(name := trace.tb_frame.f_code.co_filename) or "runpy" in name):
        trace = trace.tb_next
    return trace


def _run(file: str, args: Sequence[str]) -> int:
    """Run a program as `python FILE ARG...` does, and return its status."""
    before = sys.argv[:], sys.path[:]
    sys.argv, sys.path[:] = [file, *args], [os.path.dirname(os.path.abspath(file)), *sys.path[1:]]
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        traceback.print_exception(error.with_traceback(users_part(error.__traceback__)))
        return 1
    finally:
        sys.argv, sys.path[:] = before
    return 0
