"""The same program on a cluster of three machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def seen():
    """What the program saw: it has a process, and a Ray, of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster_program"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_independent_branches_spread_over_the_machines(seen):
    assert seen["machines"] == 3


def test_a_node_runs_where_the_resource_is_that_it_asks_for(seen):
    assert seen["loom"] == seen["loom machine"]


def test_a_function_gets_its_gpus_from_ray(seen):
    assert seen["gpu"] in {"0", "1"}


def test_a_resource_scope_counts_for_the_library_too(seen):
    assert seen["scoped"] == [0.0, 2.0, 4.0, 6.0]


def test_what_no_machine_can_hold_is_refused_with_what_the_machines_have(seen):
    assert "it asks for GPU: 3 on one machine" in seen["greedy"]
    assert "GPU: 2" in seen["greedy"]
    assert "cluster_program.py:" in seen["greedy"]


def test_large_variables_are_updated_in_the_actor(seen):
    assert seen["weights"] == [4.0, 4.0]
    assert seen["placements"]["actor"][0] == 3


def test_every_machine_s_devices_have_names_in_tensorflow_s_form(seen):
    devices = seen["devices"]
    assert sorted(d for d in devices if "CPU" in d) == [
        f"/job:worker/replica:0/task:{task}/device:CPU:0" for task in range(3)
    ]
    assert len([d for d in devices if "GPU" in d]) == 3
