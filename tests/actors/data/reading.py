"""Reading datasets in tests."""

from __future__ import annotations

import weftwork as tf


def read(dataset, most=1000):
    """Read the elements of a dataset, with an iterator in a session of its own."""
    iterator = tf.data.make_initializable_iterator(dataset)
    element = iterator.get_next()
    with tf.Session() as session:
        session.run(iterator.initializer)
        return drained(session, element, most)


def drained(session, element, most=1000):
    """The remaining elements of an iterator."""
    found = []
    try:
        while len(found) < most:
            found.append(session.run(element))
    except tf.errors.OutOfRangeError:
        pass
    return found


def numbers(dataset, most=1000):
    """The elements as Python numbers and lists."""
    return [item.tolist() for item in read(dataset, most)]
