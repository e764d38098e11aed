"""Optimizers: the formulas over many steps, slots, rows of tables, and what minimize is made of."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import weftwork as tf

STEPS = 20


def gradient_at(step: int, shape: tuple) -> np.ndarray:
    """Some gradient, different at each step."""
    return np.sin(np.arange(np.prod(shape)).reshape(shape) * 1.7 + step * 0.9) + 0.3


# The formulas, as plainly as they can be written: each takes (w, state, g, t) and returns the new w.


def descent(w, s, g, t):
    return w - 0.1 * g


def momentum(w, s, g, t):
    s["v"] = 0.9 * s.get("v", 0) + g
    return w - 0.1 * s["v"]


def nesterov(w, s, g, t):
    s["v"] = 0.9 * s.get("v", 0) + g
    return w - 0.1 * (g + 0.9 * s["v"])


def adagrad(w, s, g, t):
    s["a"] = s.get("a", 0.1) + g**2
    return w - 0.1 * g / np.sqrt(s["a"])


def adadelta(w, s, g, t):
    s["a"] = 0.9 * s.get("a", 0) + 0.1 * g**2
    step = np.sqrt(s.get("u", 0) + 1e-6) / np.sqrt(s["a"] + 1e-6) * g
    s["u"] = 0.9 * s.get("u", 0) + 0.1 * step**2
    return w - 0.5 * step


def rmsprop(w, s, g, t):
    s["a"] = 0.8 * s.get("a", 1) + 0.2 * g**2
    s["v"] = 0.5 * s.get("v", 0) + 0.1 * g / np.sqrt(s["a"] + 1e-10)
    return w - s["v"]


def centered(w, s, g, t):
    s["a"] = 0.8 * s.get("a", 1) + 0.2 * g**2
    s["m"] = 0.8 * s.get("m", 0) + 0.2 * g
    s["v"] = 0.5 * s.get("v", 0) + 0.1 * g / np.sqrt(s["a"] - s["m"] ** 2 + 1e-10)
    return w - s["v"]


def adam(w, s, g, t):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g**2
    rate = 0.1 * np.sqrt(1 - 0.99**t) / (1 - 0.9**t)
    return w - rate * s["m"] / (np.sqrt(s["v"]) + 1e-8)


def ftrl(w, s, g, t):
    old = s.get("a", 0.1)
    s["a"] = old + g**2
    s["z"] = s.get("z", 0) + g + 2 * 0.02 * w - (np.sqrt(s["a"]) - np.sqrt(old)) / 0.1 * w
    weight = (np.sign(s["z"]) * 0.3 - s["z"]) / (np.sqrt(s["a"]) / 0.1 + 2 * 0.05)
    return np.where(np.abs(s["z"]) > 0.3, weight, 0)


def proximal(w, s, g, t):
    ahead = w - 0.1 * g
    return np.sign(ahead) * np.maximum(np.abs(ahead) - 0.1 * 0.3, 0) / (1 + 0.1 * 0.05)


def proximal_adagrad(w, s, g, t):
    s["a"] = s.get("a", 0.1) + g**2
    rate = 0.1 / np.sqrt(s["a"])
    ahead = w - rate * g
    return np.sign(ahead) * np.maximum(np.abs(ahead) - rate * 0.3, 0) / (1 + rate * 0.05)


def exact(number):
    """A number as a tensor: a Python float is a float32 one, whose error double precision would show."""
    return tf.constant(number, tf.float64)


OPTIMIZERS = {
    "descent": (lambda: tf.train.GradientDescentOptimizer(exact(0.1)), descent),
    "momentum": (lambda: tf.train.MomentumOptimizer(exact(0.1), exact(0.9)), momentum),
    "nesterov": (lambda: tf.train.MomentumOptimizer(exact(0.1), exact(0.9), use_nesterov=True), nesterov),
    "adagrad": (lambda: tf.train.AdagradOptimizer(exact(0.1)), adagrad),
    "adadelta": (lambda: tf.train.AdadeltaOptimizer(exact(0.5), exact(0.9), exact(1e-6)), adadelta),
    "rmsprop": (lambda: tf.train.RMSPropOptimizer(exact(0.1), exact(0.8), exact(0.5), exact(1e-10)), rmsprop),
    "centered": (
        lambda: tf.train.RMSPropOptimizer(exact(0.1), exact(0.8), exact(0.5), exact(1e-10), centered=True),
        centered,
    ),
    "adam": (lambda: tf.train.AdamOptimizer(exact(0.1), exact(0.9), exact(0.99), exact(1e-8)), adam),
    "ftrl": (
        lambda: tf.train.FtrlOptimizer(
            exact(0.1),
            l1_regularization_strength=0.3,
            l2_regularization_strength=0.05,
            l2_shrinkage_regularization_strength=0.02,
        ),
        ftrl,
    ),
    "proximal": (lambda: tf.train.ProximalGradientDescentOptimizer(exact(0.1), 0.3, 0.05), proximal),
    "proximal_adagrad": (lambda: tf.train.ProximalAdagradOptimizer(exact(0.1), 0.1, 0.3, 0.05), proximal_adagrad),
}
ROUNDED = {"ftrl", "proximal", "proximal_adagrad"}
"""Take Python numbers, which are float32."""


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_follow_the_formula(graph, name, shape):
    make, formula = OPTIMIZERS[name]
    start = gradient_at(7, shape)
    w, grad = tf.Variable(start), tf.placeholder(tf.float64, shape)
    train = make().apply_gradients([(grad, w)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        wanted, state = start, {}
        for t in range(1, STEPS + 1):
            g = gradient_at(t, shape)
            session.run(train, {grad: g})
            wanted = formula(wanted, state, g, t)
            tolerance = 1e-6 if name in ROUNDED else 1e-12
            np.testing.assert_allclose(session.run(w), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_large_variable_is_updated_in_parts_as_it_would_be_whole(graph, name, monkeypatch):
    start, g = gradient_at(7, (23, 7)), gradient_at(1, (23, 7))
    made = []
    for part in (10, 1 << 15):
        monkeypatch.setattr("weftwork.graph.training.kernels.PART", part)
        monkeypatch.setattr("weftwork.graph.kernels.team.WORTH", 0 if part == 10 else 1 << 21)
        w, grad = tf.Variable(start), tf.placeholder(tf.float64, (23, 7))
        train = OPTIMIZERS[name][0]().apply_gradients([(grad, w)])
        with tf.Session(config=tf.ConfigProto(placement="caller")) as session:
            session.run(tf.global_variables_initializer())
            for _ in range(3):
                session.run(train, {grad: g})
            made.append(session.run(w))
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_of_a_table_are_updated_alone(graph, name):
    make, formula = OPTIMIZERS[name]
    start = gradient_at(7, (5, 2))
    table, ids = tf.Variable(start), tf.placeholder(tf.int32, [None])
    pull = tf.placeholder(tf.float64, [None, 2])
    train = make().minimize(tf.reduce_sum(tf.gather(table, ids) * pull))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        wanted, states = start.copy(), [{} for _ in range(5)]
        for t in range(1, STEPS + 1):
            rows = [t % 5, 3, t % 5, (t * t) % 5]  # some of them twice
            g = gradient_at(t, (4, 2))
            session.run(train, {ids: rows, pull: g})
            total = np.zeros((5, 2))
            np.add.at(total, rows, g)
            for row in range(5) if name == "adam" else set(rows):  # Adam moves every row, as TensorFlow's
                wanted[row] = formula(wanted[row], states[row], total[row], t)
        np.testing.assert_allclose(session.run(table), wanted, rtol=1e-6, atol=1e-6)


def test_a_variable_keeps_its_dtype(graph):
    for dtype in (tf.float16, tf.float32, tf.float64):
        for make, _ in OPTIMIZERS.values():
            w = tf.Variable(tf.ones([2], dtype))
            train = make().minimize(tf.reduce_sum(w * w))
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                session.run(train)
                assert session.run(w).dtype == dtype.as_numpy_dtype
                assert (session.run(w) < 1).all()


def test_a_learning_rate_may_change(graph):
    w = tf.Variable(0.0)
    step = tf.train.get_or_create_global_step()
    rate = tf.train.piecewise_constant(step, [0], [1.0, 0.5])
    train = tf.train.GradientDescentOptimizer(rate).apply_gradients([(tf.constant(1.0), w)], step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values = []
        for _ in range(3):
            session.run(train)
            values.append(session.run(w))
    assert values == [-1.0, -1.5, -2.0]


def test_numbers_may_be_functions(graph):
    w = tf.Variable(1.0)
    train = tf.train.MomentumOptimizer(lambda: 0.5, lambda: 0.0).minimize(w * 2.0)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert session.run(w) == 0


# Slots


def test_slots_have_the_names_of_tensorflow(graph):
    w, b = tf.Variable([1.0], name="w"), tf.Variable(1.0, name="layer/b")
    tf.train.AdamOptimizer().minimize(tf.reduce_sum(w * b))
    tf.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(w * b), var_list=[w])
    names = {v.op.name for v in tf.global_variables()} - {"w", "layer/b"}
    of_adam = {f"{name}/{slot}" for name in ("w", "layer/b") for slot in ("Adam", "Adam_1")}
    assert names == of_adam | {"beta1_power", "beta2_power", "w/Momentum"}
    assert [v.op.name for v in tf.trainable_variables()] == ["w", "layer/b"]


def test_slots_are_found_by_name(graph):
    w = tf.Variable([1.0, 2.0], name="w")
    adam = tf.train.AdamOptimizer(name="Mine")
    assert adam.get_name() == "Mine"
    assert adam.get_slot(w, "m") is None
    adam.minimize(tf.reduce_sum(w))
    assert adam.get_slot_names() == ["m", "v"]
    assert adam.get_slot(w, "v").op.name == "w/Mine_1"
    assert [v.op.name for v in adam.variables()] == ["beta1_power", "beta2_power", "w/Mine", "w/Mine_1"]


def test_an_optimizer_used_twice_keeps_its_slots(graph):
    w = tf.Variable([1.0], name="w")
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    optimizer.minimize(tf.reduce_sum(w))
    optimizer.minimize(tf.reduce_sum(w * w))
    assert len(tf.global_variables()) == 2


def test_each_graph_has_slots_of_its_own():
    optimizer = tf.train.AdamOptimizer()
    for _ in range(2):
        with tf.Graph().as_default():
            w = tf.Variable([1.0], name="w")
            optimizer.minimize(tf.reduce_sum(w))
            assert len(tf.global_variables()) == 5
            assert len(optimizer.variables()) == 4


def test_slots_wait_for_nothing(graph):
    w, counter = tf.Variable(1.0), tf.Variable(0)
    with tf.control_dependencies([counter.assign_add(1)]):
        tf.train.AdagradOptimizer(0.1).minimize(w * w)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(counter) == 0


def test_a_variable_of_unknown_shape_has_slots_too(graph):
    w = tf.Variable(np.ones(3), validate_shape=False)
    train = tf.train.MomentumOptimizer(0.5, 0.9).minimize(tf.reduce_sum(w * w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert session.run(w).tolist() == [0, 0, 0]


# What minimize is made of


@pytest.mark.parametrize("use_resource", [False, True])
def test_minimize_counts_its_steps(graph, use_resource):
    w, step = tf.Variable(1.0), tf.Variable(0, trainable=False, use_resource=use_resource)
    train = tf.train.GradientDescentOptimizer(0.1).minimize(w * w, global_step=step)
    assert isinstance(train, tf.Operation)
    assert train.name == "GradientDescent"
    assert tf.get_collection("train_op") == [train]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            assert session.run(train) is None
        assert tf.train.global_step(session, step) == 3


def test_a_step_that_fails_changes_nothing(graph):
    w, v, x = tf.Variable([1.0]), tf.Variable([1.0]), tf.placeholder(tf.float32, [None])
    step = tf.train.create_global_step()
    train = tf.train.AdamOptimizer(0.1).apply_gradients([(tf.constant([1.0]), w), (x, v)], step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        before = session.run(tf.global_variables())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"do not have the same shape\[1\] \[3\]"):
            session.run(train, {x: [1.0, 2.0, 3.0]})
        assert session.run(tf.global_variables()) == before


def test_compute_gradients_gives_pairs(graph):
    w, unused = tf.Variable(3.0), tf.Variable(1.0)
    tf.Variable(1.0, trainable=False)
    pairs = tf.train.GradientDescentOptimizer(1.0).compute_gradients(w * w, grad_loss=tf.constant(2.0))
    assert [v for _, v in pairs] == [w, unused]
    assert pairs[1][0] is None
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(pairs[0][0]) == 12


@pytest.mark.parametrize("gate", ["GATE_NONE", "GATE_OP", "GATE_GRAPH"])
def test_gates_change_no_result(graph, gate):
    w, table = tf.Variable(3.0), tf.Variable([1.0, 2.0])
    optimizer = tf.train.GradientDescentOptimizer(0.5)
    train = optimizer.minimize(w * tf.gather(table, 1), gate_gradients=getattr(tf.train.Optimizer, gate))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert session.run(w) == 2
        assert session.run(table).tolist() == [1.0, 0.5]


def test_clipped_gradients_of_tables_stay_rows(graph):
    w, table = tf.Variable(3.0), tf.Variable([[1.0], [2.0]])
    optimizer = tf.train.GradientDescentOptimizer(1.0)
    grads, variables = zip(*optimizer.compute_gradients(w * 3.0 + tf.gather(table, [1]) * 4.0), strict=True)
    clipped, norm = tf.clip_by_global_norm(grads, 1.0)
    assert isinstance(clipped[1], tf.IndexedSlices)
    train = optimizer.apply_gradients(zip(clipped, variables, strict=True))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(norm) == 5
        session.run(train)
        np.testing.assert_allclose(session.run(w), 2.4, rtol=1e-6)
        np.testing.assert_allclose(session.run(table), [[1.0], [1.2]], rtol=1e-6)


def test_a_constraint_holds_after_each_step(graph):
    w = tf.Variable([1.0, -1.0], constraint=lambda t: tf.clip_by_value(t, 0.0, 0.5))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert session.run(w).tolist() == [0.5, 0]


def test_steps_of_many_threads_are_all_taken(graph):
    w, step = tf.Variable(0.0), tf.train.create_global_step()
    train = tf.train.GradientDescentOptimizer(1.0).apply_gradients([(tf.constant(1.0), w)], step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        threads = [threading.Thread(target=lambda: [session.run(train) for _ in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert session.run([w, step]) == [-200.0, 200]


def test_an_optimizer_of_ones_own_may_say_one_update_in_tensorflows_way(graph):
    class SignDescent(tf.train.Optimizer):
        def __init__(self):
            super().__init__(False, "SignDescent")

        def _create_slots(self, var_list):
            for var in var_list:
                self._zeros_slot(var, "steps", self._name)

        def _apply_dense(self, grad, var):
            count = self.get_slot(var, "steps").assign_add(tf.ones_like(grad))
            with tf.control_dependencies([count]):
                return var.assign_sub(0.1 * tf.sign(grad))

    w, optimizer = tf.Variable([1.0, -1.0]), SignDescent()
    train = optimizer.minimize(tf.reduce_sum(w * w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        np.testing.assert_allclose(session.run(w), [0.9, -0.9], rtol=1e-6)
        assert session.run(optimizer.get_slot(w, "steps")).tolist() == [1, 1]


class Decayed(tf.train.AdamOptimizer):
    """Halves a weight before each step, in all the ways that TensorFlow 1.15 knows."""

    def _apply_dense(self, grad, var):
        with tf.control_dependencies([var.assign(var * 0.5)]):
            return super()._apply_dense(grad, var)

    def _resource_apply_dense(self, grad, var):
        with tf.control_dependencies([var.assign(var * 0.5)]):
            return super()._resource_apply_dense(grad, var)

    def _apply_sparse(self, grad, var):
        return self._apply_sparse_shared(grad.values, var, grad.indices, tf.scatter_add)

    def _resource_apply_sparse(self, grad, var, indices):
        return self._apply_sparse_shared(grad, var, indices, self._resource_scatter_add)

    def _apply_sparse_shared(self, grad, var, indices, scatter_add):
        halved = scatter_add(var, indices, tf.gather(var, indices) * -0.5)
        with tf.control_dependencies([halved]):
            return super()._apply_sparse_shared(grad, var, indices, scatter_add)


@pytest.mark.parametrize("use_resource", [False, True])
def test_a_subclass_may_add_to_each_kind_of_update(graph, use_resource):
    optimizer = Decayed(0.25)
    assert optimizer._lr_t is None
    w, table = (tf.Variable(start, use_resource=use_resource) for start in ([2.0], [[2.0], [3.0]]))
    rows = tf.IndexedSlices(tf.constant([[1.0], [1.0]]), tf.constant([0, 0]))
    train = optimizer.apply_gradients([(tf.constant([1.0]), w), (rows, table)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        np.testing.assert_allclose(session.run(w), [0.75], rtol=1e-6)
        np.testing.assert_allclose(session.run(table), [[0.75], [3.0]], rtol=1e-6)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_subclass_for_resource_variables_alone(graph, sparse):
    class Scaled(tf.train.Optimizer):
        def __init__(self):
            super().__init__(False, "Scaled")

        def _create_slots(self, var_list):
            for var in var_list:
                make = tf.ones_initializer()
                self._get_or_make_slot_with_initializer(var, make, var.shape, tf.float64, "scale", "Scale")

        def _resource_apply_dense(self, grad, handle):
            return handle.assign_sub(grad * tf.cast(self.get_slot(handle, "scale"), tf.float32))

        def _resource_apply_sparse(self, grad, handle, indices):
            return tf.scatter_sub(handle, indices, grad)

    optimizer = Scaled()
    w = tf.Variable([3.0, 4.0], name="w", use_resource=True)
    dense, rows = tf.constant([2.0, 0.0]), tf.IndexedSlices(tf.constant([1.0, 1.0]), tf.constant([0, 0]))
    train = optimizer.apply_gradients([(rows if sparse else dense, w)])
    assert (optimizer.get_slot(w, "scale").op.name, optimizer.get_slot(w, "scale").dtype) == ("w/Scale", tf.float64)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert session.run(w).tolist() == [1, 4]
    reference = tf.Variable([1.0])
    with pytest.raises(NotImplementedError):
        optimizer.apply_gradients([(tf.constant([1.0]), reference)])


# Mistakes


def test_what_cannot_be_minimized_says_why(graph):
    optimizer = tf.train.GradientDescentOptimizer(0.1)
    with pytest.raises(ValueError, match="No variables to optimize."):
        optimizer.minimize(tf.constant(1.0))
    w = tf.Variable(1.0, name="w")
    with pytest.raises(
        ValueError,
        match=r"No gradients provided for any variable, check your graph for ops that do not support gradients, "
        r"between variables .*'w:0'.* and loss",
    ):
        optimizer.minimize(tf.constant(1.0))
    with pytest.raises(ValueError, match="No variables provided."):
        optimizer.apply_gradients([])
    with pytest.raises(ValueError, match="No gradients provided for any variable: .*w:0"):
        optimizer.apply_gradients([(None, w)])
    with pytest.raises(ValueError, match="Shapes must be equal: variable w:0"):
        optimizer.apply_gradients([(tf.constant([1.0, 2.0]), w)])
    with pytest.raises(TypeError, match="Gradient must be convertible"):
        optimizer.apply_gradients([(object(), w)])
    with pytest.raises(ValueError, match="gate_gradients must be one of"):
        optimizer.compute_gradients(w * w, gate_gradients=7)
    with pytest.raises(ValueError, match="Invalid type tf.int32"):
        optimizer.compute_gradients(tf.constant(1))
    with pytest.raises(NotImplementedError, match="Trying to update a Tensor"):
        optimizer.apply_gradients([(tf.constant(1.0), tf.constant(1.0))])
    with pytest.raises(ValueError, match="Must specify the optimizer name"):
        tf.train.AdamOptimizer(name="")
    with pytest.raises(ValueError, match="must be positive"):
        tf.train.AdagradOptimizer(0.1, 0.0)
    with pytest.raises(ValueError, match="l1_regularization_strength"):
        tf.train.FtrlOptimizer(0.1, l1_regularization_strength=-1.0)


# Averages and the global step


def test_an_average_follows_its_variable(graph):
    w = tf.Variable([1.0, 2.0], name="w", dtype=tf.float64)
    average = tf.train.ExponentialMovingAverage(exact(0.75))
    with tf.control_dependencies([w.assign_add([4.0, 8.0])]):
        update = average.apply([w])
    assert average.average(w).op.name == average.average_name(w) == "w/ExponentialMovingAverage"
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(w).tolist() == [1, 2]  # initialising an average moves nothing
        wanted, now = np.array([1.0, 2.0]), np.array([1.0, 2.0])
        for _ in range(3):
            session.run(update)
            now = now + [4, 8]
            wanted = 0.75 * wanted + 0.25 * now
        np.testing.assert_allclose(session.run(average.average(w)), wanted)
    assert average.variables_to_restore() == {"w/ExponentialMovingAverage": w}


def test_an_average_may_follow_quickly_at_first_and_be_of_a_tensor(graph):
    count, x = tf.placeholder(tf.float32, []), tf.placeholder(tf.float64, [], name="x")
    average = tf.train.ExponentialMovingAverage(0.999, num_updates=count)
    unbiased = tf.train.ExponentialMovingAverage(0.5, zero_debias=True, name="Unbiased")
    updates = [average.apply([x]), unbiased.apply([x])]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(updates, {count: 0.0, x: 5.0})
        np.testing.assert_allclose(session.run(average.average(x)), 0.9 * 5, rtol=1e-6)
        assert session.run(unbiased.average(x)) == 5
        session.run(updates, {count: 1.0, x: 8.0})
        assert session.run(unbiased.average(x)) == 7
    assert average.average(tf.constant(1.0)) is None
    with pytest.raises(TypeError, match="half, float, or double"):
        average.apply([tf.Variable(1, name="n")])


def test_the_second_average_of_a_tensor_has_names_of_its_own(graph):
    t = tf.constant(3.0, name="t")
    for _ in range(2):
        tf.train.ExponentialMovingAverage(0.9, zero_debias=True).apply([t])
    places = [f"t/ExponentialMovingAverage{ending}" for ending in ("", "_1")]
    names = [place + slot for place in places for slot in ("", "/biased", "/local_step")]
    assert [v.op.name for v in tf.global_variables()] == names


def test_there_is_one_global_step(graph):
    assert tf.train.get_global_step() is None
    step = tf.train.get_or_create_global_step()
    assert (step.op.name, step.dtype.base_dtype) == ("global_step", tf.int64)
    assert tf.train.get_global_step() is step
    assert tf.train.get_or_create_global_step() is step
    assert step not in tf.trainable_variables()
    with pytest.raises(ValueError, match='"global_step" already exists.'):
        tf.train.create_global_step()


def test_a_variable_called_global_step_is_the_global_step(graph):
    step = tf.Variable(0, name="global_step", trainable=False)
    assert tf.train.get_global_step() is step
    with tf.Graph().as_default():
        tf.Variable(0.5, name="global_step")
        with pytest.raises(TypeError, match="integer"):
            tf.train.get_global_step()


@pytest.mark.parametrize("given", [set, tuple, iter, lambda one: {v.name: v for v in one}.values()])
def test_the_variables_to_train_come_in_any_iterable(graph, given):
    v = tf.Variable(3.0)
    tf.Variable(1.0)
    step = tf.train.GradientDescentOptimizer(0.5).minimize(v * v, var_list=given([v]))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(step)
        assert session.run(v) == 0.0


def test_dual_averaging(graph):
    step = tf.Variable(np.int64(0), trainable=False)
    v = tf.Variable([0.0, 0.0, 0.0])
    grads = tf.constant([0.1, 0.2, 0.001])
    optimizer = tf.train.AdagradDAOptimizer(3.0, step, 0.1, l1_regularization_strength=0.001)
    train = optimizer.apply_gradients([(grads, v)], step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        total = np.float32([0.1, 0.2, 0.001])
        expected = -3 * np.maximum(total - 0.001, 0) / np.sqrt(0.1 + total**2)
        np.testing.assert_allclose(session.run(v), expected, rtol=1e-5, atol=1e-7)
        assert session.run(v)[2] == 0


def test_cosines_that_begin_again(graph):
    rates = [
        tf.train.cosine_decay_restarts(1.0, step, 100, t_mul=2.0, m_mul=0.5) for step in (0, 50, 100, 200, 299, 300)
    ]
    line = tf.train.linear_cosine_decay(1.0, 250, 1000)
    noisy = tf.train.noisy_linear_cosine_decay(1.0, 250, 1000, initial_variance=0.0)
    with tf.Session() as session:
        found = session.run(rates)
        np.testing.assert_allclose(found[:4], [1, 0.5, 0.5, 0.25], atol=1e-6)
        assert found[4] < 1e-3
        np.testing.assert_allclose(found[5], 0.25, atol=1e-6)
        expected = 0.75 * 0.5 * (1 + np.cos(np.pi * 0.25)) + 0.001
        np.testing.assert_allclose(session.run([line, noisy]), [expected] * 2, rtol=1e-5)
