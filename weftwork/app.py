"""tf.app: runs a program's main function after parsing the command line (needs the extra `flags`)."""

import sys
from collections.abc import Callable
from typing import Any

from weftwork import flags

__all__ = ["flags", "run"]


def run(main: Callable[[list[str]], Any] | None = None, argv: list[str] | None = None) -> None:
    """Parse the flags, call `main` (by default the program's own) with the remaining arguments, and exit with its
    result."""
    from absl import app

    app.run(main or sys.modules["__main__"].main, argv)
