"""tf.config: which devices there are, and settings that programs make before their first session.

physical device   a CPU or GPU as the program's process sees it: `/physical_device:GPU:0`
logical device    the same under the name that nodes use: `/device:GPU:0`

In TensorFlow 1, sessions take their options from a ConfigProto, and these settings concern eager execution. So they
are kept and given back here, and have no other effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from weftwork.graph.graph import Graph
from weftwork.scheduler.session.session import Session


class PhysicalDevice(NamedTuple):
    """A CPU or GPU, as `/physical_device:GPU:0`."""

    name: str
    device_type: str


class LogicalDevice(NamedTuple):
    """A CPU or GPU under the name that nodes use, as `/device:GPU:0`."""

    name: str
    device_type: str


class LogicalDeviceConfiguration(NamedTuple):
    """A part of a physical device. memory_limit: in megabytes."""

    memory_limit: int | None = None
    experimental_priority: int | None = None


@dataclass
class _Settings:
    """What the program has set."""

    visible: list[PhysicalDevice] | None = None
    growth: dict[PhysicalDevice, bool] = field(default_factory=dict)
    parts: dict[PhysicalDevice, list[LogicalDeviceConfiguration]] = field(default_factory=dict)
    inter_op_threads: int = 0
    intra_op_threads: int = 0
    soft_placement: bool = False
    jit: Any = ""
    optimizer_options: dict[str, Any] = field(default_factory=dict)


_settings = _Settings()


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices that sessions of this program see.

    device_type: "CPU" or "GPU"; None: all.

        gpus = tf.config.list_physical_devices("GPU")
    """
    with Session(graph=Graph()) as session:
        kinds = [device.device_type for device in session.list_devices()]
    names = [f"/physical_device:{kind}:{kinds[:at].count(kind)}" for at, kind in enumerate(kinds)]
    found = [PhysicalDevice(*pair) for pair in zip(names, kinds, strict=True)]
    return [device for device in found if device_type in (None, device.device_type)]


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """The visible devices, under the names that nodes use.

    device_type: "CPU" or "GPU"; None: all.
    """
    visible = get_visible_devices(device_type)
    return [LogicalDevice(device.name.replace("/physical_device", "/device"), device.device_type) for device in visible]


def get_visible_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices that the program wants to use: all, unless `set_visible_devices` has said otherwise.

    device_type: "CPU" or "GPU"; None: both.
    """
    devices = list_physical_devices() if _settings.visible is None else _settings.visible
    return [device for device in devices if device_type in (None, device.device_type)]


def set_visible_devices(devices: PhysicalDevice | Sequence[PhysicalDevice], device_type: str | None = None) -> None:
    """Say which devices the program wants to use.

    devices: some of `list_physical_devices`.   device_type: the kind that is set; None: all kinds.
    Raises ValueError for an unknown device, or one of another kind.
    """
    chosen = [devices] if isinstance(devices, PhysicalDevice) else list(devices or ())
    for device in chosen:
        _known(device)
        if device_type not in (None, device.device_type):
            raise ValueError(f"Unrecognized device: {device!r}. It is no {device_type}.")
    others = [d for d in get_visible_devices() if device_type is not None and d.device_type != device_type]
    _settings.visible = [*others, *chosen]


def get_memory_growth(device: PhysicalDevice) -> bool | None:
    """What `set_memory_growth` was given for a device; None before.

    device: one of `list_physical_devices`.
    """
    return _settings.growth.get(_known(device))


def set_memory_growth(device: PhysicalDevice, enable: bool) -> None:
    """Ask that a GPU's memory is taken as it is needed. CuPy always does so.

    device: one of `list_physical_devices`.   enable: kept for `get_memory_growth`.
    Raises ValueError for a device that is no GPU.
    """
    if _known(device).device_type != "GPU":
        raise ValueError("Cannot set memory growth on non-GPU devices")
    _settings.growth[device] = enable


def get_logical_device_configuration(device: PhysicalDevice) -> list[LogicalDeviceConfiguration] | None:
    """What `set_logical_device_configuration` was given for a device; None before.

    device: one of `list_physical_devices`.
    """
    return _settings.parts.get(_known(device))


def set_logical_device_configuration(
    device: PhysicalDevice, logical_devices: Sequence[LogicalDeviceConfiguration]
) -> None:
    """Ask that a device is divided. A session does so if its ConfigProto's `device_count` says it.

    device: one of `list_physical_devices`.   logical_devices: its parts.
    """
    _settings.parts[_known(device)] = list(logical_devices)


def get_soft_device_placement() -> bool:
    """What `set_soft_device_placement` was given; False before."""
    return _settings.soft_placement


def set_soft_device_placement(enabled: bool) -> None:
    """Keep a setting. Sessions take theirs from `ConfigProto.allow_soft_placement`.

    enabled: whether nodes may run elsewhere than they ask.
    """
    _settings.soft_placement = bool(enabled)


def get_inter_op_parallelism_threads() -> int:
    """What `set_inter_op_parallelism_threads` was given; 0 before."""
    return _settings.inter_op_threads


def set_inter_op_parallelism_threads(num_threads: int) -> None:
    """Keep a setting. Sessions take theirs from `ConfigProto.inter_op_parallelism_threads`.

    num_threads: threads that run different nodes at once.
    """
    _settings.inter_op_threads = int(num_threads)


def get_intra_op_parallelism_threads() -> int:
    """What `set_intra_op_parallelism_threads` was given; 0 before."""
    return _settings.intra_op_threads


def set_intra_op_parallelism_threads(num_threads: int) -> None:
    """Keep a setting. Sessions take theirs from `ConfigProto.intra_op_parallelism_threads`.

    num_threads: threads that share the work of one node.
    """
    _settings.intra_op_threads = int(num_threads)


def get_jit() -> Any:
    """What `set_jit` was given; "" before."""
    return _settings.jit


def set_jit(enabled: bool | str) -> None:
    """Keep a setting: there is no XLA.

    enabled: whether to compile with it.
    """
    _settings.jit = enabled


def get_experimental_options() -> dict[str, Any]:
    """What `set_experimental_options` was given so far."""
    return dict(_settings.optimizer_options)


def set_experimental_options(options: dict[str, Any]) -> None:
    """Keep options of TensorFlow's graph optimizer, which is not used.

    options: by name; they are added to earlier ones.
    """
    _settings.optimizer_options.update(options)


def _known(device: PhysicalDevice) -> PhysicalDevice:
    if device not in list_physical_devices():
        raise ValueError(f"Unrecognized device: {device!r}")
    return device
