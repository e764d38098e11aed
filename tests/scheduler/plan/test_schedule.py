"""List scheduling and clusters: what they foresee can happen, and what they cut can run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftwork.scheduler.plan.schedule import Contracted, chains, clusters, ranks, schedule


@st.composite
def graphs(draw):
    """Predecessors, successors, seconds and kinds of the nodes of some graph."""
    count = draw(st.integers(1, 14))
    before = [tuple(draw(st.sets(st.integers(0, node - 1), max_size=3))) if node else () for node in range(count)]
    after = [[n for n in range(count) if node in before[n]] for node in range(count)]
    seconds = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 4.0]), min_size=count, max_size=count))
    return before, after, seconds, draw(st.lists(st.booleans(), min_size=count, max_size=count))


def made(graph, slots, hop, bound=None):
    before, after, seconds, _ = graph
    return schedule(seconds, before, ranks(seconds, after), slots, hop, bound)


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 12), st.sampled_from([0.0, 0.3, 2.0]))
def test_nothing_begins_before_what_it_needs_is_there_and_no_slot_does_two_things_at_once(graph, slots, hop):
    before, _, seconds, _ = graph
    foreseen = made(graph, slots, hop)
    slot, start = foreseen.slot, foreseen.start
    for node, preds in enumerate(before):
        for pred in preds:
            late = 0.0 if slot[pred] == slot[node] else hop
            assert start[node] >= start[pred] + seconds[pred] + late - 1e-9
    ends = [0.0] * slots
    for node in sorted(range(len(seconds)), key=lambda n: (start[n], foreseen.order.index(n))):
        assert start[node] >= ends[slot[node]] - 1e-9
        ends[slot[node]] = start[node] + seconds[node]
    assert foreseen.makespan == max(ends)


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 12))
def test_it_takes_as_long_as_the_longest_path_and_the_work_shared_out_say_and_no_longer_than_one_slot(graph, slots):
    before, after, seconds, _ = graph
    longest = max(ranks(seconds, after))
    foreseen = made(graph, slots, 0.0)
    assert foreseen.makespan >= max(longest, sum(seconds) / slots) - 1e-6
    assert foreseen.makespan <= sum(seconds) + 1e-9
    assert sorted(foreseen.order) == list(range(len(seconds)))


@pytest.mark.parametrize(("hop", "slots"), [(0.1, {0, 1}), (0.9, {0, 1}), (1.1, {0}), (100.0, {0})])
def test_work_is_shared_out_only_where_that_gains_more_than_the_hop_costs(hop, slots):
    before, after = [(), (0,), (0,)], [[1, 2], [], []]
    seconds = [1.0, 1.0, 1.0]
    assert set(schedule(seconds, before, ranks(seconds, after), 2, hop).slot) == slots


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 12))
def test_bound_nodes_stay_in_the_first_slot(graph, slots):
    bound = graph[3]
    slot = made(graph, slots, 0.1, bound).slot
    assert all([slot[node] == 0 for node, is_bound in enumerate(bound) if is_bound])


def test_the_longest_path_goes_first():
    """A node of 1 s before one of 5 s is begun before three of 2 s that nothing waits for."""
    before, after = [(), (), (), (), (3,)], [[], [], [], [4], []]
    seconds = [2.0, 2.0, 2.0, 1.0, 5.0]
    foreseen = schedule(seconds, before, ranks(seconds, after), 2, 0.0)
    assert foreseen.start[3] == 0.0
    assert foreseen.makespan == 6.0


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_a_chain_is_nodes_that_nothing_else_comes_between(graph):
    before, after, _, apart = graph
    found = chains(before, after, apart)
    assert sorted([node for chain in found for node in chain]) == list(range(len(before)))
    for chain in found:
        for one, other in zip(chain, chain[1:], strict=False):
            assert (before[other], after[one]) == ((one,), [other])
            assert apart[one] == apart[other]


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_a_schedule_of_chains_is_one_of_their_nodes(graph, slots):
    before, after, seconds, apart = graph
    contracted = Contracted.of(seconds, before, after, apart)
    rank = ranks(contracted.seconds, contracted.after)
    foreseen = contracted.expanded(schedule(contracted.seconds, contracted.before, rank, slots, 0.2), seconds)
    position = {node: at for at, node in enumerate(foreseen.order)}
    assert sorted(position) == list(range(len(before)))
    for node, preds in enumerate(before):
        for pred in preds:
            assert position[pred] < position[node]
            assert foreseen.start[node] >= foreseen.start[pred] + seconds[pred] - 1e-9


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 4), st.sampled_from([0.0, 0.3, 9.0]), st.sampled_from([0.0, 1.0, 100.0]))
def test_clusters_hold_every_node_once_and_can_run_one_after_another(graph, slots, hop, limit):
    before, _, seconds, apart = graph
    found = clusters(made(graph, slots, hop), seconds, before, apart, limit, hop)
    assert sorted([node for _, nodes in found for node in nodes]) == list(range(len(before)))
    home = {node: at for at, (_, nodes) in enumerate(found) for node in nodes}
    for node, preds in enumerate(before):
        assert all([home[pred] <= home[node] for pred in preds])
    for slot, nodes in found:
        assert len({apart[node] for node in nodes}) == 1
        for at, node in enumerate(nodes):
            assert all([home[p] != home[node] or p in nodes[:at] for p in before[node]])
        assert sum([seconds[node] for node in nodes[:-1]]) < limit or len(nodes) == 1 or limit == 0.0
        assert 0 <= slot < slots


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_a_cluster_that_has_worked_long_enough_ends(limit):
    before, after = [(), (0,), (1,)], [[1], [2], []]
    seconds = [1.0, 1.0, 1.0]
    foreseen = schedule(seconds, before, ranks(seconds, after), 1, 0.0)
    assert clusters(foreseen, seconds, before, [False] * 3, limit) == [(0, [0]), (0, [1]), (0, [2])]
