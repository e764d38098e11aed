"""A worker of Ray's, forked off a process that has imported what it needs. Ray runs this file as a worker's program.

The server, a process of the test run, forks off a template for each job of each Ray: Ray's library reads its
environment when it is loaded, so no template serves two jobs. The template imports, and forks off a worker for each
process that Ray starts: that hands over its arguments, its environment and its files, and ends. Until the template
listens, and for workers that belong to no job yet, Ray's own program runs here.
"""

from __future__ import annotations

import marshal
import os
import signal
import socket
import sys
from collections.abc import Callable

FOLDER = "WEFTWORK_TESTS_WORKERS"
"""The variable of the environment that names the folder of the sockets."""
SERVER = "server"
"""The socket of the server. A template's has the number of its Ray and that of its job."""
_NO_JOB = "ffffffff"


def template() -> str:
    """The socket of the template that this process could be forked off; nothing if there will be none."""
    job = os.environ.get("RAY_JOB_ID", _NO_JOB)
    return "" if job == _NO_JOB else f"{os.environ['RAY_RAYLET_PID']}-{job}"


def call(name: str) -> bool:
    """Hand what this process was given to who listens at a socket. False if nobody does."""
    ignored = [number for number in range(1, 32) if signal.getsignal(number) is signal.SIG_IGN]
    blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    given = marshal.dumps((sys.argv, dict(os.environ), os.getcwd(), ignored, blocked))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.connect(os.path.join(os.environ[FOLDER], name))
            socket.send_fds(connection, [given], [0, 1, 2])
            return bool(connection.recv(1))
        except OSError:
            return False


def be(given: bytes) -> None:
    """Have the arguments, the environment and the signals of another process."""
    sys.argv[:], environment, folder, ignored, blocked = marshal.loads(given)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in ignored else default)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def forked(name: str, prepare: Callable[[], object] = lambda: None) -> list[int]:
    """Fork for each who calls at a socket, until standard input ends, which the test run holds.

    Returns in the children alone, where this process has what the caller was given: its files, which are open here.
    prepare: called before anybody is answered. Where somebody else has the socket, this process ends.
    """
    import select

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has ended leaves nothing
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        try:
            listening.bind(os.path.join(os.environ[FOLDER], name))
        except OSError:  # two workers called the server at once
            os._exit(0)
        prepare()
        listening.listen(100)
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            with listening.accept()[0] as connection:
                given, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                if given and os.fork() == 0:
                    be(given)
                    return files
                connection.send(b"1")
            for file in files:
                os.close(file)
    os._exit(0)


def load() -> None:
    """Import what each worker needs."""
    import numpy  # noqa: F401
    import ray._private.workers.default_worker  # noqa: F401

    import weftwork.actors.processes.worker  # noqa: F401


def serve() -> None:
    """Make templates, and workers off them. Returns in a worker."""
    for file in forked(SERVER):
        os.close(file)
    for number, file in enumerate(forked(template(), load)):
        os.dup2(file, number)
        os.close(file)
    os.setpgid(0, 0)  # as Ray has it: it ends what a worker leaves
    import numpy as np

    np.random.seed()


def work() -> None:
    """Run Ray's own program."""
    import runpy
    from importlib.util import find_spec

    program = find_spec("ray._private.workers.default_worker").origin
    sys.argv[0], sys.path[0] = program, os.path.dirname(program)
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
        work()
    elif not (name := template()) or not call(name):
        if name:
            call(SERVER)
        work()
