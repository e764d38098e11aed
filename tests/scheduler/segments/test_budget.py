"""How many bytes of large values a run keeps alive, and which segment is next when they do not all fit."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from weftwork.scheduler.plan.placement import Place
from weftwork.scheduler.plan.plan import Segment
from weftwork.scheduler.segments.budget import Budget

MB = 1 << 20


def segment(number, large, inputs=()):
    """A segment that makes so many bytes of what it takes."""
    made = Segment(number, Place.TASK, [number], False)
    made.large, made.inputs = large, tuple(inputs)
    return made


def budget_of(*segments, limit):
    return Budget(sum([segment.large for segment in segments]), limit)


def test_segments_that_fit_run_in_order():
    first, second = segment(0, 10), segment(1, 10)
    budget = budget_of(first, second, limit=100)
    ready = [first, second]
    assert budget.choose(ready, {}, idle=False) is first
    assert ready == [second]


def test_a_segment_that_does_not_fit_waits_while_something_is_in_flight():
    large, other = segment(0, 80), segment(1, 80)
    budget = budget_of(large, other, limit=100)
    ready = [large, other]
    budget.started(budget.choose(ready, {}, idle=True))
    assert budget.choose(ready, {}, idle=False) is None
    budget.ended(large)
    assert budget.choose(ready, {}, idle=False) is other


def test_a_segment_that_frees_as_much_as_it_makes_runs_even_if_nothing_fits():
    """Value 5 is read by it alone: once it has run, there is room for what waits."""
    maker, shrinker = segment(0, 60), segment(1, 50, inputs=[5])
    budget = budget_of(maker, shrinker, limit=100)
    budget.made(5, 90)
    ready = [maker, shrinker]
    assert budget.choose(ready, {5: 1}, idle=False) is shrinker
    assert budget.choose(ready, {5: 1}, idle=False) is None
    budget.dropped(5)
    assert budget.choose(ready, {}, idle=False) is maker


def test_a_value_that_others_read_too_is_not_counted_as_freed():
    maker = segment(0, 50, inputs=[5])
    budget = budget_of(maker, limit=100)
    budget.made(5, 90)
    assert budget.choose([maker], {5: 2}, idle=False) is None


def test_when_nothing_is_on_its_way_the_least_of_all_evils_goes():
    """To wait would not help: what is too large for the limit must still run."""
    huge, large = segment(0, 900), segment(1, 500)
    budget = budget_of(huge, large, limit=100)
    ready = [huge, large]
    assert budget.choose(ready, {}, idle=True) is large
    assert budget.choose(ready, {}, idle=True) is huge


def test_a_plan_of_small_values_is_not_limited_and_asks_nobody():
    """Else each such run would ask Ray how large its store is."""
    small = [segment(k, MB) for k in range(20)]
    budget = budget_of(*small, limit=0)
    for each in small:
        budget.started(each)
    assert budget.choose([small[0]], {}, idle=False) is small[0]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.randoms())
def test_every_segment_runs_whatever_the_sizes_and_no_more_lives_than_allowed_or_needed(sizes, choose):
    segments = [segment(number, size) for number, size in enumerate(sizes)]
    budget, limit = budget_of(*segments, limit=100), 100
    ready, under_way, done = segments[:], [], 0
    heapq.heapify(ready)
    while ready or under_way:
        one = budget.choose(ready, {}, idle=not under_way) if ready else None
        if one is not None:
            under_way.append(one)
            budget.started(one)
            assert len(under_way) == 1 or sum([s.large for s in under_way]) <= limit
        else:
            ended = under_way.pop(choose.randrange(len(under_way)))
            budget.ended(ended)
            done += 1
    assert done == len(segments)
