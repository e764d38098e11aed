"""The seconds left are right within 20 % from a quarter of a run on: runs of a simulated machine, in virtual time.

A machine of some lanes runs nodes whose costs were measured before, on a machine that was as busy or less. No clock of
this machine counts, so neither does its load.
"""

from __future__ import annotations

import heapq
import random
from types import SimpleNamespace

import pytest

import weftwork as tf
from weftwork.scheduler.events.event import Event, Lane
from weftwork.scheduler.events.stream import Stream
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.views import cpu_clock, progress
from weftwork.scheduler.views.remaining import makespan

EVERY = 0.2
"""Seconds between two looks, as a progress bar takes them."""


class Machine:
    """A simulated run.

    costs: seconds of CPU of each node.   lanes: how many nodes run at once.   speed: the part of a core that each has.
    """

    def __init__(self, graph, costs, lanes, speed, stream):
        with graph.as_default():
            self.ops = [tf.op(lambda k=k: k)().op for k in range(len(costs))]
        self.costs, self.lanes, self.speed, self.stream = costs, lanes, speed, stream
        self.now = 0.0
        self.busy: dict[int, tuple[float, int]] = {}
        """By lane: when it began its node, and which."""
        self.done = 0.0
        """CPU seconds of the nodes that have ended."""

    def used(self) -> float:
        """CPU seconds so far."""
        return self.done + sum([self.speed * (self.now - since) for since, _ in self.busy.values()])

    def here(self):
        """What the lanes are running, as the session's runs tell it."""
        running = {lane: (SimpleNamespace(nodes=[n], owners=()), since, 0) for lane, (since, n) in self.busy.items()}
        return SimpleNamespace(
            telling=SimpleNamespace(number=1), calls={}, detached=(), cold=None, here=running, under_way={}, flow=None,
            ops_of=lambda segment: [self.ops[n] for n in segment.nodes],
        )  # fmt: skip

    def run(self, meter):
        """Run all nodes. Returns the looks of a progress bar, and the seconds of the run."""
        left, ends, looks = list(range(len(self.ops)))[::-1], [], []
        meter.take(Event("began", 1, 0.0, ops=(self.ops[-1],)))
        due = EVERY
        while left or ends:
            for lane in range(self.lanes):
                if lane not in self.busy and left:
                    node = left.pop()
                    self.busy[lane] = self.now, node
                    heapq.heappush(ends, (self.now + self.costs[node] / self.speed, lane))
            end, lane = heapq.heappop(ends)
            while due < end:
                self.now = due
                looks.append(meter.look([self.here()]))
                due += EVERY
            self.now = end
            since, node = self.busy.pop(lane)
            self.done += self.costs[node]
            where = Lane("resident", "", 100 + lane, 1)
            meter.take(Event("segment", 1, since, end - since, where, (self.ops[node],)))
        return looks, self.now


def worst(costs, known, lanes, speed, with_clock, monkeypatch) -> float:
    """The largest error from a quarter of a run on, as a part of its seconds. known: the costs measured before."""
    graph, stream = tf.Graph(), Stream()
    machine = Machine(graph, costs, lanes, speed, stream)
    for op, seconds in zip(machine.ops, known, strict=True):
        COSTS.learn(op.kernel, 0, seconds, 8)
    with monkeypatch.context() as patch:
        patch.setattr(progress, "monotonic", lambda: machine.now)
        patch.setattr(cpu_clock.CpuClock, "used", lambda clock: machine.used() if with_clock else None)
        patch.setattr(cpu_clock.CpuClock, "usual", lambda clock, fetched: sum(costs) if with_clock else None)
        meter = progress.Meter([op.outputs[0] for op in machine.ops], [], stream)
        looks, took = machine.run(meter)
    late = [look for look in looks if look.seconds >= took / 4]
    return max([1.0 if one.left is None else abs(one.seconds + one.left - took) / took for one in late], default=0.0)


@pytest.mark.parametrize("with_clock", [True, False], ids=["with CPU times", "without"])
@pytest.mark.parametrize("speed", [1.0, 0.3], ids=["quiet", "busy"])
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_the_seconds_left_are_right_from_a_quarter_of_the_run_on(lanes, speed, with_clock, monkeypatch):
    for seed in range(2):
        costs, known = drawn_costs(seed, 25 * lanes, 1.0)
        assert worst(costs, known, lanes, speed, with_clock, monkeypatch) <= 0.2, seed


@pytest.mark.parametrize(("speed", "with_clock"), [(1.0, True), (0.3, True), (1.0, False)])
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_the_seconds_left_are_right_with_five_nodes_for_each_lane(lanes, speed, with_clock, monkeypatch):
    for seed in range(6):
        costs, known = drawn_costs(seed, 5 * lanes, 10.0)
        assert worst(costs, known, lanes, speed, with_clock, monkeypatch) <= 0.2, seed


def drawn_costs(seed, count, scale):
    """The seconds of nodes, and those that were measured before."""
    drawn = random.Random(seed)
    costs = [drawn.choice([0.05, 0.1, 0.3]) * drawn.uniform(0.5, 1.5) * scale for _ in range(count)]
    return costs, [cost * drawn.uniform(0.8, 1.25) for cost in costs]


def test_nodes_that_wait_begin_on_the_lane_that_is_free_first():
    assert makespan([], [], 2) == 0.0
    assert makespan([3.0, 1.0], [1.0, 5.0], 2) == 7.0
    assert makespan([1.0], [1.0, 1.0], 3) == 1.0
