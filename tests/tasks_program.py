"""A worker of a cluster whose "ps" is another process, as programs of TensorFlow 1 are written."""

from __future__ import annotations

import json
import sys
import time

import weftwork as tf


def work(index: int, addresses: dict) -> dict:
    """Train to step 20 together: what this worker saw."""
    server = tf.train.Server(tf.train.ClusterSpec(addresses), job_name="worker", task_index=index)
    with tf.device("/job:ps/task:0"):
        step = tf.train.get_or_create_global_step()
        w = tf.get_variable("w", [2], initializer=tf.zeros_initializer())
    with tf.device(f"/job:worker/task:{index}"):
        mine = tf.get_local_variable("mine", [], initializer=tf.constant_initializer(index))
        loss = tf.reduce_sum(tf.square(w - [1.0, 2.0]))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
    runs = 0
    hooks = [tf.train.StopAtStepHook(last_step=20)]
    with tf.train.MonitoredTrainingSession(server.target, is_chief=index == 0, hooks=hooks) as session:
        while not session.should_stop():
            _, last, own = session.run([train, step, mine])
            runs += 1
            time.sleep(0.05)
    return {"runs": runs, "last": int(last), "mine": float(own)}


if __name__ == "__main__":
    print(json.dumps(work(int(sys.argv[1]), json.loads(sys.argv[2]))))
