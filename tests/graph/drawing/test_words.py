"""Figures for readers."""

from __future__ import annotations

import pytest

from weftwork.graph.drawing.words import bytes_text, time_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 us"), (3.14e-6, "3.14 us"), (0.9994e-3, "999 us"), (0.99951e-3, "1 ms"), (0.0123, "12.3 ms"),
        (0.99951, "1 s"), (7.4, "7.4 s"), (119.4, "119 s"), (312, "5 min 12 s"),
        (7500, "2 h 5 min"), (4e6, "1,111 h 6 min"),
    ],
)  # fmt: skip
def test_times_have_three_figures_and_no_exponent(seconds, text):
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (17, "17 bytes"), (999, "999 bytes"), (999_600, "1 MB"), (9e7, "90 MB"), (5.39e15, "5,390 TB")],
)
def test_bytes_have_three_figures_and_no_exponent(count, text):
    assert bytes_text(count) == text
