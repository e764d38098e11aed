"""Found by every Python that a test starts: a Ray that it starts goes without processes that no test needs.

They are a web server, what writes logs to the screen, and what asks for more machines. Each takes half a second of a
core to start, and a test run starts dozens of Rays. This file imports nothing: hundreds of processes read it.
"""

import sys

_LEFT_OUT = ("start_api_server", "start_log_monitor", "start_monitor")


class _Lean:
    """Finds the module of Ray that starts its processes, and leaves these functions out of it."""

    def find_spec(self, name, *_):
        if name != "ray._private.node":
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def load_lean(module):
            load(module)
            for function in _LEFT_OUT:
                setattr(module.Node, function, lambda *_, **__: None)

        spec.loader.exec_module = load_lean
        return spec


sys.meta_path.insert(0, _Lean())
