"""The cores that this process may use: those that it is bound to, but no more than its container has the time of.

A container limits CPU time by a quota of its control group (`docker run --cpus=2`, a limit in Kubernetes, `CPUQuota` of
systemd), which neither `os.cpu_count` nor the process's affinity shows. A process that runs on more cores than that is
stopped in the middle of each period of 100 ms. See "CFS Bandwidth Control" (version 1 of control groups) and
"Control Group v2", `cpu.max`, in the documentation of the Linux kernel.
"""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """The number of cores that this process may use, at least 1."""
    limit = quota()
    return bound_to() if limit is None else max(1, min(bound_to(), int(limit)))


def bound_to() -> int:
    """The number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def quota(groups: Path = _GROUPS, own: Path = _OWN) -> float | None:
    """The CPU time that this process may use, in cores: the least of its control group and those around it.

    None if there is no limit.   groups: where control groups are mounted.   own: the file that names the process's.
    """
    found = [groups, groups / "cpu"]
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                group = groups / ("cpu" if controllers else "") / path.lstrip("/")
                found += [one for one in (group, *group.parents) if one.is_relative_to(groups)]
    limits = [_limit(group) for group in found]
    return min([limit for limit in limits if limit is not None], default=None)


def _limit(group: Path) -> float | None:
    """The quota of one control group, in cores."""
    with suppress(OSError, ValueError):  # "max" is no number
        allowed, period = (group / "cpu.max").read_text().split()
        return int(allowed) / int(period)
    with suppress(OSError, ValueError):
        allowed, period = [(group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        return int(allowed) / int(period) if int(allowed) > 0 else None
    return None
