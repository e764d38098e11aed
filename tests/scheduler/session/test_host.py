"""A host of shared sessions, asked as its sessions ask it, in this process: what it runs, refuses and forgets."""

from __future__ import annotations

import pickle
import threading

import pytest

import weftwork as tf
from tests.waiting import until
from weftwork.actors.processes.code import pack_code
from weftwork.actors.processes.messages import described, pack_values, unpack
from weftwork.scheduler.session.host import Host, HostRequest


@pytest.fixture
def host(graph):
    """A host whose runs stay in this process."""
    made = Host(pickle.dumps(tf.ConfigProto(placement="caller")))
    yield made
    made.close()


class Client:
    """Asks for fetches and feeds of one graph by their names."""

    def __init__(self, host, name="client"):
        self.host, self.name, self.generation = host, name, host.hello()

    def ask(self, fetches, feeds=(), sends=True, run="", method="run"):
        """The host's answer."""
        graph = fetches[0].graph
        code, blocks = pack_code(graph)
        asked = HostRequest(
            self.name,
            self.generation,
            "graph",
            tuple([fetch.name for fetch in fetches]),
            tuple([tensor.name for tensor, _ in feeds]),
            pack_values([value for _, value in feeds]),
            graph.version,
            (code, [key for key, _ in blocks], [bytes(data) for _, data in blocks]) if sends else None,
            run,
        )
        return unpack(getattr(self.host, method)(pickle.dumps(asked)))


def test_variables_are_one_for_all_clients_and_what_ran_is_told(host):
    v = tf.Variable(1)
    one, other = Client(host, "one"), Client(host, "other")
    one.ask([v.initializer])
    one.ask([v.assign_add(4)])
    kind, ran, _, value = other.ask([v])
    assert (kind, value) == ("done", 5)
    assert one.ask([v + 1])[1][0][0] == "caller"


def test_a_graph_is_asked_for_once_it_has_grown_and_not_before(host):
    x = tf.constant(1) + 1
    client = Client(host)
    assert client.ask([x], sends=False) == ("graph",)
    assert client.ask([x])[0] == "done"
    assert client.ask([x], sends=False)[0] == "done"
    y = x * 3
    assert client.ask([y], sends=False) == ("graph",)
    assert client.ask([y])[-1] == 6


def test_a_run_that_fails_tells_its_error_and_nodes_and_changes_nothing(host):
    v = tf.Variable(1)
    broken = tf.op(lambda: 1 // 0)()
    client = Client(host)
    client.ask([v.initializer])
    with tf.control_dependencies([broken]):
        kind, error, text, _ = client.ask([v.assign(7)])
    assert (kind, type(described(error, text))) == ("failed", tf.errors.UnknownError)
    assert "ZeroDivisionError" in str(described(error, text))
    assert client.ask([v])[-1] == 1


def test_a_reset_refuses_earlier_sessions_and_leaves_nothing_for_later_ones(host):
    v = tf.Variable(1)
    old = Client(host)
    old.ask([v.initializer])
    host.reset(None)
    assert old.ask([v]) == ("reset",)
    kind, error, *_ = Client(host).ask([v])
    assert (kind, type(unpack(error))) == ("failed", tf.errors.FailedPreconditionError)


def test_a_reset_of_some_containers_spares_the_variables_of_others(host):
    with tf.Graph().as_default() as graph:
        with graph.container("mine"):
            mine = tf.Variable(1, name="mine")
        other = tf.Variable(2, name="other")
        Client(host).ask([mine.initializer, other.initializer])
        host.reset(["mine"])
        client = Client(host)
        assert client.ask([other])[-1] == 2
        assert client.ask([mine])[0] == "failed"


def test_a_run_that_was_cancelled_before_it_came_does_not_run(host, tmp_path):
    """A message may overtake another one."""
    called = tmp_path / "called"
    node = tf.op(lambda: called.touch())()
    assert host.cancel("client", "late")
    kind, error, text, *_ = Client(host).ask([node], run="late")
    assert (kind, type(described(error, text or ""))) == ("failed", tf.errors.CancelledError)
    assert not called.exists()
    assert not host.cancel("client", "late")  # it is over
    assert Client(host).ask([node], run="next")[0] == "done"
    assert called.exists()


def test_a_client_cancels_its_own_runs_and_sees_what_these_wait_for(host):
    queue = tf.FIFOQueue(1, [tf.int32], shapes=[[]])
    got = queue.dequeue()
    answers = {}

    def work(name):
        answers[name] = Client(host, name).ask([got], run=f"run of {name}")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    until(lambda: host.waiting("one") and host.waiting("other"))
    assert host.waiting("nobody") == []
    host.cancel("one")
    threads[0].join(30)
    assert answers["one"][0] == "failed"
    assert host.waiting("other")
    Client(host).ask([queue.enqueue(3)])
    threads[1].join(30)
    assert answers["other"][-1] == 3


def test_a_plan_is_explained_without_running_it(host, tmp_path):
    called = tmp_path / "called"
    node = tf.op(lambda: called.touch())()
    kind, explanation = Client(host).ask([node], method="explain")
    assert kind == "done"
    assert "caller" in str(explanation)
    assert not called.exists()
