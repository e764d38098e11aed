"""What a hop to a task takes: asked beside the run, and of a Ray that is there."""

import weftwork as tf
from tests.waiting import until
from weftwork.scheduler.machines import backend, hops


def test_the_hop_to_a_task_is_a_guess_until_it_was_measured_beside_the_program(ray_session, graph, monkeypatch):
    monkeypatch.setattr(hops, "_task_hops", [])
    with tf.Session() as session:
        session.run(tf.op(lambda: 1, isolated=True)())
    guess = hops.task_hop()
    until(lambda: hops.task_hop() != guess)
    assert 0 < hops.task_hop() < 5


def test_asking_for_the_hop_to_a_task_starts_no_ray(monkeypatch):
    monkeypatch.setattr(hops, "_task_hops", [])
    monkeypatch.setattr(backend, "is_running", lambda: False)
    assert hops.task_hop() == hops.task_hop() > 0
    assert hops._task_hops == []
