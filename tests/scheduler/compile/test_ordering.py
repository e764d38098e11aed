"""The order of a run's reads and writes: topological, by the rule, and no edge refused without a cycle."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from weftwork.scheduler.compile.ordering import Order, order_accesses


@st.composite
def dags(draw, most=12):
    """Predecessors of each node, all of smaller number."""
    count = draw(st.integers(1, most))
    return [sorted(draw(st.sets(st.integers(0, node - 1), max_size=3))) if node else [] for node in range(count)]


def closes_a_cycle(edges, first, then):
    """True when `first` depends on `then` by the edges."""
    seen, stack = set(), [then]
    while stack:
        at = stack.pop()
        if at == first:
            return True
        if at not in seen:
            seen.add(at)
            stack += [b for a, b in edges if a == at]
    return False


def respects(sequence, edges):
    """True when the sequence is a topological order of the edges."""
    place = {node: at for at, node in enumerate(sequence)}
    return all(place[a] < place[b] for a, b in edges)


def edges_of(predecessors):
    """The edges of a graph that is given by predecessors."""
    return {(other, node) for node, before in enumerate(predecessors) for other in before}


def test_without_further_edges_the_order_is_that_of_creation():
    assert Order([[], [0], [], [1, 2]]).sequence() == [0, 1, 2, 3]


def test_an_edge_that_agrees_with_the_order_changes_nothing():
    order = Order([[], [], []])
    assert order.add(0, 2)
    assert order.sequence() == [0, 1, 2]


def test_an_edge_against_the_order_moves_what_it_must():
    order = Order([[], [0], [], []])
    assert order.add(3, 0)
    sequence = order.sequence()
    assert sequence.index(3) < sequence.index(0) < sequence.index(1)


def test_an_edge_that_closes_a_cycle_is_refused_and_forgotten():
    order = Order([[], [0], [1]])
    assert not order.add(2, 0)
    assert not order.add(1, 1)
    assert order.sequence() == [0, 1, 2]
    assert order.add(0, 2)


@settings(max_examples=300, deadline=None)
@given(dags(), st.data())
def test_an_edge_is_refused_only_if_it_closes_a_cycle(predecessors, data):
    """Against a search of all paths, after any edges accepted before."""
    edges = edges_of(predecessors)
    order = Order([list(before) for before in predecessors])
    node = st.integers(0, len(predecessors) - 1)
    for first, then in data.draw(st.lists(st.tuples(node, node), max_size=20)):
        accepted = order.add(first, then)
        assert accepted is not closes_a_cycle(edges, first, then)
        if accepted:
            edges.add((first, then))
        sequence = order.sequence()
        assert sorted(sequence) == list(range(len(predecessors)))
        assert respects(sequence, edges)


# The rule


def test_reads_come_before_writes():
    assert order_accesses([[], [], []], {"v": [(0, True), (1, False), (2, False)]}) == [1, 2, 0]


def test_writes_stay_in_creation_order():
    assert order_accesses([[], [], []], {"v": [(0, True), (1, True), (2, True)]}) == [0, 1, 2]


def test_reads_are_in_no_order_among_themselves():
    assert order_accesses([[], []], {"v": [(0, False), (1, False)]}) == [0, 1]


def test_a_read_that_depends_on_a_write_comes_after_it():
    sequence = order_accesses([[], [0], []], {"v": [(0, True), (1, False), (2, True)]})
    assert sequence == [0, 1, 2]


def test_accesses_of_different_variables_do_not_order_each_other():
    assert order_accesses([[], []], {"v": [(0, True)], "w": [(1, False)]}) == [0, 1]


def test_of_two_contradicting_edges_the_earlier_node_s_counts():
    """Nodes 0 and 1 write a and b; 2 reads a and needs 1; 3 reads b and needs 0."""
    accesses = {"a": [(0, True), (2, False)], "b": [(1, True), (3, False)]}
    sequence = order_accesses([[], [], [1], [0]], accesses)
    assert sequence.index(1) < sequence.index(2) < sequence.index(0) < sequence.index(3)


def test_the_edges_that_come_first_count_before_the_rule():
    sequence = order_accesses([[], []], {"v": [(0, True), (1, False)]}, first=[(0, 1)])
    assert sequence == [0, 1]


def test_a_node_that_reads_and_writes_does_not_wait_for_itself():
    assert order_accesses([[], []], {"v": [(0, False), (0, True), (1, False), (1, True)]}) in ([0, 1], [1, 0])


@settings(max_examples=300, deadline=None)
@given(dags(8), st.data())
def test_the_order_is_that_of_the_rule_applied_edge_by_edge(predecessors, data):
    """The edges that a plain reading of the rule accepts are all respected."""
    count = len(predecessors)
    accesses = {}
    for name in data.draw(st.lists(st.sampled_from("abc"), unique=True)):
        nodes = sorted(data.draw(st.sets(st.integers(0, count - 1), max_size=5)))
        accesses[name] = [(node, data.draw(st.booleans())) for node in nodes]
    edges = edges_of(predecessors)
    touches = sorted((node, name, at) for name, found in accesses.items() for at, (node, _) in enumerate(found))
    for node, name, at in touches:
        writes = accesses[name][at][1]
        for other, other_writes in accesses[name][:at]:
            if writes or other_writes:
                edge = (other, node) if writes else (node, other)
                if not closes_a_cycle(edges, *edge):
                    edges.add(edge)
    sequence = order_accesses([list(before) for before in predecessors], accesses)
    assert sorted(sequence) == list(range(count))
    assert respects(sequence, edges)


def test_long_chains_are_no_recursion():
    count = 5000
    predecessors = [[node - 1] if node else [] for node in range(count)] + [[]]
    order = Order(predecessors)
    assert order.add(count, 0)
    assert order.sequence()[0] == count
    assert not order.add(count - 1, count)
