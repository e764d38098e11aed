"""Layout: boxes arranged in layers, so that edges point down and few of them cross.

layer    boxes side by side; an edge goes from a layer to a lower one
joint    where an edge crosses a layer between its ends; it takes up space like a thin box

The method is that of Sugiyama, Tagawa and Toda (1981): assign layers by longest paths, order each layer by the mean
position of neighbors, then choose positions as close to the neighbors as the layer permits.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BETWEEN = 24.0
"""The space between two boxes of a layer."""
_LAYER = 84.0
"""The distance from one layer to the next."""
_JOINT = 8.0
_SWEEPS = 8
Point = tuple[float, float]


@dataclass
class Layout:
    """The geometry: the center of each box, the points of each edge, and the total size."""

    middles: list[Point]
    ways: dict[tuple[int, int], list[Point]]
    width: float
    height: float


def lay_out(widths: Sequence[float], edges: Iterable[tuple[int, int]]) -> Layout:
    """Positions for boxes of these widths.

    edges: (from, to) by box number; an edge to a lower number is drawn upwards, so the numbers should mostly follow the
    edges. No edge may connect a box with itself.
    """
    if not widths:
        return Layout([], {}, 0.0, 0.0)
    count, edges = len(widths), list(edges)
    down = sorted({(min(edge), max(edge)) for edge in edges})
    layer = _layers(count, down)
    widths, chains = list(widths), dict[tuple[int, int], list[int]]()
    for start, end in down:
        chains[start, end] = chain = [start]
        for between in range(layer[start] + 1, layer[end]):
            chain.append(len(widths))
            widths.append(_JOINT)
            layer.append(between)
        chain.append(end)
    links = [link for chain in chains.values() for link in zip(chain, chain[1:], strict=False)]
    rows = _ordered_layers(layer, links)
    across = _places(rows, widths, links)
    points = [(across[item], layer[item] * _LAYER) for item in range(len(widths))]
    ways = {}
    for start, end in edges:
        chain = chains[min(start, end), max(start, end)]
        ways[start, end] = [points[item] for item in (chain if start < end else chain[::-1])]
    right = max(x + width / 2 for (x, _), width in zip(points, widths, strict=True))
    return Layout(points[:count], ways, right, max(layer) * _LAYER)


def _layers(count: int, down: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each box: below everything it needs, and directly above its user if no edge gets longer."""
    layer, needs, below = [0] * count, [0] * count, [[] for _ in range(count)]
    for start, end in down:  # sorted: all edges to a start come before those from it
        layer[end] = max(layer[end], layer[start] + 1)
        below[start].append(end)
        needs[end] += 1
    for box in reversed(range(count)):
        if below[box] and needs[box] <= len(below[box]):
            layer[box] = min([layer[other] for other in below[box]]) - 1
    return [place - min(layer) for place in layer]


def _ordered_layers(layer: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The items of each layer from left to right, ordered so that few links cross."""
    above, below = _neighbors(len(layer), links)
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for item, its in enumerate(layer):
        rows[its].append(item)
    best, fewest = [row[:] for row in rows], _crossings(rows, below)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        place = {item: spot for row in rows for spot, item in enumerate(row)}
        for row in rows if down else rows[::-1]:
            adjacent = above if down else below
            middle = {item: _mean([place[other] for other in adjacent[item]], place[item]) for item in row}
            row.sort(key=middle.__getitem__)
            place.update({item: spot for spot, item in enumerate(row)})
        if (crossings := _crossings(rows, below)) < fewest:
            best, fewest = [row[:] for row in rows], crossings
    return best


def _neighbors(count: int, links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for start, end in links:
        above[end].append(start)
        below[start].append(end)
    return above, below


def _crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """The number of crossing links."""
    place = {item: spot for row in rows for spot, item in enumerate(row)}
    count = 0
    for row in rows:
        seen: list[int] = []
        for item in row:
            targets = sorted([place[other] for other in below[item]])
            count += sum([len(seen) - bisect_left(seen, end + 1) for end in targets])
            for end in targets:
                insort(seen, end)
    return count


def _places(rows: Sequence[Sequence[int]], widths: Sequence[float], links: Sequence[tuple[int, int]]) -> list[float]:
    """The center of each item, from the left, in the order of its row and close to its neighbors."""
    above, below = _neighbors(len(widths), links)
    across = [0.0] * len(widths)
    for row in rows:
        _place_row(row, widths, across, across)
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            adjacent = above if sweep % 2 == 0 else below
            preferred = {item: _mean([across[other] for other in adjacent[item]], across[item]) for item in row}
            _place_row(row, widths, preferred, across)
    left = min(x - width / 2 for x, width in zip(across, widths, strict=True))
    return [x - left for x in across]


def _place_row(row: Sequence[int], widths: Sequence[float], preferred, across: list[float]) -> None:
    """Place the items of a row as close to their wishes, in least squares, as their order and widths permit.

    Without the space taken up by the preceding items, positions must not decrease along the row: neighbors with
    contradicting wishes share the mean of these (pool adjacent violators).
    """
    used, offset = 0.0, {}
    for before, item in zip([None, *row], row, strict=False):
        if before is not None:
            used += (widths[before] + widths[item]) / 2 + BETWEEN
        offset[item] = used
    pools: list[tuple[float, int]] = []
    for item in row:
        total, count = preferred[item] - offset[item], 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            more, others = pools.pop()
            total, count = total + more, count + others
        pools.append((total, count))
    spots = [total / count for total, count in pools for _ in range(count)]
    for item, spot in zip(row, spots, strict=True):
        across[item] = spot + offset[item]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
