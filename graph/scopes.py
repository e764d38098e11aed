"""The scopes in which a graph creates its next operation: control inputs, devices, colocation, container, names.

Name scopes and variable scopes belong to the thread. The others belong to the graph, until `split` gives each thread
its own.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from weftwork.graph import devices
from weftwork.graph.operation import COMPUTES
from weftwork.graph.seams import seams

if TYPE_CHECKING:
    from weftwork.graph.operation import Operation


class _Controller:
    """One `with control_dependencies(...)`: the operations to wait for, and those created inside."""

    __slots__ = ("created", "ops")

    def __init__(self, ops: list[Operation]):
        self.ops = ops
        self.created: set[Operation] = set()


class _State:
    """The open scopes, except name scopes. active: any scope other than a section is open."""

    def __init__(self):
        self.controllers: list[_Controller] = []
        self.devices: list[Any] = []
        self.colocation: tuple[Operation, ...] = ()
        self.container = ""
        self.resources: tuple[tuple[str, float], ...] = ()
        self.labels: tuple[tuple[str, str], ...] = ()
        self.section: Any = None
        self.active = False

    def refresh(self) -> None:
        requested = self.resources or self.labels
        self.active = bool(self.controllers or self.devices or self.colocation or self.container or requested)


class _ThreadState(threading.local):
    def __init__(self):
        self.name = ""
        self.variables: Any = None
        self.state = _State()


class Scopes:
    """All scopes of one graph."""

    def __init__(self):
        self._local = _ThreadState()
        self._shared: _State | None = _State()

    @property
    def name(self) -> str:
        """The thread's name scope, without a trailing slash."""
        return self._local.name

    @name.setter
    def name(self, value: str) -> None:
        self._local.name = value

    @property
    def variables(self) -> Any:
        """The thread's variable scope; None until it is first requested."""
        return self._local.variables

    @variables.setter
    def variables(self, value: Any) -> None:
        self._local.variables = value

    @property
    def section(self) -> Any:
        """The section that new operations belong to; None outside all sections."""
        return self.now().section

    @property
    def place(self) -> tuple:
        """The section that new operations belong to, and the control dependencies that they get; equal if unchanged."""
        state = self.now()
        return state.section, *state.controllers

    @property
    def waited_for(self) -> list[Operation]:
        """The operations that new operations wait for, because of open control dependencies."""
        return [op for controller in self.now().controllers for op in controller.ops]

    @contextmanager
    def within(self, section: Any) -> Iterator[None]:
        """Operations created inside belong to `section`."""
        state = self.now()
        outer, state.section = state.section, section
        try:
            yield
        finally:
            state.section = outer

    def now(self) -> _State:
        """The open scopes, except name scopes."""
        return self._shared if self._shared is not None else self._local.state

    def split(self) -> None:
        """Give each thread its own scopes."""
        if self._shared is not None:
            self._local.state, self._shared = self._shared, None

    def apply(self, op: Operation, pinned: bool, placed: bool) -> None:
        """Apply the open scopes to a new operation.

        pinned: it takes no control inputs.   placed: its place is that of another operation, not of the scopes.
        """
        state = self.now()
        op.container = state.container
        if not placed:
            op.device = _merged_device(state.devices, op)
        if state.colocation:
            groups = {name for other in state.colocation for name in other.colocation or (other.name,)}
            op.colocation = tuple(sorted(groups))
            op.device = next((other.device for other in reversed(state.colocation) if other.device), op.device)
        if (state.resources or state.labels) and op.kind in COMPUTES:
            op.traits = dataclasses.replace(
                op.traits,
                resources=_joined(state.resources, op.traits.resources),
                labels=_joined(state.labels, op.traits.labels),
            )
            if op.traits.user:
                op.traits.check_place(op.defined_at)
        if not pinned and state.controllers:
            op.controls = _control_inputs(state.controllers, op)

    @contextmanager
    def controls(self, ops: list[Operation] | None) -> Iterator[None]:
        """Operations created inside wait for `ops`; None clears the outer scopes, and leaves all sections."""
        state = self.now()
        outer, section = state.controllers, state.section
        stack = state.controllers = [] if ops is None else [*outer, _Controller(ops)]
        state.section = None if ops is None else section
        state.refresh()
        try:
            yield
        finally:
            if state.controllers is not stack:
                raise AssertionError("Exiting control dependencies without proper scope nesting.")
            state.controllers, state.section = outer, section
            state.refresh()

    @contextmanager
    def devices(self, device: Any) -> Iterator[None]:
        """Operations created inside request `device`; None clears the outer scopes."""
        if isinstance(device, str):
            devices.DeviceSpec.from_string(device)
        state = self.now()
        outer = state.devices
        stack = [*outer, device]
        state.devices = stack
        state.refresh()
        try:
            yield
        finally:
            if state.devices is not stack:
                raise RuntimeError("Exiting device scope without proper scope nesting.")
            state.devices = outer
            state.refresh()

    @contextmanager
    def colocated(self, op: Operation | None, alone: bool) -> Iterator[None]:
        """Operations created inside are placed with `op`, and with the ops of outer scopes unless `alone`.

        The place of `op` takes precedence over surrounding device scopes.
        """
        state = self.now()
        outer, devices = state.colocation, state.devices
        state.colocation = (*(() if alone else outer), *(() if op is None else (op,)))
        state.devices = devices if op is None else []
        state.refresh()
        try:
            yield
        finally:
            state.colocation, state.devices = outer, devices
            state.refresh()

    @contextmanager
    def contained(self, name: str) -> Iterator[str]:
        """Stateful operations created inside keep their state under `name`."""
        state = self.now()
        outer, state.container = state.container, name
        state.refresh()
        try:
            yield name
        finally:
            state.container = outer
            state.refresh()

    @contextmanager
    def needing(self, resources: tuple[tuple[str, float], ...], labels: tuple[tuple[str, str], ...]) -> Iterator[None]:
        """Operations created inside request `resources` and `labels`; name by name, an inner scope wins."""
        state = self.now()
        outer = state.resources, state.labels
        state.resources, state.labels = _joined(outer[0], resources), _joined(outer[1], labels)
        state.refresh()
        try:
            yield
        finally:
            state.resources, state.labels = outer
            state.refresh()


def _joined(outer: tuple, inner: tuple) -> tuple:
    """The pairs of both, sorted by name; the inner ones win."""
    return tuple(sorted({**dict(outer), **dict(inner)}.items()))


def _merged_device(stack: list[Any], op: Operation) -> str:
    """The device that the scopes request; field by field, the innermost wins.

    A function sees what the scopes inside it request as `op.device`, and what it returns takes the place of that.
    """
    merged = ""
    for device in reversed(stack):
        if device is None:
            break
        if callable(device) and not isinstance(device, devices.DeviceSpec):
            op.device = merged
            device = device(op)
            if device is None:
                continue
            merged = ""
        text = device.to_string() if isinstance(device, devices.DeviceSpec) else str(device)
        merged = devices.merge(text, merged)
    return merged


def _control_inputs(controllers: list[_Controller], op: Operation) -> tuple[Operation, ...]:
    """The control inputs, without those implied by a data input created in the same scope."""
    inputs = {tensor.op for tensor in op.inputs}
    controls: dict[Operation, None] = {}
    for controller in controllers:
        if not (inputs & controller.created):
            controls.update((control, None) for control in controller.ops if control not in inputs)
        controller.created.add(op)
    return tuple(controls)


@contextmanager
def op_scope(values: Any, name: str | None, default_name: str | None = None) -> Iterator[str]:
    """TensorFlow's older spelling of `name_scope`.

    default_name: as in `name_scope`.
    """
    with name_scope(name, default_name, values) as prefix:
        yield prefix


class name_scope:
    """A context manager: put a name and a slash before the names of nodes that are created inside.

    name, default_name: the name of the scope; `default_name` if `name` is None. It is made unique: `a/b_1/`.
    values: tensors whose graph becomes the default graph inside.
    Yields the prefix of the names, `a/b/`. Raises ValueError if both names are None and there are values.

        with tf.name_scope("layer"):
            y = tf.add(a, b, name="sum")  # layer/sum
    """

    def __init__(self, name: str | None, default_name: str | None = None, values: Any = None):
        if default_name is not None and not isinstance(default_name, str):
            raise TypeError(
                f"`default_name` type ({type(default_name)}) is not a string type. You likely meant to pass this into "
                "the `values` kwarg."
            )
        self._name = default_name if name is None else name
        self._refused = name is None and default_name is None and values is not None
        self._values = values
        self._open: list[Any] = []

    @property
    def name(self) -> str | None:
        """The name that was asked for."""
        return self._name

    def __enter__(self) -> str:
        if self._refused:
            raise ValueError("At least one of name (None) and default_name (None) must be provided.")
        graph = seams.graph_of(self._values or ())
        outer, inner = graph.as_default(), graph.name_scope(self._name)
        outer.__enter__()
        try:
            prefix = inner.__enter__()
        except BaseException:
            outer.__exit__(None, None, None)
            raise
        self._open.append((outer, inner))
        return prefix

    def __exit__(self, *error: Any) -> None:
        outer, inner = self._open.pop()
        inner.__exit__(*error)
        outer.__exit__(*error)
