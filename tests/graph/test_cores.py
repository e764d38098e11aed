"""How many cores a process may use: those that it is bound to, and those that its container has the time of."""

from __future__ import annotations

import os

import pytest

from weftwork.graph import cores


@pytest.mark.parametrize(
    ("groups", "own", "limit"),
    [
        ({}, "0::/", None),
        ({"cpu.max": "max 100000"}, "0::/", None),
        ({"cpu.max": "250000 100000"}, "0::/", 2.5),
        ({"cpu.max": "250000 100000"}, None, 2.5),  # where there is no /proc
        ({"a/cpu.max": "50000 100000", "cpu.max": "max 100000"}, "0::/a/b", 0.5),
        ({"a/b/cpu.max": "400000 100000", "a/cpu.max": "300000 100000"}, "0::/a/b", 3.0),
        ({"other/cpu.max": "100000 100000"}, "0::/a", None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, "5:cpuacct,cpu:/a\n3:memory:/a", 2.0),
        ({"cpu/a/cpu.cfs_quota_us": "80000", "cpu/a/cpu.cfs_period_us": "80000"}, "5:cpuacct,cpu:/a", 1.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "5:cpuacct,cpu:/", None),
        ({"cpu.max": "a limit of tomorrow"}, "0::/", None),
    ],
)
def test_a_containers_quota_limits_the_cores(tmp_path, monkeypatch, groups, own, limit):
    for name, text in groups.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if own is not None:
        (tmp_path / "own").write_text(own + "\n")
    found = cores.quota(tmp_path / "groups", tmp_path / "own")
    assert found == limit
    monkeypatch.setattr(cores, "quota", lambda: found)
    monkeypatch.setattr(cores, "bound_to", lambda: 64)
    assert cores.usable_cores() == (64 if limit is None else max(1, int(limit)))


def test_a_process_may_use_at_least_one_core_and_no_more_than_there_are():
    assert 1 <= cores.usable_cores() <= cores.bound_to() <= (os.cpu_count() or 1)
