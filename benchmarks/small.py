"""Small graphs, replayed, against TensorFlow 1's session and against one Ray task per node.

tree: 1,024 leaves `x + i`, summed pairwise, which makes 2,047 nodes. tiny: read a variable; update a counter; feed a
small array through three nodes. Goals: half of TensorFlow's time, and 1/300 of Ray's.
"""

from __future__ import annotations

from benchmarks.common import interleaved, row, start_ray

LEAVES = 1024


def build(tf) -> dict:
    """Build the programs with either library."""
    x = tf.placeholder(tf.float32, [])
    level = [x + float(i) for i in range(LEAVES)]
    while len(level) > 1:
        level = [a + b for a, b in zip(level[::2], level[1::2], strict=True)]
    counter = tf.Variable(0)
    values = tf.placeholder(tf.float32, [None])
    session = tf.Session()
    programs = {
        "tree of 2,047 additions": (level[0], {x: 1.0}),
        "read a variable": (counter, None),
        "counter update": (tf.assign_add(counter, 1), None),
        "feed a small array through 3 nodes": ((values * 2.0 + 1.0) * 3.0, {values: [1.0, 2.0, 3.0, 4.0]}),
    }
    session.run(counter.initializer)
    return {name: lambda f=fetch, d=feed: session.run(f, d) for name, (fetch, feed) in programs.items()}


def ray_tree():
    """The tree as one Ray task per node."""
    import ray

    add = ray.remote(lambda a, b: a + b)

    def run():
        level = [add.remote(1.0, float(i)) for i in range(LEAVES)]
        while len(level) > 1:
            level = [add.remote(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
        return ray.get(level[0])

    return run


def main() -> None:
    """Print a row for each program, and one for the tree against Ray."""
    import tensorflow.compat.v1 as tf1

    import weftwork

    tf1.disable_eager_execution()
    ours, theirs = build(weftwork), build(tf1)
    for name, run in ours.items():
        took = interleaved({"ours": run, "peer": theirs[name]}, rounds=300, warm=50)
        row(name, took["ours"], took["peer"], 0.5, "TF1 session")
    start_ray()
    tree = "tree of 2,047 additions"
    took = interleaved({"ours": ours[tree], "peer": ray_tree()}, rounds=3, warm=1)
    row(tree, took["ours"], took["peer"], 1 / 300, "one Ray task per node")


if __name__ == "__main__":
    main()
