"""tf.app: a program's main function, run with its command line read (the extra `flags`)."""

import sys
from collections.abc import Callable
from typing import Any

from weftwork import flags

__all__ = ["flags", "run"]


def run(main: Callable[[list[str]], Any] | None = None, argv: list[str] | None = None) -> None:
    """Read the flags, call `main` (by default the program's own) with what is left, exit with what it gives."""
    from absl import app

    app.run(main or sys.modules["__main__"].main, argv)
