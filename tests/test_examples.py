"""The examples do what they say."""

from __future__ import annotations

import re

from examples import walkthrough
from examples.training import digits


def test_the_walkthrough_shows_that_each_session_has_variables_of_its_own(capsys):
    seen = walkthrough.main()
    assert (seen["first"], seen["third"], seen["counter"]) == (13, 42, 3)
    assert "Attempting to use uninitialized value foo" in str(seen["second"])
    assert "walkthrough.py:" in str(seen["second"])
    assert "<tf.Variable 'foo:0'" in capsys.readouterr().out


def test_the_digits_are_learned_with_shards_as_tasks_and_updates_in_the_actor(ray_session, capsys):
    assert digits.main(steps=48) >= 0.95
    printed = capsys.readouterr().out
    tasks = re.search(r"task   ran (\d+) nodes", printed)
    assert tasks is not None
    assert int(tasks[1]) >= 192  # more of them, if other nodes look long on a slow machine
    assert "actor" in printed
