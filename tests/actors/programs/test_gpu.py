"""Nodes under GPU scopes, on a machine with two fake GPUs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.programs import Program

PLAIN = Program("tests.gpu_program", "plain")
DOUBLE = Program("tests.gpu_program", "double", path=[Path(__file__).parents[2] / "device_double"])


@pytest.fixture(scope="module")
def plain():
    """The program's output without CuPy."""
    return PLAIN.seen()


@pytest.fixture(scope="module")
def double():
    """The program's output with a stand-in for CuPy."""
    return DOUBLE.seen()


def test_a_user_s_function_under_a_gpu_scope_stays_in_one_process_that_owns_the_gpu(plain):
    seen = plain["users"]
    assert {seen["first"], seen["other"]} == {"0", "1"}
    assert seen["processes"] == 2
    assert set(seen["placements"]) == {"actor"}
    assert ", GPU 0" in seen["explained"]


def test_without_cupy_a_user_s_function_gets_numpy_arrays_and_with_it_device_arrays(plain, double):
    assert plain["users"]["given"] == "numpy"
    assert double["users"]["given"] == "cupy"


def test_a_gpu_that_is_not_there_is_refused_with_what_is_there(plain):
    assert (
        "explicitly assigned to /device:GPU:2 but available devices are [ /job:localhost" in plain["users"]["lacking"]
    )
    assert "gpu_program.py:" in plain["users"]["lacking"]


def test_idle_actors_give_their_gpus_up_to_a_task_that_asks_for_them(plain):
    assert sorted(plain["users"]["asked"].split(",")) == ["0", "1"]


def test_a_gpu_in_use_by_another_session_is_told_and_not_waited_for_for_ever(plain):
    assert re.match(r"GPU [01] is in use: all GPUs of machine", plain["users"]["in use"])


def test_without_cupy_a_library_node_says_what_to_install_or_falls_back(plain):
    assert "install weftwork[gpu]" in plain["without"]
    assert "gpu_program.py:" in plain["without"]
    assert plain["soft"] == 2.0


def test_library_nodes_run_unchanged_on_device_arrays(double):
    assert double["library"]["y"] == 13.0


def test_what_cupy_cannot_do_is_done_in_the_machine_s_memory(double):
    expected = np.linalg.svd(np.tile([1.0, 2.0, 3.0], 3).reshape(3, 3), compute_uv=False)
    np.testing.assert_allclose(double["library"]["svd"], expected, atol=1e-12)


def test_variables_under_a_gpu_scope_are_kept_there(double):
    assert double["library"]["w"] == [5.0, 5.0]


def test_values_cross_at_the_borders_only(double):
    crossed = double["library"]["crossed"]
    assert crossed["in"] - crossed["out"] < 20
    assert double["library"]["host"] == "numpy"


def test_a_run_that_loses_what_stayed_on_a_gpu_begins_again(double):
    assert double["library"]["after"] == pytest.approx(2 * np.tanh([1.0, 2.0, 3.0]).sum())
