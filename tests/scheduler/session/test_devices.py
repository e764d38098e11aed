"""tf.config: the devices of the program, and settings that are kept."""

from __future__ import annotations

import pytest

import weftwork as tf


def test_a_program_finds_its_devices():
    (cpu,) = tf.config.list_physical_devices("CPU")
    assert cpu.name == "/physical_device:CPU:0"
    assert cpu.device_type == "CPU"
    assert cpu in tf.config.experimental.list_physical_devices()
    assert [device.name for device in tf.config.list_logical_devices("CPU")] == ["/device:CPU:0"]
    for gpu in tf.config.experimental.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
        assert tf.config.experimental.get_memory_growth(gpu)


def test_devices_are_chosen_kind_by_kind():
    everything = tf.config.list_physical_devices()
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_visible_devices([], "GPU")
        assert tf.config.get_visible_devices() == [cpu]
        tf.config.set_visible_devices(cpu, "CPU")
        assert tf.config.get_visible_devices("GPU") == []
        with pytest.raises(ValueError, match="Unrecognized device"):
            tf.config.set_visible_devices(cpu, "GPU")
        with pytest.raises(ValueError, match="Unrecognized device"):
            tf.config.set_visible_devices(tf.config.PhysicalDevice("/physical_device:CPU:99", "CPU"))
    finally:
        tf.config.set_visible_devices(everything)
    with pytest.raises(ValueError, match="non-GPU"):
        tf.config.experimental.set_memory_growth(cpu, True)


def test_settings_are_given_back():
    threading, optimizer = tf.config.threading, tf.config.optimizer
    before = threading.get_intra_op_parallelism_threads(), tf.config.get_soft_device_placement(), optimizer.get_jit()
    threading.set_intra_op_parallelism_threads(3)
    tf.config.set_soft_device_placement(True)
    optimizer.set_jit(True)
    optimizer.set_experimental_options({"constant_folding": False})
    try:
        assert threading.get_intra_op_parallelism_threads() == 3
        assert tf.config.get_soft_device_placement()
        assert optimizer.get_jit() is True
        assert optimizer.get_experimental_options()["constant_folding"] is False
        threading.set_inter_op_parallelism_threads(2)
        assert threading.get_inter_op_parallelism_threads() == 2
    finally:
        threading.set_inter_op_parallelism_threads(0)
        threading.set_intra_op_parallelism_threads(before[0])
        tf.config.set_soft_device_placement(before[1])
        optimizer.set_jit(before[2])


def test_the_parts_of_a_device_are_given_back():
    (cpu,) = tf.config.list_physical_devices("CPU")
    assert tf.config.get_logical_device_configuration(cpu) is None
    parts = [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration(memory_limit=512)]
    tf.config.set_logical_device_configuration(cpu, parts)
    assert tf.config.experimental.get_virtual_device_configuration(cpu) == parts
    assert tf.config.LogicalDevice("/device:CPU:0", "CPU") in tf.config.list_logical_devices()
