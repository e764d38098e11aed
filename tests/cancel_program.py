"""A program whose runs fail again and again while their tasks begin and end: what Ray makes of the cancels is seen."""

from __future__ import annotations

import json

import weftwork as tf
from weftwork.scheduler.plan.cost import COSTS

RUNS = 600


def fail(_):
    """Goes wrong in the caller at once."""
    raise ValueError("no")


def main() -> None:
    """Run, fail, and tell how often."""
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False)
    failed = 0
    with tf.Graph().as_default(), tf.Session() as session:
        broken = tf.op(fail)(0)
        COSTS.learn(broken.op.kernel, 64, 1e-6, 8)
        tasks = [tf.op(isolated=True)(abs)(-k) for k in range(8)]
        for _ in range(RUNS):
            try:
                session.run([*tasks, broken])
            except tf.errors.InvalidArgumentError:
                failed += 1
        works = session.run(tasks)
    print(json.dumps({"failed": failed, "works": works}))


if __name__ == "__main__":
    main()
