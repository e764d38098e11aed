"""Which names of a module get their value when the module is imported, judging by the module's code.

Another process that imports the module then has that value, too. Large ones need not be sent.
"""

from __future__ import annotations

import dis
import sys
from importlib.util import resolve_name
from types import CodeType, ModuleType
from typing import Any

from weftwork.graph.python.codes import facts_of
from weftwork.graph.python.modules import is_own

_LITERALS = frozenset(["BUILD_LIST", "BUILD_MAP", "BUILD_SET", "BUILD_TUPLE"])
_known: dict[tuple[str, str], tuple[Any, bool]] = {}
"""By module and name: how the module was loaded, and the answer."""


def is_made_at_import(module: ModuleType, name: str) -> bool:
    """True if importing a module gives a name its value, and no function of the module changes it afterwards.

    False if the code is not available, or gives the name a small value: then the program has set it since.
    """
    if not is_own(module.__name__):
        return True
    spec = getattr(module, "__spec__", None)
    known = _known.get((module.__name__, name))
    if known is None or known[0] is not spec:
        _known[module.__name__, name] = (spec, False)  # modules may import from each other
        known = _known[module.__name__, name] = (spec, _is_made(module, spec, name))
    return known[1]


def _is_made(module: ModuleType, spec: Any, name: str) -> bool:
    try:
        code = spec.loader.get_code(spec.name)
    except Exception:
        return False
    if not isinstance(code, CodeType):
        return False
    later = [facts_of(inner) for inner in code.co_consts if isinstance(inner, CodeType)]
    root = ("global", name)
    changed_later = {change for facts in later for change in facts.changes if change.root == root}
    if changed_later or any([name in facts.stored_globals for facts in later]):
        return False
    filled = any([change.root == root for change in facts_of(code).changes])
    return _is_stored(code, module, name, filled)


def _is_stored(code: CodeType, module: ModuleType, name: str, filled: bool) -> bool:
    """Whether the code of a module stores a value that may be large under a name. filled: it changes the value in
    place."""
    answer, origin = False, ""
    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            origin = _origin(before, module, instruction.argval)
        elif instruction.opname == "STORE_NAME" and instruction.argval == name:
            last = before[-1]
            if last.opname == "IMPORT_FROM":
                source = sys.modules.get(origin)
                answer = source is not None and is_made_at_import(source, last.argval)
            else:
                is_empty = last.opname == "LOAD_CONST" or (last.opname in _LITERALS and not last.arg)
                answer = filled or not is_empty
        before = [*before[-1:], instruction]
    return answer


def _origin(before: list[dis.Instruction], module: ModuleType, name: str) -> str:
    """The full name of the module that an import statement names; the level was loaded before the list of names."""
    level = before[0].argval if before else 0
    try:
        return resolve_name("." * level + name, module.__package__) if level else name
    except (ImportError, TypeError):
        return ""
