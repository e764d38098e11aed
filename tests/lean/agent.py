"""What a raylet starts in place of one of its agents, and what becomes that agent once it is called.

Its arguments are the command of the process in whose place it is. It says that it is there as that does: each port in a
file of the session's folder, -1 for a port that nobody listens at. Whoever calls at the one of the agent for
environments gets that agent: its command takes over this process and the port.
"""

import os
import select
import socket
import sys

NOWHERE = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
"""The ports of the agent of the dashboard, without the packages of which it listens at none."""
SERVES = "runtime_env_agent_port"
"""The port of the agent for environments."""


def tell(options: dict[str, str], name: str, port: int) -> None:
    """Write a port to where the raylet looks for it, whole or not at all."""
    path = os.path.join(options["--session-dir"], f"{name}_{options['--node-id']}")
    with open(path + ".new", "w") as file:
        file.write(str(port))
    os.rename(path + ".new", path)


def called(listening: list[socket.socket]) -> bool:
    """Wait until somebody calls. False if the raylet has ended before."""
    raylet = int(os.environ.get("RAY_RAYLET_PID", os.getppid()))  # it may have ended before this line
    while os.getppid() == raylet:
        if select.select(listening, [], [], 1)[0]:
            return True
    return False


def main(command: list[str]) -> None:
    """Be there, and the real one once it is called."""
    options = dict(each.split("=", 1) for each in command if each.startswith("--") and "=" in each)
    if "--runtime-env-agent-port" not in options:
        for name in NOWHERE:
            tell(options, name, -1)
        called([])
        return
    address = options["--node-ip-address"], int(options["--runtime-env-agent-port"])
    family, kind, *_, address = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
        port = listening.getsockname()[1]
        tell(options, SERVES, port)
        if not called([listening]):
            return
    os.execv(command[0], [*command, f"--runtime-env-agent-port={port}"])  # the last one of two holds


if __name__ == "__main__":
    main(sys.argv[1:])
