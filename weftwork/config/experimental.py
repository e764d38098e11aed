"""tf.config.experimental: older names of what `tf.config` has, and the memory of GPUs."""

from weftwork.scheduler.session.devices import LogicalDeviceConfiguration as VirtualDeviceConfiguration
from weftwork.scheduler.session.devices import get_logical_device_configuration as get_virtual_device_configuration
from weftwork.scheduler.session.devices import (
    get_memory_growth,
    get_visible_devices,
    list_logical_devices,
    list_physical_devices,
    set_memory_growth,
    set_visible_devices,
)
from weftwork.scheduler.session.devices import set_logical_device_configuration as set_virtual_device_configuration

__all__ = [
    "VirtualDeviceConfiguration",
    "get_memory_growth",
    "get_virtual_device_configuration",
    "get_visible_devices",
    "list_logical_devices",
    "list_physical_devices",
    "set_memory_growth",
    "set_virtual_device_configuration",
    "set_visible_devices",
]
