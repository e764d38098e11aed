"""Found by every Python that a test starts: a Ray that it starts goes without processes that no test needs.

They are a web server, what writes logs to the screen, what asks for more machines, and each machine's two agents, in
whose place is `agent.py` till they are called. Each takes half a second of a core to start, and a test run starts
dozens of Rays. This file imports nothing: hundreds of processes read it.
"""

import sys

_LEFT_OUT = ("start_api_server", "start_log_monitor", "start_monitor")
_COMMAND = "_build_python_executable_command_memory_profileable"
"""The function of Ray that gives the beginning of the command of one of its processes."""


def _without_processes(node):
    for function in _LEFT_OUT:
        setattr(node.Node, function, lambda *_, **__: None)


def _with_lean_agents(services):
    command, agents = getattr(services, _COMMAND), {"dashboard_agent", "runtime_env_agent"}
    lean = [sys.executable, "-I", "-S", __file__.replace("sitecustomize", "agent")]

    def lean_command(kind, *more):
        tells_by_files = hasattr(sys.modules["ray._raylet"], "persist_port")  # an older Ray's agents do not
        return [*(lean if kind in agents and tells_by_files else ()), *command(kind, *more)]

    setattr(services, _COMMAND, lean_command)


_CHANGES = {"ray._private.node": _without_processes, "ray._private.services": _with_lean_agents}


class _Lean:
    """Finds the modules of Ray that start its processes, and changes them."""

    def find_spec(self, name, *_):
        if name not in _CHANGES:
            return None
        from importlib.util import find_spec

        change = _CHANGES.pop(name)
        if not _CHANGES:
            sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def load_lean(module):
            load(module)
            change(module)

        spec.loader.exec_module = load_lean
        return spec


if not any(type(finder).__name__ == _Lean.__name__ for finder in sys.meta_path):  # conftest.py imports it anew
    sys.meta_path.insert(0, _Lean())
