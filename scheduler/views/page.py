"""Page: the page of a report, or of a session's server, as one self-contained HTML file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path

from weftwork.graph.drawing.html import marked, table
from weftwork.graph.drawing.visualize import inline_svg
from weftwork.graph.drawing.words import bytes_text, place_text, time_text
from weftwork.scheduler.events.event import KINDS, Event
from weftwork.scheduler.views.account import Account, label, line
from weftwork.scheduler.views.advice import advice
from weftwork.scheduler.views.costs import costs_in
from weftwork.scheduler.views.lanes import SHARE_COLORS, STYLE, lanes_html
from weftwork.scheduler.views.shares import SHARES, Span

_PAGE = (Path(__file__).parent / "page.html").read_text()
NOTEWORTHY = ("failed", "retried", "lost", "repaired", "copied", "stayed", "spilled", "locked")
"""Kinds of events that get their own line."""
_STEPS, _LEAST = 40, 1e-3
"""Maximum number of steps of a critical path that a page lists, the longest ones, and their least part of the run."""
_ROWS = 40
"""Maximum number of functions that a page lists."""


def page(title: str, view: str, live: str = "") -> str:
    """A complete page.   view: its content as HTML.   live: the address of updates, or "" for none."""
    parts = {"title": escape(title), "view": view, "live": live, "style": STYLE}
    return re.sub("@(title|view|live|style)@", lambda name: parts[name[1]], _PAGE)


def report(runs: Sequence[Account]) -> str:
    """A page on some runs, the last one first."""
    return page("Weftwork: what the runs did", "".join([run_html(run) for run in reversed(runs)]))


def run_html(account: Account, graph: bool = True) -> str:
    """A run as HTML: where its time went, what would make it faster, lanes, critical path, functions and graph."""
    parts = [
        ("", _head(account)),
        ("Where the time went", shares_html(account)),
        ("What would make it faster", advice_html(account)),
        ("Lanes", lanes_html(account)),
        ("Critical path", _path_html(account)),
        ("Functions", _functions_html(account)),
        ("Graph", _graph_html(account) if graph else ""),
        ("Other events", events_html(account.of_kinds(*NOTEWORTHY))),
    ]
    sections = [(f"<h3>{title}</h3>" if title else "") + content for title, content in parts if content]
    return f'<section class="run">{"".join(sections)}</section>'


def _head(account: Account) -> str:
    began = datetime.fromtimestamp(account.start).strftime("%Y-%m-%d %H:%M:%S")
    state = "failed" if account.error else "ended" if account.over else "still running"
    error = f'<p class="error">{escape(account.error)}</p>' if account.error else ""
    nodes = sum([len(piece.ops) for piece in account.pieces])
    mean, most = account.at_work
    work = f", {mean:.2g} at a time on average and {most} at most" if nodes > 1 else ""
    way = f"<p>Plan: {escape(account.way)}.</p>" if account.way else ""
    return (
        f"<h2>Run {account.run}: {escape(account.fetches) or 'unknown fetches'}</h2>"
        f"<p>Began {began}, {state} after <b>{time_text(account.seconds)}</b>. {nodes:,} node{'s' * (nodes != 1)} ran"
        f"{work}.</p>{way}{error}"
    )


def shares_html(account: Account) -> str:
    """The shares as a bar and a table, which add up to the whole run."""
    whole = account.seconds or 1.0
    shares = account.shares
    bar = "".join(
        [f'<div style="width:{100 * s / whole:.2f}%;background:{SHARE_COLORS[n]}" title="{n}"></div>' for n, s in
         shares.items()]
    )  # fmt: skip
    rows = [(_key(n), time_text(s), f"{100 * s / whole:.1f} %", SHARES[n]) for n, s in shares.items()]
    rows.append(("all", time_text(account.seconds), f"{100 * sum(shares.values()) / whole:.1f} %", ""))
    return f'<div class="stack">{bar}</div>' + table(("share", "time", "of the run", ""), rows, (1, 2))


def _key(share: str) -> str:
    return f'<span class="key"><i style="background:{SHARE_COLORS[share]}"></i>{share}</span>'


def advice_html(account: Account) -> str:
    """The advice as a list."""
    return "<ul>" + "".join([f"<li>{marked(sentence)}</li>" for sentence in advice(account)]) + "</ul>"


def _path_html(account: Account) -> str:
    """The longest steps of the critical path, in order. Adjacent steps of the same function and share are merged."""
    steps = []
    for (share, name, where), group in groupby(account.path, _step):
        spans = list(group)
        steps.append((sum([span.seconds for span in spans]), spans[0].start - account.start, share, name, where))
    worth = [number for number, (seconds, *_) in enumerate(steps) if seconds >= _LEAST * account.seconds]
    longest = set(sorted(worth, key=lambda number: -steps[number][0])[:_STEPS])
    rows = [
        (f"{time_text(start) if start > 0 else '0'}", time_text(seconds), _key(share), marked(name), escape(where))
        for number, (seconds, start, share, name, where) in enumerate(steps)
        if number in longest
    ]
    left = len(steps) - len(rows)
    more = f'<p class="quiet">{left:,} shorter step{"s" * (left != 1)} left out.</p>' if left else ""
    return table(("at", "time", "share", "function", "line"), rows, (0, 1)) + more


def _step(span: Span) -> tuple[str, str, str]:
    """The share, the function and the line of a span."""
    ops = span.piece.ops if span.piece is not None else ()
    return span.share, label(ops), line(ops)


def _functions_html(account: Account) -> str:
    rows = [
        (
            marked(total.label),
            escape(total.line),
            f"{total.calls:,}",
            time_text(total.seconds),
            time_text(total.seconds / max(1, total.calls)),
            time_text(total.longest),
            time_text(total.waited) if total.waited else "",
            bytes_text(total.bytes_out) if total.bytes_out else "",
            ", ".join([place_text(place) for place in sorted(total.places)]),
        )
        for total in account.totals[:_ROWS]
    ]
    if not rows:
        return (
            '<p class="quiet">No node took a millisecond. Shorter ones are recorded only while there is a listener: '
            "<code>with session.listen(print, nodes=True): ...</code></p>"
        )
    heads = ("function", "line", "calls", "time", "mean", "longest", "on the critical path", "returned", "ran in")
    more = len(account.totals) - len(rows)
    left_out = f'<p class="quiet">{more:,} functions that took less are left out.</p>' if more > 0 else ""
    return table(heads, rows, (2, 3, 4, 5, 6, 7)) + left_out


def _graph_html(account: Account) -> str:
    """The part of the graph that ran, in two colourings: by seconds and by place."""
    costs = costs_in(account.events)
    if not costs:
        return ""
    graph, ops = next(iter(costs)).graph, list(costs)
    drawings = [(color, inline_svg(graph, ops, color, costs)) for color in ("seconds", "place")]
    return "".join([f'<div class="graph" data-color="{color}">{svg}</div>' for color, svg in drawings])


def events_html(events: Sequence[Event]) -> str:
    """Events as a table, or "" for none."""
    if not events:
        return ""
    rows = [
        (
            datetime.fromtimestamp(e.start).strftime("%H:%M:%S"),
            e.kind,
            marked(label(e.ops)),
            escape(e.text or KINDS[e.kind]),
        )
        for e in events
    ]
    return table(("at", "what", "nodes", ""), rows)
