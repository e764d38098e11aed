"""Iterators: each session has positions of its own."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import weftwork as tf
from tests.actors.data.reading import drained
from tests.waiting import LONG

Dataset, Iterator, experimental = tf.data.Dataset, tf.data.Iterator, tf.data.experimental
pytestmark = pytest.mark.usefixtures("graph")


def threads():
    return [t for t in threading.enumerate() if t.name in ("weftwork-dataset", "weftwork-iterator")]


def test_the_end_and_what_was_not_initialised_are_errors_with_tensorflows_texts():
    iterator = Dataset.range(2).make_initializable_iterator()
    element = iterator.get_next()
    with tf.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError, match="the iterator has not been initialized"):
            session.run(element)
        session.run(iterator.initializer)
        assert drained(session, element) == [0, 1]
        for _ in range(2):
            with pytest.raises(tf.errors.OutOfRangeError, match=r"End of sequence\n\t \[\[node IteratorGetNext "):
                session.run(element)


def test_two_sessions_are_at_two_places_and_a_run_takes_one_element():
    element = Dataset.range(9).make_one_shot_iterator().get_next()
    with tf.Session() as one, tf.Session() as other:
        assert one.run([element, element * 10, element + 1]) == [0, 0, 1]
        assert [one.run(element), other.run(element), one.run(element)] == [1, 0, 2]


def test_an_iterator_begins_anew_with_what_is_fed():
    fed, scale = tf.placeholder(tf.float32, [None]), tf.get_variable("scale", initializer=2.0)
    iterator = Dataset.from_tensor_slices(fed).map(lambda x: x * scale).make_initializable_iterator()
    element, values = iterator.get_next(), np.ones(3, np.float32)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(iterator.initializer, {fed: values})
        values[:] = 9  # what was fed was copied
        assert session.run(element) == 2.0
        session.run(scale.assign(5.0))  # variables are read when a function is called
        assert drained(session, element) == [5.0, 5.0]
        session.run(iterator.initializer, {fed: [7]})
        assert drained(session, element) == [35.0]


def test_what_a_function_takes_from_outside_is_as_it_was_at_the_beginning():
    fed = tf.placeholder(tf.int64, [])
    iterator = Dataset.range(2).map(lambda x: x + fed).make_initializable_iterator()
    element = iterator.get_next()
    with tf.Session() as session:
        session.run(iterator.initializer, {fed: 5})
        assert drained(session, element) == [5, 6]


def test_one_iterator_goes_through_several_datasets():
    iterator = Iterator.from_structure(tf.int64, tf.TensorShape([]))
    element = iterator.get_next()
    train, test = iterator.make_initializer(Dataset.range(3)), iterator.make_initializer(Dataset.range(7, 9))
    with tf.Session() as session:
        session.run(train)
        assert session.run(element) == 0
        session.run(test)
        assert drained(session, element) == [7, 8]
        session.run(train)
        assert drained(session, element) == [0, 1, 2]


def test_an_iterator_by_handle_has_the_shapes_that_were_declared():
    handle = tf.placeholder(tf.string, [])
    scalar, vector = Dataset.range(5).make_one_shot_iterator(), Dataset.range(5).batch(2).make_one_shot_iterator()
    element = Iterator.from_string_handle(handle, tf.int64, [3]).get_next()
    with tf.Session() as session:
        one, two = session.run([scalar.string_handle(), vector.string_handle()])
        for _ in range(2):
            with pytest.raises(
                tf.errors.InvalidArgumentError, match=r"shapes at component 0: expected \[3\] but got \[\]"
            ):
                session.run(element, {handle: one})
        assert session.run(scalar.get_next()) == 0  # nothing was taken
        assert session.run(element, {handle: two}).tolist() == [0, 1]  # [?] may be [3]


def test_a_handle_says_in_each_run_which_iterator_is_meant():
    handle = tf.placeholder(tf.string, [])
    element = Iterator.from_string_handle(handle, tf.int64, []).get_next()
    once, other = Dataset.range(5).make_one_shot_iterator(), Dataset.range(7, 9).make_initializable_iterator()
    wrong = Dataset.from_tensors(1.0).make_one_shot_iterator()
    with tf.Session() as session:
        one, two, three = session.run([i.string_handle() for i in (once, other, wrong)])
        session.run(other.initializer)
        assert [session.run(element, {handle: h}) for h in (one, two, one, two)] == [0, 7, 1, 8]
        assert session.run(once.get_next()) == 2
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(element, {handle: two})
        with pytest.raises(tf.errors.InvalidArgumentError, match="is not an iterator"):
            session.run(element, {handle: "no iterator"})
        with tf.Session() as other_session, pytest.raises(tf.errors.NotFoundError, match="of this session"):
            other_session.run(element, {handle: one})
        with pytest.raises(tf.errors.InvalidArgumentError, match="Data type mismatch at component 0"):
            session.run(element, {handle: three})


def test_iterators_of_one_shared_name_are_one():
    first = Dataset.range(9).make_initializable_iterator(shared_name="both")
    second = Dataset.range(9).make_initializable_iterator(shared_name="both")
    with tf.Session() as session:
        session.run(first.initializer)
        assert [session.run(i.get_next()) for i in (first, second)] == [0, 1]


def test_loops_and_branches_take_elements():
    element = Dataset.range(9).make_one_shot_iterator()
    total = tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s + element.get_next()), [0, np.int64(0)])[1]
    with tf.Session() as session:
        assert session.run(total) == 0 + 1 + 2
        assert session.run(total) == 3 + 4 + 5
        choice = tf.cond(tf.constant(False), element.get_next, lambda: np.int64(-1))
        assert session.run([choice, element.get_next()]) == [-1, 6]


def test_a_run_that_is_cancelled_takes_nothing():
    go_on = threading.Event()

    def slow():
        yield 1
        go_on.wait(LONG)
        yield 2

    element = Dataset.from_generator(slow, tf.int32, []).make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert session.run(element) == 1
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(element, options=tf.RunOptions(timeout_in_ms=50))
        go_on.set()
        assert session.run(element) == 2


def test_a_run_that_waits_for_an_element_is_cancelled_when_its_session_closes():
    go_on, raised = threading.Event(), []
    element = Dataset.from_generator(lambda: iter([go_on.wait(LONG)]), tf.bool, []).make_one_shot_iterator().get_next()
    session = tf.Session()

    def wait():
        try:
            session.run(element)
        except tf.errors.OpError as error:
            raised.append(type(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not session.waiting():
        pass
    session.close()
    waiting.join(LONG)
    go_on.set()
    assert raised == [tf.errors.CancelledError]


def test_what_is_prefetched_is_made_while_nobody_asks():
    made = threading.Event()

    def count():
        for n in range(9):
            if n == 3:
                made.set()
            yield n

    element = Dataset.from_generator(count, tf.int32, []).prefetch(4).make_one_shot_iterator().get_next()
    with tf.Session() as session:
        assert session.run(element) == 0
        assert made.wait(20)
        assert drained(session, element) == list(range(1, 9))


def test_a_session_that_is_forgotten_leaves_no_thread():
    def some():
        dataset = Dataset.range(9).repeat().prefetch(2).interleave(lambda x: Dataset.range(9).repeat(), 2, 1, 2)
        session = tf.Session()
        session.run(dataset.prefetch(2).make_one_shot_iterator().get_next())

    before = set(threads())
    some()
    gc.collect()
    for thread in set(threads()) - before:
        thread.join(20)
    assert set(threads()) <= before


@pytest.mark.parametrize(
    "make",
    [
        lambda: Dataset.range(20).shuffle(7, seed=2).prefetch(3).repeat(2),
        lambda: Dataset.range(9).flat_map(lambda x: Dataset.range(x)).batch(2),
        lambda: Dataset.range(9).interleave(lambda x: Dataset.from_tensors(x).repeat(3), 2, 2, 2).skip(2),
        lambda: Dataset.range(9).window(3).flat_map(lambda w: w.batch(2)).unbatch().cache().repeat(2),
        lambda: Dataset.zip((Dataset.range(9), Dataset.from_tensor_slices(["a", "b"]).repeat())),
        lambda: Dataset.range(9).map(lambda x: x * 2, num_parallel_calls=2).filter(lambda x: x > 2),
        lambda: Dataset.range(9).apply(experimental.scan(np.int64(0), lambda s, x: (s + x, s))),
    ],
)
def test_a_saver_keeps_how_far_an_iterator_has_come(make, tmp_path):
    iterator = make().make_initializable_iterator()
    element, step = iterator.get_next(), tf.train.get_or_create_global_step()
    saver = tf.train.Saver([step, experimental.make_saveable_from_iterator(iterator)])
    with tf.Session() as session:
        session.run([iterator.initializer, step.initializer])
        for _ in range(4):
            session.run(element)
        path = saver.save(session, str(tmp_path / "model"))
        rest = drained(session, element)
    with tf.Session() as session:
        saver.restore(session, path)
        assert [np.array_equal(a, b) for a, b in zip(drained(session, element), rest, strict=True)] == [True] * len(
            rest
        )


def test_what_cannot_be_saved_says_so(tmp_path):
    iterator = Dataset.from_generator(lambda: iter([1, 2]), tf.int32, []).make_initializable_iterator()
    saver = tf.train.Saver([experimental.make_saveable_from_iterator(iterator)])
    with tf.Session() as session:
        session.run(iterator.initializer)
        with pytest.raises(tf.errors.UnimplementedError, match="generator cannot be saved"):
            saver.save(session, str(tmp_path / "model"))
