"""Recurrent cells against formulas in NumPy, unrolled along sequences; losses over sampled classes."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

RNG = np.random.default_rng(0)
BATCH, STEPS, INPUTS, UNITS = 5, 3, 2, 4
X = RNG.normal(size=(STEPS, BATCH, INPUTS))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def run(fetches, feeds=None, scale=0.5):
    """(the fetches, the variables by name) in a session whose variables are random."""
    values = {v.op.name: RNG.normal(size=v.shape.as_list(), scale=scale) for v in tf.global_variables()}
    with tf.Session() as session:
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        return session.run(fetches, feeds), values


def along(step, size, lengths=None):
    """(outputs, last states) of a NumPy step(x, states) -> (output, states), whose states have these sizes."""
    states, outputs = [np.zeros((BATCH, n)) for n in size], []
    for time, x in enumerate(X):
        output, new = step(x, states)
        going = np.ones((BATCH, 1), bool) if lengths is None else (time < np.asarray(lengths))[:, None]
        states = [np.where(going, a, b) for a, b in zip(new, states, strict=True)]
        outputs.append(np.where(going, output, 0))
    return outputs, states


def basic_step(kernel, bias):
    def step(x, states):
        h = np.tanh(np.hstack([x, states[0]]) @ kernel + bias)
        return h, [h]

    return step


def lstm_step(kernel, bias, forget=1.0):
    def step(x, states):
        i, j, f, o = np.split(np.hstack([x, states[1]]) @ kernel + bias, 4, axis=1)
        c = sigmoid(f + forget) * states[0] + sigmoid(i) * np.tanh(j)
        h = sigmoid(o) * np.tanh(c)
        return h, [c, h]

    return step


def gru_step(gates, gate_bias, kernel, bias):
    def step(x, states):
        h = states[0]
        r, u = np.split(sigmoid(np.hstack([x, h]) @ gates + gate_bias), 2, axis=1)
        h = u * h + (1 - u) * np.tanh(np.hstack([x, r * h]) @ kernel + bias)
        return h, [h]

    return step


def unroll(cell, **options):
    """((outputs, state), variables) of a cell along X."""
    inputs = [tf.placeholder(tf.float32, [None, INPUTS]) for _ in range(STEPS)]
    outputs, state = tf.nn.static_rnn(cell, inputs, dtype=tf.float32, **options)
    assert [y.shape.as_list()[1] for y in outputs] == [cell.output_size] * STEPS
    return run((outputs, state), dict(zip(inputs, X, strict=True)))


def close(value, wanted):
    np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)


LENGTHS = [None, [3, 0, 1, 2, 3]]


def test_a_state_saver_carries_the_state_from_piece_to_piece(graph):
    class Saver:
        def __init__(self):
            self.kept = {name: tf.Variable(tf.zeros([BATCH, UNITS]), name=name) for name in "ch"}

        def state(self, name):
            return self.kept[name]

        def save_state(self, name, value):
            return self.kept[name].assign(value)

    cell, saver = tf.nn.rnn_cell.BasicLSTMCell(UNITS), Saver()
    inputs = [tf.placeholder(tf.float32, [BATCH, INPUTS]) for _ in range(STEPS)]
    outputs, state = tf.nn.static_state_saving_rnn(cell, inputs, saver, ("c", "h"))
    assert isinstance(state, tf.nn.rnn_cell.LSTMStateTuple)
    start = [tf.nn.rnn_cell.LSTMStateTuple(*[tf.placeholder(tf.float32, [BATCH, UNITS]) for _ in "ch"])]
    again, _ = tf.nn.static_rnn(cell, inputs, start[0], scope="rnn")
    with tf.variable_scope("rnn", reuse=True), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        feeds = dict(zip(inputs, X, strict=True))
        last, first = session.run((outputs[-1], state), feeds)
        close(last, first.h)
        close(session.run(outputs, feeds), session.run(again, {**feeds, **dict(zip(start[0], first, strict=True))}))
    with pytest.raises(ValueError, match="should be the same type as"):
        tf.nn.static_state_saving_rnn(cell, inputs, saver, "c")
    with pytest.raises(ValueError, match="are mismatched"):
        tf.nn.static_state_saving_rnn(cell, inputs, saver, ("c", "h", "c"))


# Cells


@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_basic_cells_output_is_its_state(graph, lengths):
    (outputs, state), values = unroll(tf.nn.rnn_cell.BasicRNNCell(UNITS), sequence_length=lengths)
    assert [*values] == ["rnn/basic_rnn_cell/kernel", "rnn/basic_rnn_cell/bias"]
    wanted, (last,) = along(basic_step(*values.values()), [UNITS], lengths)
    close(outputs, wanted)
    close(state, last)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_an_lstm_keeps_c_and_h(graph, lengths):
    cell = tf.nn.rnn_cell.BasicLSTMCell(UNITS, forget_bias=0.5)
    assert cell.state_size == tf.nn.rnn_cell.LSTMStateTuple(UNITS, UNITS)
    (outputs, state), values = unroll(cell, sequence_length=lengths)
    assert [*values] == ["rnn/basic_lstm_cell/kernel", "rnn/basic_lstm_cell/bias"]
    assert isinstance(state, tf.nn.rnn_cell.LSTMStateTuple)
    wanted, (c, h) = along(lstm_step(*values.values(), 0.5), [UNITS, UNITS], lengths)
    close(outputs, wanted)
    close(state.c, c)
    close(state.h, h)


def test_the_state_of_an_lstm_may_be_one_tensor(graph):
    (outputs, state), values = unroll(tf.nn.rnn_cell.BasicLSTMCell(UNITS, state_is_tuple=False))
    wanted, states = along(lstm_step(*values.values()), [UNITS, UNITS])
    close(outputs, wanted)
    close(state, np.hstack(states))


@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_gated_unit_mixes_its_state_with_a_candidate(graph, lengths):
    cell = tf.nn.rnn_cell.GRUCell(UNITS)
    (outputs, state), values = unroll(cell, sequence_length=lengths)
    parts = "gates/kernel gates/bias candidate/kernel candidate/bias"
    assert [*values] == [f"rnn/gru_cell/{part}" for part in parts.split()]
    wanted, (last,) = along(gru_step(*values.values()), [UNITS], lengths)
    close(outputs, wanted)
    close(state, last)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(cell.weights)[1].tolist() == [1.0] * 2 * UNITS


def test_an_lstm_with_peepholes_projection_and_bounds(graph):
    cell = tf.nn.rnn_cell.LSTMCell(UNITS, use_peepholes=True, num_proj=3, cell_clip=0.4, proj_clip=0.1)
    (outputs, state), values = unroll(cell)
    kernel, bias, of_f, of_i, of_o, projection = values.values()
    parts = "kernel bias w_f_diag w_i_diag w_o_diag projection/kernel"
    assert [*values] == [f"rnn/lstm_cell/{part}" for part in parts.split()]

    def step(x, states):
        c, h = states
        i, j, f, o = np.split(np.hstack([x, h]) @ kernel + bias, 4, axis=1)
        c = np.clip(sigmoid(f + 1 + of_f * c) * c + sigmoid(i + of_i * c) * np.tanh(j), -0.4, 0.4)
        h = np.clip((sigmoid(o + of_o * c) * np.tanh(c)) @ projection, -0.1, 0.1)
        return h, [c, h]

    wanted, (c, h) = along(step, [UNITS, 3])
    close(outputs, wanted)
    close(state.c, c)
    close(state.h, h)


def test_stacked_cells_hand_their_outputs_on_and_have_variables_of_their_own(graph):
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.BasicRNNCell(UNITS), tf.nn.rnn_cell.GRUCell(3)])
    assert (cell.state_size, cell.output_size) == ((UNITS, 3), 3)
    (outputs, state), values = unroll(cell)
    low, high = "rnn/multi_rnn_cell/cell_0/basic_rnn_cell/", "rnn/multi_rnn_cell/cell_1/gru_cell/"
    assert [name.startswith(low) for name in values] == [True] * 2 + [False] * 4
    assert all(name.startswith(high) for name in [*values][2:])
    assert cell.trainable_variables == tf.trainable_variables()
    first, second = basic_step(*[*values.values()][:2]), gru_step(*[*values.values()][2:])

    def step(x, states):
        middle, a = first(x, states[:1])
        output, b = second(middle, states[1:])
        return output, a + b

    wanted, states = along(step, [UNITS, 3])
    close(outputs, wanted)
    for value, expected in zip(state, states, strict=True):
        close(value, expected)


def test_a_users_cell_makes_its_variables_at_the_first_step(graph):
    class Counter(tf.nn.rnn_cell.RNNCell):
        state_size = output_size = INPUTS

        def call(self, inputs, state):
            weight = tf.get_variable("weight", [], initializer=tf.ones_initializer())
            return state + weight * inputs, state + weight * inputs

    cell = Counter()
    (outputs, state), values = unroll(cell)
    assert [*values] == ["rnn/counter/weight"]
    assert cell.weights == tf.global_variables()
    close(outputs, np.cumsum(X, axis=0) * values["rnn/counter/weight"])
    close(state, outputs[-1])


# Wrappers


def test_dropout_around_a_cell_scales_what_it_keeps_and_lets_c_through(graph):
    class Echo(tf.nn.rnn_cell.RNNCell):
        state_size, output_size = tf.nn.rnn_cell.LSTMStateTuple(1000, 1000), 1000

        def call(self, inputs, state):
            return inputs, tf.nn.rnn_cell.LSTMStateTuple(state.c + 1, state.h + 1)

    cell = tf.nn.rnn_cell.DropoutWrapper(Echo(), input_keep_prob=0.5, output_keep_prob=0.8, state_keep_prob=0.25)
    output, state = cell(tf.ones([1, 1000]), cell.zero_state(1, tf.float32))
    (y, c, h), _ = run([output, *state])
    assert set(np.unique(y)) == {np.float32(0), np.float32(2.5)}
    assert abs((y > 0).mean() - 0.4) < 0.08
    assert (c == 1).all()
    assert set(np.unique(h)) == {0, 4}
    assert abs((h > 0).mean() - 0.25) < 0.08


@pytest.mark.parametrize("unrolled", [False, True])
def test_one_mask_of_dropout_for_all_steps(graph, unrolled):
    class Echo(tf.nn.rnn_cell.RNNCell):
        state_size, output_size = tf.nn.rnn_cell.LSTMStateTuple(200, 300), 100

        def call(self, inputs, state):
            return inputs, tf.nn.rnn_cell.LSTMStateTuple(state.c + 1, tf.ones_like(state.h))

    cell = tf.nn.rnn_cell.DropoutWrapper(
        Echo(), 0.5, 0.8, 0.25, variational_recurrent=True, input_size=100, dtype=tf.float32
    )
    x = tf.ones([2, 5, 100])
    if unrolled:
        outputs, state = tf.nn.static_rnn(cell, tf.unstack(x, axis=1), dtype=tf.float32)
        outputs = tf.stack(outputs, axis=1)
    else:
        outputs, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    with tf.Session() as session:
        (one, state), (two, _) = session.run([outputs, state]), session.run([outputs, state])
    assert set(np.unique(one)) == {np.float32(0), np.float32(2.5)}
    assert (one == one[:1, :1]).all()
    assert (one != two).any()
    assert (state.c == 5).all()
    assert set(np.unique(state.h)) == {0, 4}
    assert (state.h == state.h[:1]).all()


def test_a_wrapper_does_not_show_in_the_names_and_keeps_everything_at_one(graph):
    keep = tf.placeholder(tf.float32, [])
    inner = tf.nn.rnn_cell.BasicRNNCell(INPUTS)
    cell = tf.nn.rnn_cell.ResidualWrapper(tf.nn.rnn_cell.DropoutWrapper(inner, output_keep_prob=keep))
    outputs, _ = tf.nn.static_rnn(cell, [tf.constant(x, tf.float32) for x in X], dtype=tf.float32)
    value, values = run(outputs, {keep: 1.0})
    assert [*values] == ["rnn/basic_rnn_cell/kernel", "rnn/basic_rnn_cell/bias"]
    assert cell.trainable_weights == inner.trainable_weights == tf.trainable_variables()
    close(value, np.array(along(basic_step(*values.values()), [INPUTS])[0]) + X)


# Unrolling


def test_an_initial_state_is_where_the_sequence_begins(graph):
    cell = tf.nn.rnn_cell.BasicRNNCell(UNITS)
    x = tf.constant(X[0], tf.float32)
    outputs, state = tf.nn.static_rnn(cell, [x], initial_state=tf.ones([BATCH, UNITS]), scope="mine")
    (value, last), values = run([outputs[0], state])
    assert [*values] == ["mine/basic_rnn_cell/kernel", "mine/basic_rnn_cell/bias"]
    close(value, basic_step(*values.values())(X[0], [np.ones((BATCH, UNITS))])[0])
    close(last, value)


def static_both_ways(cells, lengths):
    """(outputs by time, last state forwards, backwards) of an unrolled network."""
    inputs = [tf.constant(x, tf.float32) for x in X]
    return tf.nn.static_bidirectional_rnn(*cells, inputs, dtype=tf.float32, sequence_length=lengths)


def dynamic_both_ways(cells, lengths, time_major):
    """The same of a loop."""
    inputs = tf.constant(X if time_major else np.swapaxes(X, 0, 1), tf.float32)
    outputs, (forwards, backwards) = tf.nn.bidirectional_dynamic_rnn(
        *cells, inputs, lengths, dtype=tf.float32, time_major=time_major
    )
    both = tf.concat(outputs, 2)
    return both if time_major else tf.transpose(both, [1, 0, 2]), forwards, backwards


WAYS = {
    "static": static_both_ways,
    "dynamic": lambda cells, lengths: dynamic_both_ways(cells, lengths, False),
    "time major": lambda cells, lengths: dynamic_both_ways(cells, lengths, True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_bidirectional_network_sees_the_sequence_from_both_ends(graph, lengths, way):
    cells = [tf.nn.rnn_cell.BasicRNNCell(UNITS) for _ in range(2)]
    (value, ahead, back), values = run(WAYS[way](cells, lengths))
    assert [*values][::2] == [f"bidirectional_rnn/{way}/basic_rnn_cell/kernel" for way in ("fw", "bw")]
    ends = lengths or [STEPS] * BATCH
    for row, end in enumerate(ends):
        h = {"fw": np.zeros(UNITS), "bw": np.zeros(UNITS)}
        wanted = {}
        for way, times in (("fw", range(end)), ("bw", reversed(range(end)))):
            kernel, bias = (values[f"bidirectional_rnn/{way}/basic_rnn_cell/{name}"] for name in ("kernel", "bias"))
            for time in times:
                h[way] = wanted[way, time] = np.tanh(np.append(X[time, row], h[way]) @ kernel + bias)
        zero = np.zeros(UNITS)
        rows = [np.append(wanted.get(("fw", t), zero), wanted.get(("bw", t), zero)) for t in range(STEPS)]
        close([step[row] for step in value], rows)
        close([ahead[row], back[row]], [h["fw"], h["bw"]])


def test_a_state_of_zeros_has_the_structure_of_the_state_size(graph):
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(2, num_proj=1), tf.nn.rnn_cell.GRUCell(3)])
    batch = tf.placeholder(tf.int32, [])
    lstm, gru = cell.zero_state(batch, tf.float64)
    assert (lstm.c.shape.as_list(), lstm.h.shape.as_list(), gru.dtype) == ([None, 2], [None, 1], tf.float64)
    value, _ = run([lstm.c, lstm.h, gru], {batch: 3})
    assert [v.tolist() for v in value] == [[[0, 0]] * 3, [[0]] * 3, [[0, 0, 0]] * 3]


def test_what_cannot_be_unrolled_is_refused(graph):
    cell, x = tf.nn.rnn_cell.BasicRNNCell(2), tf.zeros([3, 2])
    with pytest.raises(TypeError, match="inputs must be a sequence"):
        tf.nn.static_rnn(cell, x, dtype=tf.float32)
    with pytest.raises(ValueError, match="inputs must not be empty"):
        tf.nn.static_rnn(cell, [], dtype=tf.float32)
    with pytest.raises(ValueError, match="If no initial_state is provided, dtype must be specified"):
        tf.nn.static_rnn(cell, [x])
    with pytest.raises(TypeError, match="is not an RNNCell"):
        tf.nn.static_rnn(lambda x: x, [x], dtype=tf.float32)
    with pytest.raises(ValueError, match="sequence_length must be a vector of length batch_size"):
        tf.nn.static_rnn(cell, [x], dtype=tf.float32, sequence_length=3)
    with pytest.raises(ValueError, match="Must specify at least one cell for MultiRNNCell."):
        tf.nn.rnn_cell.MultiRNNCell([])
    with pytest.raises(ValueError, match="Parameter input_keep_prob must be between 0 and 1: 1.5"):
        tf.nn.rnn_cell.DropoutWrapper(cell, input_keep_prob=1.5)
    with pytest.raises(ValueError, match="dtype must be provided"):
        tf.nn.rnn_cell.DropoutWrapper(cell, variational_recurrent=True)
    with pytest.raises(ValueError, match="input_size must be provided"):
        tf.nn.rnn_cell.DropoutWrapper(cell, 0.5, variational_recurrent=True, dtype=tf.float32)


def test_gradients_flow_back_through_time(graph):
    tf.set_random_seed(1)  # of the initial kernel, which decides how exact the difference quotient is
    x = tf.constant(X[0], tf.float32)
    cell = tf.nn.rnn_cell.BasicLSTMCell(2)
    outputs, _ = tf.nn.static_rnn(cell, [x] * 3, dtype=tf.float32, sequence_length=[3, 2, 1, 0, 3])
    kernel = tf.trainable_variables()[0]
    loss = tf.reduce_sum(tf.square(tf.add_n(outputs)))
    gradient = tf.gradients(loss, [kernel])[0]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        value, start = session.run([gradient, kernel])
        direction = RNG.normal(size=start.shape)
        sides = []
        for sign in (1, -1):
            kernel.load(start + sign * 1e-2 * direction, session)
            sides.append(session.run(loss))
    assert (sides[0] - sides[1]) / 2e-2 == pytest.approx((value * direction).sum(), rel=1e-2)


# Losses over sampled classes

LABELS = np.array([[1, 2], [3, 9], [0, 0], [5, 5], [2, 1]])


def expected_logits(values, x, sampled, remove):
    """(logits, targets) by loops, one class at a time."""
    weights, biases = values["weights"], values["biases"]
    candidates, true_count, sampled_count = sampled
    logits = np.zeros((BATCH, 2 + len(candidates)))
    for row in range(BATCH):
        for k, label in enumerate(LABELS[row]):
            logits[row, k] = x[row] @ weights[label] + biases[label] - np.log(true_count[row, k])
        for k, c in enumerate(candidates):
            hit = remove and c in LABELS[row]
            logits[row, 2 + k] = -np.inf if hit else x[row] @ weights[c] + biases[c] - np.log(sampled_count[k])
    return logits, np.hstack([np.full((BATCH, 2), 0.5), np.zeros((BATCH, len(candidates)))])


@pytest.mark.parametrize("remove", [False, True])
def test_sampled_losses_correct_the_logits_by_the_expected_counts(graph, remove):
    weights = tf.get_variable("weights", [10, INPUTS])
    biases = tf.get_variable("biases", [10])
    x = X[0]
    sampled = (np.array([1, 5, 8, 0]), RNG.random((BATCH, 2)), RNG.random(4))
    tensors = [tf.constant(v, tf.int64 if v.dtype.kind == "i" else tf.float32) for v in sampled]
    arguments = (weights, biases, LABELS, tf.constant(x, tf.float32), 4, 10, 2, tensors, remove)
    losses = [tf.nn.nce_loss(*arguments), tf.nn.sampled_softmax_loss(*arguments)]
    (nce, softmax), values = run(losses)
    logits, targets = expected_logits(values, x, sampled, remove)
    p = sigmoid(logits)
    terms = targets * np.log(np.where(targets > 0, p, 1)) + (1 - targets) * np.log(1 - p)
    close(nce, -terms.sum(axis=1))
    close(softmax, -(targets * np.where(targets > 0, logits, 0)).sum(axis=1) + np.log(np.exp(logits).sum(axis=1)))


def test_a_table_in_parts_gives_the_same_sampled_loss(graph):
    table = RNG.normal(size=(10, INPUTS)).astype(np.float32)
    biases, x = tf.zeros([10]), tf.constant(X[0], tf.float32)
    sampled = tf.nn.log_uniform_candidate_sampler(LABELS, 2, 4, True, 10, seed=1)
    whole = tf.nn.nce_loss(tf.constant(table), biases, LABELS, x, 4, 10, 2, sampled)
    parts = tf.nn.nce_loss([tf.constant(table[::2]), tf.constant(table[1::2])], biases, LABELS, x, 4, 10, 2, sampled)
    (a, b), _ = run([whole, parts])
    close(a, b)


@pytest.mark.parametrize("sampler", ["log_uniform", "uniform"])
def test_a_sampler_draws_distinct_classes_with_the_counts_that_it_says(graph, sampler):
    classes, count = 12, 5
    every = np.arange(classes)[:, None]
    drawn = getattr(tf.nn, f"{sampler}_candidate_sampler")(every, 1, count, True, classes, seed=3)
    seen, said = np.zeros(classes), np.zeros(classes)
    rounds = 2000
    with tf.Session() as session:
        for _ in range(rounds):
            sampled, expected, of_sampled = session.run(drawn)
            assert len(set(sampled.tolist())) == count
            assert set(sampled.tolist()) <= set(range(classes))
            close(of_sampled, expected[sampled, 0])
            seen[sampled] += 1
            said += expected[:, 0]
    np.testing.assert_allclose(seen / rounds, said / rounds, atol=0.05)


def test_a_sampler_that_may_repeat_expects_the_number_of_draws_times_the_probability(graph):
    sampled, expected, _ = tf.nn.log_uniform_candidate_sampler([[0], [9]], 1, 2000, False, 10, seed=3)
    with tf.Session() as session:
        drawn, counts = session.run([sampled, expected])
    wanted = 2000 * np.log([2, 11 / 10]) / np.log(11)
    close(counts[:, 0], wanted)
    np.testing.assert_allclose([(drawn == 0).sum(), (drawn == 9).sum()], wanted, rtol=0.2)


def test_more_distinct_classes_than_there_are_are_refused(graph):
    with pytest.raises(ValueError, match="Sampler's range is too small"):
        tf.nn.uniform_candidate_sampler([[0]], 1, 11, True, 10)


def test_raw_rnn_does_what_its_function_says(graph):
    rng = np.random.default_rng(0)
    inputs = rng.random((3, 2, 4)).astype(np.float32)
    x, lengths = tf.constant(inputs), tf.constant([3, 1])
    cell = tf.nn.rnn_cell.BasicLSTMCell(5)
    given = tf.TensorArray(tf.float32, 3).unstack(x)

    def step(time, output, state, calls):
        finished = time >= lengths
        following = tf.cond(tf.reduce_all(finished), lambda: tf.zeros([2, 4]), lambda: given.read(time))
        if output is None:
            return finished, following, cell.zero_state(2, tf.float32), None, tf.constant(0)
        return finished, following, state, output, calls + 1

    with tf.variable_scope("rnn") as scope:
        outputs, state, calls = tf.nn.raw_rnn(cell, step, scope=scope)
        plain, last = tf.nn.dynamic_rnn(
            cell, x, sequence_length=lengths, dtype=tf.float32, time_major=True, scope=scope
        )
    assert len(tf.trainable_variables()) == 2
    ours, theirs = [outputs.stack(), state.c, state.h], [plain, last.c, last.h]
    ours += tf.gradients(ours[0] ** 2, [x, *tf.trainable_variables()])
    theirs += tf.gradients(theirs[0] ** 2, [x, *tf.trainable_variables()])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found, wanted, count = session.run([ours, theirs, calls])
    assert count == 3
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
