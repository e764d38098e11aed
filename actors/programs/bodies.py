"""Bodies: the sections of branches and loops as callables, and what all kernels that call them have in common.

body      a section's program. It takes all values of the owner, and returns the section's outputs, followed by new
          versions of the variables that the owner writes
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from weftwork.actors.programs.failed_call import FailedCall
from weftwork.actors.programs.program import Program, Step, StepFailed
from weftwork.graph.errors import FailedPreconditionError, OpError, from_exception, message_of
from weftwork.graph.operation import UNINITIALIZED
from weftwork.graph.python.ownership import own, own_leaving
from weftwork.graph.python.seeded import Seeded
from weftwork.graph.user_function import UserFunction

COMPILED_AFTER = 8
"""Runs of a body after which it is compiled. That takes 4 us a node, and saves 0.5 us in each run."""


class Body:
    """A section as a callable.

    where: for each step, its node as errors print it.
    required: (input position, error text, creation line) of each variable that must have a value.
    """

    def __init__(self, program: Program, where: list[str], required: list[tuple[int, str, str]]):
        self.program, self.where, self.required = program, where, required
        self.runs = 0

    @property
    def alone(self) -> Body | None:
        """This body itself; a planned body returns None, because it cannot be run directly."""
        return self

    def __call__(self, stop: list, values: list) -> list:
        """Run on input values and return the outputs. Raises the error of the failed node, or Stopped."""
        if self.required:
            check_required(self.required, values)
        if self.runs >= COMPILED_AFTER and not self.program.compiled:
            self.program.compile()
        self.runs += 1
        try:
            return self.program(values, stop)
        except StepFailed as failed:
            cause = failed.__cause__ or failed
            raise self.explained(cause, failed.step, failed.taken) from cause

    def explained(self, cause: BaseException, step: int, taken: list | None) -> Exception:
        """The error to raise for a step that raised `cause`.   taken: the step's inputs, if they are known."""
        ours = not is_users_step(self.program.steps[step])
        message = message_of(cause, ours)
        if "(defined at" not in message:
            message = f"{message}\n\t [[node {self.where[step]} ]]"
        failure = from_exception(cause, ours)(None, None, message)
        failure.call = self._call(cause, step, taken)
        return failure

    def _call(self, cause: BaseException, step: int, taken: list | None) -> FailedCall:
        """The failed call. For a branch or a loop, that is the innermost one."""
        kernel, attrs = self.program.steps[step].kernel, self.program.steps[step].attrs
        stops = isinstance(kernel, Control)
        if stops and isinstance(cause, OpError) and cause.call is not None:
            return cause.call
        return FailedCall(kernel, attrs, taken, self.where[step], is_users_step(self.program.steps[step]), stops)


def is_users_step(step: Step) -> bool:
    """Whether a step calls a user's function."""
    return isinstance(step.kernel, (UserFunction, Seeded)) or step.settle in (own, own_leaving)


def check_required(required: list[tuple[int, str, str]], values: list) -> None:
    """Raise FailedPreconditionError if a variable that must have a value has none."""
    for position, text, defined_at in required:
        if values[position] is UNINITIALIZED:
            raise FailedPreconditionError(None, None, f"{text}\n\t [[node {defined_at} ]]")


class Control:
    """A kernel that takes the stop list as its first argument."""

    __name__ = "control"
    functions: tuple = ()
    """The users' functions that its bodies call. Set in the process that compiled it."""

    def __getstate__(self) -> dict:
        return {**self.__dict__, "functions": ()}

    def bodies(self) -> list[Body]:
        """Its bodies, in the order of the owner's sections."""
        return [value for value in vars(self).values() if isinstance(value, Body)]

    def over(self, others: Mapping[Body, Any]) -> Control:
        """A copy of this kernel with other bodies."""
        made = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Body):
                setattr(made, name, others[value])
        return made
