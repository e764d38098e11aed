"""Saving and restoring: a second session goes on where the first one ended, and gets to the same weights."""

import os
import tempfile

import numpy as np

import weftwork as tf
from examples.logistic_regression import build, feeds


def train(session, model, steps):
    """Some steps of training; the loss of the last one."""
    loss = 0.0
    for feed in steps:
        _, loss = session.run([model.train, model.loss], feed)
    return loss


def main(steps=100):
    """Train in one session, then the same in two with a checkpoint between them: the difference of the last losses."""
    model = build()
    init, saver = tf.global_variables_initializer(), tf.train.Saver()
    every = list(feeds(model, steps))
    with tf.Session() as session:
        session.run(init)
        alone = train(session, model, every)
    with tempfile.TemporaryDirectory() as folder:
        with tf.Session() as session:
            session.run(init)
            train(session, model, every[: steps // 2])
            saver.save(session, os.path.join(folder, "model"), global_step=steps // 2)
            print(f"saved {os.listdir(folder)}")
        with tf.Session() as session:
            saver.restore(session, tf.train.latest_checkpoint(folder))
            resumed = train(session, model, every[steps // 2 :])
    print(f"loss {alone:.6f} alone, {resumed:.6f} with a checkpoint between")
    return np.abs(alone - resumed)


if __name__ == "__main__":
    main()
