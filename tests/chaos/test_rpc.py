"""The network loses what Ray sends: each committed run is applied exactly once."""

from __future__ import annotations

from tests.chaos.test_kills import LONG
from tests.programs import Program

LOSSES = Program("tests.chaos.rpc_program", 5 * LONG, 8 * LONG)


def test_lost_requests_and_lost_replies_apply_nothing_twice():
    assert LOSSES.seen()["lost"] > 0
