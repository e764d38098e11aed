"""Costs of nodes: learned from measured calls only, kept by function and size class, saved and loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weftwork as tf
from weftwork.graph.kernels import elementwise as kernels_math
from weftwork.scheduler.compile.lowering import lower
from weftwork.scheduler.plan.cost import Costs, Record, shape_bytes, size_class
from weftwork.scheduler.plan.placement import Estimate


def kernel(x):
    """Something to measure."""
    return x


@tf.op
def user_function(x):
    """A user's function that other processes can import."""
    return x


@pytest.fixture
def costs():
    """A history that knows nothing."""
    return Costs()


# Size classes


def test_all_small_sizes_are_one_class_and_then_each_power_of_four():
    assert [size_class(size) for size in (0, 1, 1023)] == [0, 0, 0]
    assert size_class(1024) == size_class(2047) == 1
    assert size_class(4 * 1024) == 2
    assert size_class(16 * 1024) == 3


@given(st.integers(1024, 2**40))
def test_four_times_the_size_is_the_next_class(size):
    """Whatever the size."""
    assert size_class(4 * size) == size_class(size) + 1
    assert size_class(size + 1) - size_class(size) in (0, 1)


# Records


def test_what_was_never_called_is_unknown(costs):
    assert costs.find(kernel, 0) is None


def test_a_call_is_known_by_its_function_and_size(costs):
    costs.learn(kernel, 10, 0.5, 20)
    record = costs.find(kernel, 0)
    assert (record.seconds, record.bytes, record.calls) == (0.5, 20, 1)
    assert costs.find(np.add, 0) is None


def test_an_unseen_size_takes_the_nearest_seen_one(costs):
    costs.learn(kernel, 10, 1.0, 1)
    costs.learn(kernel, 2**30, 9.0, 1)
    assert costs.find(kernel, 2**10).seconds == 1
    assert costs.find(kernel, 2**28).seconds == 9
    assert costs.find(kernel, 2**40).seconds == 9


def test_the_first_calls_are_averaged_and_later_ones_weigh_more_than_old_ones():
    record = Record(1.0, 100)
    record.add(2.0, 200)
    assert record.seconds == pytest.approx(1.5)
    assert record.bytes == pytest.approx(150)
    for _ in range(50):
        record.add(3.0, 300)
    assert record.seconds == pytest.approx(3.0, rel=1e-3)
    assert record.calls == 52


def test_one_interruption_moves_a_mean_only_so_far():
    record = Record(1e-3, 1)
    for _ in range(10):
        record.add(1e-3, 1)
    record.add(100.0, 1)
    assert record.seconds < 3e-3


@given(st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=30))
def test_a_mean_lies_between_the_least_and_the_greatest_measurement(measured):
    """Whatever was measured."""
    record = Record(measured[0], 0)
    for seconds in measured[1:]:
        record.add(seconds, 0)
    assert min(measured) * 0.999 <= record.seconds <= max(measured) * 1.001


def test_the_epoch_tells_when_something_new_was_learned(costs):
    epochs = [costs.epoch]
    for seconds in (0.01, 0.01, 0.0101, 1.0):
        costs.learn(kernel, 0, seconds, 0)
        epochs.append(costs.epoch)
    first, seen, same, alike, moved = epochs
    assert first < seen == same == alike < moved


# Estimates


def test_an_estimate_knows_bytes_from_shapes_and_seconds_from_the_history(costs):
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [1000, 1000])
        y = user_function(x * 2)
        flow = lower([y], [x])
    costs.learn(flow.kernels[0], 4_000_000, 0.25, 1)
    estimate = Estimate(flow, {}, costs)
    assert estimate.seconds == [0.25, None]
    assert estimate.bytes[flow.feeds[x]] == 4_000_000
    assert estimate.bytes[flow.outputs[0][0]] == 4_000_000
    assert estimate.bytes[flow.outputs[1][0]] > 100_000  # for all that is known it is large
    costs.learn(flow.kernels[1], 4_000_000, 0.5, 77)
    again = Estimate(flow, {flow.feeds[x]: 12}, costs)
    assert again.seconds[1] == 0.5
    assert again.bytes[flow.outputs[1][0]] == 77
    assert again.bytes[flow.feeds[x]] == 12


def test_shape_bytes_are_known_for_full_shapes_of_plain_dtypes():
    with tf.Graph().as_default():
        assert shape_bytes(tf.placeholder(tf.float64, [3, 4])) == 96
        assert shape_bytes(tf.placeholder(tf.int8, [])) == 1
        assert shape_bytes(tf.placeholder(tf.int8, [0])) == 0
        for unknown in (tf.placeholder(tf.int8), tf.placeholder(tf.int8, [None]), tf.placeholder(tf.string, [2])):
            assert shape_bytes(unknown) is None


# Files


def test_what_was_learned_is_saved_and_loaded(costs, tmp_path):
    path = str(tmp_path / "costs.json")
    costs.learn(kernels_math.cast, 10, 0.5, 20)
    costs.learn(kernels_math.cast, 10, 0.5, 20)
    costs.learn(user_function.kernel, 2**20, 2.0, 1)
    costs.learn(lambda x: x, 10, 0.25, 1)  # no other process could find it
    costs.save(path)
    again = Costs()
    again.load(path)
    record = again.find(kernels_math.cast, 0)
    assert (record.seconds, record.bytes, record.calls) == (0.5, 20, 2)
    assert again.find(user_function.kernel, 2**20).seconds == 2
    assert again.epoch > 0
    with open(path, encoding="utf-8") as file:
        assert len(json.load(file)["records"]) == 2


def test_this_process_s_own_measurements_take_precedence(costs, tmp_path):
    path = str(tmp_path / "costs.json")
    costs.learn(kernels_math.cast, 10, 0.5, 20)
    costs.save(path)
    again = Costs()
    again.learn(kernels_math.cast, 10, 7.0, 1)
    again.load(path)
    assert again.find(kernels_math.cast, 10).seconds == 7


def test_functions_that_are_not_here_are_passed_over(costs, tmp_path):
    path = tmp_path / "costs.json"
    rows = [
        {"function": name, "class": 0, "seconds": 1, "bytes": 1, "calls": 1}
        for name in ("no_such_module:f", "json:no_such_function", "weftwork.graph.kernels.elementwise:cast")
    ]
    path.write_text(json.dumps({"weftwork_costs": 1, "records": rows}))
    costs.load(str(path))
    assert costs.find(kernels_math.cast, 0).seconds == 1


@pytest.mark.parametrize("content", ["[]", "{}", '{"weftwork_costs": 2, "records": []}', "not json"])
def test_a_file_of_something_else_is_refused(costs, tmp_path, content):
    path = tmp_path / "costs.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r".+"):
        costs.load(str(path))
    with pytest.raises(OSError, match=r".+"):
        costs.load(str(tmp_path / "nothing.json"))


def test_a_session_learns_what_its_functions_cost(tmp_path):
    path = str(tmp_path / "costs.json")
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(placement="caller")) as session:
        made = user_function(tf.constant(3))
        assert session.run(made) == 3
    tf.save_costs(path)
    with open(path, encoding="utf-8") as file:
        names = {row["function"] for row in json.load(file)["records"]}
    assert f"{__name__}:user_function" in names
    tf.load_costs(path)


def test_feeds_of_other_sizes_have_plans_of_their_own(ray_session, graph):
    x = tf.placeholder(tf.float64, [None])
    y = tf.reduce_sum(tf.sqrt(tf.exp(tf.sqrt(x))))
    small, large = np.ones(10), np.ones(3_000_000)
    with tf.Session() as session:
        for _ in range(6):
            session.run(y, {x: small})
            session.run(y, {x: large})
        cheap = session.explain(y, {x: small})
        session.run(y, {x: large})
        dear = session.explain(y, {x: large})
    assert dear.runs == 7
    assert dear.work > 10 * cheap.work


def test_calls_that_were_timed_together_correct_what_rests_on_slow_first_calls():
    costs = Costs()
    quick, slow, other = (lambda: 0), (lambda: 1), (lambda: 2)
    costs.learn(quick, 0, 4e-3, 8)
    costs.learn(slow, 0, 8e-3, 8)
    costs.learn_together({quick: 100, slow: 50, other: 10}, 0.2)  # as known, it would have taken 0.8
    assert costs.find(quick, 0).seconds == pytest.approx(1e-3)
    assert costs.find(slow, 0).careful == pytest.approx(2e-3)
    assert costs.find(other, 0) is None
    costs.learn_together({quick: 100, slow: 50}, 0.21)
    assert costs.find(quick, 0).seconds == pytest.approx(1e-3)  # they are near enough


def test_calls_are_even_once_enough_of_them_have_taken_as_long():
    costs = Costs()
    even, odd, tail = (lambda: 0), (lambda: 1), (lambda: 2)
    for number in range(20):
        costs.learn(even, 0, 1e-3, 8)
        costs.learn(odd, 0, 1e-3 * (1 + number % 2), 8)
        costs.learn(tail, 0, 0.3 if number == 2 else 1e-3, 8)
        assert costs.find(even, 0).is_even() is (number >= 7)
    assert not costs.find(odd, 0).is_even()
    assert not costs.find(tail, 0).is_even()  # a long one weighs in full, however long ago it was
    assert costs.find(odd, 0).is_even(among=500)  # so many together are known to 3 %
    assert not costs.find(odd, 0).is_even(among=50)
    assert not costs.find(tail, 0).is_even(among=500)
