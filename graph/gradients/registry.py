"""Registry of derivatives.

rule       a function (op, *grads) from the gradients of an operation's outputs to those of its inputs, one for each
  input: a tensor, IndexedSlices, None (no gradient flows there), or a function without arguments that makes one of
  these, and is called only if the gradient is needed
RULES      the rules by operation type: those of this package, and those added by `RegisterGradient`
override   a rule for a single operation: from `gradient_override_map`, `custom_gradient` or `@f.gradient`

Invariant: a rule makes ordinary nodes in the operation's graph and has no other effect.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from weftwork.graph import nest
from weftwork.graph.build import apply, convert_to_tensor, graph_of
from weftwork.graph.graph import GRADIENT_OVERRIDES, GraphKeys
from weftwork.graph.operation import WRITES, Kind, Operation, Tensor
from weftwork.graph.structures import packed
from weftwork.graph.user_function import UserFunction
from weftwork.graph.variables.variable import Variable

Rule = Callable[..., Any]

RULES: dict[str, Rule] = {}
FALLBACKS: list[tuple[Callable[[Operation], bool], Rule]] = []
"""(predicate, rule) pairs for pure operations whose type has no rule."""

_CUSTOM = "CustomGradient"
_CUSTOM_RULES = ("_weftwork_custom_gradients",)


KNOWS_NONE = frozenset({"While", "Sweep", "Switch", "Merge"})
"""Types whose rules take None for outputs through which no gradient flows. Others get zeros."""


def rule(*types: str) -> Callable[[Rule], Rule]:
    """Decorator: register a function as the rule for these operation types."""

    def register(function: Rule) -> Rule:
        for name in types:
            assert name not in RULES, name
            RULES[name] = function
        return function

    return register


def no_gradients(op: Operation, *grads: Any) -> list[None]:
    """The rule for operations through which no gradient flows."""
    return [None] * len(op.inputs)


def not_differentiable(*types: str) -> None:
    """Declare that no gradient flows through these operation types, so that asking for one is not an error."""
    for name in types:
        rule(name)(no_gradients)


def no_derivative(op: Operation, why: str = "") -> LookupError:
    """The error for an operation without a derivative."""
    reason = f": {why}" if why else ""
    return LookupError(
        f"No gradient defined for operation '{op.name}' (op type: {op.type}){reason}\n\t [[node {op.defined_at} ]]"
    )


def rule_of(op: Operation) -> Rule:
    """The rule for an operation. Raises LookupError, naming the operation and its line, if there is none."""
    found = _override(op) or RULES.get(op.type)
    if found is not None:
        return found
    if type(op.kernel) is UserFunction and op.kernel.numpy:
        return no_gradients
    if op.kind in WRITES or (op.kind is Kind.RANDOM and op.type != "RandomShuffle"):
        return no_gradients
    if op.kind is Kind.PURE:
        for knows, fallback in FALLBACKS:
            if knows(op):
                return fallback
    raise no_derivative(op)


# TensorFlow 1's spellings


class RegisterGradient:
    """Decorator: the function (op, *grads) returns the gradients for every operation of a type.

    Raises TypeError if the type is not a string, KeyError if it has a gradient already.
    """

    def __init__(self, op_type: str):
        if not isinstance(op_type, str):
            raise TypeError("op_type must be a string")
        self._op_type = op_type

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Register `function`."""
        if self._op_type in RULES:
            raise KeyError(f"Registering two gradient with name '{self._op_type}'!")
        RULES[self._op_type] = function
        return function


def NotDifferentiable(op_type: str) -> None:
    """Declare that no gradient flows through operations of this type. Raises TypeError unless it is a string."""
    RegisterGradient(op_type)(no_gradients)


NoGradient = NotDifferentiable


def _override(op: Operation) -> Rule | None:
    kernel = op.kernel
    if type(kernel) is UserFunction:
        if kernel.gradient is not None:
            return _users_rule
    elif op.type == _CUSTOM and (found := _custom_rule_of(op)) is not None:
        return found
    name = _other_name(op)
    if name is not None and name not in RULES:
        raise no_derivative(op, f"nothing is registered as {name!r}")
    return None if name is None else RULES[name]


def _custom_rule_of(op: Operation) -> Rule | None:
    rules = op.graph.get_collection(_CUSTOM_RULES)
    return next((known.function for known in rules if known.name == op.name and known.function is not None), None)


def _other_name(op: Operation) -> str | None:
    """The name under which `gradient_override_map` looks up the gradient of an operation; None for its type."""
    for start, end, names in reversed(op.graph.get_collection(GRADIENT_OVERRIDES)):  # the innermost scope comes first
        for of_type, name in names:
            if of_type == op.type and start <= op.index < end:
                return name
    return None


def inherit(copy: Operation, op: Operation, through: Callable[[Rule], Rule]) -> None:
    """Give a copy of an operation, which a derivative makes in another section, the gradient of the original.

    through: turns a rule that uses tensors beside the original into one that uses those beside the copy.
    """
    name = _other_name(op)
    if name != _other_name(copy):
        override = [copy.index, copy.index + 1, ((op.type, name or op.type),)]
        op.graph.get_collection_ref(GRADIENT_OVERRIDES).append(override)
    if op.type == _CUSTOM and (found := _custom_rule_of(op)) is not None:
        op.graph.get_collection_ref(_CUSTOM_RULES).append(_Local(copy.name, through(found)))


# A user's function


def _users_rule(op: Operation, *grads: Any) -> list:
    """Call the function given to `@f.gradient`."""
    function = op.kernel.gradient  # type: ignore[union-attr]
    target = getattr(function, "function", function)
    options = {}
    if "outputs" in inspect.signature(target).parameters:
        options["outputs"] = op.outputs[0] if len(op.outputs) == 1 else list(op.outputs)
    found = function(grads[0] if len(grads) == 1 else list(grads), *op.inputs, **options)
    return found if isinstance(found, (list, tuple)) else [found]  # type: ignore[return-value]


class _Local:
    """A function that belongs to this process, and is left out when the graph is pickled."""

    def __init__(self, name: str, function: Callable[..., Any] | None):
        self.name, self.function = name, function

    def __reduce__(self):
        return _Local, (self.name, None)


def first_of(*values: Any, count: int) -> Any:
    """The kernel of `custom_gradient`'s node: it returns the results, its first `count` inputs."""
    return values[0] if count == 1 else values[:count]


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: `f` makes nodes and returns (result, grad_fn), where grad_fn replaces the gradient of these nodes.

    f(*args): takes tensors, and returns a tensor or a structure of tensors.
    grad_fn(*grads): maps gradients of the results to those of the args, one or a list.
    If the result depends on trainable variables that are not args, grad_fn must accept `variables=`, a list of them,
    and return (gradients of the args, list of gradients of the variables). Raises TypeError if it does not accept it.

        @tf.custom_gradient
        def clipped(x):
            return tf.identity(x), lambda grad: tf.clip_by_value(grad, -1.0, 1.0)
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise ValueError("The custom_gradient decorator supports no keyword arguments: use functools.partial.")
        tensors = [convert_to_tensor(arg) for arg in args]
        with graph_of(tensors).as_default():
            result, grad_fn = f(*tensors)
            results = [convert_to_tensor(item) for item in nest.flatten(result)]
            specs = [(t.dtype.base_dtype, t.raw_shape) for t in results]
            given = [arg._ref().op for arg in args if isinstance(arg, Variable)]
            variables = [v for v in _trainable_behind(results, tensors) if v._ref().op not in given]
            if variables and not _takes_variables(grad_fn):
                raise TypeError(
                    "@tf.custom_gradient grad_fn must accept keyword argument 'variables', since function uses "
                    f"variables: {variables}"
                )
            inputs = [*results, *tensors, *map(convert_to_tensor, variables)]
            outputs = apply(first_of, inputs, {"count": len(results)}, type=_CUSTOM, name="IdentityN", outputs=specs)
        op = outputs[0].op
        back = _custom_rule(grad_fn, len(tensors), variables)
        op.graph.get_collection_ref(_CUSTOM_RULES).append(_Local(op.name, back))
        return packed(result, iter(outputs))

    return call


def _takes_variables(function: Callable) -> bool:
    parameters = inspect.signature(function).parameters
    return "variables" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _trainable_behind(results: Sequence[Tensor], args: Sequence[Tensor]) -> list[Variable]:
    """The trainable variables that results depend on, except through the args."""
    stops, stack = set(args), list(results)
    seen: set[Operation] = set()
    while stack:
        tensor = stack.pop()
        if tensor not in stops and tensor.op not in seen:
            seen.add(tensor.op)
            stack += tensor.op.inputs
    graph = results[0].graph
    known = graph.get_collection(GraphKeys.TRAINABLE_VARIABLES)
    return [v for v in dict.fromkeys(known) if v._ref().op in seen or convert_to_tensor(v).op in seen]


def _custom_rule(function: Callable, count: int, variables: list[Variable]) -> Rule:
    def found(op: Operation, *grads: Any) -> list:
        of_args, of_variables = (function(*grads), []) if not variables else function(*grads, variables=variables)
        if variables:
            if len(of_variables) != len(variables):
                raise ValueError("Must return gradient for each variable from @custom_gradient grad_fn.")
        of_args = list(of_args) if isinstance(of_args, (list, tuple)) else [of_args]
        if len(of_args) != count:
            raise ValueError(
                f"{op.defined_at}: grad_fn must give {count} gradients, one for each arg, not {len(of_args)}"
            )
        return [None] * len(op.outputs) + of_args + list(of_variables)

    return found
