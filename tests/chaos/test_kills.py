"""Processes die at any moment: nothing is lost, nothing is applied twice."""

from __future__ import annotations

import os
import random

import psutil
import pytest

import weftwork as tf
from tests.chaos.killing import Killer
from tests.chaos.training import Training

LONG = int(os.environ.get("WEFTWORK_CHAOS", "1"))
"""How many times as long as in a usual test run."""


def seed() -> int:
    """A new seed each time, printed with a failure."""
    value = random.SystemRandom().randrange(10**6)
    print("seed", value)
    return value


@pytest.mark.parametrize("placement", ["auto", "actor", "task"])
def test_a_training_loop_under_kills_ends_where_it_would_have_without(ray_session, placement):
    training = Training(tf.ConfigProto(placement=placement))
    with training.session, Killer(seed(), (0.1, 0.6)) as killer:
        step = 0
        while killer.kills < 8 * LONG:
            step += 1
            training.run(step)
            if step % 10 == 0:
                training.verify()
    print(f"{killer.kills} kills, {step} steps, {training.failed} runs failed and were done again")
    assert killer.kills >= 8 * LONG


def actors(process: psutil.Process) -> bool:
    """True for the process of an actor."""
    return "VariableAct" in process.name()


def test_variable_actors_may_die_as_often_as_they_like(ray_session):
    training = Training()
    with training.session, Killer(seed(), (0.1, 0.5), actors) as killer:
        step = 0
        while killer.kills < 4 * LONG:
            step += 1
            training.run(step)
        training.verify()
