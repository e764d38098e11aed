"""Ray is started when something needs it, joined when it is there, and left as it was found."""

from __future__ import annotations

import pytest

import weftwork as tf
from tests.programs import Program

STARTS = Program("tests.joining_program", "start")
JOINS = Program("tests.joining_program", "join")


def test_ray_starts_with_the_first_node_that_needs_a_worker():
    assert STARTS.seen() == {"before": False, "after": True, "device": "/job:localhost/replica:0/task:0/device:CPU:0"}


def test_a_ray_that_was_there_is_joined_and_stays():
    assert JOINS.seen() == {"after": True, "cpus": 3}


@pytest.mark.parametrize("target", ["nowhere", "host:port"])
def test_an_unknown_target_is_refused(target):
    text = "No session factory registered for the given session options: "
    with tf.Graph().as_default(), pytest.raises(tf.errors.NotFoundError, match=text) as info:
        tf.Session(target)
    assert f'target: "{target}"' in str(info.value)
