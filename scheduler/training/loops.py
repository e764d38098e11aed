"""Long-running loops: training until a stop is requested, and checkpoints as they appear."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from weftwork.scheduler.state.checkpoint_state import latest_checkpoint

log = logging.getLogger("weftwork")


def basic_train_loop(
    supervisor: Any,
    train_step_fn: Callable[..., Any],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    master: str = "",
) -> None:
    """Call `train_step_fn(session, *args, **kwargs)` repeatedly, in a session of a Supervisor, until it should stop.

    supervisor: a Supervisor.
    """
    with supervisor.managed_session(master) as session:
        while not supervisor.should_stop():
            train_step_fn(session, *(args or ()), **(kwargs or {}))


def wait_for_new_checkpoint(
    checkpoint_dir: str,
    last_checkpoint: str | None = None,
    seconds_to_sleep: float = 1,
    timeout: float | None = None,
) -> str | None:
    """Wait until a folder's newest checkpoint is not `last_checkpoint`, and return it. None after `timeout` seconds."""
    log.info("Waiting for new checkpoint at %s", checkpoint_dir)
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        found = latest_checkpoint(checkpoint_dir)
        if found is not None and found != last_checkpoint:
            return found
        if end is not None and time.monotonic() + seconds_to_sleep > end:
            return None
        time.sleep(seconds_to_sleep)


def checkpoints_iterator(
    checkpoint_dir: str,
    min_interval_secs: float = 0,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """Yield the checkpoints of a folder as they are written, always the newest, at most one in min_interval_secs.

    The iteration ends if there was none for `timeout` seconds and timeout_fn, if given, confirms that none will come.
    """
    last = None
    while True:
        found = wait_for_new_checkpoint(checkpoint_dir, last, timeout=timeout)
        if found is None:
            if timeout_fn is None or timeout_fn():
                log.info("Timed-out waiting for a checkpoint.")
                return
            continue
        begun, last = time.monotonic(), found
        yield found
        time.sleep(max(0.0, min_interval_secs - (time.monotonic() - begun)))
