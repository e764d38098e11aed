"""Options of sessions and runs do what they say: how graphs are rewritten, and what a run tells of its parts."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf
from weftwork.scheduler.request.config import RewriterConfig

CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
CALLS: list = []


@tf.op(pure=True, dtype=tf.float32, shape=[])
def note(x):
    """Pure, but it can be seen how often it is called."""
    CALLS.append(x)
    return np.float32(x + 1)


@tf.op(num_cpus=1)
def weigh(x):
    """Runs in a worker, for it asks for a CPU."""
    return x


def rewriting(placement="caller", **options):
    """A config with these fields of OptimizerOptions."""
    options = tf.GraphOptions(optimizer_options=tf.OptimizerOptions(**options))
    return tf.ConfigProto(placement=placement, graph_options=options)


def parts(session, fetches, feeds=None):
    """The graphs of the parts of a run: of each its nodes by name."""
    metadata = tf.RunMetadata()
    session.run(fetches, feeds, tf.RunOptions(output_partition_graphs=True), metadata)
    return [{node.name: node for node in part.node} for part in metadata.partition_graphs]


def passes(**options):
    """A config with these fields of RewriterConfig."""
    options = tf.GraphOptions(rewrite_options=RewriterConfig(**options))
    return tf.ConfigProto(placement="caller", graph_options=options)


OFF = RewriterConfig.OFF


@pytest.mark.parametrize(
    ("config", "calls"),
    [
        (rewriting(), 1),
        (rewriting(opt_level=tf.OptimizerOptions.L1), 1),
        (rewriting(opt_level=tf.OptimizerOptions.L0), 2),
        (rewriting(opt_level=tf.OptimizerOptions.L0, do_common_subexpression_elimination=True), 1),
        (passes(common_subgraph_elimination=OFF), 2),
    ],
    ids=["default", "L1", "L0", "asked for", "off"],
)
def test_equal_pure_nodes_run_once_unless_the_config_says_no(graph, config, calls):
    x = tf.placeholder(tf.float32, [])
    both = note(x) + note(x)
    inside = tf.cond(x > 0, lambda: note(x) * note(x), lambda: x)
    with tf.Session(config=config) as session:
        for fetch, value in ((both, 4.0), (inside, 4.0)):
            CALLS.clear()
            assert session.run(fetch, {x: 1.0}) == value
            assert len(CALLS) == calls


@pytest.mark.parametrize(
    ("config", "nodes"),
    [
        (rewriting(), 0),
        (rewriting(opt_level=tf.OptimizerOptions.L0), 2),
        (rewriting(opt_level=tf.OptimizerOptions.L0, do_constant_folding=True), 0),
        (rewriting(max_folded_constant_in_bytes=4), 2),
        (rewriting(max_folded_constant_in_bytes=400), 0),
        (passes(constant_folding=OFF), 2),
    ],
    ids=["default", "L0", "asked for", "too large", "not too large", "off"],
)
def test_constants_are_folded_unless_the_config_says_no(graph, config, nodes):
    y = tf.add(tf.multiply(tf.constant([1.0, 2.0]), 3.0, name="m"), 1.0, name="s")
    z = y * tf.placeholder_with_default(1.0, [], name="p")
    with tf.Session(config=config) as session:
        assert session.run(z).tolist() == [4.0, 7.0]
        ran = [name for part in parts(session, z) for name, node in part.items() if node.op in ("Mul", "Add")]
    assert len(set(ran) & {"m", "s"}) == nodes


def test_a_run_that_computes_nothing_has_the_graph_of_what_is_known(graph):
    total = tf.add(tf.constant(10.0), 11.0, name="total")
    with tf.Session() as session:
        (part,) = parts(session, [total, tf.Variable(1.0, name="w").op])
    assert {name: (node.op, node.device) for name, node in part.items()} == {
        "total": ("Const", CPU),
        "w": ("VariableV2", CPU),
    }


def test_the_graph_of_each_part_has_its_nodes_their_inputs_and_device(ray_session, graph):
    x = tf.placeholder(tf.float32, [], name="x")
    w = tf.Variable(2.0, name="w")
    heavy = weigh(tf.multiply(x, w, name="m"))
    end = tf.add(tf.cast(heavy, tf.float32, name="c"), 1.0, name="e")
    with tf.Session() as session:
        session.run(w.initializer)
        found = parts(session, end, {x: 3.0})
        assert parts(session, end, {x: 3.0}) == found
    assert len(found) == 3
    by_name = {name: node for part in found for name, node in part.items() if node.op not in ("Const",)}
    assert by_name["m"].input[0] == "x"
    assert by_name["m"].device == CPU
    assert by_name["weigh"].input == ["m"]
    assert by_name["weigh"].device == f"{CPU}/ray:task"
    assert by_name["e"].input[0] == "c"
    (first,) = [part for part in found if "m" in part]
    assert {node.op for node in first.values()} == {"Placeholder", "VariableV2", "Mul"}


def test_parts_are_told_only_when_they_are_asked_for(graph):
    x = tf.placeholder(tf.float32, [])
    metadata = tf.RunMetadata()
    with tf.Session() as session:
        session.run(x + 1, {x: 1.0}, tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), metadata)
        assert len(metadata.partition_graphs) == 0
        session.run(x + 1, {x: 1.0}, tf.RunOptions(output_partition_graphs=True), metadata)
        assert len(metadata.partition_graphs) == 1
        assert not metadata.HasField("step_stats")


def test_the_body_of_a_loop_is_one_part_however_often_it_runs(ray_session, graph):
    @tf.op(dtype=tf.int32, shape=[])
    def next_of(k):
        return np.int32(k + 1)

    end = tf.while_loop(lambda k: k < 5, next_of, [tf.constant(0)])
    with tf.Session() as session:
        found = parts(session, end)
    assert sum(any("next_of" in name for name in part) for part in found) <= 2


def test_a_cost_graph_comes_with_every_so_manyth_run_of_a_kind(graph):
    x = tf.placeholder(tf.float32, [1000], name="x")
    s = tf.reduce_sum(tf.multiply(x, x, name="m"), name="s")
    other = x + 1
    options = tf.GraphOptions(build_cost_model=2, build_cost_model_after=1)
    given = np.ones(1000, np.float32)
    with tf.Session(config=tf.ConfigProto(graph_options=options)) as session:
        came = []
        for _ in range(7):
            metadata = tf.RunMetadata()
            session.run(s, {x: given}, run_metadata=metadata)
            came.append(metadata.HasField("cost_graph"))
            if came[-1]:
                costs = {node.name: node for node in metadata.cost_graph.node}
        assert came == [False, False, True, False, True, False, True]
        session.run(other, {x: given}, run_metadata=metadata)
        assert not metadata.HasField("cost_graph")
    assert set(costs) == {"m", "s"}
    assert costs["m"].output_info[0].size == 4000
    assert [(i.preceding_node, i.preceding_port) for i in costs["s"].input_info] == [(costs["m"].id, 0)]
    assert costs["s"].is_final
    assert not costs["m"].is_final
    assert all(node.compute_cost > 0 and node.device == CPU for node in costs.values())


def test_without_the_option_there_is_no_cost_graph(graph):
    x = tf.placeholder(tf.float32, [])
    metadata = tf.RunMetadata()
    with tf.Session() as session:
        session.run(x + 1, {x: 1.0}, tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), metadata)
    assert not metadata.HasField("cost_graph")


def test_a_traced_run_lists_what_it_fetches_even_if_its_value_was_known(graph):
    folded, given = tf.constant(2.0) * 3.0, tf.placeholder_with_default(1.0, [])
    trace = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    with tf.Session() as session:
        for fetch in (folded, given * 2.0, tf.no_op("nothing")):
            session.run(fetch, options=trace, run_metadata=(metadata := tf.RunMetadata()))
            (device,) = metadata.step_stats.dev_stats
            op = fetch.op if isinstance(fetch, tf.Tensor) else fetch
            assert op.name in [node.node_name for node in device.node_stats]
