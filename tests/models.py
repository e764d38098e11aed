"""Models that Weftwork and TensorFlow both build: `tf` is either of them."""

from __future__ import annotations

from typing import Any

import numpy as np

FEED = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def build(tf: Any) -> tuple:
    """(input, output, training step) of a small classifier."""
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    w = tf.get_variable("w", [4, 3], initializer=tf.random_normal_initializer(seed=1))
    b = tf.get_variable("b", [3], initializer=tf.zeros_initializer())
    hidden = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b))
    y = tf.nn.softmax(hidden, name="y")
    loss = tf.reduce_mean(tf.square(y - tf.one_hot([0, 1, 2], 3)))
    return x, y, tf.train.AdamOptimizer(0.1).minimize(loss)


def group(tf: Any) -> tuple:
    """(a Checkpoint of variables and an optimizer, a training step)."""
    v, w = tf.Variable(3.0, name="v"), tf.Variable(2.0, name="w")
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    step = optimizer.minimize(v * v * w, var_list=[v])
    return tf.train.Checkpoint(model=tf.train.Checkpoint(v=v, w=w), optimizer=optimizer, parts=[w, {"k": v}]), step


def values(whole: Any) -> list:
    """The variables of a group."""
    v = whole.model.v
    return [v, whole.model.w, whole.optimizer.get_slot(v, "momentum"), whole.save_counter]


def flows(tf: Any) -> Any:
    """Branches and loops, in each other, and operations on shapes and indices."""
    x = tf.placeholder(tf.float32, [3, 4], name="x")
    rows = tf.concat([tf.transpose(x[1:, ::2]), tf.reshape(x[0], [2, 2])], 1)
    picked = tf.gather(tf.pad(rows, [[1, 0], [0, 0]]), [2, 0], axis=0)
    turned = tf.cond(
        tf.reduce_sum(x[0]) > 0, lambda: picked * 2, lambda: tf.cond(x[1, 1] > 5, lambda: rows, lambda: -rows)
    )

    def step(i: Any, total: Any) -> tuple:
        inner = tf.while_loop(lambda j, t: j < i, lambda j, t: (j + 1, t + turned), [0, total])[1]
        return i + 1, tf.cond(i > 1, lambda: inner * 0.5, lambda: inner + 1.0)

    total = tf.while_loop(lambda i, t: i < 4, step, [0, turned])[1]
    spread = tf.reduce_logsumexp(total, 1, keepdims=True) + tf.cast(tf.argmax(total, 1), tf.float32)
    return tf.identity(spread, name="flows")


def arrays(tf: Any) -> list[Any]:
    """Functions over elements, and loops that read and write arrays of tensors."""
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    rows = tf.TensorArray(tf.float32, tf.shape(x)[0]).unstack(x)
    wide = tf.constant([[0.5, 0.2, 0.0, 0.1]] * 4)

    def step(i: Any, state: Any, out: Any) -> tuple:
        return i + 1, tf.tanh(tf.matmul(state, wide) + rows.read(i)), out.write(i, state)

    start = [0, tf.zeros([1, 4]), tf.TensorArray(tf.float32, 0, dynamic_size=True, clear_after_read=False)]
    _, last, states = tf.while_loop(lambda i, *_: i < tf.shape(x)[0], step, start)
    parts = tf.TensorArray(tf.float32, 2, infer_shape=False).split(x, [1, 2])
    twice, sums = tf.map_fn(lambda row: (row * 2, tf.reduce_sum(row)), x, dtype=(tf.float32, tf.float32))
    made = [twice, sums, tf.scan(tf.add, x), tf.foldl(tf.multiply, x), last, states.concat(), parts.read(1)]
    made += [tf.cast(states.size(), tf.float32), states.stack()]
    return [tf.identity(value, name=f"array_{number}") for number, value in enumerate(made)]


def expressions(tf: Any) -> dict[str, Any]:
    """One tensor for each way to use an operation, by name, of the placeholder `x` [3, 4], `im` and whole numbers."""
    x = tf.placeholder(tf.float32, [3, 4], name="x")
    y = tf.abs(x) + 0.1
    im = tf.reshape(tf.range(192, dtype=tf.float32) * x[0, 0], [2, 8, 4, 3])
    i = tf.constant([[1, 2], [0, 3]])
    made: dict[str, Any] = {}
    for word in "abs negative sign square exp expm1 sin cos tan atan sinh cosh tanh sigmoid erf floor ceil".split():
        made[word] = (getattr(tf, word, None) or getattr(tf.math, word))(x)
    for word in "sqrt log log1p lgamma digamma reciprocal rsqrt round rint is_nan is_inf is_finite".split():
        made[word] = (getattr(tf, word, None) or getattr(tf.math, word))(y)
    for word in "add subtract multiply realdiv floordiv floormod pow maximum minimum squared_difference".split():
        made[word] = (getattr(tf, word, None) or getattr(tf.math, word))(y, y[0])
    for word in "equal not_equal less less_equal greater greater_equal".split():
        made[word] = getattr(tf, word)(x, y)
    for word in "relu relu6 elu selu softplus softsign softmax log_softmax leaky_relu l2_loss".split():
        made[word] = getattr(tf.nn, word)(x)
    for word in "sum prod mean max min logsumexp".split():
        reduce = getattr(tf, f"reduce_{word}")
        made |= {word: reduce(x), f"{word}_rows": reduce(x, 1, keepdims=True), f"{word}_many": reduce(im, [1, -1])}
    made |= {
        "any": tf.reduce_any(x > 0.5, 0),
        "all": tf.reduce_all(x > -9),
        "argmax": tf.argmax(x, 1),
        "argmin": tf.argmin(x, 0, output_type=tf.int32),
        "cumsum": tf.cumsum(x, 1, exclusive=True, reverse=True),
        "cumprod": tf.cumprod(x),
        "add_n": tf.add_n([x, y, x]),
        "cast": tf.cast(x * 5, tf.int32),
        "matmul": tf.matmul(x, y, transpose_b=True),
        "batch_matmul": tf.matmul(im, im, adjoint_a=True),
        "bias_add": tf.nn.bias_add(x, y[0]),
        "reshape": tf.reshape(x, [-1, 2]),
        "squeeze": tf.squeeze(tf.expand_dims(x, 1), [1]),
        "transpose": tf.transpose(im, [0, 3, 1, 2]),
        "concat": tf.concat([x, y], 1),
        "stack": tf.stack([x, y], 1),
        "unstack": tf.unstack(x, axis=1)[2],
        "split": tf.split(x, 2, 1)[1],
        "split_sizes": tf.split(x, [1, 3], 1)[1],
        "slice": tf.slice(x, [1, 0], [2, -1]),
        "index": x[1],
        "ranges": im[1, ::-1, ..., -1],
        "new_axis": x[..., tf.newaxis, ::2],
        "unknown_index": x[i[0, 0] : i[0, 1], 1],
        "gather": tf.gather(x, i, axis=1),
        "gather_nd": tf.gather_nd(x, i),
        "tile": tf.tile(x, [2, 1]),
        "pad": tf.pad(x, [[1, 0], [2, 1]]),
        "pad_value": tf.pad(x, [[1, 0], [2, 1]], constant_values=3.0),
        "pad_reflect": tf.pad(x, [[1, 0], [2, 1]], mode="REFLECT"),
        "fill": tf.fill([2, 3], 7.0) + x[0, 0],
        "ones": tf.ones(tf.shape(x)) + x,
        "range": tf.range(1, 10, 3) + i[0, 0],
        "linspace": tf.linspace(x[0, 0], 2.0, 5),
        "one_hot": tf.one_hot(i, 4, 2.0, -1.0, axis=0),
        "where": tf.where(x > 0, x, y),
        "where_rows": tf.where(x[:, 0] > 0, x, y),
        "places": tf.where(x > 0),
        "reverse": tf.reverse(x, [1]),
        "broadcast_to": tf.broadcast_to(x[0], [5, 4]),
        "scatter_nd": tf.scatter_nd(i, x[:2, 0], [3, 4]),
        "top_k": tf.nn.top_k(x, 2)[0],
        "unique": tf.unique(tf.reshape(i, [-1]))[1],
        "clip": tf.clip_by_value(x, -0.3, 0.6),
        "size": tf.size(tf.where(x > 0)),
        "eye": tf.eye(4) + x[0],
        "mask": tf.boolean_mask(x, x > 0),
        "tensordot": tf.tensordot(x, y, [[1], [1]]),
        "norm": tf.norm(x),
        "count_nonzero": tf.count_nonzero(x > 0),
        "sequence_mask": tf.sequence_mask([1, 3], 4),
        "segment_sum": tf.segment_sum(x, [0, 0, 1]),
        "unsorted_segment_max": tf.unsorted_segment_max(x, [1, 0, 1], 2),
        "partition": tf.dynamic_partition(x, [0, 1, 0], 2)[0],
        "conv2d": tf.nn.conv2d(im, tf.ones([3, 3, 3, 2]), [1, 2, 2, 1], "SAME"),
        "conv2d_valid": tf.nn.conv2d(im, tf.ones([3, 3, 3, 2]), [1, 1, 1, 1], "VALID"),
        "depthwise": tf.nn.depthwise_conv2d(im, tf.ones([3, 3, 3, 2]), [1, 1, 1, 1], "SAME"),
        "conv2d_transpose": tf.nn.conv2d_transpose(im, tf.ones([3, 3, 5, 3]), [2, 16, 8, 5], [1, 2, 2, 1], "SAME"),
        "max_pool": tf.nn.max_pool(im, [1, 2, 2, 1], [1, 2, 2, 1], "SAME"),
        "avg_pool": tf.nn.avg_pool(im, [1, 3, 3, 1], [1, 2, 2, 1], "SAME"),
        "cross_entropy": tf.nn.softmax_cross_entropy_with_logits_v2(labels=tf.nn.softmax(y), logits=x),
        "sparse_cross_entropy": tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 1, 2], logits=x),
        "logistic": tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x),
        "lrn": tf.nn.lrn(im),
        "normalized": tf.nn.batch_normalization(x, *tf.nn.moments(x, [0]), None, None, 1e-3),
        "complex": tf.abs(tf.complex(x, y)),
        "dropped": tf.shape(tf.nn.dropout(x, rate=0.5)),
        "drawn": tf.shape(tf.random_uniform([3], 1.0, 2.0)),
    }
    return {word: tf.identity(tensor, name=f"out_{word}") for word, tensor in made.items()}
