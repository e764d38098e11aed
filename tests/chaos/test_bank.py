"""A bank: money moves between accounts, and its sum never changes, whatever fails."""

from __future__ import annotations

import os
import random
import threading

import numpy as np
import pytest

import weftwork as tf
from tests.chaos.killing import Killer, seed
from tests.chaos.test_kills import LONG

ACCOUNTS, THREADS, EACH = 100, 16, 12


@tf.op
def perhaps(fail):
    """Something else in the same run, that may go wrong."""
    if fail == 1:
        raise ValueError("the clerk has made a mistake")
    if fail == 2:
        os._exit(1)
    return 0


@pytest.mark.parametrize("placement", ["auto", "actor"])
def test_sixteen_threads_move_money_and_its_sum_never_changes(ray_session, placement):
    number = seed()
    with tf.Graph().as_default() as graph:
        accounts = [tf.Variable(np.int64(100), name=f"account{i}") for i in range(ACCOUNTS)]
        amount, fail = tf.placeholder(tf.int64, []), tf.placeholder(tf.object)
        choose = random.Random(number)
        transfers = []
        for _ in range(150):
            one, two = choose.sample(accounts, 2)
            transfers.append(tf.group(one.assign_sub(amount), perhaps(fail).op, two.assign_add(amount)))
        doomed = tf.group(
            accounts[0].assign_sub(amount),
            tf.op(isolated=True, name="doomed")(perhaps.function)(fail).op,
            accounts[1].assign_add(amount),
        )
        everything = [a.read_value() for a in accounts]
        initialise = tf.global_variables_initializer()
    wrong: list = []
    failed = [0]

    def work(session, killer, number):
        mine = random.Random(number)
        moved = 0
        try:
            while moved < EACH * LONG or (placement == "actor" and not killer.done):  # else nobody else need live
                moved += 1
                bad = mine.random()
                feed = {amount: mine.randrange(50), fail: 1 if bad < 0.2 else 0}
                try:
                    session.run(mine.choice(transfers), feed)
                    if mine.random() < 0.2:
                        total = sum(session.run(everything))
                        if total != 100 * ACCOUNTS:
                            wrong.append(total)
                except (tf.errors.InvalidArgumentError, tf.errors.UnavailableError):
                    failed[0] += 1  # a run that lost its process three times says so
        except BaseException as error:
            wrong.append(error)

    with tf.Session(graph=graph, config=tf.ConfigProto(placement=placement)) as session:
        session.run(initialise)
        session.run(transfers[0], {amount: 1, fail: 0})
        with Killer(number, (0.15, 0.45), 3 * LONG) as killer:
            threads = [threading.Thread(target=work, args=(session, killer, number + k)) for k in range(THREADS)]
            for thread in threads:
                thread.start()
            try:
                session.run(doomed, {amount: 10, fail: 2})
            except tf.errors.UnavailableError:
                failed[0] += 1
            for thread in threads:
                thread.join()
        assert not wrong
        assert failed[0]
        assert sum(session.run(everything)) == 100 * ACCOUNTS
