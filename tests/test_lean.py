"""The agents of the tests' Rays start when somebody calls them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.waiting import until

AGENT = Path(__file__).parent / "lean" / "agent.py"
REAL = "import json, os, sys; print(json.dumps([os.getpid(), sys.argv[1:]]))"


def started(folder: Path, *options: str) -> subprocess.Popen:
    """A process in the place of one that would print its number and its arguments."""
    command = [sys.executable, "-S", "-c", REAL, f"--session-dir={folder}", "--node-id=7", *options]
    return subprocess.Popen([sys.executable, "-I", "-S", AGENT, *command], stdout=subprocess.PIPE, text=True)


def test_the_agent_for_environments_takes_over_the_process_and_the_port_when_it_is_called(tmp_path):
    told = tmp_path / "runtime_env_agent_port_7"
    with started(tmp_path, "--node-ip-address=127.0.0.1", "--runtime-env-agent-port=0") as process:
        until(told.exists)
        assert process.poll() is None
        with socket.create_connection(("127.0.0.1", int(told.read_text()))):
            number, options = json.loads(process.communicate()[0])
    assert number == process.pid
    assert options[-1] == f"--runtime-env-agent-port={told.read_text()}"


def test_the_agent_of_the_dashboard_says_that_it_listens_nowhere(tmp_path):
    names = {"metrics_agent_port_7", "metrics_export_port_7", "dashboard_agent_listen_port_7"}
    with started(tmp_path, "--grpc-port=0") as process:
        until(lambda: {path.name for path in tmp_path.iterdir()} == names)
        assert {path.read_text() for path in tmp_path.iterdir()} == {"-1"}
        assert process.poll() is None
        process.kill()
