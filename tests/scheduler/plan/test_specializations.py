"""The specializations of a dataflow by the sizes of its feeds."""

from __future__ import annotations

import numpy as np

from weftwork.scheduler.plan.specializations import Specializations


def of_size(number):
    return [np.broadcast_to(np.float64(0), 1024 << 2 * number)]


def test_the_plans_for_sizes_in_use_stay_while_many_others_come_and_go():
    specializations = Specializations()
    used = specializations.find(of_size(0))
    for number in range(1, 25):
        assert specializations.find(of_size(number)) is not used
        assert specializations.find(of_size(0)) is used


def test_the_plans_for_sizes_that_were_not_used_for_long_are_made_anew():
    specializations = Specializations()
    made = [specializations.find(of_size(number)) for number in range(25)]
    assert len(set(made)) == 25
    assert specializations.find(of_size(24)) is made[24]
    assert specializations.find(of_size(0)) is not made[0]
