"""Programs of segments: slots are used again and never too early, and who may change what it gets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weftwork as tf
from weftwork.actors.programs.float_errors import quiet
from weftwork.graph.python.lending import Lent
from weftwork.graph.python.ownership import own
from weftwork.scheduler.compile.emit import write_program
from weftwork.scheduler.compile.lowering import lower

USER = tf.op(lambda *values: sum(values))
LARGE = 1 << 20


def program_of(fetches, fed=(), sizes=None):
    """The program of all nodes of some fetches, the nodes of its steps, and the dataflow."""
    flow = lower(fetches, fed)
    sizes = [8.0] * len(flow.producer) if sizes is None else [sizes] * len(flow.producer)
    inputs = tuple(flow.feeds.values())
    outputs = tuple([v for v in flow.fetched if v is not None])
    return *write_program(flow, range(len(flow.ops)), inputs, outputs, sizes), flow


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=3), min_size=1, max_size=25), st.data())
def test_a_slot_is_used_again_and_no_value_is_lost_for_it(rows, data):
    with tf.Graph().as_default():
        x = tf.placeholder(tf.object)
        values, expected = [x], [1]
        for row in rows:
            takes = [k % len(values) for k in row]
            values.append(USER(*[values[k] for k in takes]))
            expected.append(sum([expected[k] for k in takes]))
        wanted = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=4))
        program, _, _ = program_of([values[k] for k in wanted], [x])
    assert program([1], []) == [expected[k] for k in wanted]
    program.compile()
    assert program([1], []) == [expected[k] for k in wanted]


def test_a_chain_needs_no_more_slots_than_its_longest_step(graph):
    x = y = tf.placeholder(tf.float32, [])
    for _ in range(50):
        y = tf.negative(y)
    program, owners, _ = program_of([y], [x])
    assert program.size <= 2
    assert owners == list(range(50))


@pytest.mark.parametrize(("size", "released"), [(8.0, 0), (LARGE, 1)])
def test_a_large_value_is_let_go_at_once_and_a_small_one_when_its_slot_is_needed(graph, size, released):
    x = tf.placeholder(tf.float32, [])
    program, _, _ = program_of([tf.exp(x) + tf.sin(x)], [x], size)
    assert len(program.steps[-1].dead) == released  # the sum takes the slot of the other one


def step_of(program, owners, flow, tensor):
    return program.steps[owners.index(flow.ops.index(tensor.op))]


def test_what_a_function_made_goes_as_it_is_to_the_last_that_takes_it_and_as_a_copy_to_others(graph):
    made = tf.op(lambda: [1])()
    first, last = tf.op(lambda v: v.append(2) or v)(made), tf.op(lambda v: v.append(3) or v)(made)
    program, owners, flow = program_of([first, last])
    assert step_of(program, owners, flow, first).lent == Lent((0,), (), False)
    assert step_of(program, owners, flow, last).lent is None
    assert program([], []) == [[1, 2], [1, 3]]


def test_what_the_library_has_got_too_is_no_function_s_own_for_it_may_be_a_view(graph):
    made = tf.op(dtype=tf.float64, shape=[2])(lambda: np.zeros(2))()
    view = tf.reshape(made, [1, 2])

    def changed(values):
        values += 1
        return values

    with tf.control_dependencies([view]):
        last = tf.op(changed)(made)
    program, _, _ = program_of([view, last])
    assert [value.tolist() for value in program([], [])] == [[[0.0, 0.0]], [1.0, 1.0]]


def test_what_is_fed_or_fetched_too_is_never_a_function_s_own(graph):
    x = tf.placeholder(tf.object)
    made = tf.op(lambda: [1])()
    changed = [tf.op(lambda v: v.append(2) or v)(v) for v in (x, made)]
    program, owners, flow = program_of([made, *changed], [x])
    for tensor in changed:
        assert step_of(program, owners, flow, tensor).lent == Lent((0,), (), False)
    mine = [0]
    assert program([mine], []) == [[1], [0, 2], [1, 2]]
    assert mine == [0]


def test_atoms_are_lent_to_nobody(graph):
    program, owners, flow = program_of([USER(tf.constant(2), 3)])
    assert program.steps[-1].lent is None
    assert program([], []) == [5]


def test_a_plain_function_is_called_without_its_wrapper_and_what_it_gives_is_made_its_own(graph):
    bare = USER(1)
    checked = tf.op(dtype=tf.int64)(lambda: 1)()
    program, owners, flow = program_of([bare, checked])
    assert step_of(program, owners, flow, bare).kernel is USER.function
    assert step_of(program, owners, flow, bare).settle is own
    assert step_of(program, owners, flow, checked).kernel is checked.op.kernel


def test_errors_of_numpy_speak_in_users_functions_and_not_in_the_library_s(graph):
    """Beside each other in one program, in either order."""
    seen = []
    state = tf.op(lambda v: (seen.append(np.geterr()["divide"]), v)[1])
    x = tf.placeholder(tf.float64, [])
    program, owners, _ = program_of([state(tf.log(state(tf.log(x))))], [x])
    assert owners[-1] == -1  # what follows this program is quiet again
    with np.errstate(divide="raise"), quiet():
        assert program([np.float64(1.0)], []) == [-np.inf]
    assert seen == ["raise", "raise"]
