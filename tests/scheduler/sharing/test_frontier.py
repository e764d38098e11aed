"""The frontier: which ready nodes go to a lane together. No Ray, no process: what nodes cost is told."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

import weftwork as tf
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.cost import COSTS
from weftwork.scheduler.plan.history import HISTORY
from weftwork.scheduler.plan.policy import GIL_HOLDS
from weftwork.scheduler.sharing.frontier import Frontier
from weftwork.scheduler.sharing.lane import OF_WORKERS, Batch

LENGTHS = OF_WORKERS._replace(round_trip=0.1e-3)


def frontier_of(costs: Sequence[float | None], reads: list[tuple[int, ...]]) -> Frontier:
    """The frontier of a graph in which node k is known to take costs[k] seconds and reads the nodes reads[k]."""
    work = tf.op(lambda *values: len(values))  # of which nothing is known from other tests
    with tf.Graph().as_default():
        made: list = []
        for mine in reads:
            made.append(work(len(made), *[made[k] for k in mine]))
        flow = lower(made, [])
    for op, cost in zip(flow.ops, costs, strict=True):
        if cost is not None:
            HISTORY.learn(op, 0, cost)
    frontier = Frontier(flow, costs, lengths=LENGTHS)
    for node in frontier.first():
        frontier.push(frontier.ready, node)
    return frontier


def take(frontier: Frontier, free: int = 1) -> Batch:
    return frontier.next_batch(2, free, lambda node: True)


def test_short_nodes_go_together_and_a_long_one_goes_alone():
    frontier = frontier_of([9e-5, 9e-5, 9e-5, 50e-3], [()] * 4)
    batches = [take(frontier).nodes for _ in range(2)]
    assert sorted(map(sorted, batches)) == [[0, 1, 2], [3]]


def test_a_node_that_only_follows_one_maker_goes_with_it_and_counts():
    frontier = frontier_of([1e-4, 50e-3, 1e-4], [(), (0,), ()])
    batch = take(frontier)
    assert batch.nodes == [0, 1]
    assert batch.seconds == pytest.approx(50.1e-3)
    assert take(frontier).nodes == [2]  # it would have waited for the long one


def test_a_node_that_follows_is_on_no_heap_before_its_maker_is_done():
    frontier = frontier_of([1e-6] * 3, [(), (0,), (1,)])
    assert take(frontier).nodes == [0, 1, 2]
    assert frontier.again([0, 1, 2]) == [0]
    assert frontier.take_back() == []
    assert [frontier.done(node) for node in range(3)] == [[1], [2], []]


@pytest.mark.parametrize(("cost", "length"), [(1e-6, 100), (90e-6, 4), (1e-3, 1)])
def test_a_thread_goes_on_with_what_follows_a_node_until_its_turn_has_lasted(cost, length):
    """They are called one after another, wherever they are: several in a turn cost less."""
    frontier = frontier_of([cost] * 100, [(), *[(k,) for k in range(99)]])
    todo = frontier.next_turn(frontier.ready, 1, lambda node: False, lambda node: True)
    assert todo == list(range(length))
    assert [frontier.done(node) for node in todo] == [*[[]] * (length - 1), [length] if length < 100 else []]


def test_a_thread_goes_on_with_no_node_that_reads_others_too_or_belongs_elsewhere():
    frontier = frontier_of([0.15e-3] * 2 + [1e-6] * 3, [(), (), (0, 1), (2,), (3,)])
    (first,) = frontier.next_turn(frontier.ready, 1, lambda node: False, lambda node: True)
    assert frontier.done(first) == []
    second = frontier.next_turn(frontier.ready, 1, lambda node: False, lambda node: node != 4)
    assert second == [1 - first, 2, 3]
    assert [frontier.done(node) for node in second] == [[], [], [4]]


def test_a_node_of_an_unseen_function_is_sent_alone():
    frontier = frontier_of([1e-4, None, 1e-4], [()] * 3)
    batches = [take(frontier).nodes for _ in range(2)]
    assert sorted(map(sorted, batches)) == [[0, 2], [1]]


@pytest.mark.parametrize("window", [3, 6, 40])
def test_two_lanes_that_take_batches_come_close_to_the_bound(window: int):
    """List scheduling is within (path + work / lanes); batches may not undo that for a path of short and long nodes."""
    rng = random.Random(window)
    costs = [10 ** rng.uniform(-5, -1) for _ in range(300)]
    reads: list[tuple[int, ...]] = [
        tuple(rng.sample(range(max(0, k - window), k), min(2, k))) if rng.random() < 0.8 else () for k in range(300)
    ]
    ends: list[float] = []
    for cost, mine in zip(costs, reads, strict=True):
        ends.append(max([ends[k] for k in mine], default=0.0) + cost)
    bound = max(max(ends), sum(costs) / 2)

    frontier = frontier_of(costs, reads)
    lanes: list[tuple[float, list[int]]] = []
    now = 0.0
    while frontier.left:
        while frontier.ready and len(lanes) < 2:
            nodes = take(frontier).nodes
            lanes.append((now + sum([costs[node] for node in nodes]), nodes))
        lanes.sort(reverse=True)
        now, nodes = lanes.pop()
        for node in nodes:
            for other in frontier.done(node):
                frontier.push(frontier.ready, other)
    assert now < 1.1 * bound


def test_batches_of_a_function_grow_with_the_calls_that_were_seen():
    """Its first calls were short, and the next one may take a second: half of the calls that were seen go together."""
    frontier = frontier_of([None] * 200, [()] * 200)
    kernel = frontier.flow.kernels[0]
    sizes = []
    while frontier.ready:
        batch = take(frontier)
        sizes.append(len(batch.nodes))
        assert not frontier.is_better_here(batch, False) or sum(sizes) > 8
        for _ in batch.nodes:
            COSTS.learn(kernel, 0, 1e-6, 8)
    assert sizes[:5] == [1, 1, 1, 2, 3]
    assert len(sizes) < 20


def test_a_few_long_calls_of_a_function_weigh_in_full():
    frontier = frontier_of([None] * 50, [()] * 50)
    for seconds in [0.1] + [1e-5] * 30:
        COSTS.learn(frontier.flow.kernels[0], 0, seconds, 8)
    batch = take(frontier)
    assert batch.seconds == pytest.approx(0.1003 / 31 * len(batch.nodes), rel=0.01)
    assert len(batch.nodes) == 1
    assert not batch.certain


def test_a_function_that_is_blocked_is_one_that_was_never_seen_whatever_its_nodes_took():
    frontier = frontier_of([1e-6] * 4, [()] * 4)
    COSTS.block(frontier.flow.kernels[0])
    frontier = Frontier(frontier.flow, [None] * 4)
    assert frontier.known(0)[:2] == (None, 0)
    assert not frontier.is_better_here(Batch([0], 1e-6), False)


def test_batches_of_even_nodes_that_nobody_waits_for_are_longer_and_shrink_towards_the_end():
    frontier = frontier_of([1e-3] * 400, [()] * 400)
    for op in frontier.flow.ops:
        for _ in range(3):
            HISTORY.learn(op, 0, 1e-3)
    sizes = []
    while frontier.ready:
        batch = take(frontier)
        assert batch.certain
        sizes.append(len(batch.nodes))
    assert max(sizes) == sizes[0] == 39  # of less than 40 ms, and an eighth of the work
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_a_call_that_was_interrupted_does_not_shorten_batches_while_much_is_left():
    """Each message costs the caller, and on a busy machine that interrupts more calls."""
    frontier = frontier_of([None] * 10_000, [()] * 10_000)
    for seconds in [3e-4] * 50 + [15e-3] + [3e-4] * 49:
        COSTS.learn(frontier.flow.kernels[0], 0, seconds, 8)
    frontier.took(0, 3e-4)
    sizes = []
    while frontier.ready:
        sizes.append(len(take(frontier).nodes))
    assert sizes[0] > 40
    assert max(sizes[-20:]) < 12  # by then, such a call would make one lane wait for another


@pytest.mark.parametrize(("seconds", "sizes"), [([1e-4, 3e-4], range(180, 201)), ([1e-4] * 99 + [1e-2], range(15, 25))])
def test_the_sum_of_many_calls_is_known_well_if_none_of_them_is_very_long(seconds, sizes):
    """Calls of 0.1 or 0.3 ms go for 40 ms, like even ones; not those of which one in a hundred takes 10 ms."""
    frontier = frontier_of([None] * 4000, [()] * 4000)
    for _ in range(400 // len(seconds)):
        for each in seconds:
            COSTS.learn(frontier.flow.kernels[0], 0, each, 8)
    for node in range(400):
        frontier.took(node, 2e-4)
    assert len(take(frontier).nodes) in sizes


def test_a_first_run_knows_how_much_is_left_from_what_is_done():
    frontier = frontier_of([None] * 400, [()] * 400)
    assert frontier.work == 0.0
    for node in take(frontier).nodes:
        frontier.took(node, 1e-3)
    assert frontier.work == pytest.approx(0.399)


def test_lanes_that_are_free_share_what_is_ready_where_it_is_worth_a_message_to_each():
    assert [len(take(frontier_of([0.5e-3] * 8, [()] * 8), free).nodes) for free in (4, 2)] == [1, 1]
    kernel = tf.op(lambda *values: 0)
    for _ in range(20):
        COSTS.learn(kernel.kernel, 0, 50e-6, 8)
    with tf.Graph().as_default():
        flow = lower([kernel(k) for k in range(8)], [])
    for free, size in ((4, 2), (2, 4), (1, 8)):  # two of them are worth a message
        frontier = Frontier(flow, [50e-6] * 8, lengths=LENGTHS)
        for node in frontier.first():
            frontier.push(frontier.ready, node)
        assert len(take(frontier, free).nodes) == size


def test_the_caller_runs_what_no_lane_could_do_beside_something_else():
    frontier = frontier_of([1e-3] * 2, [()] * 2)
    for op in frontier.flow.ops:
        for _ in range(8):
            HISTORY.learn(op, 0, 1e-3)
    assert not frontier.is_better_here(take(frontier), False)  # it feeds another lane meanwhile
    last = take(frontier)
    assert not frontier.is_better_here(last, False)  # whether it keeps the GIL is to be found out
    for _ in range(GIL_HOLDS):
        HISTORY.tell_gil(frontier.flow.kernels[0], True)
    assert frontier.is_better_here(last, False)
    assert not frontier.is_better_here(last, True)


def turns(costs: Sequence[float | None], threads: int = 2, known_gil: bool = True) -> list[int]:
    """The lengths of the turns in which threads take nodes that cost as much."""
    frontier = frontier_of(costs, [()] * len(costs))
    for _, node in list(frontier.ready):
        frontier.move_first()
        frontier.push(frontier.threads, node)
    kernel = frontier.flow.kernels[0]
    if known_gil:
        HISTORY.tell_gil(kernel, False)
    for _ in range(10):
        COSTS.learn(kernel, 0, 45e-6, 0)
    lengths = []
    while frontier.threads:
        share = max(1, len(frontier.threads) // (2 * threads))
        lengths.append(len(frontier.next_turn(frontier.threads, share, frontier.gil_unknown, lambda node: True)))
    assert sum(lengths) == len(costs)
    return lengths


def test_a_thread_takes_several_short_nodes_and_leaves_the_others_their_part():
    lengths = turns([None] * 40)
    assert lengths[0] == 8, "0.4 ms of nodes of 45 us"
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-2] == 4, "fewer are not worth another thread"


@pytest.mark.parametrize("costs", [[1e-3] * 20, [0.15e-3] * 3])
def test_a_thread_takes_a_long_node_or_one_of_a_few_alone(costs):
    assert set(turns(costs)) == {1}


def test_a_node_that_may_hold_the_gil_is_called_alone():
    assert set(turns([None] * 20, known_gil=False)) == {1}


def test_what_is_left_is_corrected_by_how_wrong_predictions_were():
    """A function whose first calls were short does not make all later batches short."""
    frontier = frontier_of([20e-6] * 400, [()] * 400)
    assert frontier.work == pytest.approx(8e-3)
    first = take(frontier).nodes
    for node in first:
        frontier.took(node, 1e-3)
    left = 20e-6 * (400 - len(first))
    assert 10 * left < frontier.work <= 50 * left


@pytest.mark.parametrize(("reader", "longest"), [(False, 6), (True, 1)])
def test_nodes_go_together_if_the_last_calls_were_short_whatever_earlier_ones_took(reader, longest):
    """A round trip for each would take longer than they do; a node that somebody waits for does not wait for others."""
    count = 200
    readers: list[tuple[int, ...]] = [(k, 0) for k in range(count)] if reader else []
    frontier = frontier_of([None] * (count + len(readers)), [()] * count + readers)
    kernel = frontier.flow.kernels[0]
    COSTS.learn_calls(kernel, 0, [(10e-3, 28)] * 20)
    assert len(take(frontier).nodes) == 1
    COSTS.learn_calls(kernel, 0, [(15e-6, 28)] * 40)
    sizes = [len(take(frontier).nodes) for _ in range(5)]
    assert set(sizes) == {longest}


def test_plenty_is_left_while_all_lanes_are_busy_for_longer_than_the_longest_call():
    """Until then, a node may wait in a lane behind another one: the lane need not wait for a message."""
    frontier = frontier_of([None] * 101, [()] * 100 + [(99,)])
    kernel = frontier.flow.kernels[0]
    assert not frontier.is_plenty(2)  # nothing is known
    COSTS.learn_calls(kernel, 0, [(3e-3, 28), (1e-3, 28)] * 10)
    for node in range(10):
        frontier.took(node, 2e-3)
    left = []
    while frontier.ready:
        if frontier.is_plenty(2):
            left.append(len(frontier.ready))
        take(frontier)
    assert left[0] == 100
    assert left == sorted(left, reverse=True)
    assert 8 <= left[-1] <= 20
    frontier.push(frontier.ready, 99)  # another node waits for it
    assert not frontier.is_plenty(2)


def test_what_takes_no_longer_than_a_message_and_its_answer_needs_no_lane_while_nothing_else_is_ready():
    for seconds, better in ((0.4e-3, True), (0.8e-3, False)):
        frontier = Frontier(frontier_of([seconds], [()]).flow, [seconds])
        for _ in range(8):
            HISTORY.learn(frontier.flow.ops[0], 0, seconds)
        frontier.push(frontier.ready, 0)
        assert frontier.is_better_here(take(frontier), False) is better
