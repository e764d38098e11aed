"""A generative adversarial net learns a normal distribution: the samples' mean comes within 0.5 of it.

The generator makes numbers of noise, the discriminator tells them from true ones (Goodfellow et al. 2014).
"""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf

MEAN, SPREAD = 4.0, 0.5
HIDDEN, BATCH = 16, 128


def dense(x: tf.Tensor, outside: int, name: str) -> tf.Tensor:
    """A layer."""
    with tf.variable_scope(name):
        w = tf.get_variable("w", [x.shape.as_list()[1], outside], initializer=tf.random_normal_initializer(stddev=0.3))
        b = tf.get_variable("b", [outside], initializer=tf.zeros_initializer())
        return tf.matmul(x, w) + b


def generator(noise: tf.Tensor) -> tf.Tensor:
    """Numbers, of noise."""
    with tf.variable_scope("generator"):
        return dense(tf.nn.softplus(dense(noise, HIDDEN, "hidden")), 1, "out")


def discriminator(numbers: tf.Tensor, reuse: bool) -> tf.Tensor:
    """How true numbers look, as logits."""
    with tf.variable_scope("discriminator", reuse=reuse):
        hidden = tf.tanh(dense(numbers, HIDDEN, "hidden"))
        return dense(tf.tanh(dense(hidden, HIDDEN, "second")), 1, "out")


def build() -> SimpleNamespace:
    """The graph: two players, and a step for each."""
    noise = tf.placeholder(tf.float32, [None, 1], name="noise")
    true = tf.placeholder(tf.float32, [None, 1], name="true")
    made = generator(noise)
    on_true, on_made = discriminator(true, reuse=False), discriminator(made, reuse=True)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    loss = tf.reduce_mean(
        entropy(logits=on_true, labels=tf.ones_like(on_true)) + entropy(logits=on_made, labels=tf.zeros_like(on_made))
    )
    fooling = tf.reduce_mean(entropy(logits=on_made, labels=tf.ones_like(on_made)))
    mine = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="discriminator")
    other = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="generator")
    train_discriminator = tf.train.AdamOptimizer(0.01).minimize(loss, var_list=mine)
    with tf.control_dependencies([train_discriminator]):
        train = tf.train.AdamOptimizer(0.005).minimize(fooling, var_list=other)
    return SimpleNamespace(noise=noise, true=true, made=made, loss=loss, fooling=fooling, train=train)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: noise and true numbers."""
    rng = np.random.RandomState(1)
    for _ in range(steps):
        yield {model.noise: rng.uniform(-1, 1, [BATCH, 1]), model.true: MEAN + SPREAD * rng.randn(BATCH, 1)}


def main(steps: int = 600) -> float:
    """Train, and return how far the mean of what is made is from the true one."""
    tf.set_random_seed(1)
    model = build()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, feed in enumerate(feeds(model, steps)):
            session.run(model.train, feed)
            if step % 100 == 0:
                loss, fooling = session.run([model.loss, model.fooling], feed)
                print(f"step {step}: discriminator {loss:.3f}, generator {fooling:.3f}")
        made = session.run(model.made, {model.noise: np.linspace(-1, 1, 1000)[:, None]})
    print(f"made: mean {made.mean():.2f}, spread {made.std():.2f}; true: {MEAN}, {SPREAD}")
    return abs(made.mean() - MEAN)


if __name__ == "__main__":
    main()
