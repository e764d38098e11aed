"""Ray is started when something needs it, joined when it is there, and left as it was found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import weftwork as tf

ROOT = Path(__file__).parent.parent


def run_program(text: str) -> str:
    """What a program prints that runs in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ray_starts_with_the_first_node_that_needs_a_worker():
    printed = run_program(
        """
import sys
import weftwork as tf
v = tf.Variable(1)
with tf.Session() as session:
    session.run(v.initializer)
    assert session.run(v + 1) == 2
    print("ray" in sys.modules)
    assert session.run(tf.op(isolated=True)(abs)(-3)) == 3
    import ray
    print(ray.is_initialized(), session.list_devices()[0].name)
"""
    )
    assert printed.split() == ["False", "True", "/job:localhost/replica:0/task:0/device:CPU:0"]


def test_a_ray_that_was_there_is_joined_and_stays():
    printed = run_program(
        """
import ray
ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
import weftwork as tf
with tf.Session("auto") as session:
    session.run(tf.op(isolated=True)(abs)(-3))
print(ray.is_initialized(), int(ray.cluster_resources()["CPU"]))
"""
    )
    assert printed.split()[-2:] == ["True", "3"]


@pytest.mark.parametrize("target", ["nowhere", "host:port"])
def test_an_unknown_target_is_refused(target):
    text = "No session factory registered for the given session options: "
    with tf.Graph().as_default(), pytest.raises(tf.errors.NotFoundError, match=text) as info:
        tf.Session(target)
    assert f'target: "{target}"' in str(info.value)
