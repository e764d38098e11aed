"""A start of Ray that fails as soon as a process dies without which it cannot go on. Ray waits for half a minute."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import Any

from weftwork.scheduler.machines.reaper import children_of

_VITAL = frozenset(["raylet", "gcs_server"])
_LOOK = 0.05
"""Seconds between two checks that they live."""
_ANSWERS = 30.0
"""Seconds within which the head answers, and a node is registered with it."""


class DiedEarly(Exception):
    """A process of Ray's has died before Ray was up."""


@contextmanager
def watched() -> Iterator[None]:
    """For a call of `ray.init`: while it waits for a process, it fails if one has died. Then nothing of it is left."""
    from ray._private import node, services
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    before: Any = _vital().keys()
    begun: dict[str, str] = {}

    def check() -> None:
        now = _vital()
        begun.update({pid: name for pid, (name, _) in now.items() if pid not in before})
        for pid, name in begun.items():
            if now.get(pid, (name, "Z"))[1] == "Z":
                raise DiedEarly(f"its {name} has died while it started. Its logs may say why.")

    def port(of: Any, *args: Any, timeout_ms: int = 30_000) -> int:
        end = time.monotonic() + timeout_ms / 1000
        while True:
            check()
            left = end - time.monotonic()
            try:
                return of(*args, timeout_ms=int(1000 * max(0.0, min(_LOOK, left))))
            except RuntimeError:
                if left <= 0:
                    raise

    def client(of: Any, *args: Any, **options: Any) -> Any:
        check()
        return of(*args, **options)

    def registered(of: Any, gcs_address: str, node_id: str) -> dict:
        check()
        known, end = GcsClient(address=gcs_address), time.monotonic() + _ANSWERS
        while node_id not in [number.hex() for number in known.get_all_node_info(timeout=_ANSWERS)]:
            if time.monotonic() > end:
                break
            time.sleep(_LOOK)
            check()
        return of(gcs_address, node_id)  # it waits for ten seconds in C++ for a node that is not there yet

    waits = [(node, "wait_for_persisted_port", port), (node, "GcsClient", client), (services, "get_node", registered)]
    kept = [(module, name, getattr(module, name), wait) for module, name, wait in waits if hasattr(module, name)]
    try:
        for module, name, of, wait in kept:
            setattr(module, name, partial(wait, of))
        yield
    except BaseException as error:
        for frame, _ in walk_tb(error.__traceback__):
            made = frame.f_locals.get("self")
            if isinstance(made, node.Node):
                with suppress(Exception):
                    made.kill_all_processes(check_alive=False, allow_graceful=False)
        raise
    finally:
        for module, name, of, _ in kept:
            setattr(module, name, of)


def _vital() -> dict[str, tuple[str, str]]:
    """The children of this process without which Ray cannot live: by their ids, their names and states."""
    found = {pid: _state(pid) for pid in children_of(os.getpid())}
    return {pid: (name, state) for pid, (name, state) in found.items() if name in _VITAL}


def _state(pid: str) -> tuple[str, str]:
    """The name and the state of a process."""
    with suppress(OSError):
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        return name, rest.split()[0]
    return "", ""
