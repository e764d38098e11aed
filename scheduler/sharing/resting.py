"""Resting: the end of a shared-out run that has failed or was stopped."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weftwork.scheduler.sharing.sharing import Sharing


def rest(sharing: Sharing, grace: float) -> list:
    """Tell all to stop, and wait. Returns the slots of workers that have not stopped within `grace` seconds."""
    crew, background = sharing.crew, sharing.background
    sharing.detached.cancel()
    with crew.monitor:
        crew.end()
    busy = sharing.workers.stop()
    end = monotonic() + grace
    background.settle()
    while (busy or background.under_way) and (left := end - monotonic()) > 0:
        came = sharing.transport.next(left)
        if came is None:
            background.settle()
        elif sharing.workers.rested(*came):
            busy.discard(came[0])
    with crew.monitor:
        crew.settle(end)
    return list(busy)
