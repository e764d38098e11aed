"""tf.logging: Python's logging, through one logger named "weftwork", with TensorFlow's names."""

import logging as _logging
from logging import DEBUG, ERROR, FATAL, INFO, WARN

_logger = _logging.getLogger("weftwork")

debug, info, warn, warning = _logger.debug, _logger.info, _logger.warning, _logger.warning
error, fatal, log = _logger.error, _logger.fatal, _logger.log
TaskLevelStatusMessage = error

__all__ = [
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "TaskLevelStatusMessage",
    "WARN",
    "debug",
    "error",
    "fatal",
    "flush",
    "get_logger",
    "get_verbosity",
    "info",
    "log",
    "log_every_n",
    "log_first_n",
    "log_if",
    "set_verbosity",
    "vlog",
    "warn",
    "warning",
]

_counts: dict[tuple[int, str], int] = {}


def set_verbosity(v: int) -> None:
    """Show messages of this level and above: on standard error, unless the program has configured logging itself.

    v: a level, as `logging.INFO`.
    """
    if not _logger.handlers and not _logging.getLogger().handlers:
        handler = _logging.StreamHandler()
        handler.setFormatter(_logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
        _logger.addHandler(handler)
    _logger.setLevel(v)


def get_logger() -> _logging.Logger:
    """The logger that all these functions use."""
    return _logger


def get_verbosity() -> int:
    """The lowest level that is shown."""
    return _logger.getEffectiveLevel()


def log_if(level: int, msg: str, condition: object, *args: object) -> None:
    """Log if the condition is true.

    level: as `logging.INFO`.
    """
    if condition:
        _logger.log(level, msg, *args)


def log_every_n(level: int, msg: str, n: int, *args: object) -> None:
    """Log the first of every n calls with this message.

    level: as `logging.INFO`.
    """
    count = _counts[level, msg] = _counts.get((level, msg), -1) + 1
    log_if(level, msg, count % n == 0, *args)


def log_first_n(level: int, msg: str, n: int, *args: object) -> None:
    """Log the first n calls with this message.

    level: as `logging.INFO`.
    """
    count = _counts[level, msg] = _counts.get((level, msg), -1) + 1
    log_if(level, msg, count < n, *args)


def flush() -> None:
    """Flush the handlers."""
    for handler in [*_logger.handlers, *_logging.getLogger().handlers]:
        handler.flush()


def vlog(level: int, msg: str, *args: object, **kwargs: object) -> None:
    """Log at any level."""
    _logger.log(level, msg, *args, **kwargs)  # type: ignore[arg-type]
