"""Lanes: what ran where and when, as an HTML picture that scales with its width.

bar     a time in a lane, in hundredths of the run
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

from weftwork.graph.drawing.words import bytes_text, place_text, time_text
from weftwork.scheduler.events.event import Lane
from weftwork.scheduler.views.account import Account, label, line
from weftwork.scheduler.views.pieces import Piece
from weftwork.scheduler.views.shares import Span

STYLE = """
.weft-run .stack { display: flex; height: 22px; border-radius: 4px; overflow: hidden; margin: .4rem 0 }
.weft-run .lanes { display: flex; gap: .6rem }
.weft-run .titles { font-size: 12px; line-height: 22px; max-width: 40% }
.weft-run .titles div { height: 22px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.weft-run .scroll { flex: 1; overflow-x: auto; min-width: 0 }
.weft-run .wide { min-width: 100%; container-type: inline-size }
.weft-run .lanes svg { display: block; background: rgb(128 144 160 / .08) }
.weft-run .lanes line { stroke: rgb(128 144 160 / .3) }
.weft-run .lanes foreignObject { pointer-events: none }
.weft-run .name { font-size: 11px; line-height: 16px; padding: 0 4px }
.weft-run .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.weft-run .ticks { position: relative; height: 16px; font-size: 11px; line-height: 16px }
.weft-run .ticks { opacity: .8; overflow: hidden }
.weft-run .ticks span { position: absolute; padding-left: 3px; white-space: nowrap }
@container (max-width: 560px) { .weft-run .ticks span:nth-child(even) { display: none } }
@container (max-width: 280px) { .weft-run .ticks span:nth-child(4n + 3) { display: none } }
.weft-run .keys { font-size: 12px; margin: .4rem 0 }
.weft-run .keys b { margin-right: .6rem }
.weft-run .keys span { display: inline-block; margin-right: 1rem; overflow-wrap: anywhere }
.weft-run .key { white-space: nowrap }
.weft-run :is(.key, .keys) i { display: inline-block; width: 11px; height: 11px }
.weft-run :is(.key, .keys) i { margin-right: .35rem; border-radius: 2px }
"""
"""The styles of lanes and shares, inside elements of class `weft-run`."""
SHARE_COLORS = {
    "work": "#2a9d8f",
    "waiting for a core": "#e9c46a",
    "pickling": "#e76f51",
    "hop": "#f4a261",
    "Ray": "#9b5de5",
    "lock": "#d62828",
    "planning": "#577590",
    "starting": "#90a955",
    "queue": "#b08968",
    "lost": "#ff006e",
    "rest": "#c9d1d9",
}
FUNCTION_COLORS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#edc948", "#ff9da7", "#9c755f")
_OTHER_COLOR, _FAILED_COLOR = "#bab0ac", "#d62828"
_ROW, _BAR = 22, 16
_NARROW = 0.05
"""In hundredths of the run: bars of a lane that are at most this wide, and at most this far apart, are merged."""
_NAMED_FROM = 4.0
"""In hundredths of the run: minimum width of a bar that shows its name."""
_TICKS, _LAST_TICK = 10, 95.0
"""Maximum number of marks on the time axis, and the hundredths up to which their text is to the right of them."""
_ORDER = ("caller", "thread", "resident", "actor", "task", "queue", "loop", "nested")
"""The order of lanes by place, from the top down."""


class Bar(NamedTuple):
    """An interval in a lane: its start and length in hundredths, its colour, its tooltip, and its name."""

    start: float
    width: float
    color: str
    text: str
    name: str = ""


def lanes_html(account: Account) -> str:
    """The critical path, with a row for each lane of the run below it."""
    rows = [("critical path", _joined([_span_bar(account, span) for span in account.path]))]
    colors = {total.label: color for total, color in zip(account.totals, FUNCTION_COLORS, strict=False)}
    by_lane: dict[Lane, list[Piece]] = {}
    for piece in account.pieces:
        by_lane.setdefault(piece.lane, []).append(piece)
    for lane, title in titles_of(by_lane).items():
        rows.append((title, _joined([_piece_bar(account, piece, colors) for piece in by_lane[lane]])))
    titles = "".join([f'<div title="{escape(title)}">{escape(title)}</div>' for title, _ in rows])
    bars = "".join([_bar(bar, number * _ROW) for number, (_, its) in enumerate(rows) for bar in its])
    marks = [
        (100 * tick / (account.seconds or 1.0), time_text(tick) if tick else "0") for tick in ticks_of(account.seconds)
    ]
    grid = "".join([f'<line x1="{at:.3f}%" x2="{at:.3f}%" y1="0" y2="100%"/>' for at, _ in marks])
    ticks = "".join([f'<span style="{_beside(at)}">{text}</span>' for at, text in marks])
    keys = _keys("functions", colors.items()) + _keys(
        "shares", [(share, SHARE_COLORS[share]) for share in account.shares]
    )
    return (
        f'<div class="lanes"><div class="titles">{titles}</div><div class="scroll"><div class="wide">'
        f'<svg width="100%" height="{len(rows) * _ROW}" role="img" aria-label="Lanes">{grid}{bars}</svg>'
        f'<div class="ticks">{ticks}</div></div></div></div>{keys}'
    )


def _beside(at: float) -> str:
    """The place of a tick's text: to its right, or to its left if it would be cut off there."""
    return f"left:{at:.3f}%" if at <= _LAST_TICK else f"right:{100 - at:.3f}%;padding-right:3px"


def _keys(title: str, keys: Iterable[tuple[str, str]]) -> str:
    spans = [f'<span><i style="background:{color}"></i>{escape(name.replace("`", ""))}</span>' for name, color in keys]
    return f'<div class="keys"><b>{title}</b> {"".join(spans)}</div>' if spans else ""


def titles_of(lanes: Iterable[Lane]) -> dict[Lane, str]:
    """The lanes in display order, with their titles. Lanes of the same kind are numbered."""
    ordered = sorted(lanes, key=lambda lane: (_ORDER.index(lane.place), lane))
    titles = {lane: _title(lane) for lane in ordered}
    alike, numbers = Counter(titles.values()), Counter[str]()
    for lane, title in titles.items():
        numbers[title] += 1
        if alike[title] > 1:
            titles[lane] = f"{title} {numbers[title]}"
    return titles


def _title(lane: Lane) -> str:
    """The title of a lane. Lanes of the program omit the process number, which they share."""
    process = f" {lane.pid}" if lane.place in ("resident", "actor", "task") else ""
    return f"{place_text(lane.place)}{process}{f' on {lane.machine}' if lane.machine else ''}"


def ticks_of(seconds: float) -> list[float]:
    """Round numbers of seconds, from 0 to the end of a run."""
    if seconds <= 0:
        return [0.0]
    unit = 10.0 ** floor(log10(seconds / _TICKS))
    step = next(step for step in (unit, 2 * unit, 5 * unit, 10 * unit) if seconds <= _TICKS * step)
    return [number * step for number in range(floor(seconds / step) + 1)]


def _hundredths(account: Account, start: float, end: float) -> tuple[float, float]:
    scale = 100 / (account.seconds or 1.0)
    left = min(max(0.0, (start - account.start) * scale), 100.0)
    return left, min(max(0.0, (end - account.start) * scale), 100.0) - left


def _span_bar(account: Account, span: Span) -> Bar:
    what = f": {label(span.piece.ops)} ({line(span.piece.ops)})" if span.piece is not None else ""
    text = f"{span.share}{what}, {time_text(span.seconds)}"
    return Bar(*_hundredths(account, span.start, span.end), SHARE_COLORS[span.share], text, span.share)


def _piece_bar(account: Account, piece: Piece, colors: dict[str, str]) -> Bar:
    name = label(piece.ops)
    nodes = f"{len(piece.ops):,} nodes, " if len(piece.ops) > 1 else f"{piece.ops[0].name}, " if piece.ops else ""
    text = f"{name} ({line(piece.ops)}): {nodes}{time_text(piece.seconds)}"
    if piece.bytes_in or piece.bytes_out:
        text += f", {bytes_text(piece.bytes_in)} in, {bytes_text(piece.bytes_out)} out"
    shown, color = name.replace("`", ""), colors.get(name, _OTHER_COLOR)
    if piece.error:
        text, shown, color = f"{text}, did not finish: {piece.error}", f"{shown} ✗", _FAILED_COLOR
    return Bar(*_hundredths(account, piece.start, piece.end), color, text, shown)


def _joined(bars: Sequence[Bar]) -> list[Bar]:
    """Merge narrow bars that are next to each other, so that the page stays small.

    A merged bar has the most frequent colour.
    """
    found: list[Bar] = []
    group: list[Bar] = []
    for bar in sorted(bars):
        if group and not _joins(group, bar):
            found.append(_one(group))
            group = []
        group.append(bar)
    return [*found, _one(group)] if group else found


def _joins(group: Sequence[Bar], bar: Bar) -> bool:
    first, last = group[0], group[-1]
    near = bar.start - last.start - last.width < _NARROW
    small = bar.width < _NARROW and last.width < _NARROW
    return near and small and bar.start + bar.width - first.start < _NARROW


def _one(group: Sequence[Bar]) -> Bar:
    """Merge a group of bars into one."""
    if len(group) == 1:
        return group[0]
    widths: dict[str, float] = {}
    for bar in group:
        widths[bar.color] = widths.get(bar.color, 0.0) + bar.width
    first, last = group[0], group[-1]
    text = f"{len(group):,} of them, the first: {first.text}"
    return Bar(first.start, last.start + last.width - first.start, max(widths, key=widths.__getitem__), text)


def _bar(bar: Bar, top: float) -> str:
    return (
        f'<rect x="{bar.start:.3f}%" y="{top + (_ROW - _BAR) / 2:g}" width="{max(bar.width, 0.02):.3f}%" '
        f'height="{_BAR}" fill="{bar.color}"><title>{escape(bar.text)}</title></rect>'
    ) + _name(bar, top)


def _name(bar: Bar, top: float) -> str:
    """The text inside a bar that is wide enough. A text that does not fit ends in an ellipsis."""
    if not bar.name or bar.width < _NAMED_FROM:
        return ""
    box = f'x="{bar.start:.3f}%" y="{top + (_ROW - _BAR) / 2:g}" width="{bar.width:.3f}%" height="{_BAR}"'
    text = f'<div class="name" style="color:{_ink(bar.color)}">{escape(bar.name)}</div>'
    return f"<foreignObject {box}>{text}</foreignObject>"


def _ink(color: str) -> str:
    """White or nearly black, whichever is readable on a colour."""
    red, green, blue = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return "#1b2733" if 0.3 * red + 0.6 * green + 0.1 * blue > 140 else "#fff"
