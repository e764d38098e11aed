"""Queues: elements come out as they went in, waiting occupies nothing, and cancelled operations take nothing."""

import pickle
import threading

import numpy as np
import pytest

import weftwork as tf
from tests.waiting import until

QUEUES = {
    "FIFOQueue": lambda capacity, dtypes, **more: tf.FIFOQueue(capacity, dtypes, **more),
    "RandomShuffleQueue": lambda capacity, dtypes, **more: tf.RandomShuffleQueue(capacity, 0, dtypes, **more),
    "PaddingFIFOQueue": lambda capacity, dtypes, **more: tf.PaddingFIFOQueue(capacity, dtypes, **more),
}


@pytest.fixture
def session(graph, ray_session):
    with tf.Session() as session:
        yield session


def in_thread(function, *args, **more):
    """Call a function in a thread. Returns a list that will hold its result, or its error."""
    result = []

    def work():
        try:
            result.append(function(*args, **more))
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    result_of[id(result)] = thread
    return result


result_of: dict[int, threading.Thread] = {}


def end(result):
    """Wait for the result of `in_thread`."""
    result_of.pop(id(result)).join(30)
    assert result, "the call does not return"
    return result[0]


def blocked(session, count=1):
    """Wait until `count` runs of a session are blocked on queues."""
    until(lambda: sum(w.place == "queue" for w in session.waiting()) == count)


# Elements


def test_elements_come_out_in_the_order_in_which_they_went_in(session):
    queue = tf.FIFOQueue(10, tf.float32, shapes=())
    put = queue.enqueue_many([[1.0, 2.0, 3.0]])
    take = queue.dequeue()
    session.run(put)
    assert [session.run(take) for _ in range(3)] == [1.0, 2.0, 3.0]
    assert session.run(queue.size()) == 0


def test_an_element_has_components_of_several_types(session):
    queue = tf.FIFOQueue(10, [tf.int32, tf.string, tf.float64], shapes=[[2], [], [2, 1]])
    session.run(queue.enqueue([[1, 2], "name", [[0.5], [1.5]]]))
    one, two, three = session.run(queue.dequeue())
    assert one.tolist() == [1, 2]
    assert two == b"name"
    assert three.dtype == np.float64
    assert three.tolist() == [[0.5], [1.5]]


def test_names_make_elements_dictionaries(session):
    queue = tf.FIFOQueue(10, [tf.int32, tf.float32], names=["i", "x"], shapes=[[], []])
    session.run(queue.enqueue({"x": 0.5, "i": 7}))
    session.run(queue.enqueue_many({"x": [1.5, 2.5], "i": [8, 9]}))
    assert session.run(queue.dequeue()) == {"i": 7, "x": 0.5}
    many = session.run(queue.dequeue_many(2))
    assert {key: value.tolist() for key, value in many.items()} == {"i": [8, 9], "x": [1.5, 2.5]}


def test_the_names_of_a_priority_queue_begin_with_the_priority(session):
    queue = tf.PriorityQueue(10, [tf.string], [()], names=["order", "word"])
    session.run(queue.enqueue_many({"order": np.array([2, 1]), "word": ["b", "a"]}))
    assert session.run(queue.dequeue()) == {"order": 1, "word": b"a"}
    with pytest.raises(ValueError, match="List of names must have the same length"):
        tf.PriorityQueue(10, [tf.string], [()], names=["word"])


def test_what_an_operation_makes_of_plain_values_lies_in_its_scope(graph):
    queue = tf.FIFOQueue(10, [tf.int32, tf.int32], [(), ()], name="q")
    queue.enqueue([1, 2])
    queue.dequeue_many(3, name="taken")
    with tf.name_scope("there"):
        queue.enqueue_many([[1], [2]])
    names = {op.name for op in graph.get_operations() if op.type == "Const"}
    assert names == {
        "q_enqueue/component_0", "q_enqueue/component_1", "taken/n",
        "there/q_EnqueueMany/component_0", "there/q_EnqueueMany/component_1",
    }  # fmt: skip


def test_a_closed_queue_can_be_closed_again_with_cancelling(session):
    queue = tf.FIFOQueue(10, tf.int32, [()], name="q")
    session.run(queue.close())
    session.run(queue.close(cancel_pending_enqueues=True))
    with pytest.raises(tf.errors.CancelledError, match="already closed"):
        session.run(queue.close())


def test_the_order_of_a_shared_shuffle_follows_from_its_name_and_the_graphs_seed(graph):
    tf.set_random_seed(5)
    one = tf.RandomShuffleQueue(10, 2, tf.int32, shared_name="q")
    tf.constant(1)
    other = tf.RandomShuffleQueue(10, 2, tf.int32, shared_name="q")
    assert one.queue_ref.op.get_attr("seed2") == other.queue_ref.op.get_attr("seed2")


@pytest.mark.parametrize("kind", QUEUES)
def test_dequeue_many_stacks_and_knows_its_shape(session, kind):
    queue = QUEUES[kind](10, tf.int64, shapes=[(2,)])
    batch = queue.dequeue_many(3)
    assert batch.shape.as_list() == [3, 2]
    session.run(queue.enqueue_many([np.arange(8).reshape(4, 2)]))
    rows = session.run(batch)
    assert rows.shape == (3, 2)
    assert {tuple(row) for row in rows.tolist()} <= {(0, 1), (2, 3), (4, 5), (6, 7)}
    assert session.run(queue.dequeue_many(0)).shape == (0, 2)


def test_the_number_of_elements_may_be_fed(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    n = tf.placeholder(tf.int32, [])
    several = queue.dequeue_many(n)
    assert several.shape.as_list() == [None]
    session.run(queue.enqueue_many([[1, 2, 3, 4]]))
    assert session.run(several, {n: 3}).tolist() == [1, 2, 3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="requested -1 < 0 elements"):
        session.run(several, {n: -1})


def test_what_was_put_in_is_not_changed_by_who_gave_it(session):
    queue = tf.FIFOQueue(10, tf.float32, shapes=[[3]])
    x = tf.placeholder(tf.float32, [3])
    value = np.ones(3, np.float32)
    session.run(queue.enqueue(x), {x: value})
    value[:] = 5
    assert session.run(queue.dequeue()).tolist() == [1, 1, 1]


def test_a_padding_queue_pads_to_the_largest(session):
    queue = tf.PaddingFIFOQueue(10, [tf.int32, tf.string], shapes=[[None, 2], [None]])
    x, names = tf.placeholder(tf.int32, [None, 2]), tf.placeholder(tf.string, [None])
    put = queue.enqueue([x, names])
    for rows in (1, 3, 0):
        session.run(put, {x: np.ones((rows, 2), np.int32), names: ["a"] * rows})
    numbers, words = session.run(queue.dequeue_many(3))
    assert numbers.shape == (3, 3, 2)
    assert numbers.sum(axis=(1, 2)).tolist() == [2, 6, 0]
    assert words.tolist() == [[b"a", b"", b""], [b"a", b"a", b"a"], [b"", b"", b""]]


def test_a_priority_queue_gives_the_least_first(session):
    queue = tf.PriorityQueue(10, [tf.string], shapes=[[]])
    session.run(queue.enqueue_many([np.array([3, 1, 2, 1], np.int64), ["c", "a", "b", "d"]]))
    keys, words = session.run(queue.dequeue_many(4))
    assert keys.tolist() == [1, 1, 2, 3]
    assert words.tolist() == [b"a", b"d", b"b", b"c"]


def test_a_shuffle_keeps_some_and_gives_the_rest_at_its_end(session):
    queue = tf.RandomShuffleQueue(100, 10, tf.int32, shapes=[[]], seed=3)
    session.run(queue.enqueue_many([np.arange(50, dtype=np.int32)]))
    first = session.run(queue.dequeue_many(40))
    waiting = in_thread(session.run, queue.dequeue())
    blocked(session)
    session.run(queue.close())
    rest = session.run(queue.dequeue_many(9))
    everything = [*first.tolist(), end(waiting), *rest.tolist()]
    assert sorted(everything) == list(range(50))
    assert everything != list(range(50))


def test_a_seed_makes_the_order_of_a_shuffle_the_same():
    orders = []
    for seed in (5, 5, 6):
        with tf.Graph().as_default(), tf.Session() as session:
            queue = tf.RandomShuffleQueue(100, 0, tf.int32, shapes=[[]], seed=seed)
            session.run(queue.enqueue_many([np.arange(50, dtype=np.int32)]))
            orders.append(session.run(queue.dequeue_many(50)).tolist())
    assert orders[0] == orders[1] != orders[2]


# Waiting


def test_a_dequeue_waits_for_an_element(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    doubled = queue.dequeue() * 2
    put = queue.enqueue(21)
    waiting = in_thread(session.run, doubled)
    blocked(session)
    session.run(put)
    assert end(waiting) == 42


def test_an_enqueue_waits_for_room_and_batches_may_exceed_the_capacity(session):
    queue = tf.FIFOQueue(3, tf.int32, shapes=[[]])
    many, take, size = queue.enqueue_many([np.arange(10, dtype=np.int32)]), queue.dequeue_many(10), queue.size()
    waiting = in_thread(session.run, many)
    blocked(session)
    assert session.run(size) == 3
    assert session.run(take).tolist() == list(range(10))
    end(waiting)
    assert session.run(size) == 0


def test_those_who_wait_are_served_in_order(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    pair, one = queue.dequeue_many(2), queue.dequeue()
    put = queue.enqueue_many([[1, 2, 3]])
    first = in_thread(session.run, pair)
    blocked(session, 1)
    second = in_thread(session.run, one)
    blocked(session, 2)
    session.run(put)
    assert end(first).tolist() == [1, 2]
    assert end(second) == 3


def test_hundreds_of_runs_may_wait_and_others_go_on(session):
    queue = tf.FIFOQueue(1000, tf.int32, shapes=[[]])
    x = tf.placeholder(tf.int32, [])
    take, put, work = queue.dequeue() * 10, queue.enqueue(x), tf.op(isolated=True)(abs)(x)
    session.run(work, {x: -1})
    waiting = [in_thread(session.run, take) for _ in range(300)]
    blocked(session, 300)
    assert session.run(work, {x: -2}) == 2
    for i in range(300):
        session.run(put, {x: i})
    assert sorted(end(result) for result in waiting) == [10 * i for i in range(300)]


def test_what_waits_holds_no_lock(session):
    queue, counter = tf.FIFOQueue(10, tf.int32, shapes=[[]]), tf.Variable(np.int32(0))
    consume = tf.group(counter.assign_add(100), queue.dequeue())
    produce = tf.group(counter.assign_add(1), queue.enqueue(7))
    session.run(counter.initializer)
    waiting = in_thread(session.run, consume)
    blocked(session)
    session.run(produce)
    end(waiting)
    assert session.run(counter) == 101


def test_a_run_that_waited_reads_what_was_written_meanwhile(session):
    queue, v = tf.FIFOQueue(10, tf.int32, shapes=[[]]), tf.Variable(np.int32(0))
    token = queue.dequeue()
    with tf.control_dependencies([token]):
        seen = v.read_value() * 1
    session.run(v.initializer)
    waiting = in_thread(session.run, seen)
    blocked(session)
    session.run(v.assign(5))
    session.run(queue.enqueue(0))
    assert end(waiting) == 5


def test_two_sessions_have_two_queues(graph):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    with tf.Session() as one, tf.Session() as two:
        one.run(queue.enqueue(1))
        assert (one.run(queue.size()), two.run(queue.size())) == (1, 0)


def test_a_run_says_that_it_waits_in_a_queue(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]], name="jobs")
    waiting = in_thread(session.run, queue.dequeue())
    blocked(session)
    (item,) = session.waiting()
    assert item.nodes[0].startswith("jobs_Dequeue (defined at ")
    session.run(queue.enqueue(1))
    end(waiting)


def test_an_element_is_taken_once_also_when_a_worker_dies(session, tmp_path):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    flag = str(tmp_path / "died")

    @tf.op(isolated=True, dtype=tf.int32, shape=[])
    def fragile(x):
        import os

        if not os.path.exists(flag):
            open(flag, "w").close()
            os._exit(1)
        return x

    result = fragile(queue.dequeue())
    session.run(queue.enqueue_many([[1, 2]]))
    assert session.run(result) == 1
    assert session.run(queue.size()) == 1


# The end of a queue


def test_close_comes_after_the_enqueues_that_wait(session):
    queue = tf.FIFOQueue(2, tf.int32, shapes=[[]])
    many, close, take = queue.enqueue_many([[1, 2, 3, 4]]), queue.close(), queue.dequeue()
    putting = in_thread(session.run, many)
    blocked(session, 1)
    closing = in_thread(session.run, close)
    blocked(session, 2)
    assert not session.run(queue.is_closed())
    assert [session.run(take) for _ in range(4)] == [1, 2, 3, 4]
    end(putting)
    end(closing)
    assert session.run(queue.is_closed())
    with pytest.raises(tf.errors.OutOfRangeError) as info:
        session.run(take)
    assert "FIFOQueue 'fifo_queue' is closed and has insufficient elements (requested 1, current size 0)" in str(
        info.value
    )
    assert info.value.op is take.op


def test_close_may_cancel_the_enqueues_that_wait(session):
    queue = tf.FIFOQueue(2, tf.int32, shapes=[[]])
    putting = in_thread(session.run, queue.enqueue_many([[1, 2, 3, 4]]))
    blocked(session)
    session.run(queue.close(cancel_pending_enqueues=True))
    error = end(putting)
    assert isinstance(error, tf.errors.CancelledError)
    assert "Enqueue operation was cancelled" in error.message
    assert session.run(queue.dequeue_many(2)).tolist() == [1, 2]


def test_a_closed_queue_takes_nothing_more(session):
    queue = tf.FIFOQueue(2, tf.int32, shapes=[[]], name="q")
    session.run(queue.close())
    with pytest.raises(tf.errors.CancelledError, match="FIFOQueue 'q' is closed."):
        session.run(queue.enqueue(1))
    with pytest.raises(tf.errors.CancelledError, match="Queue 'q' is already closed."):
        session.run(queue.close())


def test_too_few_elements_stay_where_they_are(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]], name="q")
    session.run(queue.enqueue_many([[1, 2, 3]]))
    waiting = in_thread(session.run, queue.dequeue_many(5))
    blocked(session)
    session.run(queue.close())
    error = end(waiting)
    assert isinstance(error, tf.errors.OutOfRangeError)
    assert "(requested 5, current size 3)" in error.message
    assert session.run(queue.dequeue_up_to(5)).tolist() == [1, 2, 3]
    with pytest.raises(tf.errors.OutOfRangeError, match="requested 5, current size 0"):
        session.run(queue.dequeue_up_to(5))


# Cancelling


@pytest.mark.parametrize("many", [False, True])
def test_a_dequeue_that_timed_out_has_taken_nothing(session, many):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    put, five = queue.enqueue_many([[1, 2]]), queue.dequeue_many(5)
    if many:
        session.run(put)
    with pytest.raises(tf.errors.DeadlineExceededError, match="Timed out waiting for notification"):
        session.run(five if many else queue.dequeue(), options=tf.RunOptions(timeout_in_ms=100))
    if not many:
        session.run(put)
    assert session.run(queue.dequeue_many(2)).tolist() == [1, 2]


def test_later_dequeues_go_on_when_one_is_cancelled(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    five, one = queue.dequeue_many(5), queue.dequeue()
    session.run(queue.enqueue(1))
    first = in_thread(session.run, five, options=tf.RunOptions(timeout_in_ms=500))
    blocked(session, 1)
    second = in_thread(session.run, one)
    blocked(session, 2)
    assert isinstance(end(first), tf.errors.DeadlineExceededError)
    assert end(second) == 1


def test_a_node_that_fails_cancels_what_waits_beside_it(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])

    @tf.op(dtype=tf.int32, shape=[])
    def wrong():
        raise ValueError("no")

    with pytest.raises(tf.errors.InvalidArgumentError, match="no"):
        session.run([queue.dequeue(), wrong()])
    session.run(queue.enqueue(3))
    assert session.run(queue.dequeue()) == 3


def test_closing_the_session_cancels_what_waits(graph):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    take = queue.dequeue()
    session = tf.Session()
    waiting = [in_thread(session.run, take) for _ in range(3)]
    blocked(session, 3)
    session.close()
    for result in waiting:
        error = end(result)
        assert isinstance(error, tf.errors.CancelledError)
        about_to_wait = "its queues with it" in error.message
        assert about_to_wait or "Dequeue operation was cancelled" in error.message


# Threads


def test_producers_and_consumers_lose_and_double_nothing(session):
    queue = tf.FIFOQueue(5, tf.int32, shapes=[[]])
    x = tf.placeholder(tf.int32, [])
    put, take, close = queue.enqueue(x), queue.dequeue(), queue.close()

    def produce(first):
        for i in range(first, first + 50):
            session.run(put, {x: i})

    def consume():
        got = []
        while True:
            try:
                got.append(int(session.run(take)))
            except tf.errors.OutOfRangeError:
                return got

    producers = [in_thread(produce, 100 * i) for i in range(4)]
    consumers = [in_thread(consume) for _ in range(3)]
    for result in producers:
        end(result)
    session.run(close)
    got = [i for result in consumers for i in end(result)]
    assert sorted(got) == [100 * i + j for i in range(4) for j in range(50)]


# Bad input


def test_the_same_name_must_mean_the_same_queue(session):
    texts = {
        "capacity": "Shared queue 'q' has capacity 10 but requested capacity was 15.",
        "types": r"Shared queue 'q' has component types float but requested component types were int32.",
        "shapes": r"Shared queue 'q' has component shapes \[\[2\]\] but requested component shapes were \[\[3\]\].",
        "kind": "Shared queue 'q' has type 'FIFOQueue' that does not match type of node 'RandomShuffleQueue'",
    }
    first = tf.FIFOQueue(10, tf.float32, shapes=[(2,)], shared_name="q")
    others = {
        "capacity": tf.FIFOQueue(15, tf.float32, shapes=[(2,)], shared_name="q"),
        "types": tf.FIFOQueue(10, tf.int32, shapes=[(2,)], shared_name="q"),
        "shapes": tf.FIFOQueue(10, tf.float32, shapes=[(3,)], shared_name="q"),
        "kind": tf.RandomShuffleQueue(10, 1, tf.float32, shapes=[(2,)], shared_name="q"),
    }
    session.run(first.enqueue([[1.0, 2.0]]))
    assert session.run(tf.FIFOQueue(10, tf.float32, shapes=[(2,)], shared_name="q").size()) == 1
    for word, other in others.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match=texts[word]):
            session.run(other.size())


def test_what_does_not_fit_is_refused_when_the_graph_is_built(graph):
    queue = tf.FIFOQueue(10, [tf.int32, tf.float32], shapes=[[], [2]])
    with pytest.raises(ValueError, match="components"):
        queue.enqueue([1])
    with pytest.raises(ValueError, match="are incompatible"):
        queue.enqueue([1, [1.0, 2.0, 3.0]])
    with pytest.raises(TypeError):
        queue.enqueue(["text", [1.0, 2.0]])
    with pytest.raises(ValueError, match="Queue must have names to enqueue a dictionary"):
        queue.enqueue({"a": 1})
    named = tf.FIFOQueue(10, tf.int32, names=["a"])
    with pytest.raises(ValueError, match="You must enqueue a dictionary in a Queue with names"):
        named.enqueue(1)
    with pytest.raises(ValueError, match="Keys in dictionary to enqueue do not match names of Queue"):
        named.enqueue({"b": 1})
    with pytest.raises(ValueError, match="All shapes must be fully defined"):
        tf.FIFOQueue(10, tf.int32, shapes=[[None]])
    with pytest.raises(ValueError, match="Queue shapes must have the same length as dtypes"):
        tf.FIFOQueue(10, [tf.int32, tf.int32], shapes=[[]])
    with pytest.raises(ValueError, match="List of names must have the same length as the list of dtypes"):
        tf.FIFOQueue(10, [tf.int32, tf.int32], names=["a"])
    with pytest.raises(ValueError, match="a list of shapes must be provided"):
        tf.PaddingFIFOQueue(10, tf.int32, None)


def test_what_does_not_fit_when_it_runs_is_refused_then(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[2]])
    x = tf.placeholder(tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Shape mismatch in tuple component 0. Expected \[2\]"):
        session.run(queue.enqueue(x), {x: [1, 2, 3]})
    pair = tf.FIFOQueue(10, [tf.int32, tf.int32], shapes=[[], []])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"tuple component 1. Expected \[3\], got \[2\]"):
        session.run(pair.enqueue_many([x, [1, 2]]), {x: [1, 2, 3]})
    loose = tf.FIFOQueue(10, [tf.int32, tf.int32])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have the same size in the 0th dimension"):
        session.run(loose.enqueue_many([x, [1, 2]]), {x: [1, 2, 3]})
    n = tf.placeholder(tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="n must be a scalar"):
        session.run(queue.dequeue_many(n), {n: [2]})
    with pytest.raises(ValueError, match="must be rank 0 but is rank 1"):
        queue.dequeue_up_to([2])
    assert session.run([queue.size(), pair.size()]) == [0, 0]


def test_what_does_not_fit_is_named_by_its_component(session):
    queue = tf.FIFOQueue(10, [tf.float32, tf.int32], shapes=[[2], []], name="q")
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.int32)
    many = queue.enqueue_many([x, y])
    for feeds, text in (
        ({x: np.ones((3, 2)), y: [1, 2]}, r"component 1. Expected \[3\], got \[2\]"),
        ({x: np.ones((3, 3)), y: [1, 2, 3]}, r"component 0. Expected \[3,2\], got \[3,3\]"),
        ({x: np.ones((3, 2)), y: 1}, r"component 1. Expected \[3\], got \[\]"),
        ({x: 1.0, y: [1]}, r"component 0. Expected .*, got \[\]"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"Shape mismatch in tuple {text}"):
            session.run(many, feeds)
    assert session.run(queue.size()) == 0
    with pytest.raises(ValueError, match="Dimensions 3 and 2 are not compatible: component 1 of 'q'"):
        queue.enqueue_many([tf.ones([3, 2]), tf.constant([1, 2])])
    with pytest.raises(ValueError, match="must have rank at least 1: component 1 of queue 'q'"):
        queue.enqueue_many([x, tf.constant(1)])
    with pytest.raises(ValueError, match="component_1: Tensor conversion requested dtype int32"):
        queue.enqueue([tf.ones([2]), tf.ones([])])
    with pytest.raises(ValueError, match=r"Shapes \(3,\) and \(2,\) are incompatible: component 0 of queue 'q'"):
        queue.enqueue([tf.ones([3]), 1])
    with pytest.raises(ValueError, match="Input 'n' must be >= 0, but is -1"):
        queue.dequeue_many(-1)


def test_components_without_shapes_come_out_one_element_at_a_time(session):
    queue = tf.FIFOQueue(10, [tf.float32, tf.int32])
    session.run(queue.enqueue([[1.0, 2.0], 3]))
    session.run(queue.enqueue_many([[[1.0], [2.0]], [4, 5]]))
    for several in (queue.dequeue_many(2), queue.dequeue_up_to(2), queue.dequeue_many(0)):
        assert [t.shape.ndims for t in several] == [None, None]
        with pytest.raises(tf.errors.InvalidArgumentError, match="require the components to have specified shapes"):
            session.run(several)
    assert [session.run(queue.dequeue())[1] for _ in range(3)] == [3, 4, 5]


def test_an_empty_batch_has_the_types_of_the_components(session):
    types = [tf.string, tf.bool, tf.int64, tf.float64]
    queue = tf.RandomShuffleQueue(10, 0, types, [[], [], [2], []])
    for several in (queue.dequeue_many(0), queue.dequeue_up_to(0)):
        made = session.run(several)
        assert [part.shape for part in made] == [(0,), (0,), (0, 2), (0,)]
        assert [part.dtype for part in made] == [object, bool, np.int64, np.float64]
    padding = tf.PaddingFIFOQueue(10, [tf.float64], [[None, 3]])
    assert session.run(padding.dequeue_many(0)).shape == (0, 0, 3)


def test_a_queue_of_a_list_is_the_one_whose_number_is_fed(session):
    one, two = (tf.FIFOQueue(10, tf.int32, [[]], name=name) for name in ("one", "two"))
    session.run([one.enqueue(1), two.enqueue(2)])
    number = tf.placeholder(tf.int32, [])
    chosen = tf.QueueBase.from_list(number, [one, two])
    assert (chosen.dtypes, chosen.shapes) == (one.dtypes, one.shapes)
    got, put, size = chosen.dequeue(), chosen.enqueue(7), chosen.size()
    assert [session.run(got, {number: n}) for n in (1, 0)] == [2, 1]
    session.run(put, {number: 1})
    assert [session.run(size, {number: n}) for n in (0, 1)] == [0, 1]
    for n in (2, -1):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"indices = {n} is not in \[0, 2\)"):
            session.run(size, {number: n})
    assert session.run(tf.QueueBase.from_list(1, [one, two]).dequeue_many(1)).tolist() == [7]
    session.run(chosen.close(), {number: 0})
    with pytest.raises(tf.errors.CancelledError, match="'one' is closed"):
        session.run(one.enqueue(1))
    session.run(two.enqueue(1))


def test_queues_of_a_list_must_be_alike(graph):
    whole, named = tf.FIFOQueue(10, tf.int32, [[]]), tf.FIFOQueue(10, tf.int32, [[]], names=["a"])
    with pytest.raises(TypeError, match="matching component dtypes"):
        tf.QueueBase.from_list(0, [whole, tf.FIFOQueue(10, tf.float32, [[]])])
    with pytest.raises(TypeError, match="matching component names"):
        tf.QueueBase.from_list(0, [whole, named])
    for queues in ([], [whole, 3], whole):
        with pytest.raises(TypeError, match="A list of queues expected"):
            tf.QueueBase.from_list(0, queues)
    other = tf.FIFOQueue(10, tf.int32, [[2]])
    assert tf.QueueBase.from_list(0, [whole, other]).shapes[0].ndims is None
    copy = pickle.loads(pickle.dumps(graph))
    assert len(copy.get_operations()) == len(graph.get_operations())


# Branches and loops


def test_a_branch_uses_a_queue_only_if_it_is_taken(session):
    queue, pred = tf.FIFOQueue(10, tf.int32, shapes=[[]]), tf.placeholder(tf.bool, [])
    put = tf.cond(pred, lambda: queue.enqueue(5), tf.no_op)
    got = tf.cond(pred, queue.dequeue, lambda: tf.constant(-1))
    sizes = []
    for taken in (False, True):
        session.run(put, {pred: taken})
        sizes.append(session.run(queue.size()))
    assert sizes == [0, 1]
    assert [session.run(got, {pred: taken}) for taken in (False, True)] == [-1, 5]
    assert session.run(queue.size()) == 0
    chosen = tf.case([(pred, lambda: tf.cond(pred, queue.size, lambda: 7))], default=lambda: 8)
    assert [session.run(chosen, {pred: taken}) for taken in (True, False)] == [0, 8]


def test_a_loop_puts_and_takes_in_the_order_of_its_iterations(session):
    queue = tf.FIFOQueue(100, tf.int32, shapes=[[]])

    def put(i):
        with tf.control_dependencies([queue.enqueue(i * i)]):
            return i + 1

    assert session.run(tf.while_loop(lambda i: i < 50, put, [0])) == 50
    assert session.run(queue.dequeue_many(3)).tolist() == [0, 1, 4]
    first, total = tf.while_loop(
        lambda i, total: i < 4, lambda i, total: (queue.dequeue(), total + queue.dequeue()), [0, 0]
    )
    assert session.run([first, total]) == [9, 16]
    left = tf.while_loop(lambda i: queue.size() > 5, lambda i: i + 0 * queue.dequeue() + 1, [0])
    assert session.run(left) == 40
    taken = tf.map_fn(lambda i: i + queue.dequeue(), tf.constant([1000, 2000]))
    assert session.run(taken).tolist() == [1000 + 45 * 45, 2000 + 46 * 46]
    doubled = tf.while_loop(
        lambda i: i < 3, lambda i: i + tf.cond(i < 2, lambda: 1 + 0 * queue.dequeue(), lambda: 1), [0]
    )
    assert session.run(doubled) == 3
    assert session.run(queue.size()) == 1


def test_what_waits_in_a_branch_holds_nothing(session):
    queue, pred = tf.FIFOQueue(10, tf.int32, shapes=[[]]), tf.placeholder(tf.bool, [])
    count = tf.Variable(0)
    session.run(count.initializer)
    got = tf.cond(pred, queue.dequeue, lambda: tf.constant(-1))
    with tf.control_dependencies([got]):
        both = count.assign_add(got)
    waiting = in_thread(session.run, both, {pred: True})
    until(lambda: session.waiting())
    session.run(count.assign_add(100))
    session.run(queue.enqueue(5))
    assert end(waiting) == 105


def test_what_waits_in_a_loop_ends_with_its_time_and_its_session(graph):
    with tf.Session() as session:
        queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
        total = tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s + queue.dequeue()), [0, 0])[1]
        session.run(queue.enqueue(1))
        with pytest.raises(tf.errors.DeadlineExceededError):
            session.run(total, options=tf.RunOptions(timeout_in_ms=300))
        waiting = in_thread(session.run, total)
        until(lambda: session.waiting())
    assert isinstance(end(waiting), tf.errors.CancelledError)


def test_an_error_of_a_queue_in_a_branch_names_its_node(session):
    queue, pred = tf.FIFOQueue(10, tf.int32, shapes=[[]], name="q"), tf.placeholder(tf.bool, [])
    got = tf.cond(pred, lambda: queue.dequeue(name="taken"), lambda: tf.constant(-1))
    session.run(queue.close())
    assert session.run(got, {pred: False}) == -1
    with pytest.raises(tf.errors.OutOfRangeError, match="'q' is closed and has insufficient(.|\n)*taken .defined at"):
        session.run(got, {pred: True})


def test_a_queue_that_is_made_in_a_loop_is_one_queue(session):
    def body(i):
        queue = tf.FIFOQueue(10, tf.int32, shapes=[[]], shared_name="inside")
        with tf.control_dependencies([queue.enqueue(i)]):
            return i + 1

    assert session.run(tf.while_loop(lambda i: i < 3, body, [0])) == 3
    outside = tf.FIFOQueue(10, tf.int32, shapes=[[]], shared_name="inside")
    assert session.run(outside.dequeue_many(3)).tolist() == [0, 1, 2]


def test_a_queue_is_made_by_the_operation_that_stands_for_it(session):
    tf.RandomShuffleQueue(10, 5, tf.float32, seed=3, shared_name="q").queue_ref.op.run(session=session)
    for other, text in (
        (lambda: tf.RandomShuffleQueue(10, 5, tf.float32, seed=4, shared_name="q"), "random seeds"),
        (lambda: tf.RandomShuffleQueue(10, 6, tf.float32, seed=3, shared_name="q"), "min_after_dequeue"),
        (lambda: tf.RandomShuffleQueue(10, 10, tf.float32), "min_after_dequeue 10 must be < capacity 10"),
        (lambda: tf.RandomShuffleQueue(10, -1, tf.float32), "min_after_dequeue -1 must be >= 0"),
    ):
        queue = other()
        assert queue.queue_ref.dtype is tf.resource
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            queue.queue_ref.op.run(session=session)
    assert queue.queue_ref.op.get_attr("component_types") == [tf.float32]


def test_shared_queues_that_pad_agree_in_what_both_say_of_their_shapes(session):
    def sized(*shape):
        return session.run(tf.PaddingFIFOQueue(10, [tf.int32], [shape], shared_name="q").size())

    assert [sized(None, 2), sized(3, 2), sized(None, None)] == [0, 0, 0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="component shapes"):
        sized(3, 3)


def test_the_nodes_of_a_queue_are_made_in_its_graph_from_any_thread(session):
    queue = tf.FIFOQueue(10, tf.int32, shapes=[[]])
    put = in_thread(lambda: session.run(queue.enqueue_many([[1, 2, 3]])))
    until(lambda: put)
    taken = in_thread(lambda: session.run(queue.dequeue_many(2)).tolist())
    until(lambda: taken)
    assert taken == [[1, 2]]


def test_operations_on_zero_elements_never_wait(session):
    queue = tf.FIFOQueue(1, tf.int32, shapes=[[]])
    session.run(queue.enqueue(1))
    full = in_thread(session.run, queue.enqueue(2))
    until(lambda: session.waiting())
    session.run(queue.enqueue_many([np.zeros(0, np.int32)]))
    assert session.run(queue.dequeue_many(0)).shape == (0,)
    session.run(queue.dequeue())
    until(lambda: full)
    session.run(queue.close())
    session.run(queue.enqueue_many([np.zeros(0, np.int32)]))


def test_a_chosen_queue_knows_of_its_shapes_what_all_share(graph):
    index = tf.placeholder(tf.int32, [])

    def shared(*shapes):
        queues = [tf.FIFOQueue(1, tf.float32, shapes=[shape]) for shape in shapes]
        return tf.QueueBase.from_list(index, queues).shapes[0]

    assert shared([2, 3], [2, 4]).as_list() == [2, None]
    assert shared([2], [2, 4]).ndims is None


def test_queues_that_make_no_sense_are_refused_where_they_are_made(graph):
    with pytest.raises(ValueError, match="list of length 0 less than minimum 1"):
        tf.FIFOQueue(1, [])
    with pytest.raises(TypeError, match="Expected int for argument 'capacity' not 'a'"):
        tf.FIFOQueue("a", tf.int32)
    with pytest.raises(ValueError, match="2 dtypes and 1 shapes"):
        tf.PaddingFIFOQueue(1, [tf.int32, tf.int32], [()])


def test_the_index_of_a_queue_is_a_scalar(graph):
    queues = [tf.FIFOQueue(2, tf.float32, [()]) for _ in range(2)]
    with pytest.raises(ValueError, match="must be rank 0 but is rank 1"):
        tf.QueueBase.from_list(tf.constant([1]), queues)
    index = tf.placeholder(tf.int32)
    chosen = tf.QueueBase.from_list(index, queues)
    assert chosen.queue_ref.dtype is tf.resource
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="must be a scalar"):
        session.run(chosen.size(), {index: [1]})


def test_a_fifo_queue_asks_for_the_cpu(graph):
    with tf.device("/job:ps"):
        assert tf.FIFOQueue(2, tf.float32).queue_ref.device == "/job:ps/device:CPU:*"


def test_the_handle_is_the_first_input_of_what_uses_a_queue(session):
    names, other = tf.FIFOQueue(9, tf.string, [[]], name="names"), tf.FIFOQueue(4, tf.string, [[]], name="other")
    put, taken = names.enqueue("a"), names.dequeue()
    in_branch = tf.cond(tf.constant(True), names.dequeue, lambda: tf.constant("none"))
    count = tf.while_loop(lambda i: i < 2, lambda i: i + tf.strings.length(names.dequeue()), [0])
    reader = tf.IdentityReader()
    _, read = reader.read(names)
    number = tf.placeholder(tf.int32, [])
    chosen = tf.QueueBase.from_list(number, [names, other])
    for op in (put, taken.op, names.dequeue_many(2).op, names.close(), names.size().op):
        assert op.inputs[0] is names.queue_ref
    assert list(read.op.inputs) == [reader.reader_ref, names.queue_ref]
    into_chosen = chosen.enqueue("b")
    assert into_chosen.inputs[0] is chosen.queue_ref
    for _ in range(5):
        session.run(put)
    assert session.run([taken, in_branch, count, read]) == [b"a", b"a", 2, b"a"]
    session.run(into_chosen, {number: 1})
    assert session.run([other.queue_ref, other.size()]) == [b"other", 1]
