"""Ray's references and actor handles are values like others: they arrive as they were given, in every place."""

from __future__ import annotations

from typing import Any

import pytest
import ray

import weftwork as tf
from tests.meaning.places import PLACES, op_in, session_in


@ray.remote(num_cpus=0)
class Counter:
    def add(self, n: int) -> int:
        return n + 1


def kind(value: Any) -> str:
    return type(value).__name__


def made(value: int) -> Any:
    return ray.put(value)


def got(reference: Any) -> Any:
    return ray.get(reference)


@pytest.mark.parametrize("place", PLACES)
def test_references_and_handles_arrive_as_they_were_given(ray_session, place):
    reference, counter = ray.put(5), Counter.remote()
    with tf.Graph().as_default():
        p = tf.placeholder(tf.object)
        several = [op_in(place, kind)(p), op_in(place, lambda value: kind(value[0]))([p])]
        passed = op_in(place, kind)(op_in(place, lambda value: value)(p))
        fetched = [op_in(place, lambda value: value)(p), op_in(place, lambda value: [value])(p)]
        constant = op_in(place, kind)(reference)
        new = [op_in(place, made)(4), op_in(place, made)(6)]
        there = [op_in(place, got)(p), op_in(place, got)(op_in(place, made)(7))]
        with session_in(place) as session:
            for _ in range(3):
                assert session.run(several, {p: reference}) == ["ObjectRef"] * 2
                assert session.run(several, {p: counter}) == ["ActorHandle"] * 2
                assert session.run([passed, constant], {p: reference}) == ["ObjectRef"] * 2
                assert session.run(fetched, {p: reference}) == [reference, [reference]]
                assert ray.get(session.run(new)) == [4, 6]
                assert session.run(there, {p: reference}) == [5, 7]
    assert ray.get(counter.add.remote(1)) == 2
    ray.kill(counter)  # Ray does not count a handle that has travelled
