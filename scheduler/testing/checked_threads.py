"""Threads of a test, whose errors are raised when they are joined."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Callable
from typing import Any


class CheckedThread:
    """A thread whose failure makes the test fail."""

    def __init__(self, test: unittest.TestCase, target: Callable, args: Any, kwargs: Any):
        self._test, self._error = test, None

        def run() -> None:
            try:
                target(*args, **kwargs)
            except BaseException as error:  # reported by join
                self._error = error

        self._thread = threading.Thread(target=run, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the thread, and fail if it failed."""
        self._thread.join()
        if self._error is not None:
            self._test.fail(f"Error in checkedThread: {self._error}")

    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def check_termination(self) -> None:
        """Fail if the thread is still running."""
        if self._thread.is_alive():
            self._test.fail("Checked thread was not joined")
