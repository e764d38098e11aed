"""The same program on a cluster of three machines."""

from __future__ import annotations

import pytest

from tests.programs import Program

CLUSTER = Program("tests.cluster_program")


@pytest.fixture(scope="module")
def seen():
    """The program's output."""
    return CLUSTER.seen()


def test_independent_branches_spread_over_the_machines(seen):
    assert seen["machines"] > 1


def test_the_sweep_of_the_examples_takes_several_machines(seen):
    variants, machines = seen["swept"]
    assert (variants, machines > 1) == (16, True)


def test_a_traced_run_on_three_machines_tells_which_process_of_which_machine_ran_each_node(seen):
    assert seen["traced"] == "right"


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


def test_a_device_scope_names_the_machine(seen):
    assert seen["tasks"] == seen["machines in order"]


def test_a_label_selector_chooses_the_machine(seen):
    assert seen["west"] not in (seen["machines in order"][0], seen["loom machine"])
    assert "the labels {'zone': 'north'}" in seen["nowhere"]
    assert "labelled {'zone': 'west'}" in seen["nowhere"]


def test_a_machine_that_is_not_there_is_refused_with_those_that_are(seen):
    assert "explicitly assigned to /job:ps/task:7 but available devices are [ /job:worker/" in seen["unknown"]
    assert "/job:worker/replica:0/task:2/device:CPU:0" in seen["unknown"]


def test_a_variable_under_a_device_scope_is_updated_on_that_machine(seen):
    assert seen["far"] == [2.0, 2.0]
    assert f"its device is on machine {seen['machines in order'][2][:8]}" in seen["far explained"]


def test_work_goes_to_where_its_large_input_lies(seen):
    assert set(seen["followed"]) == {seen["loom machine"]}


def test_a_machine_that_lacks_a_package_is_told_with_what_to_do(seen):
    assert "cannot import no_such_package (No module named 'no_such_package')" in seen["lacking"]
    assert "install them there (weftwork from its wheel, see deploy/README.md)" in seen["lacking"]


def test_one_can_ask_which_machine_a_run_waits_for(seen):
    assert seen["waiting"][1] == seen["loom machine"]
    assert "cluster_program.py:" in seen["waiting"][0]


def test_random_graphs_and_asks_do_what_they_should_on_three_machines_two_and_one(seen):
    assert [shape["machines"] for shape in seen["shapes"]] == [3, 2, 1]
    for shape in seen["shapes"]:
        assert shape["graphs"] == shape["placed"] + shape["refused"] >= 4


def test_large_variables_are_updated_in_the_actor(seen):
    assert seen["weights"] == [4.0, 4.0]
    assert seen["placements"]["actor"][0] == 3


def test_every_machine_s_devices_have_names_in_tensorflow_s_form(seen):
    devices = seen["devices"]
    assert sorted(d for d in devices if "CPU" in d) == [
        f"/job:worker/replica:0/task:{task}/device:CPU:0" for task in range(3)
    ]
    assert len([d for d in devices if "GPU" in d]) == 3
