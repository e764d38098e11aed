"""A worker of Ray's, forked off a process that has imported what it needs. Ray runs this file as a worker's program.

It hands its arguments, its environment and its files to the server of the test run and ends: what is forked is the
worker. Ray's library reads the environment when it is loaded, which names the machine: its workers end with it. So each
machine has a template, which loads the library with the environment of its first worker and forks. The server knows one
job, the test run's own. Other jobs' workers run Ray's own program here.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import socket
import sys

SERVER = "WEFTWORK_TESTS_SERVER"
"""The variable of the environment that says at which socket the server listens."""
_JOB = "01000000"
"""The first job of a Ray is that of who has started it."""


def hand_over() -> bool:
    """Have the server fork off a worker with what this process was given. False if it does not answer."""
    ignored = [number for number in range(1, 32) if signal.getsignal(number) is signal.SIG_IGN]
    blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    given = marshal.dumps((sys.argv, dict(os.environ), os.getcwd(), ignored, blocked))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.connect(os.environ[SERVER])
            socket.send_fds(connection, [given], [0, 1, 2])
            return bool(connection.recv(1))
        except OSError:
            return False


def take_over(given: bytes, files: list[int]) -> None:
    """Be, in a process that was just forked off, what the other one would have been."""
    import numpy as np

    sys.argv[:], environment, folder, ignored, blocked = marshal.loads(given)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.setpgid(0, 0)  # as Ray has it: it ends what a worker leaves
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in ignored else default)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    np.random.seed()


def load(given: bytes) -> None:
    """Import what each worker needs, with the environment of the first one."""
    os.environ.update(marshal.loads(given)[1])
    import numpy  # noqa: F401
    import ray._private.workers.default_worker  # noqa: F401

    import weftwork.actors.processes.worker  # noqa: F401


def serve(path: str) -> None:
    """Pass each who calls on to the template of its machine, until standard input ends, which the test run holds.

    Returns in the workers alone.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has ended leaves nothing
    templates: dict[str, socket.socket] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(path)
        listening.listen(100)
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            with listening.accept()[0] as connection:
                given, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                machine = marshal.loads(given)[1]["RAY_RAYLET_PID"] if given else ""
                if machine and machine not in templates:
                    templates[machine], end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    if os.fork() == 0:
                        for other in templates.values():
                            other.close()
                        for file in files:
                            os.close(file)
                        return fork_for_each(end)
                    end.close()
                if machine:
                    socket.send_fds(templates[machine], [given], [*files, connection.fileno()])
                for file in files:
                    os.close(file)
    os._exit(0)


def fork_for_each(calls: socket.socket) -> None:
    """Be the template of a machine: load what its workers need, and fork at each call. Returns in the workers alone."""
    loaded = False
    while True:
        given, files, _, _ = socket.recv_fds(calls, 1 << 20, 4)
        if not given:
            os._exit(0)
        if not loaded:
            load(given)
            loaded = True
        caller = files.pop()
        if os.fork() == 0:
            calls.close()
            os.close(caller)
            return take_over(given, files)
        os.write(caller, b"1")
        for file in (*files, caller):
            os.close(file)


def work() -> None:
    """Run Ray's own program."""
    import runpy
    from importlib.util import find_spec

    program = find_spec("ray._private.workers.default_worker").origin
    sys.argv[0], sys.path[0] = program, os.path.dirname(program)
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
        work()
    elif os.environ.get("RAY_JOB_ID") != _JOB or not hand_over():
        work()
