"""Live: the current activity of a session, as the content of a page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from time import time

from weftwork.graph.drawing.html import marked, table
from weftwork.graph.drawing.words import bytes_text, place_text, time_text
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.run.waiting import Waiting
from weftwork.scheduler.views.account import Account, accounts, summary
from weftwork.scheduler.views.page import NOTEWORTHY, events_html, run_html

_RUNS = 20
"""Maximum number of runs that are listed."""
_WAITS = 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Live:
    """The content of a session's page. Finished runs are drawn only once.   stream: the session's events."""

    def __init__(self, stream: Stream):
        self._stream = stream
        self._drawn: tuple[tuple[int, int], str] = ((0, 0), "")

    def content(self, waiting: Sequence[Waiting]) -> str:
        """The page's content at this moment.   waiting: what the session's runs wait for."""
        events = self._stream.recent(nodes=True)
        runs = accounts(events)
        parts = [
            ("In flight", _in_flight([run for run in runs if not run.over])),
            ("Nodes under way", _waits(waiting)),
            (
                "What went wrong, or went to disk",
                events_html([event for event in events if event.kind in NOTEWORTHY][-_RUNS:]),
            ),
            ("Last runs", _listed([run for run in runs if run.over][-_RUNS:])),
            ("Memory", _memory(events)),
            ("", self._run(runs[-1]) if runs else "<p>No run has begun.</p>"),
        ]
        return "".join([(f"<h2>{title}</h2>" if title else "") + content for title, content in parts if content])

    def _run(self, account: Account) -> str:
        """The active run, or the last one. Its graph is drawn once it is over."""
        key = account.run, len(account.events)
        if self._drawn[0] != key:
            self._drawn = key, run_html(account, graph=account.over)
        return self._drawn[1]


def _in_flight(runs: Sequence[Account]) -> str:
    """The active runs, each with a progress bar of reported and planned nodes."""
    rows = []
    for run in runs:
        planned = {op for event in run.of_kinds("planned") for op in event.ops}
        done = sum([len(piece.ops) for piece in run.pieces])
        bar = f'<progress max="{len(planned)}" value="{min(done, len(planned))}"></progress> ' if planned else ""
        nodes = f"{bar}{done:,}{f' of {len(planned):,}' if planned else ''}"
        rows.append((str(run.run), escape(run.fetches), f"{max(0.0, time() - run.start):.0f} s", nodes))
    return table(("run", "fetches", "for", "nodes done"), rows, (2,)) if rows else ""


def _waits(waits: Sequence[Waiting]) -> str:
    rows = [
        (escape(", ".join(w.nodes)), place_text(w.place), f"{w.seconds:.0f} s", escape(w.machine))
        for w in waits[:_WAITS]
    ]
    return table(("nodes", "in", "for", "machine"), rows, (2,)) if rows else ""


def _memory(events: Sequence[Event]) -> str:
    """The memory of this process and of the other processes on this machine that ran nodes, in megabytes."""
    places = {event.lane.pid: event.lane.place for event in events if event.lane.pid and not event.lane.machine}
    places[os.getpid()] = "this program"
    held = _resident_bytes(places)
    rows = [(place_text(places[pid]), str(pid), bytes_text(round(count, -6))) for pid, count in sorted(held.items())]
    return table(("process", "pid", "memory"), rows, (1, 2)) if rows else ""


def _resident_bytes(pids: Iterable[int]) -> dict[int, int]:
    """The resident memory of processes in bytes, from Linux. Processes that are gone or elsewhere are left out."""
    found = {}
    for pid in pids:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm") as file:
            found[pid] = int(file.read().split()[1]) * _PAGE_BYTES
    return found


def _listed(runs: Sequence[Account]) -> str:
    rows = [(str(run.run), escape(run.fetches), time_text(run.seconds), _how(run)) for run in reversed(runs)]
    return table(("run", "fetches", "time", "where it went"), rows, (2,)) if rows else ""


def _how(run: Account) -> str:
    """Where the time of a run went, and its error."""
    return marked(summary(run)) + (f'<div class="error">{escape(run.error)}</div>' if run.error else "")
