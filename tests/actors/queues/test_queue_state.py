"""Random queue programs against a model in plain Python: nothing is lost, doubled or out of order."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import weftwork as tf
from tests.actors.queues.test_queues import end, in_thread
from tests.waiting import until

CAPACITY = 4


class QueueMachine(RuleBasedStateMachine):
    """One queue; runs that cannot go on wait in threads, as the model's attempts do."""

    def __init__(self):
        super().__init__()
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.queue = tf.FIFOQueue(CAPACITY, tf.int32, shapes=[[]])
            self.given = tf.placeholder(tf.int32, [None])
            self.n = tf.placeholder(tf.int32, [])
            self.put = self.queue.enqueue_many([self.given])
            self.take, self.some = self.queue.dequeue_many(self.n), self.queue.dequeue_up_to(self.n)
            self.size, self.close = self.queue.size(), self.queue.close()
        self.session = tf.Session(graph=self.graph)
        self.held: deque = deque()
        self.putting: deque = deque()
        self.taking: deque = deque()
        self.closed = False
        self.next = 0

    # The model

    def settle(self):
        """Perform what the model can do now, in both."""
        moved = True
        while moved:
            moved = False
            while self.putting:
                left, waiting = self.putting[0]
                while left and len(self.held) < CAPACITY:
                    self.held.append(left.popleft())
                    moved = True
                if left:
                    break
                self.putting.popleft()
                assert end(waiting) is None
                moved = True
            while self.taking:
                got, wanted, less, waiting = self.taking[0]
                while self.held and len(got) < wanted:
                    got.append(self.held.popleft())
                    moved = True
                over = self.closed and not self.putting
                if len(got) < wanted and not over:
                    break
                self.taking.popleft()
                moved = True
                result = end(waiting)
                if len(got) == wanted or (less and got):
                    assert result.tolist() == got
                else:
                    assert isinstance(result, tf.errors.OutOfRangeError)
                    self.held.extendleft(reversed(got))

    def arrived(self):
        """Wait until the run that was just started waits or is done, so that arrivals have an order."""
        waiting = len(self.putting) + len(self.taking)
        started = (self.putting and self.putting[-1][-1], self.taking and self.taking[-1][-1])
        until(lambda: len(self.session.waiting()) >= waiting or any(started))

    # The rules

    @precondition(lambda self: not self.closed and len(self.putting) < 3)
    @rule(count=st.integers(0, 7))
    def enqueue(self, count):
        values = list(range(self.next, self.next + count))
        self.next += count
        if not values:  # it waits for nobody
            self.session.run(self.put, {self.given: values})
            return
        waiting = in_thread(self.session.run, self.put, {self.given: values})
        self.putting.append((deque(values), waiting))
        self.arrived()
        self.settle()

    @precondition(lambda self: len(self.taking) < 3)
    @rule(count=st.integers(0, 6), less=st.booleans())
    def dequeue(self, count, less):
        if not count:
            assert self.session.run(self.some if less else self.take, {self.n: 0}).tolist() == []
            return
        waiting = in_thread(self.session.run, self.some if less else self.take, {self.n: count})
        self.taking.append(([], count, less, waiting))
        self.arrived()
        self.settle()

    @precondition(lambda self: not self.taking and not self.putting and not self.closed)
    @rule(count=st.integers(1, 6))
    def time_out(self, count):
        wanted = len(self.held) + count
        with_limit = tf.RunOptions(timeout_in_ms=5)
        try:
            self.session.run(self.take, {self.n: wanted}, options=with_limit)
        except tf.errors.DeadlineExceededError:
            return
        raise AssertionError("there are not so many elements")

    @precondition(lambda self: not self.putting and not self.closed)
    @rule()
    def close_it(self):
        self.session.run(self.close)
        self.closed = True
        self.settle()

    @invariant()
    def sizes_agree(self):
        """A run that waits may be about to hand over its elements."""
        if not self.taking:
            until(lambda: self.session.run(self.size) == len(self.held))

    def teardown(self):
        self.session.close()
        for _, waiting in self.putting:
            end(waiting)
        for *_, waiting in self.taking:
            end(waiting)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
