"""Processes die at any moment: nothing is lost, nothing is applied twice."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress

import psutil
import pytest

import weftwork as tf
from tests.chaos.killing import Killer, is_actor, is_busy, is_resident, kill, seed, workers
from tests.chaos.stages import STAGES, Stages
from tests.chaos.training import Training

LONG = int(os.environ.get("WEFTWORK_CHAOS", "1"))
"""How many times as long as in a usual test run."""


@pytest.mark.parametrize("placement", ["auto", "actor", "task"])
def test_a_training_loop_under_kills_ends_where_it_would_have_without(ray_session, placement):
    training = Training(tf.ConfigProto(placement=placement))
    with training.session, Stages() as stages, Killer(seed(), (0.1, 0.6), 3 * LONG, stages=stages) as killer:
        step = 0
        while not killer.done:
            step += 1
            training.run(step)
            if step % 10 == 0:
                training.verify()
        training.run(step + 1)
        training.verify()
    print(f"{killer.kills} kills, {step} steps, {training.failed} runs failed and were done again")


def test_variable_actors_may_die_as_often_as_they_like(ray_session):
    training = Training()
    with training.session, Stages() as stages, Killer(seed(), (0.1, 0.5), 3 * LONG, is_actor, stages) as killer:
        step = 0
        while not killer.done:
            step += 1
            training.run(step)
        training.run(step + 1)
        training.verify()


def test_residents_may_die_as_often_as_they_like(ray_session):
    training, heard = Training(tf.ConfigProto(placement="resident"), in_parts=True), []
    listening = training.session.listen(heard.append)
    with training.session, listening, Killer(seed(), (0.1, 0.6), 3 * LONG, is_resident, paced=True) as killer:
        step = 0
        while not killer.done:
            step += 1
            began = time.time()
            training.run(step)
            killer.stepped(began)
            if step % 10 == 0:
                training.verify()
        training.run(step + 1)
        training.verify()
    lost = [event for event in heard if event.kind == "lost"]
    assert {event.lane.pid for event in lost} <= killer.killed
    again = {event.run for event in heard if event.kind == "repaired"}
    failed = {event.run for event in heard if event.kind == "ended" and event.text}
    assert {event.run for event in lost} <= again | failed


@pytest.mark.parametrize("placement", ["auto", "actor", "task"])
def test_a_process_may_die_at_every_stage_of_a_run(ray_session, placement):
    choose = random.Random(seed())

    def kill_one():
        """Kill a busy process, if there is one: an actor as often as not."""
        killed = False
        while not killed:
            with suppress(psutil.NoSuchProcess):  # one that just ends
                found = [p for p in workers() if is_busy(p)] or workers()
                actors = [p for p in found if is_actor(p)]
                kill(choose.choice(actors if actors and choose.random() < 0.5 else found))
                killed = True

    training = Training(tf.ConfigProto(placement=placement))
    with training.session, Stages() as stages:
        step = 0
        for _ in range(LONG):
            for stage in choose.sample(STAGES, len(STAGES)):
                while not workers():  # the last one was killed: Ray starts another one for work alone
                    step += 1
                    training.run(step)
                stages.arm(stage, kill_one)
                step += 1
                training.run(step)
                assert not stages.armed
            training.verify()
        training.run(step + 1)
        training.verify()
