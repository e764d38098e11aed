"""Times of other machines are brought to the program's clock. No Ray, no session."""

from __future__ import annotations

from time import monotonic, time

from hypothesis import given
from hypothesis import strategies as st

from weftwork.scheduler.events.clock import Offsets, epoch


def test_ticks_become_the_programs_time():
    before, told, after = time(), epoch() + monotonic(), time()
    assert before - 0.01 < told < after + 0.01


def test_a_process_of_this_machine_has_its_clock():
    assert Offsets().learn("", sent=10.0, came=10.1, left=10.3, back=10.4) == 0.0


@given(
    offset=st.floats(-1e6, 1e6),
    ways=st.lists(st.tuples(st.floats(1e-4, 1.0), st.floats(1e-4, 1.0)), min_size=1, max_size=10),
)
def test_work_elsewhere_lies_between_the_message_and_its_reply(offset, ways):
    """Whatever the ways take; and the more messages there are, the better is the offset known."""
    offsets, now, best = Offsets(), 100.0, float("inf")
    for there, back in ways:
        came, left = now + there - offset, now + there + 0.5 - offset
        found = offsets.learn("far", now, came, left, now + there + 0.5 + back)
        best = min(best, there + back)
        assert abs(found - offset) <= best + 1e-6
        assert now - 1e-6 <= came + found <= left + found <= now + there + 0.5 + back + 1e-6
        now += 10.0


def test_a_clock_that_was_set_anew_is_learned_anew():
    offsets = Offsets()
    assert abs(offsets.learn("far", 0.0, 1000.1, 1000.2, 0.3) + 1000.0) < 0.1
    assert abs(offsets.learn("far", 50.0, 2050.1, 2050.2, 50.3) + 2000.0) < 0.1
