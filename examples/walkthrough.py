"""What a session is: one graph, several sessions, each with its own variables.

Prints the value of a variable in three sessions, and that of a counter.
"""

from typing import Any

import weftwork as tf


def main() -> dict[str, Any]:
    """Run the walk-through; returns what it read, for the test."""
    graph = tf.Graph()
    with graph.as_default():
        foo = tf.Variable(42, name="foo")
        initialize = tf.global_variables_initializer()
        assign = foo.assign(13)
    print(f"the Python object is a reference, not a value: {foo}")
    seen: dict[str, Any] = {}

    with tf.Session(graph=graph) as session:
        session.run(initialize)
        session.run(assign)
        seen["first"] = session.run(foo)
        print(f"first session, initialized and then assigned: foo is {seen['first']}")

    with tf.Session(graph=graph) as session:
        try:
            session.run(foo)
        except tf.errors.FailedPreconditionError as error:
            seen["second"] = error
            print(f"second session, not initialized: {error}")

    with tf.Session(graph=graph) as session:
        session.run(initialize)
        seen["third"] = session.run(foo)
        print(f"third session, initialized: foo is {seen['third']}, whatever the others have done")

    with tf.Graph().as_default():
        counter = tf.Variable(0, name="counter")
        count = tf.assign(counter, counter + 1)
        with tf.Session() as session:
            session.run(counter.initializer)
            for _ in range(3):
                session.run(count)  # counter + 1 runs by itself: the assignment depends on it
            seen["counter"] = session.run(counter)
            print(f"counter, after its assignment ran three times: {seen['counter']}")
    return seen


if __name__ == "__main__":
    main()
