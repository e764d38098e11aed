"""Where the time of a run went: the shares add up to it, and each says what was waited for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weftwork as tf
from tests.scheduler.views.made_events import BEGAN, HERE, moment, ran, whole, worker
from weftwork.scheduler.events.event import Event
from weftwork.scheduler.views.shares import SHARES, critical_path, shares


def shares_of(events) -> dict:
    return {share: pytest.approx(seconds) for share, seconds in shares(critical_path(events)).items()}


@pytest.fixture
def chain(graph):
    """Three functions, each of which takes what the one before returns."""
    a = tf.op(lambda: 0, name="a")()
    b = tf.op(lambda x: x, name="b")(a)
    return a, b, tf.op(lambda x: x, name="c")(b)


times = st.floats(-1.0, 11.0)


@st.composite
def runs(draw):
    """Any events, however little sense they make: clocks that are off, lanes that overlap, what is not known."""
    with tf.Graph().as_default():
        made, events = [], []
        for _ in range(draw(st.integers(0, 12))):
            inputs = draw(st.lists(st.sampled_from(made), max_size=2)) if made else []
            made.append(tf.op(lambda *x: x)(*inputs))
        for node in made:
            lane = draw(st.sampled_from([HERE, worker(1), worker(2, "task"), worker(3, "queue"), worker(4, "nested")]))
            known = {word: draw(st.one_of(st.just(0.0), times)) for word in ("ready", "sent", "back", "packing")}
            known["packing"] = abs(known["packing"])
            kind = draw(st.sampled_from(["segment", "node"]))
            events.append(ran(node, draw(times), draw(st.floats(0, 5)), lane, kind, **known))
        for kind in draw(st.lists(st.sampled_from(["planned", "started", "locked", "lost", "stayed"]), max_size=4)):
            events.append(moment(kind, draw(times), draw(st.floats(0, 3)), ops=tuple([t.op for t in made[:1]])))
        return whole(draw(st.floats(0.0, 10.0)), *draw(st.permutations(events)))


@settings(max_examples=30, deadline=None)
@given(runs())
def test_the_shares_add_up_to_the_wall_time_whatever_the_events_say(events):
    path = critical_path(events)
    assert sum(shares(path).values()) == pytest.approx(events[-1].seconds, abs=1e-9)
    assert set(shares(path)) <= set(SHARES)
    moments = [BEGAN, *[span.end for span in path]]
    assert [span.start for span in path] == moments[:-1], "no span overlaps another, and nothing is left out"
    assert all(span.seconds > 0 for span in path)


def test_a_chain_is_the_critical_path_and_what_runs_beside_it_is_not(graph, chain):
    a, b, c = chain
    beside = tf.op(lambda: 0, name="beside")()
    events = whole(
        4.0, ran(a, 0.5, 1, worker(1)), ran(beside, 0.5, 2.4, worker(2)), ran(b, 1.5, 1.5, HERE), ran(c, 3, 0.5, HERE)
    )
    path = critical_path(events)
    assert [span.piece.ops[0].name for span in path if span.share == "work"] == ["a", "b", "c"]
    assert shares_of(events) == {"work": 3.0, "rest": 1.0}


def test_a_node_that_waits_for_a_busy_lane_waits_for_a_core(chain):
    a, b, c = chain
    events = whole(3.0, ran(a, 0, 1), ran(c, 1, 1), ran(b, 2, 1))
    assert shares_of(events) == {"work": 2.0, "waiting for a core": 1.0}
    events = whole(3.0, ran(a, 0, 1), ran(b, 2.5, 0.5, worker(1), ready=1.0, sent=2.0))
    assert shares_of(events) == {"work": 1.5, "waiting for a core": 1.0, "hop": 0.5}


def test_the_way_to_another_process_is_a_hop_or_rays(chain):
    a, b, _ = chain
    for place, share in (("resident", "hop"), ("task", "Ray"), ("actor", "Ray")):
        there = ran(b, 1.5, 1, worker(1, place), ready=1.0, sent=1.0, back=3.0)
        assert shares_of(whole(3.0, ran(a, 0, 1), there)) == {"work": 2.0, share: 1.0}


def test_pickling_is_taken_from_the_ways_and_then_from_the_time_before_but_never_from_the_work(chain):
    a = chain[0]
    there = ran(a, 1, 1, worker(1), ready=0.0, sent=0.5, back=2.25, packing=0.5)
    assert shares_of(whole(2.25, there)) == {"work": 1.0, "pickling": 0.5, "hop": 0.25, "rest": 0.5}
    for packing, waited in ((0.875, {"waiting for a core": 0.125}), (9.0, {})):  # in part before they were sent
        early = ran(a, 1, 1, worker(1), ready=0.25, sent=0.5, back=2.25, packing=packing)
        pickling = min(packing, 1.0)
        assert shares_of(whole(2.25, early)) == {"work": 1.0, "pickling": pickling, "rest": 0.25, **waited}


def test_what_was_planned_and_waited_for_before_work_is_told(chain):
    a, b, _ = chain
    events = whole(
        5.0, moment("planned", 0.25, 0.5), ran(a, 1, 1), moment("locked", 2, 1.5, text="w"), ran(b, 3.5, 1), moment(
            "planned", 1.0, 0.5)
    )  # fmt: skip
    assert shares_of(events) == {"work": 2.0, "planning": 0.5, "lock": 1.5, "rest": 1.0}


def test_a_moment_in_which_two_things_were_waited_for_belongs_to_the_one_that_began_last(chain):
    """Ray may have to start while a plan is made, and its process while that is over."""
    a = chain[0]
    lane = worker(1, "task")
    sent = ran(a, 7, 1, lane, ready=4.0, sent=5.0, back=8.5)
    began = moment("started", 5, 1.5, lane=lane)
    events = whole(9.0, moment("planned", 0, 4), moment("started", 1, 2), began, sent)
    assert shares_of(events) == {
        "work": 1.0, "planning": 2.0, "starting": 3.5, "waiting for a core": 1.0, "Ray": 1.0, "rest": 0.5,
    }  # fmt: skip


def test_a_wait_for_a_lane_that_starts_is_no_wait_for_a_core(chain):
    first, then = [tf.op(lambda: 0)() for _ in range(2)]
    lane = worker(1, "task")
    began = moment("started", 1, 3, lane=lane)
    before = ran(first, 5, 1, lane, ready=0.5, sent=1.0, back=6)
    events = whole(7.0, began, before, ran(then, 6, 1, lane, ready=0.5, sent=6, back=7))
    assert shares_of(events) == {"work": 1.0, "waiting for a core": 2.5, "starting": 3.0, "rest": 0.5}
    other = whole(7.0, began, ran(then, 6, 1, worker(2, "task"), ready=0.5, sent=6, back=7))
    assert shares_of(other)["waiting for a core"] == 5.5, "another lane had started before"


def test_the_start_of_a_process_that_tells_of_no_work_is_a_share():
    events = whole(5.0, moment("started", 0.5, 2), moment("started", 2.5, 2, lane=worker(1, "task")))
    assert shares_of(events) == {"starting": 4.0, "rest": 1.0}


def test_work_that_was_lost_with_its_process_is_a_share(chain):
    a = chain[0]
    lost = moment("lost", 2.0, ops=(a.op,), text="killed")
    events = whole(4.0, lost, ran(a, 3, 1, worker(1), ready=0.5, sent=2.5, attempt=2))
    assert shares_of(events) == {"work": 1.0, "lost": 1.5, "waiting for a core": 0.5, "hop": 0.5, "rest": 0.5}


def test_a_wait_in_a_queue_is_no_work(chain):
    a = chain[0]
    assert shares_of(whole(2.0, ran(a, 0, 2, worker(1, "queue")))) == {"queue": 2.0}


def test_a_nested_operation_is_what_runs_inside_it(graph):
    a, inside = tf.op(lambda: 0, name="a")(), []
    work = tf.op(lambda x: x, name="work")
    b = tf.cond(tf.placeholder(tf.bool, []), lambda: inside.append(work(a)) or inside[0], lambda: a)
    c = work(b)
    branch = ran(b, 1, 3, worker(9, "nested"))
    path = critical_path(whole(5.0, ran(a, 0, 1), branch, ran(inside[0], 2, 1), ran(c, 4, 1)))
    assert [(span.share, span.seconds) for span in path] == [
        ("work", 1.0), ("rest", 1.0), ("work", 1.0), ("rest", 1.0), ("work", 1.0),
    ]  # fmt: skip
    assert shares_of(whole(4.0, ran(a, 0, 1), branch)) == {"work": 4.0}, "unless nothing is known of that"


def test_a_node_that_needs_nothing_waits_for_a_lane_and_not_for_those_before_it(graph):
    first, second = [tf.op(lambda: 0, name=name)() for name in ("first", "second")]
    assert shares_of(whole(3.0, ran(first, 0, 1), ran(second, 1.5, 1.5))) == {
        "work": 1.5, "waiting for a core": 1.0, "rest": 0.5,
    }  # fmt: skip


def test_nodes_that_were_told_are_looked_at_instead_of_their_segment(chain):
    a, b, c = chain
    segment = ran([a, b, c], 1, 4, worker(1), sent=0.5, ready=0.5, back=6.0)
    nodes = [ran(op, start, 1, worker(1), kind="node") for op, start in zip(chain, (1, 2.5, 4), strict=True)]
    path = critical_path(whole(6.0, segment, *nodes))
    assert [span.share for span in path] == ["rest", "hop", "work", "rest", "work", "rest", "work", "hop"]
    assert shares_of(whole(6.0, segment, *nodes))["work"] == 3.0


def test_a_node_of_a_batch_waits_for_the_batch_and_for_those_before_it(graph):
    first, second = [tf.op(lambda: 0, name=name)() for name in ("first", "second")]
    end = tf.op(lambda x: x, name="end")(second)
    ways = {"ready": 0.5, "sent": 1.0, "back": 5.0}
    batch = ran([first, second], 1.5, 3, worker(1), **ways)
    nodes = [ran(first, 1.5, 1, worker(1), "node", **ways), ran(second, 2.5, 2, worker(1), "node", **ways)]
    path = critical_path(whole(6.0, batch, *nodes, ran(end, 5, 1)))
    assert [(span.share, span.seconds) for span in path] == [
        ("rest", 0.5), ("waiting for a core", 0.5), ("hop", 0.5), ("waiting for a core", 1.0), ("work", 2.0),
        ("hop", 0.5), ("work", 1.0),
    ]  # fmt: skip


def test_a_node_is_ready_when_what_it_needs_is_there_though_its_batch_is_not(chain):
    a, b, _ = chain
    events = whole(5.0, ran(a, 0, 1), ran(b, 4, 1, worker(1), ready=3.0, sent=3.5))
    assert shares_of(events) == {"work": 2.0, "waiting for a core": 2.5, "hop": 0.5}


def test_nodes_that_never_ran_are_looked_through_for_who_made_a_value(graph):
    a, other = tf.op(lambda: 0)(), tf.op(lambda: 0)()
    c = tf.op(lambda x: x)(tf.identity(tf.identity(a)))
    events = whole(4.0, ran(a, 0, 1, worker(1)), ran(other, 0, 2, worker(2)), ran(c, 3, 1))
    path = critical_path(events)
    assert [span.piece.ops[0] for span in path if span.share == "work"] == [a.op, c.op]


def test_a_run_that_goes_on_ends_with_its_last_event(chain):
    events = [Event("began", 1, BEGAN), ran(chain[0], 0, 1)]
    assert shares_of(events) == {"work": 1.0}
    with pytest.raises(ValueError, match="no events"):
        critical_path([])


def test_a_long_chain_is_walked_in_no_time(graph):
    node = tf.op(lambda: 0)()
    step = tf.op(lambda x: x)
    events = []
    for number in range(2_000):
        events.append(ran(node, number, 1.0, worker(number % 2)))
        node = step(node)
    assert shares_of(whole(2_000.0, *events)) == {"work": 2_000.0}


def test_functions_that_take_turns_in_the_caller_wait_for_those_before_them(graph):
    first, second, third = [tf.op(lambda: 0, name=name)() for name in ("first", "second", "third")]
    events = whole(
        3.0, ran(first, 0.0, 1, ready=0.0), ran(second, 1.0001, 0.9999, ready=1.0), ran(third, 2, 1, ready=2.0)
    )
    assert "rest" not in shares_of(events)
    assert [span.piece.ops[0].name for span in critical_path(events) if span.share == "work"] == [
        "first", "second", "third",
    ]  # fmt: skip


def test_loading_functions_is_starting_and_no_pickling(chain):
    a, b, _ = chain
    lane = worker(1)
    events = whole(
        4.0,
        moment("started", 0.0, 1.0, lane=lane),
        moment("started", 1.0, 1.0, lane=lane),
        ran(a, 2, 2, lane, sent=0.01),
    )
    assert shares(critical_path(events))["starting"] == pytest.approx(1.99)
