"""Program: the code of a segment, free of graphs and sessions. It runs in the caller, in an actor or in a task.

slot      a cell of the program's environment, which holds one value while the program runs
step      one node: a kernel, the slots that it reads, and the slots that it writes
stop      a list, or a stand-in for one; once it is true, the program raises `Stopped` before its next step

A program is interpreted at first. Once hot, it is compiled to a Python function with one line per step, so the line
number of a traceback tells which step failed.
"""

from __future__ import annotations

import dis
import keyword
import operator
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from types import FrameType, MappingProxyType
from typing import Any, NamedTuple

from weftwork.actors.programs.float_errors import quiet, reported
from weftwork.actors.programs.sizes import size_of
from weftwork.graph.python.lending import Lent
from weftwork.graph.python.modules import is_own
from weftwork.graph.python.ownership import ATOMS

_SIGNS: dict[Callable, str] = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
    operator.eq: "==",
    operator.ne: "!=",
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
}
_INFIX = {id(function): sign for function, sign in _SIGNS.items()}
_STEPS_BETWEEN_CHECKS = 64
_LARGE_NUMBER = 1 << 62
COMPILED = "<weftwork segment>"
"""File name of compiled programs in tracebacks."""
LONGEST_FUNCTION = 65_536
"""Maximum number of steps in one compiled function. Compiling takes 15 us and 6 KB per step."""


class Stopped(BaseException):
    """A program was asked to stop, between two steps. A BaseException, so that no kernel swallows it."""


_RAISE = dis.opmap["RAISE_VARARGS"]


def is_from_outside(error: BaseException) -> bool:
    """True if an exception came from outside the kernel: a stop or Ctrl-C. Anything else is the kernel's failure.

    A KeyboardInterrupt raised by user code counts as a failure. It comes from a `raise` in the program's own code that
    is not the signal handler.
    """
    if not isinstance(error, KeyboardInterrupt):
        return isinstance(error, Stopped)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return True
    code = trace.tb_frame.f_code
    by_hand = code.co_code[trace.tb_lasti] == _RAISE and is_own(trace.tb_frame.f_globals.get("__name__"))
    handler: Any = signal.getsignal(signal.SIGINT)
    return not by_hand or code is getattr(getattr(handler, "__func__", handler), "__code__", None)


class StepFailed(Exception):
    """A step's kernel raised. `step` is the step's number, `__cause__` the exception.

    taken: the values of the step's inputs, without the stop list, or None if they are not known.
    measured: if the program was measured: when the step began, and what `measure` returns of the steps before it.
    """

    def __init__(self, step: int, taken: list | None = None):
        super().__init__(step)
        self.step, self.taken, self.measured = step, taken, []


Measured = tuple[list, list[float], list[float], list[int], list[int]]


class Step(NamedTuple):
    """One node: slots[outputs] = kernel(*slots[inputs], **attrs)."""

    kernel: Callable
    attrs: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: int | tuple[int, ...]
    """A slot, or a tuple of slots if the kernel returns a tuple."""
    dead: tuple[int, ...]
    """Slots that no later step reads."""
    settle: Callable | None = None
    """Applied to a list of returned values that may be mutable, or of a single one, so that nobody else holds them."""
    lent: Lent | None = None
    """Which arguments are lent, that is, not owned by the kernel."""


@dataclass
class Program:
    """A list of steps between input slots and output slots."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    steps: list[Step]
    size: int
    constants: tuple[tuple[int, Any], ...] = ()
    stop: int | None = None
    """The slot of the stop list, if steps take it: branches and loops do."""
    unwatched: int = 1
    """When compiled, check the stop list after every N steps. N is above 1 only if all steps are known to be short."""
    loud: bool = False
    """True if all nodes are users' functions."""
    state: Any = None
    """What its functions refer to (`carried.Carried`), if it is sent to another process."""
    _function: Callable | None = field(default=None, repr=False, compare=False)
    name: str = field(default="", repr=False, compare=False)
    shipped: Any = field(default=None, repr=False, compare=False)
    """Its name for local workers, and its form in Ray's store for tasks and actors, once one of these was sent it."""

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_function": None, "name": "", "shipped": None}

    def __call__(self, values: Sequence[Any], stop: list) -> list:
        """Run on input values and return the output values. Raises StepFailed, or Stopped once `stop` fills up."""
        if self._function is None:
            return self._interpret(values, stop)
        try:
            return self._function(stop, *values)
        except BaseException as error:
            if isinstance(self._function, Parts) or is_from_outside(error):
                raise  # a part has already named the step
            step, frame = self._line_of(error)
            raise StepFailed(step, None if frame is None else self.taken(step, frame.f_locals)) from error

    def errors(self) -> quiet | reported:
        """The context in which it must run, regarding NumPy's floating-point errors."""
        return reported() if self.loud else quiet()

    def _environment(self, values: Sequence[Any]) -> list:
        slots: list = [None] * self.size
        for slot, value in self.constants:
            slots[slot] = value
        for slot, value in zip(self.inputs, values, strict=True):
            slots[slot] = value
        return slots

    def _interpret(self, values: Sequence[Any], stop: list, probe: Callable | None = None) -> list:
        """probe: called after each kernel with (step, start time, arguments, result)."""
        slots = self._environment(values)
        if self.stop is not None:
            slots[self.stop] = stop
        at, began = 0, 0.0
        try:
            for at, (kernel, attrs, inputs, outputs, dead, settle, lent) in enumerate(self.steps):
                if stop:
                    raise Stopped
                args = [slots[i] for i in inputs]
                if lent is not None:
                    args = lent(args)
                if probe is not None:
                    began = perf_counter()
                result = kernel(*args, **attrs) if attrs else kernel(*args)
                if probe is not None:
                    probe(at, began, args, result)
                if settle is not None and type(result) not in ATOMS:
                    del args
                    result = settle([result]) if type(outputs) is int else settle(result)
                if isinstance(outputs, int):
                    slots[outputs] = result
                else:
                    spread(slots, outputs, result)
                for slot in dead:
                    slots[slot] = None
        except BaseException as error:
            if is_from_outside(error):
                raise
            failed = StepFailed(at, [slots[i] for i in self.steps[at].inputs if i != self.stop])
            failed.measured = [began]
            raise failed from error
        return [slots[i] for i in self.outputs]

    def measure(self, values: Sequence[Any], stop: list) -> Measured:
        """Run, and measure each step: its start (by `perf_counter`), seconds, and bytes of inputs and outputs."""
        count = len(self.steps)
        starts, seconds, taken, made = [0.0] * count, [0.0] * count, [0] * count, [0] * count

        def probe(at: int, began: float, args: list, result: Any) -> None:
            starts[at], seconds[at] = began, perf_counter() - began
            taken[at] = sum(map(size_of, args))
            if type(self.steps[at].outputs) is int:
                made[at] = size_of(result)
            elif hasattr(result, "__len__"):  # else the step is about to fail
                made[at] = sum(map(size_of, result))

        try:
            return self._interpret(values, stop, probe), starts, seconds, taken, made
        except StepFailed as failed:
            failed.measured += [costs[: failed.step] for costs in (starts, seconds, taken, made)]
            raise

    # Compiled form

    @property
    def compiled(self) -> bool:
        """True if it runs as a Python function, or as several."""
        function = self._function
        return function.compiled if isinstance(function, Parts) else function is not None

    def compile(self) -> bool:
        """Compile to a Python function; of a long program, one part per call. True once all is compiled."""
        if isinstance(self._function, Parts):
            self._function.compile()
        elif self._function is None and len(self.steps) > LONGEST_FUNCTION:
            self._function = Parts(self)
        elif self._function is None:
            names: dict[str, Any] = {"stop_now": stop_now}
            code = compile("\n".join(self._source(names)), COMPILED, "exec")
            exec(code, names)
            self._function = names["segment"]
        return self.compiled

    def _source(self, names: dict[str, Any]) -> list[str]:
        lines, outputs = self.statements(names, "", {slot: f"v{slot}" for slot in self.inputs})
        head = f"def segment(stop{''.join(f', v{slot}' for slot in self.inputs)}):"
        return [head, *[f" {line}" for line in lines], f" return [{', '.join(outputs)}]"]

    def statements(
        self, names: dict[str, Any], prefix: str, given: Mapping[int, str], kept: bool = False
    ) -> tuple[list[str], list[str]]:
        """A line of Python for each step, and the names of the outputs.

        names: receives the globals that the lines use.   prefix: put before all other names.   given: the names of the
        inputs, to which steps may assign unless they are `kept`.
        """
        text = {slot: f"{prefix}v{slot}" for slot in range(self.size)}
        text.update(given)
        if self.stop is not None:
            text[self.stop] = "stop"
        fixed = set(given) if kept else set()
        for slot, value in self.constants:
            fixed.add(slot)
            if type(value) is int and abs(value) < _LARGE_NUMBER:  # a literal is faster than a global
                text[slot] = f"({value})" if value < 0 else str(value)
            else:
                names[f"{prefix}c{slot}"] = value
                text[slot] = f"{prefix}c{slot}"
        light = f"{prefix}light"
        lends, inputs = self._lending()
        lines = [
            _statement(at, step, text, names, prefix, fixed, self.unwatched, lends.get(at, False))
            for at, step in enumerate(self.steps)
        ]
        if lends or inputs:  # while every shared value is an atom, nothing has to be copied
            names["ATOMS"] = ATOMS
            atoms = [f"type({text[slot]}) in ATOMS" for slot in inputs]
            lines[0] = f"{light} = {' and '.join(atoms) or 'True'}; {lines[0]}"
        return lines, [text[slot] for slot in self.outputs]

    def _lending(self) -> tuple[dict[int, bool], list[int]]:
        """The steps that lend or borrow: True if a later step borrows the result. And the input slots that are lent."""
        maker: dict[int, int] = {}
        lends: dict[int, bool] = {}
        inputs: dict[int, None] = {}
        for at, step in enumerate(self.steps):
            if step.lent is not None:
                lends.setdefault(at, False)
                for position in (*step.lent.shared, *step.lent.alone):
                    slot = step.inputs[position]
                    if slot in maker:
                        lends[maker[slot]] = True
                    else:
                        inputs[slot] = None
            maker.update([(slot, at) for slot in _outputs(step)])
        return lends, list(inputs)

    def written(self) -> set[int]:
        """The slots that its steps write."""
        return {slot for step in self.steps for slot in _outputs(step)}

    def _line_of(self, error: BaseException) -> tuple[int, FrameType | None]:
        """The step whose line raised, and the frame of the compiled function."""
        code = self._function.__code__  # type: ignore[union-attr]
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is code:
                return max(0, min(trace.tb_lineno - 2, len(self.steps) - 1)), trace.tb_frame
            trace = trace.tb_next
        return 0, None

    def taken(
        self, step: int, names: Mapping[str, Any], prefix: str = "", given: Mapping[int, str] = MappingProxyType({})
    ) -> list | None:
        """The values of a step's inputs, read from a compiled function's local variables. None if one is not set.

        prefix, given: as in `statements`.
        """
        constants, found = dict(self.constants), []
        for slot in self.steps[step].inputs:
            name = given.get(slot, f"{prefix}v{slot}")
            if slot in constants:
                found.append(constants[slot])
            elif name in names:
                found.append(names[name])
            elif slot != self.stop:
                return None
        return found


class Parts:
    """A long program as a sequence of shorter ones, which pass values on through a list of slots."""

    def __init__(self, program: Program):
        self._program = program
        steps, count = program.steps, -(-len(program.steps) // LONGEST_FUNCTION)
        starts = [len(steps) * k // count for k in range(count + 1)]
        self._parts: list[tuple[int, Program]] = []
        live = set(program.outputs)
        """Slots that are read after the current part."""
        for start, end in zip(reversed(starts[:-1]), reversed(starts[1:]), strict=True):
            part = self._part(start, end, live)
            live = live.difference(part.written()).union(part.inputs)
            self._parts.insert(0, (start, part))

    def _part(self, start: int, end: int, live: set[int]) -> Program:
        """The program of the steps from `start` to `end`. Its outputs are the slots in `live` that it writes."""
        program = self._program
        constants = dict(program.constants)
        given: dict[int, None] = {}
        written: dict[int, None] = {}
        for step in program.steps[start:end]:
            given.update([(slot, None) for slot in step.inputs if slot not in written])
            written.update([(slot, None) for slot in _outputs(step)])
        inputs = tuple([slot for slot in given if slot not in constants and slot != program.stop])
        outputs = tuple([slot for slot in written if slot in live])
        mine = tuple([(slot, constants[slot]) for slot in given if slot in constants])
        steps = program.steps[start:end]
        return Program(inputs, outputs, steps, program.size, mine, program.stop, program.unwatched)

    @property
    def compiled(self) -> bool:
        """True if all parts are compiled."""
        return all([part.compiled for _, part in self._parts])

    def compile(self) -> None:
        """Compile one more part."""
        for _, part in self._parts:
            if not part.compiled:
                part.compile()
                return

    def __call__(self, stop: list, *values: Any) -> list:
        slots = self._program._environment(values)
        for start, part in self._parts:
            try:
                results = part([slots[slot] for slot in part.inputs], stop)
            except StepFailed as failed:
                raise StepFailed(start + failed.step, failed.taken) from failed.__cause__
            for slot, value in zip(part.outputs, results, strict=True):
                slots[slot] = value
        return [slots[slot] for slot in self._program.outputs]


INTERPRETED, IN_PARTS = Program._interpret.__code__, Parts.__call__.__code__
"""Code objects that run a program's steps, and its parts. `stack` looks for them in tracebacks."""


def spread(slots: Any, outputs: Sequence[Any], result: Any) -> None:
    """Assign each value of a result: slots[output] = value. Raises ValueError if the numbers differ."""
    if len(result) != len(outputs):
        raise ValueError(f"the node returned {len(result)} values, but has {len(outputs)} outputs")
    for slot, value in zip(outputs, result, strict=True):
        slots[slot] = value


def _outputs(step: Step) -> tuple[int, ...]:
    return (step.outputs,) if isinstance(step.outputs, int) else step.outputs


def _statement(
    at: int,
    step: Step,
    text: Mapping[int, str],
    names: dict[str, Any],
    prefix: str,
    fixed: set[int],
    unwatched: int,
    lends: bool,
) -> str:
    """One line of source: `v7 = v3 + v5`, or `v7 = k2(v3, axis=a4_0)`, with a check of `stop` now and then.

    lends: later steps take the step's result on loan.
    """
    args = [text[slot] for slot in step.inputs]
    light = f"{prefix}light"
    infix = _INFIX.get(id(step.kernel))  # a user's callable is not asked for its hash
    if infix is not None and len(args) == 2 and not step.attrs:
        call = f"{args[0]} {infix} {args[1]}"
    else:
        name = f"k{id(step.kernel)}"
        names[name] = step.kernel
        keywords: list[str] = []
        for number, (key, value) in enumerate(step.attrs.items()):
            attr = f"{prefix}a{at}_{number}"
            names[attr] = value
            plain = key.isascii() and key.isidentifier() and not keyword.iskeyword(key)
            keywords.append(f"{key}={attr}" if plain else f"**{{{key!r}: {attr}}}")
        call = f"{name}({', '.join([*args, *keywords])})"
        if step.lent is not None:
            names[f"{prefix}l{at}"] = step.lent
            careful = f"{name}({', '.join([f'*{prefix}l{at}([' + ', '.join(args) + '])', *keywords])})"
            call = f"{call} if {light} else {careful}"
    if isinstance(step.outputs, int):
        target = text[step.outputs]
    elif len(step.outputs) == 0:
        target = "_"
    else:
        target = ", ".join([text[slot] for slot in step.outputs]) + ("," if len(step.outputs) == 1 else "")
    if step.settle is not None:
        settle = step.settle.__name__
        names["ATOMS"], names[settle] = ATOMS, step.settle
        if type(step.outputs) is not int:
            call = f"{settle}({call})"
        elif lends:
            call += f"; type({target}) in ATOMS or (({target} := {settle}([{target}])), ({light} := False))"
        else:
            call += f"; type({target}) in ATOMS or ({target} := {settle}([{target}]))"
    if lends and (step.settle is None or type(step.outputs) is not int):
        call += "".join([f"; {light} = {light} and type({text[slot]}) in ATOMS" for slot in _outputs(step)])
    freed = "".join([f"; {text[slot]} = None" for slot in step.dead if slot not in fixed])
    distance = _STEPS_BETWEEN_CHECKS if infix is not None else unwatched
    check = "" if at % distance else "; stop and stop_now()"
    return f"{target} = {call}{freed}{check}"


def stop_now() -> None:
    """Raise Stopped, as an expression for compiled programs."""
    raise Stopped
