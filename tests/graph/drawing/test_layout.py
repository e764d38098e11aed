"""Layout: boxes in layers, as rules about where things lie."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from weftwork.graph.drawing.layout import BETWEEN, lay_out


@st.composite
def pictures(draw):
    """Widths of boxes, and edges between them, some of which go up."""
    widths = draw(st.lists(st.floats(10, 200), min_size=1, max_size=25))
    box = st.integers(0, len(widths) - 1)
    edges = draw(st.sets(st.tuples(box, box).filter(lambda edge: edge[0] != edge[1]), max_size=40))
    return widths, sorted(edges)


@settings(max_examples=30, deadline=None)
@given(pictures())
def test_no_two_boxes_overlap_and_edges_go_from_layer_to_layer(picture):
    widths, edges = picture
    layout = lay_out(widths, edges)
    rows: dict[float, list] = {}
    for (x, y), width in zip(layout.middles, widths, strict=True):
        rows.setdefault(y, []).append((x - width / 2, x + width / 2))
        assert x - width / 2 >= -1e-6
        assert x + width / 2 <= layout.width + 1e-6
        assert 0 <= y <= layout.height
    for row in rows.values():
        row.sort()
        assert all(right + BETWEEN <= left + 1e-6 for (_, right), (left, _) in zip(row, row[1:], strict=False))
    assert set(layout.ways) == set(edges)
    for (start, end), way in layout.ways.items():
        assert way[0] == layout.middles[start]
        assert way[-1] == layout.middles[end]
        falls = [below[1] - above[1] for above, below in zip(way, way[1:], strict=False)]
        assert all((fall > 0) == (start < end) and abs(fall) == abs(falls[0]) for fall in falls)


def test_a_tree_is_drawn_without_crossings():
    edges = [(0, 1), (0, 2), (1, 5), (2, 3), (1, 6), (2, 4)]
    layout = lay_out([50.0] * 7, edges)
    across = [x for x, _ in layout.middles]
    assert (across[1] < across[2]) == (max(across[5], across[6]) < min(across[3], across[4]))


def test_boxes_without_inputs_lie_right_above_their_readers():
    layout = lay_out([50.0] * 5, [(0, 1), (1, 2), (2, 4), (3, 4)])
    assert layout.middles[3][1] == layout.middles[2][1]


def test_nothing_has_no_size():
    assert lay_out([], []).middles == []


def test_many_boxes_are_laid_out():
    edges = [(n, m) for n in range(300) for m in (n + 1, n + 7, n + 40) if m < 300]
    assert len(lay_out([80.0] * 300, edges).middles) == 300
