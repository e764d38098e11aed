"""Steps: the instructions of a function's code, each with the value that it loads, where names tell."""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
COROUTINES = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""Flags of code that is not run when it is called."""
LOCAL = frozenset(
    """RESUME NOP CACHE PRECALL PUSH_NULL KW_NAMES CALL CALL_FUNCTION CALL_METHOD CALL_FUNCTION_KW CALL_KW POP_TOP
    LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR LOAD_FAST_LOAD_FAST LOAD_FAST_BORROW
    LOAD_FAST_BORROW_LOAD_FAST_BORROW LOAD_CONST LOAD_SMALL_INT LOAD_GLOBAL LOAD_DEREF NOT_TAKEN POP_ITER
    LOAD_ATTR LOAD_METHOD LOAD_CLOSURE STORE_FAST STORE_FAST_LOAD_FAST STORE_FAST_STORE_FAST COPY_FREE_VARS
    RETURN_VALUE RETURN_CONST BINARY_OP BINARY_SUBSCR BINARY_SLICE BINARY_ADD BINARY_SUBTRACT BINARY_MULTIPLY
    BINARY_TRUE_DIVIDE BINARY_POWER BINARY_FLOOR_DIVIDE BINARY_MODULO BINARY_MATRIX_MULTIPLY BINARY_AND
    BINARY_OR BINARY_XOR BINARY_LSHIFT BINARY_RSHIFT UNARY_NEGATIVE UNARY_NOT UNARY_POSITIVE UNARY_INVERT
    COMPARE_OP IS_OP CONTAINS_OP TO_BOOL CALL_INTRINSIC_1 BUILD_TUPLE BUILD_LIST BUILD_SLICE BUILD_MAP
    BUILD_CONST_KEY_MAP BUILD_STRING LIST_APPEND LIST_EXTEND LIST_TO_TUPLE UNPACK_SEQUENCE GET_ITER FOR_ITER
    END_FOR JUMP_FORWARD JUMP_BACKWARD JUMP_ABSOLUTE COPY SWAP DUP_TOP DUP_TOP_TWO ROT_TWO ROT_THREE ROT_FOUR
    POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE POP_JUMP_FORWARD_IF_FALSE
    POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE POP_JUMP_BACKWARD_IF_FALSE
    POP_JUMP_BACKWARD_IF_TRUE JUMP_IF_FALSE_OR_POP JUMP_IF_TRUE_OR_POP FORMAT_VALUE FORMAT_SIMPLE
    FORMAT_WITH_SPEC CONVERT_VALUE MAKE_CELL MAKE_FUNCTION SET_FUNCTION_ATTRIBUTE STORE_DEREF RETURN_GENERATOR
    YIELD_VALUE GEN_START BUILD_SET SET_ADD MAP_ADD RERAISE LOAD_FAST_BORROW_LOAD_FAST""".split()
)
"""Instructions that store only into the function's own local variables, under the names of all Python versions."""
UNKNOWN = object()
"""Stands for a value that no name tells."""
MISSING = object()
"""Stands for the value of a name that does not exist."""
_PASSING = ("CACHE", "PUSH_NULL", "PRECALL")
_CALLS = ("CALL", "CALL_FUNCTION", "CALL_METHOD")
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])


@functools.lru_cache(maxsize=256)
def instructions(code: CodeType) -> Sequence[dis.Instruction]:
    """The instructions of a code object."""
    return tuple(dis.get_instructions(code))


def loaded(function: FunctionType, code: CodeType) -> Iterator[tuple[int, dis.Instruction, Any]]:
    """The place of each instruction, the instruction, and the value that it loads, or UNKNOWN.

    code: the function's own, or that of a comprehension, a generator or a function in it.
    Known are globals, variables of enclosing functions, and attributes of modules; MISSING if there is none.
    """
    before: Any = UNKNOWN
    for place, step in enumerate(instructions(code)):
        value = UNKNOWN
        if step.opname in _PASSING:
            yield place, step, UNKNOWN
            continue
        if step.opname == "LOAD_GLOBAL" or (
            step.opname == "LOAD_DEREF" and step.argval in function.__code__.co_freevars
        ):
            value = looked_up(function, step.argval)
        elif step.opname in ATTRIBUTES and isinstance(before, ModuleType):
            value = getattr(before, step.argval, MISSING)
        before = value
        yield place, step, value


def is_backward(step: dis.Instruction) -> bool:
    """Whether an instruction jumps back, as the last one of a loop does."""
    return step.opcode in _JUMPS and step.argval <= step.offset


def looked_up(function: FunctionType, name: str) -> Any:
    """The value of a global or a closure variable; MISSING if there is none."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    try:
        if name in cells:
            return cells[name].cell_contents
    except ValueError:  # an empty cell
        return MISSING
    return function.__globals__.get(name, getattr(builtins, name, MISSING))


def call_of(code: CodeType, place: int) -> int | None:
    """The place of the instruction that calls what the one at `place` loads; None if it is not plain to see."""
    depth, steps = 0, instructions(code)
    for later in range(place + 1, len(steps)):
        step = steps[later]
        if step.opcode in _JUMPS:
            return None
        depth += dis.stack_effect(step.opcode, step.arg)
        if depth <= 0 and step.opname in _CALLS:
            return later
        if depth < 0:
            return None
    return None
