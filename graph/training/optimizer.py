"""Optimizer: from gradients to updates of variables. The base class, with TensorFlow 1's methods for subclasses.

slot      a variable that an optimizer keeps for each one that it trains, e.g. a velocity
update    the writes to one variable and its slots in a step; each is a node, a pure function of the old value

Invariant: a training operation consists only of such writes, so a step that fails has not changed any variable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weftwork.graph import dtypes, shapes
from weftwork.graph.build import apply, convert_to_tensor
from weftwork.graph.gradients.walk import gated, gradients
from weftwork.graph.graph import GraphKeys
from weftwork.graph.nest import flatten
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.composite import IndexedSlices
from weftwork.graph.ops.filling import zeros, zeros_like
from weftwork.graph.ops.flow import group
from weftwork.graph.scopes import name_scope
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.training import kernels
from weftwork.graph.training.update import Update, make_slot
from weftwork.graph.variables.collected import trainable_variables
from weftwork.graph.variables.partitioned import PartitionedVariable
from weftwork.graph.variables.variable import Variable
from weftwork.graph.variables.writes import assign, assign_add

_DTYPES = (dtypes.float16, dtypes.float32, dtypes.float64)
_SPARSE_RESOURCE = ("_resource_apply_sparse", "_resource_apply_sparse_duplicate_indices")


def _listed(variables: Any) -> Any:
    """Any iterable of variables as a list; a known structure stays as it is."""
    known = isinstance(variables, (Variable, Tensor, list, tuple, dict)) or not hasattr(type(variables), "__iter__")
    return variables if known else list(variables)


class Optimizer:
    """The base class of optimizers. `minimize` makes the operation that is one training step.

    A subclass defines the update of one variable, in `_step` or in TensorFlow's `_apply_dense` and `_apply_sparse`;
    `_create_slots` creates its slots, `_prepare` converts its numbers to tensors. Raises ValueError without a name.
    """

    GATE_NONE = 0
    GATE_OP = 1
    GATE_GRAPH = 2

    def __init__(self, use_locking: bool, name: str):
        if not name:
            raise ValueError("Must specify the optimizer name")
        self._use_locking = use_locking
        self._name = name
        self._slots: dict[str, dict[Any, Variable]] = {}
        self._non_slot_dict: dict[Any, Variable] = {}

    def get_name(self) -> str:
        """The name used for its operations and slots."""
        return self._name

    # Training steps

    def minimize(
        self,
        loss: Any,
        global_step: Variable | None = None,
        var_list: Any = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: int | None = None,
        colocate_gradients_with_ops: bool = False,
        name: str | None = None,
        grad_loss: Any = None,
    ) -> Operation:
        """The operation that takes one step down the gradient of `loss`: `compute_gradients`, then `apply_gradients`.

        Raises ValueError if no variable has a gradient.
        """
        pairs = self.compute_gradients(
            loss, var_list, gate_gradients, aggregation_method, colocate_gradients_with_ops, grad_loss
        )
        if all([grad is None for grad, _ in pairs]):
            raise ValueError(
                "No gradients provided for any variable, check your graph for ops that do not support gradients, "
                f"between variables {[str(v) for _, v in pairs]} and loss {loss}."
            )
        return self.apply_gradients(pairs, global_step, name)

    def compute_gradients(
        self,
        loss: Any,
        var_list: Any = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: int | None = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> list[tuple[Any, Variable]]:
        """(gradient or None, variable) for each variable of `var_list`, by default all trainable ones.

        gate_gradients: does not change results; GATE_GRAPH waits for all gradients.   grad_loss: the initial gradient
        of the loss.   Raises ValueError if there are no variables, or for a dtype that is not floating.
        """
        if gate_gradients not in (self.GATE_NONE, self.GATE_OP, self.GATE_GRAPH):
            raise ValueError(
                "gate_gradients must be one of: Optimizer.GATE_NONE, Optimizer.GATE_OP, Optimizer.GATE_GRAPH.  "
                f"Not {gate_gradients}"
            )
        loss = convert_to_tensor(loss() if callable(loss) and not isinstance(loss, (Tensor, Variable)) else loss)
        self._assert_valid_dtypes([loss, *([] if grad_loss is None else [grad_loss])])
        with loss.graph.as_default():
            given = trainable_variables() if var_list is None else flatten(_listed(var_list))
            variables = [part for v in given for part in (v if isinstance(v, PartitionedVariable) else [v])]
        if not variables:
            raise ValueError("No variables to optimize.")
        for variable in variables:
            if not isinstance(variable, (Variable, Tensor)):
                raise NotImplementedError("Trying to optimize unsupported type ", variable)
        grads = gradients(
            loss, variables, grad_loss,
            aggregation_method=aggregation_method, colocate_gradients_with_ops=colocate_gradients_with_ops,
        )  # fmt: skip
        if gate_gradients == self.GATE_GRAPH and any([g is not None for g in grads]):
            grads = gated(grads)
        self._assert_valid_dtypes([v for g, v in zip(grads, variables, strict=True) if g is not None])
        return list(zip(grads, variables, strict=True))

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, Variable]], global_step: Variable | None = None,
        name: str | None = None,
    ) -> Operation:  # fmt: skip
        """The operation that updates the variables by these gradients; None is skipped.

        global_step: a variable that the same step increments.
        Raises ValueError if there are no variables or no gradients, TypeError for a gradient that is not a tensor.
        """
        pairs = [(None if g is None else _gradient(g), v) for g, v in grads_and_vars]
        if not pairs:
            raise ValueError("No variables provided.")
        variables = [v for g, v in pairs if g is not None]
        if not variables:
            raise ValueError(f"No gradients provided for any variable: {[str(v) for _, v in pairs]}.")
        graph = variables[0].graph
        with graph.as_default():
            with graph.control_dependencies(None):
                self._create_slots(variables)
            with name_scope(name, self._name) as scope:
                self._prepare()
                updates = [self._update(g, v) for g, v in pairs if g is not None]
                if global_step is None:
                    update = self._finish(updates, scope)
                else:
                    with graph.control_dependencies([self._finish(updates, "update")]):
                        update = assign_add(global_step, 1, name=scope)
            update = update if isinstance(update, Operation) else update.op
            train_ops = graph.get_collection_ref(GraphKeys.TRAIN_OP)
            if update not in train_ops:
                train_ops.append(update)
        return update

    def _update(self, grad: Any, variable: Any) -> Any:
        if not isinstance(variable, Variable):
            raise NotImplementedError("Trying to update a Tensor ", variable)
        with name_scope(f"update_{variable.op.name}", None):
            if isinstance(grad, IndexedSlices):
                if variable.is_resource and self._has_own(*_SPARSE_RESOURCE):
                    update = self._resource_apply_sparse_duplicate_indices(grad.values, variable, grad.indices)
                else:
                    update = self._apply_sparse_duplicate_indices(grad, variable)
            elif variable.is_resource and self._has_own("_resource_apply_dense"):
                update = self._resource_apply_dense(grad, variable)
            else:
                update = self._apply_dense(grad, variable)
            if variable.constraint is not None:
                new = update if isinstance(update, Tensor) else variable
                with variable.graph.control_dependencies([update]):
                    update = assign(variable, variable.constraint(new))
            return update

    # For subclasses

    def _has_own(self, *methods: str) -> bool:
        """True if a subclass overrides one of these methods."""
        return any([getattr(type(self), name) is not getattr(Optimizer, name) for name in methods])

    def _step(self, update: Update) -> Tensor:
        """Write one variable and its slots; returns the variable's new value."""
        raise NotImplementedError()

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        return self._step(Update(var, grad))

    def _apply_sparse_duplicate_indices(self, grad: IndexedSlices, var: Variable) -> Any:
        values, indices = _summed_rows(grad.values, grad.indices)
        return self._apply_sparse(IndexedSlices(values, indices, grad.dense_shape), var)

    def _apply_sparse(self, grad: IndexedSlices, var: Variable) -> Any:
        return self._step(Update(var, grad.values, grad.indices))

    # Called for resource variables, if a subclass overrides them; else those above are, for these variables too.

    def _resource_apply_dense(self, grad: Tensor, handle: Variable) -> Any:
        return self._step(Update(handle, grad))

    def _resource_apply_sparse_duplicate_indices(self, grad: Tensor, handle: Variable, indices: Tensor) -> Any:
        values, rows = _summed_rows(grad, indices)
        return self._resource_apply_sparse(values, handle, rows)

    def _resource_apply_sparse(self, grad: Tensor, handle: Variable, indices: Tensor) -> Any:
        return self._step(Update(handle, grad, indices))

    def _create_slots(self, var_list: list[Variable]) -> None:
        """Create missing slots for these variables."""

    def _prepare(self) -> None:
        """Convert the numbers that updates need to tensors."""

    def _finish(self, update_ops: list, name_scope: str) -> Operation:
        """The operation that completes when all updates have."""
        return group(*update_ops, name=name_scope)

    def _valid_dtypes(self) -> set:
        return set(_DTYPES)

    def _assert_valid_dtypes(self, tensors: list) -> None:
        valid = self._valid_dtypes()
        for tensor in tensors:
            dtype = convert_to_tensor(tensor).dtype.base_dtype
            if dtype not in valid and dtype is not dtypes.object:
                names = [d for d in _DTYPES if d in valid]
                raise ValueError(f"Invalid type {dtype!r} for {getattr(tensor, 'name', tensor)}, expected: {names}.")

    @staticmethod
    def _call_if_callable(value: Any) -> Any:
        return value() if callable(value) and not isinstance(value, (Tensor, Variable)) else value

    # Slots

    def get_slot(self, var: Any, name: str) -> Variable | None:
        """The slot `name` of a variable; None if there is none."""
        return self._slots.get(name, {}).get(_key(var))

    def get_slot_names(self) -> list[str]:
        """The names of the slots, sorted."""
        return sorted(self._slots)

    def variables(self) -> list[Variable]:
        """The optimizer's own variables in the default graph, sorted by name."""
        graph = get_default_graph()
        slots = [v for of_name in self._slots.values() for v in of_name.values() if v.graph is graph]
        return sorted([*self.non_slots().values(), *slots], key=lambda v: v.name)

    def non_slots(self) -> dict[str, Variable]:
        """Those of its variables in the default graph that are no slots, by the names that it knows them by."""
        graph = get_default_graph()
        return {name: v for (of_graph, name), v in self._non_slot_dict.items() if of_graph is graph}

    def _slot_dict(self, slot_name: str) -> dict:
        return self._slots.setdefault(slot_name, {})

    def _get_or_make_slot(self, var: Variable, val: Any, slot_name: str, op_name: str) -> Variable:
        slots = self._slot_dict(slot_name)
        if _key(var) not in slots:
            slots[_key(var)] = make_slot(var, val, op_name)
        return slots[_key(var)]

    def _get_or_make_slot_with_initializer(
        self, var: Variable, initializer: Any, shape: Any, dtype: Any, slot_name: str, op_name: str
    ) -> Variable:
        """A slot that is initially `initializer(shape, dtype)`."""
        return self._get_or_make_slot(var, lambda: initializer(shape, dtype), slot_name, op_name)

    def _zeros_slot(self, var: Variable, slot_name: str, op_name: str) -> Variable:
        return self._filled_slot(var, 0.0, slot_name, op_name)

    def _filled_slot(self, var: Variable, number: float, slot_name: str, op_name: str) -> Variable:
        """A slot of the variable's shape, initially filled with `number`."""
        if _key(var) in self._slot_dict(slot_name):
            return self._slots[slot_name][_key(var)]

        def initial() -> Tensor:
            dtype = var.dtype.base_dtype
            raw = var.raw_shape
            start = zeros(raw, dtype) if shapes.is_full(raw) else zeros_like(var.initialized_value())
            return start if number == 0 else start + number

        return self._get_or_make_slot(var, initial, slot_name, op_name)

    def _create_non_slot_variable(self, initial_value: Any, name: str, colocate_with: Variable) -> Variable:
        key = (colocate_with.graph, name)
        if key not in self._non_slot_dict:
            with colocate_with.graph.colocate_with(colocate_with):
                self._non_slot_dict[key] = Variable(initial_value, name=name, trainable=False)
        return self._non_slot_dict[key]

    def _get_non_slot_variable(self, name: str, graph: Any = None) -> Variable | None:
        return self._non_slot_dict.get((graph or get_default_graph(), name))

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_slots": {}, "_non_slot_dict": {}}


def _key(var: Any) -> tuple:
    return (var.op.graph, var.op.name)


def _summed_rows(values: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and their indices, where rows with the same index have been added."""
    outputs = [(indices.dtype.base_dtype, (None,)), (values.dtype.base_dtype, values.raw_shape)]
    distinct, sums = apply(kernels.summed_rows, [indices, values], type="SumRows", outputs=outputs)
    sums.raw_shape = None if sums.raw_shape is None else (None, *sums.raw_shape[1:])
    return sums, distinct


def _gradient(value: Any) -> Any:
    if isinstance(value, IndexedSlices):
        return value
    try:
        return convert_to_tensor(value)
    except (TypeError, ValueError):
        raise TypeError(f"Gradient must be convertible to a Tensor or IndexedSlices, or None: {value}") from None
