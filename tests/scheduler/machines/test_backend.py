"""Ray is started when something needs it, joined when it is there, and left as it was found."""

from __future__ import annotations

import os

import pytest
import ray

import weftwork as tf
from tests.programs import Program
from weftwork.graph.cores import usable_cores
from weftwork.scheduler.machines import inventory

JOINS = Program("tests.joining_program", "join")


def test_a_ray_that_was_there_is_joined_and_stays():
    seen = JOINS.seen()
    assert (seen["after"], seen["cpus"]) == (True, 3)


def test_ray_address_is_joined_and_one_where_nobody_answers_is_an_error_at_once():
    seen = JOINS.seen()
    assert seen["named"] == 3
    assert seen["nowhere"] == "The Ray at '127.0.0.1"


def test_ray_shows_work_by_the_names_of_its_nodes_where_a_session_asks_for_it():
    seen = JOINS.seen()
    assert seen["timeline"] == seen["listed"] == ["files/ones", "files/ones", "update", "update"]


def test_a_session_in_a_task_uses_the_ray_that_the_task_is_in(ray_session):
    @ray_session.remote
    def inside():
        with tf.Graph().as_default(), tf.Session() as session:
            value = session.run(tf.op(isolated=True)(abs)(-3))
        return value, ray_session.get_runtime_context().gcs_address

    here = ray_session.get_runtime_context().gcs_address
    assert ray_session.get(inside.remote(), timeout=60) == (3, here)


@pytest.mark.parametrize("target", ["nowhere", "host:port"])
def test_an_unknown_target_is_refused(target):
    text = "No session factory registered for the given session options: "
    with tf.Graph().as_default(), pytest.raises(tf.errors.NotFoundError, match=text) as info:
        tf.Session(target)
    assert f'target: "{target}"' in str(info.value)


def test_a_ray_with_more_cpus_than_the_machine_has_lets_that_many_work(ray_session):
    cpus = int(ray.cluster_resources()["CPU"])
    expected = cpus if cpus > (os.cpu_count() or 1) else min(cpus, usable_cores())
    assert inventory.own_cpus() == expected
    assert inventory.slots() == max(cpus, usable_cores())
