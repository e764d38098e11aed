"""A generative adversarial network learns a normal distribution: the mean of its samples comes within 0.5 of the mean.

The generator turns noise into samples; the discriminator tells them from real ones (Goodfellow et al. 2014).
"""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import weftwork as tf

MEAN, SPREAD = 4.0, 0.5
HIDDEN, BATCH = 16, 128


def dense(x: tf.Tensor, outside: int, name: str) -> tf.Tensor:
    """A linear layer."""
    with tf.variable_scope(name):
        w = tf.get_variable("w", [x.shape.as_list()[1], outside], initializer=tf.random_normal_initializer(stddev=0.3))
        b = tf.get_variable("b", [outside], initializer=tf.zeros_initializer())
        return tf.matmul(x, w) + b


def generator(noise: tf.Tensor) -> tf.Tensor:
    """Samples, made from noise."""
    with tf.variable_scope("generator"):
        return dense(tf.nn.softplus(dense(noise, HIDDEN, "hidden")), 1, "out")


def discriminator(numbers: tf.Tensor, reuse: bool) -> tf.Tensor:
    """Logits: how real the numbers look."""
    with tf.variable_scope("discriminator", reuse=reuse):
        hidden = tf.tanh(dense(numbers, HIDDEN, "hidden"))
        return dense(tf.tanh(dense(hidden, HIDDEN, "second")), 1, "out")


def build() -> SimpleNamespace:
    """The graph: two players, and a step in which each of them learns."""
    noise = tf.placeholder(tf.float32, [None, 1], name="noise")
    real = tf.placeholder(tf.float32, [None, 1], name="real")
    made = generator(noise)
    on_real, on_made = discriminator(real, reuse=False), discriminator(made, reuse=True)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    right = entropy(logits=on_real, labels=tf.ones_like(on_real))
    loss = tf.reduce_mean(right + entropy(logits=on_made, labels=tf.zeros_like(on_made)))
    fooling = tf.reduce_mean(entropy(logits=on_made, labels=tf.ones_like(on_made)))
    judge = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="discriminator")
    maker = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="generator")
    with tf.control_dependencies([tf.train.AdamOptimizer(0.01).minimize(loss, var_list=judge)]):
        train = tf.train.AdamOptimizer(0.005).minimize(fooling, var_list=maker)
    return SimpleNamespace(noise=noise, real=real, made=made, loss=loss, fooling=fooling, train=train)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: noise and real numbers."""
    rng = np.random.RandomState(1)
    for _ in range(steps):
        yield {model.noise: rng.uniform(-1, 1, [BATCH, 1]), model.real: MEAN + SPREAD * rng.randn(BATCH, 1)}


def main(steps: int = 600) -> float:
    """Train, and return how far the mean of the samples is from the real one."""
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
    print(f"samples: mean {made.mean():.2f}, spread {made.std():.2f}; real: {MEAN}, {SPREAD}")
    return abs(made.mean() - MEAN)


if __name__ == "__main__":
    main()
