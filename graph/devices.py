"""Device names: `/job:worker/replica:0/task:1/device:GPU:0`. Each part may be left open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any


@dataclass(unsafe_hash=True)
class DeviceSpec:
    """A device or a request for one. None and "*" leave a part open. The parts are attributes that you can set."""

    job: str | None = None
    replica: int | None = None
    task: int | None = None
    device_type: str | None = None
    device_index: int | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value.upper() if name == "device_type" and value is not None else value)

    @classmethod
    def from_string(cls, spec: str) -> DeviceSpec:
        """Parse `/job:ps/task:0/gpu:1`, `/device:GPU:*`, `/cpu:0`. Raises ValueError for an unknown part."""
        return replace(_parse(spec))

    def parse_from_string(self, spec: str) -> DeviceSpec:
        """Replace all parts with those of a device string; returns self."""
        vars(self).update(vars(_parse(spec)))
        return self

    def to_string(self) -> str:
        """The canonical name, without open parts."""
        parts = []
        if self.job is not None:
            parts.append(f"/job:{self.job}")
        if self.replica is not None:
            parts.append(f"/replica:{self.replica}")
        if self.task is not None:
            parts.append(f"/task:{self.task}")
        if self.device_type is not None:
            index = "*" if self.device_index is None else self.device_index
            parts.append(f"/device:{self.device_type}:{index}")
        return "".join(parts)

    def make_merged_spec(self, dev: DeviceSpec) -> DeviceSpec:
        """A copy of this spec in which every part that `dev` fixes is that of `dev`."""
        return replace(self, **{name: value for name, value in vars(dev).items() if value is not None})

    def merge_from(self, dev: DeviceSpec) -> None:
        """Take over every part that `dev` fixes."""
        vars(self).update(vars(self.make_merged_spec(dev)))

    def replace(self, **kwargs: Any) -> DeviceSpec:
        """A copy with some parts replaced."""
        return replace(self, **kwargs)

    def __str__(self) -> str:
        return self.to_string()


@lru_cache(maxsize=1024)
def _parse(spec: str) -> DeviceSpec:
    fields: dict = {}
    for part in [part for part in spec.split("/") if part]:
        name, *rest = part.split(":")
        kind = name.lower()
        try:
            if kind == "job" and len(rest) == 1:
                fields["job"] = rest[0]
            elif kind in ("replica", "task") and len(rest) == 1:
                fields[kind] = _number(rest[0])
            elif kind in ("cpu", "gpu", "tpu") and len(rest) <= 1:
                fields["device_type"] = kind
                fields["device_index"] = _number(rest[0]) if rest else None
            elif kind == "device" and len(rest) == 2:
                fields["device_type"] = None if rest[0] == "*" else rest[0]
                fields["device_index"] = _number(rest[1])
            else:
                raise ValueError
        except ValueError:
            raise ValueError(f"Unknown attribute: '{name}' in '{spec}'") from None
    if sum([part.lower().startswith(("cpu", "gpu", "tpu", "device")) for part in spec.split("/")]) > 1:
        raise ValueError(f"'{spec}' names more than one device type")
    return DeviceSpec(**fields)


def _number(text: str) -> int | None:
    return None if text == "*" else int(text)


@lru_cache(maxsize=4096)
def merge(outer: str, inner: str) -> str:
    """Merge two requests: for each part the inner one wins."""
    if not outer and not inner:
        return ""
    return _parse(outer).make_merged_spec(_parse(inner)).to_string()
