"""word2vec: words in similar contexts get similar vectors. 0.95 of a word's nearest neighbours are of its kind.

Skip-gram with negative sampling (Mikolov et al. 2013), on made-up sentences: "the ANIMAL eats FOOD in PLACE".
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import weftwork as tf

KINDS = {
    "animal": ["cat", "dog", "cow", "hen", "fox"],
    "food": ["hay", "corn", "milk", "meat", "fish"],
    "place": ["barn", "yard", "field", "wood", "house"],
    "number": ["one", "two", "three", "four", "five"],
}
WORDS = [word for words in KINDS.values() for word in words]
SIZE, BATCH, NEGATIVE = 16, 128, 5


def pairs(rng: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of neighbouring words, as numbers: an animal and a food, a food and a place, and so on."""
    kinds = rng.randint(0, len(KINDS), count)
    centre = 5 * kinds + rng.randint(0, 5, count)
    context = 5 * ((kinds + 1) % len(KINDS)) + rng.randint(0, 5, count)
    return centre, context


def build() -> SimpleNamespace:
    """The graph."""
    centre = tf.placeholder(tf.int32, [None], name="centre")
    context = tf.placeholder(tf.int32, [None], name="context")
    others = tf.placeholder(tf.int32, [None, NEGATIVE], name="others")
    embeddings = tf.Variable(tf.random_uniform([len(WORDS), SIZE], -0.5, 0.5), name="embeddings")
    outputs = tf.Variable(tf.random_uniform([len(WORDS), SIZE], -0.5, 0.5), name="outputs")
    inside = tf.nn.embedding_lookup(embeddings, centre)
    true = tf.reduce_sum(inside * tf.nn.embedding_lookup(outputs, context), axis=1)
    false = tf.reduce_sum(tf.expand_dims(inside, 1) * tf.nn.embedding_lookup(outputs, others), axis=2)
    loss = tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones_like(true), logits=true)
        + tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.zeros_like(false), logits=false), axis=1)
    )
    train = tf.train.AdagradOptimizer(0.5).minimize(loss)
    unit = tf.nn.l2_normalize(embeddings, 1)
    similar = tf.matmul(unit, unit, transpose_b=True)
    return SimpleNamespace(centre=centre, context=context, others=others, loss=loss, train=train, similar=similar)


def feeds(model: SimpleNamespace, steps: int) -> Iterator[dict[tf.Tensor, np.ndarray]]:
    """A feed for each step: pairs of words, and some random words for each pair."""
    rng = np.random.RandomState(1)
    for _ in range(steps):
        centre, context = pairs(rng, BATCH)
        others = rng.randint(0, len(WORDS), [BATCH, NEGATIVE])
        yield {model.centre: centre, model.context: context, model.others: others}


def main(steps: int = 600) -> float:
    """Train, and return the share of the four nearest words that are of the same kind."""
    tf.set_random_seed(1)
    model = build()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, feed in enumerate(feeds(model, steps)):
            _, loss = session.run([model.train, model.loss], feed)
            if step % 100 == 0:
                print(f"step {step}: loss {loss:.4f}")
        similar: Any = session.run(model.similar)
    nearest = np.argsort(-similar, axis=1)[:, 1:5]
    for word in (0, 5, 10, 15):
        print(f"near {WORDS[word]}: {', '.join([WORDS[int(other)] for other in nearest[word]])}")
    return (nearest // 5 == np.arange(len(WORDS))[:, None] // 5).mean()


if __name__ == "__main__":
    main()
