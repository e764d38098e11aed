"""Lines to processes, here to sockets of this test."""

from __future__ import annotations

import socket

import pytest

from weftwork.scheduler.machines.lines import Line


def test_a_process_that_stands_still_keeps_nobody_waiting(tmp_path):
    """It takes no connections any more; a line to it is refused, as one to a process that has gone."""
    where = str(tmp_path / "raylet")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(where)
        listener.listen(0)
        first.connect(where)
        with pytest.raises(OSError, match="unavailable|timed out"):
            Line(where, 0.0)


def test_a_line_holds_until_its_process_has_gone(tmp_path):
    where = str(tmp_path / "raylet")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where)
        listener.listen(1)
        line = Line(where, 0.0)
        other, _ = listener.accept()
        other.sendall(b"hello")
        assert line.holds()
        other.close()
    assert not line.holds()
    line.close()
