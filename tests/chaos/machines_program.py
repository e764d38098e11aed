"""A training loop whose machines die at random, in a process of its own: prints what it did as JSON.

replicas    every large value lies on two machines: no run may notice
saved       the session writes checkpoints: one that has lost a value goes back as a whole, says so, and trains on
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading

import numpy as np

import weftwork as tf
from tests.chaos.stages import COPIES, KILLS, STAGES, Stages
from tests.loss_program import Machines  # before Ray is imported: it says how soon a machine counts as dead
from tests.warm import forked_workers

SIZE = 60_000
BETWEEN = 3
"""Steps from one death to the next, at least: a value must have come to two machines again."""


@tf.op(dtype=tf.int64, shape=[SIZE], isolated=True)
def gradient(step, w):
    """Something that depends on the state, computed in a worker of any machine."""
    return np.full(SIZE, step * 3 + w[0] % 7)


def after(steps: int) -> tuple[int, int]:
    """The values of w and the sum after `steps` steps without faults."""
    w = 0
    for step in range(1, steps + 1):
        w += step * 3 + w % 7
    return w, steps * (steps + 1) // 2


class Loop:
    """A session whose large variable lies on a machine that dies now and then, and what it must hold."""

    def __init__(self, machines: Machines, config: tf.ConfigProto):
        with tf.Graph().as_default() as graph:
            self.step = tf.placeholder(tf.int64, [])
            with tf.device("/job:worker/task:1"):
                w = tf.Variable(np.zeros(SIZE, np.int64), name="w")
            total = tf.Variable(np.int64(0), name="total")
            count = tf.Variable(np.int64(0), name="count")
            change = gradient(self.step, w)
            self.train = tf.group(w.assign_add(change), total.assign_add(self.step), count.assign_add(1))
            self.state = [w[0], w[-1], tf.reduce_max(w) - tf.reduce_min(w), total, count]
            initialise = tf.global_variables_initializer()
        self.session = tf.Session(machines.cluster.address, graph=graph, config=config)
        self.session.run(initialise)
        self.steps = self.again = self.back = 0

    def work(self) -> None:
        """One step. What fails cleanly is done again; what has gone back goes on from there."""
        while True:
            try:
                self.session.run(self.train, {self.step: self.steps + 1})
                self.steps += 1
                return
            except tf.errors.UnavailableError:
                self.again += 1
                self.look()
            except tf.errors.AbortedError:
                self.back += 1
                self.look(back=True)

    def look(self, back: bool = False) -> None:
        """Assert that the state is that of a run without faults: after the steps done, or fewer if it went back."""
        while True:
            try:
                first, last, spread, total, count = (int(v) for v in self.session.run(self.state))
                break
            except tf.errors.UnavailableError:
                self.again += 1
            except tf.errors.AbortedError:
                self.back += 1
                back = True
        assert (first, last, spread, total) == (after(count)[0], after(count)[0], 0, after(count)[1]), "torn"
        assert count == self.steps or (back and count < self.steps), (count, self.steps)
        self.steps = count


class Reaper:
    """Kills machines, at random moments or when a run reaches a stage; each stage in turn, in random order."""

    def __init__(self, machines: Machines, stages: Stages, seed: int):
        self.machines, self.stages = machines, stages
        self.choose = random.Random(seed)
        self._next: list[str | None] = []

    def kill(self) -> None:
        """One machine but the head dies."""
        cluster = self.machines.cluster
        cluster.remove_node(self.choose.choice(list(cluster.worker_nodes)), allow_graceful=False)

    def kill_at_any_moment(self) -> None:
        """In a thread of its own."""
        KILLS[self.stages.now] += 1
        self.kill()

    def take_one(self, loops: list[Loop]) -> None:
        """Kill a machine while the loops go on."""
        if not self._next:
            self._next = self.choose.sample([None, *STAGES, COPIES], len(STAGES) + 2)
        stage = self._next.pop()
        if stage is not None:
            self.stages.arm(stage, self.kill)
            while self.stages.armed:
                self.choose.choice(loops).work()
            return
        timer = threading.Timer(self.choose.uniform(0, 0.2), self.kill_at_any_moment)
        timer.start()
        while timer.is_alive():
            self.choose.choice(loops).work()


def main(seed: int, deaths: int) -> dict:
    """Two loops beside each other, one with replicas, one with checkpoints, until so many machines have died."""
    machines = Machines()
    with tempfile.TemporaryDirectory() as folder:
        saving = tf.ConfigProto(checkpoint_dir=folder, checkpoint_every=0.05)
        loops = [Loop(machines, config) for config in (tf.ConfigProto(replicas=2), saving)]
        loops[1].session._engine._autosave.save()
        with Stages() as stages:
            reaper = Reaper(machines, stages, seed)
            for death in range(deaths):
                if death:
                    machines.add()
                for _ in range(BETWEEN):
                    for loop in loops:
                        loop.work()
                reaper.take_one(loops)
                for loop in loops:
                    loop.work()
            for loop in loops:
                loop.work()
                loop.look()
                loop.session.close()
    machines.close()
    replicas, saved = [{"steps": loop.steps, "again": loop.again, "back": loop.back} for loop in loops]
    return {"kills": KILLS, "replicas": replicas, "saved": saved}


if __name__ == "__main__":
    with forked_workers():
        print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
