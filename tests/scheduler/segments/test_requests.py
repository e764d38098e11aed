"""The contents of a segment's request to an actor or worker, without what the receiver has."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import weftwork as tf
from weftwork.actors.processes.messages import unpack
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.cost import Costs
from weftwork.scheduler.plan.placement import Estimate, Place
from weftwork.scheduler.plan.plan import make_plan
from weftwork.scheduler.run.run import Run
from weftwork.scheduler.segments.requests import RequestBuilder
from weftwork.scheduler.state.actor_link import ActorLink
from weftwork.scheduler.state.mirror import Cells, Mirror


class Setting:
    """A run of a graph with a variable of which all nodes are in the actor: one segment."""

    def __init__(self, timeout=None):
        x = tf.placeholder(tf.float64, [], name="x")
        v = tf.Variable(np.float64(2.0), name="v")
        self.flow = lower([v.assign_add(x * 3)], [x])
        self.mirror = Mirror()
        self.mirror.put({self.mirror.cell("v"): (np.float64(2.0), 7)})
        self.plan = make_plan(self.flow, [Place.ACTOR] * len(self.flow.ops), Estimate(self.flow, {}, Costs()))
        self.run = Run(self.flow, Cells(self.mirror, self.flow), None, timeout)
        self.run.begin([np.float64(5.0)])
        self.run.lock()
        self.builder = RequestBuilder(self.run, self.plan, False)
        (self.segment,) = self.plan.segments
        self.link = ActorLink()

    def request(self, link=None):
        """The request for the segment, and what goes beside it."""
        request, beside = self.builder.request(self.segment, link, "token")
        return pickle.loads(request), beside

    def place_of(self, value):
        """Where a value stands among the segment's inputs."""
        return self.segment.inputs.index(value)


@pytest.fixture
def setting(graph):
    made = Setting()
    yield made
    made.run.end()


def test_small_values_go_in_the_message_and_the_code_until_the_actor_has_it(setting):
    request, beside = setting.request(setting.link)
    values = unpack(request.small)
    assert values[setting.place_of(setting.flow.feeds[next(iter(setting.flow.feeds))])] == 5.0
    assert values[setting.place_of(setting.flow.newest["v"])] == 2.0
    assert (request.code is not None, beside, request.held) == (True, [], ())
    setting.link.programs.add(request.program)
    again, _ = setting.request(setting.link)
    assert (again.program, again.code) == (request.program, None)
    fresh, _ = setting.request(ActorLink())
    assert fresh.code == request.code


@pytest.mark.parametrize(("version", "sent"), [(7, False), (6, True)])
def test_a_version_that_the_actor_holds_is_named_and_an_older_one_is_sent_anew(setting, version, sent):
    setting.link.held["v"] = version
    request, _ = setting.request(setting.link)
    place = setting.place_of(setting.flow.newest["v"])
    assert request.held == (() if sent else ((place, "v", 7),))
    assert (unpack(request.small)[place] is None) is not sent


def test_a_worker_of_tasks_keeps_nothing_and_gets_all(setting):
    request, _ = setting.request(None)
    assert (request.held, request.keeps, request.forget) == ((), (), ())
    assert None not in unpack(request.small)


def test_the_actor_keeps_the_new_version_and_the_link_knows_it_once_the_segment_is_done(setting):
    request, _ = setting.request(setting.link)
    version = setting.run.new_version_of("v")
    (kept,) = request.keeps
    assert kept[1:] == ("v", version)
    assert "v" not in setting.link.held
    setting.builder.left(setting.segment, setting.link, {})
    assert setting.link.held["v"] == version
    assert setting.run.version_of(setting.flow.writes["v"]) == ("v", version)


def test_a_new_version_that_is_too_large_to_keep_is_not_taken_for_held(setting):
    setting.builder.left(setting.segment, setting.link, {0: 1 << 40})
    assert setting.link.held["v"] == 0


def test_versions_that_no_run_needs_are_forgotten_with_the_next_request(setting):
    setting.link.held = {"v": 7, "gone": 3}
    setting.mirror.put({setting.mirror.cell("gone"): (1, 4)})
    request, _ = setting.request(setting.link)
    assert dict(request.forget) == {"v": 7, "gone": 4}


def test_only_seconds_that_are_left_are_granted(graph):
    with tf.Graph().as_default():
        assert 0 < Setting(timeout=50).request()[0].deadline <= 50
    with tf.Graph().as_default():
        late = Setting(timeout=50)
        late.run.deadline -= 60
        assert late.request()[0].deadline == 0.0
