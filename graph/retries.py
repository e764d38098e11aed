"""Retry: when to call a function again after it has raised, and how long to wait."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

_JITTER = random.SystemRandom()
"""Its draws do not advance the program's own random generators."""


@dataclass(frozen=True)
class Retry:
    """When to call a function again after it has raised: `@tf.op(retries=tf.Retry(3, delay=0.5, on=OSError))`.

    times: the largest number of retries.
    delay: seconds to wait before the first retry.   backoff: the factor from one wait to the next.
    longest: the longest wait, in seconds.   jitter: the fraction, 0 to 1, by which each wait is randomly lengthened or
        shortened, so that many calls that failed together are not all repeated at the same moment.
    on: the exception class, or tuple of classes, worth retrying; any other error ends the run at once.
    Raises TypeError or ValueError for invalid arguments.

        @tf.op(retries=tf.Retry(5, delay=0.1, backoff=2.0, jitter=0.1, on=(ConnectionError, TimeoutError)))
        def download(url): ...
    """

    times: int
    delay: float = 0.0
    backoff: float = 2.0
    longest: float = 60.0
    jitter: float = 0.0
    on: type[Exception] | tuple[type[Exception], ...] = Exception

    def __post_init__(self):
        if isinstance(self.times, bool) or not isinstance(self.times, int) or self.times < 0:
            raise ValueError(f"retries must be an integer of at least 0 or a tf.Retry, not {self.times!r}.")
        for name, least, most in (("delay", 0, None), ("backoff", 1, None), ("longest", 0, None), ("jitter", 0, 1)):
            _check(name, getattr(self, name), least, most)
        classes = self.on if isinstance(self.on, tuple) else (self.on,)
        object.__setattr__(self, "on", classes)
        if not classes or not all([isinstance(kind, type) and issubclass(kind, Exception) for kind in classes]):
            raise TypeError(f"Retry's on must be a subclass of Exception, or a tuple of these, not {classes!r}.")

    @classmethod
    def of(cls, retries: int | Retry) -> Retry:
        """The Retry for an argument `retries=`: a plain number means at once, after any error."""
        if type(retries) is int and retries == 0:
            return _NONE
        return retries if isinstance(retries, Retry) else cls(retries)

    def waits(self) -> Iterator[float]:
        """The seconds to wait before each retry."""
        wait = self.delay
        for _ in range(self.times):
            yield min(wait, self.longest) * (1 + self.jitter * _JITTER.uniform(-1, 1))
            wait = min(wait * self.backoff, self.longest)


def _check(name: str, value: Any, least: int, most: int | None) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
    if not number or value < least or (most is not None and value > most):
        up_to = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ValueError(f"Retry's {name} must be a number {up_to}, not {value!r}.")


_NONE = Retry(0)
