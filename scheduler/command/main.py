"""The command: `weftwork doctor`, `replay`, `trace`, `checkpoint`. Wrong input gives one line, and status 2."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from weftwork.actors.processes import replay
from weftwork.graph.errors import OpError
from weftwork.scheduler.command import checkpoints, doctor
from weftwork.scheduler.command.tracing import trace, users_part


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="weftwork", description="See what runs do, repeat calls that failed, look into checkpoints.")
    parser.add_argument("--version", action="version", version=f"weftwork {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    command = commands.add_parser(
        "doctor", help="check what is installed and what the machine offers, and say what to do"
    )
    command.add_argument("--ray", action="store_true", help="also start or join Ray, and run a task")
    command.set_defaults(do=lambda asked: doctor.report(asked.ray, print))
    command = commands.add_parser("replay", help="repeat a failed call, from a file that error.save(PATH) wrote")
    command.add_argument(
        "path", metavar="PATH", help="the file; it contains code, which is run: use only files that you trust"
    )
    command.add_argument("--debug", action="store_true", help="start pdb where the function raises")
    command.set_defaults(do=_replay)
    command = commands.add_parser("trace", help="run a program, and write a timeline and a report of its runs")
    command.add_argument(
        "--out", metavar="NAME", help="start the files' names with NAME; the default is the program's name"
    )
    command.add_argument("file", metavar="FILE.py", help="the program")
    command.add_argument("args", metavar="ARG", nargs=argparse.REMAINDER, help="its arguments")
    command.set_defaults(do=lambda asked: trace(asked.file, asked.args, asked.out, print))
    command = commands.add_parser("checkpoint", help="list checkpoints and what they hold")
    kinds = command.add_subparsers(dest="kind", required=True, metavar="ls|show", parser_class=_Parser)
    kind = kinds.add_parser("ls", help="list the checkpoints of a folder")
    kind.add_argument("path", metavar="FOLDER")
    kind.set_defaults(do=lambda asked: checkpoints.list_folder(asked.path, print))
    kind = kinds.add_parser("show", help="list the values of a checkpoint, or of a folder's newest one")
    kind.add_argument("path", metavar="PATH")
    kind.set_defaults(do=lambda asked: checkpoints.show(asked.path, print))
    return parser


def _version() -> str:
    try:
        return version("weftwork")
    except PackageNotFoundError:
        return "from its sources"


def _replay(asked: Any) -> int:
    """Repeat a saved call. Returns 0 if it succeeds, 1 if it fails."""
    bundle = replay.load(asked.path)
    try:
        call = bundle.call()
    except Exception as error:
        raise ValueError(
            f"{asked.path} cannot be read here ({type(error).__name__}: {error}): run it where the modules of the "
            f"program can be imported, with Python {bundle.python}."
        ) from error
    count = len(call.inputs())
    print(f"{bundle.where}, with {count} input{'s' * (count != 1)}")
    try:
        made = replay.call_again(call, asked.debug)
    except Exception as failure:
        traceback.print_exception(failure.with_traceback(users_part(failure.__traceback__)))
        return 1
    print(f"It did not fail this time. It returned {made!r}")
    return 0


def main(args: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, and return the status. Wrong arguments give one line, and status 2."""
    asked = _parser().parse_args(args)
    try:
        return asked.do(asked)
    except (ValueError, OSError, OpError) as error:
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        text = error.message if isinstance(error, OpError) else text
        print(f"weftwork: {text}".splitlines()[0], file=sys.stderr)
        return 2
