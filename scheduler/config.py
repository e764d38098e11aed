"""What a session and a run may be told: TensorFlow 1's option messages, by the same names, as plain Python.

message   a set of typed fields, declared as annotations with their defaults; handled as protobuf's are
present   of a nested message: something in it was set, or it was given whole; reading it does not make it so

Invariant: a message belongs to one parent, and a present child's parent is present; what is given is therefore copied.
Unlike protobuf's, a nested message or a repeated field can also be assigned whole. Fields whose text says nothing are
accepted for the sake of existing programs, and change nothing here.
"""

from __future__ import annotations

import json
import numbers
import operator
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")
K = TypeVar("K")


class Repeated(MutableSequence, Generic[T]):
    """A list of values of one type; a message that is put in is copied."""

    def __init__(self, kind: type, name: str, changed: Callable[[], None]):
        self._kind, self._name, self._changed = kind, name, changed
        self._items: list[Any] = []

    def add(self, **values: Any) -> Any:
        """Append a new message with these fields and return it; AttributeError where the elements are no messages."""
        if not issubclass(self._kind, Message):
            raise AttributeError(f"{self._name} holds no messages: use append.")
        self.append(self._kind())
        item = self._items[-1]
        for name, value in values.items():
            item._init_field(name, value)
        return item

    def insert(self, index: int, value: Any) -> None:
        """Put a value before the one at `index`; TypeError when it is of another type."""
        self._items.insert(index, _checked(self._kind, self._name, value))
        self._changed()

    def __setitem__(self, index: Any, value: Any) -> None:
        many = isinstance(index, slice)
        new = [_checked(self._kind, self._name, v) for v in (value if many else [value])]
        self._items[index] = new if many else new[0]
        self._changed()

    def __delitem__(self, index: Any) -> None:
        del self._items[index]

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: Any) -> bool:
        return self._items == (other._items if isinstance(other, Repeated) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._items)


class Map(MutableMapping, Generic[K, T]):
    """A dict of keys of one type to values of one type."""

    def __init__(self, kinds: tuple[type, type], name: str, changed: Callable[[], None]):
        self._kinds, self._name, self._changed = kinds, name, changed
        self._items: dict[Any, Any] = {}

    def __setitem__(self, key: Any, value: Any) -> None:
        key_kind, kind = self._kinds
        self._items[_checked(key_kind, self._name, key)] = _checked(kind, self._name, value)
        self._changed()

    def __delitem__(self, key: Any) -> None:
        del self._items[key]

    def __getitem__(self, key: Any) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


class _Field(NamedTuple):
    """A declared field: `make` is Repeated, Map, a Message class, or None for one plain value of type `kind`."""

    kind: Any
    make: Any


def _checked(kind: type, name: str, value: Any) -> Any:
    """The value as the field keeps it; TypeError when it is of another type, ValueError when it is out of range."""
    if issubclass(kind, Message) and isinstance(value, (kind, Mapping)):
        return kind(**(value._set_fields() if isinstance(value, Message) else value))
    if kind is bool and (isinstance(value, np.bool_) or hasattr(value, "__index__")):
        return bool(value)
    if kind is int and hasattr(value, "__index__"):
        number = operator.index(value)
        if not -(2**63) <= number < 2**64:
            raise ValueError(f"Value out of range: {number} for field {name}")
        return number
    if kind is float and isinstance(value, numbers.Real):
        return float(value)
    if kind is str and isinstance(value, (str, bytes)):
        return value.decode() if isinstance(value, bytes) else value
    if kind is dict and isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} has type {type(value)}, but field {name} expects one of: {kind.__name__}")


class Message:
    """The base of all messages. Fields are keywords of the constructor and attributes.

    A field that does not exist raises ValueError in the constructor and AttributeError as an attribute; a value of
    another type raises TypeError.
    """

    _fields: ClassVar[dict[str, _Field]] = {}
    _choices: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls) -> None:
        hints = typing.get_type_hints(cls, localns=dict(vars(cls)))
        cls._fields = {name: _field(hint) for name, hint in hints.items() if not name.startswith("_")}

    def __init__(self, **values: Any):
        self.__dict__.update(_parent=None, _present=False)
        for name, value in values.items():
            self._init_field(name, value)

    def _init_field(self, name: str, value: Any) -> None:
        self._known(name)
        if value is not None:
            setattr(self, name, value)

    def _known(self, name: str) -> _Field:
        field = self._fields.get(name)
        if field is None:
            raise ValueError(f'Protocol message {type(self).__name__} has no "{name}" field.')
        return field

    def __getattr__(self, name: str) -> Any:
        field = self._fields.get(name)
        if field is None or field.make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if field.make in (Repeated, Map):
            made = field.make(field.kind, name, self.SetInParent)
        else:
            made = field.make()
            made.__dict__["_parent"] = self
        self.__dict__[name] = made
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        field = self._fields.get(name)
        if field is None:
            raise AttributeError(f'Protocol message {type(self).__name__} has no "{name}" field.')
        if field.make is None:
            value = _checked(field.kind, name, value)
            if name in self._choices and value not in self._choices[name]:
                raise ValueError(f"{name} is one of {', '.join(self._choices[name])}, not {value!r}.")
            self.__dict__[name] = value
        else:
            self._assign(name, field, value)
        self.SetInParent()

    def _assign(self, name: str, field: _Field, value: Any) -> None:
        if field.make is Repeated:
            if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
                raise TypeError(f"{value!r} has type {type(value)}, but field {name} expects a sequence")
            getattr(self, name)[:] = list(value)
        elif field.make is Map:
            new = Map(field.kind, name, self.SetInParent)
            new.update(value)
            getattr(self, name)._items = new._items
        else:
            getattr(self, name).CopyFrom(_checked(field.kind, name, value))

    def _set_fields(self) -> dict[str, Any]:
        """What differs from the defaults, by field: values, present messages, filled lists and dicts."""
        own, found = self.__dict__, {}
        for name, field in self._fields.items():
            if name not in own:
                continue
            value = own[name]
            if field.make is None:
                keep = value != getattr(type(self), name)
            else:
                keep = value._present if isinstance(value, Message) else len(value) > 0
            if keep:
                found[name] = value
        return found

    def SetInParent(self) -> None:
        """Make this message present in the one that holds it."""
        message = self
        while message is not None and not message._present:
            message.__dict__["_present"] = True
            message = message._parent

    def HasField(self, field_name: str) -> bool:
        """True when the nested message is present, or the value is not its default; ValueError for lists and maps."""
        if self._known(field_name).make in (Repeated, Map):
            raise ValueError(f'Protocol message {type(self).__name__} has no singular "{field_name}" field.')
        return field_name in self._set_fields()

    def ClearField(self, field_name: str) -> None:
        """Set one field back to its default; ValueError when there is no such field."""
        self._known(field_name)
        old = self.__dict__.pop(field_name, None)
        if isinstance(old, Message):
            old.__dict__["_parent"] = None

    def Clear(self) -> None:
        """Set all fields back to their defaults."""
        for name in self._fields:
            self.ClearField(name)

    def MergeFrom(self, other: Any) -> None:
        """Take over what is set in `other`: values replace, nested messages merge, lists and maps are extended."""
        if type(other) is not type(self):
            raise TypeError(f"Parameter must be an instance of {type(self).__name__}, but got {type(other)}.")
        for name, value in other._set_fields().items():
            if isinstance(value, Message):
                getattr(self, name).MergeFrom(value)
            elif isinstance(value, Repeated):
                getattr(self, name).extend(list(value))
            elif isinstance(value, Map):
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)
        self.SetInParent()

    def CopyFrom(self, other: Any) -> None:
        """Become equal to `other`; TypeError when it is of another class."""
        if type(other) is not type(self):
            raise TypeError(f"Parameter must be an instance of {type(self).__name__}, but got {type(other)}.")
        if other is not self:
            self.Clear()
            self.MergeFrom(other)

    def SerializeToString(self) -> bytes:
        """JSON of what is set, in a fixed order (not protobuf's wire format)."""
        return json.dumps(_plain(self), sort_keys=True, default=repr).encode()

    @classmethod
    def FromString(cls, data: bytes) -> Any:
        """The message that `SerializeToString` wrote."""
        return cls(**json.loads(data))

    def __eq__(self, other: Any) -> bool:
        return type(other) is type(self) and self._set_fields() == other._set_fields()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self):
        return _rebuild, (type(self), {name: _bare(value) for name, value in self._set_fields().items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{n}={v!r}' for n, v in self._set_fields().items()])})"


def _field(hint: Any) -> _Field:
    make, kinds = typing.get_origin(hint), typing.get_args(hint)
    if make is Repeated:
        return _Field(kinds[0], make)
    if make is Map:
        return _Field(kinds, make)
    return _Field(hint, hint if issubclass(hint, Message) else None)


def _rebuild(cls: type[Message], values: dict[str, Any]) -> Message:
    return cls(**values)


def _bare(value: Any) -> Any:
    return value._items if isinstance(value, (Repeated, Map)) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {name: _plain(field) for name, field in value._set_fields().items()}
    if isinstance(value, Repeated):
        return [_plain(item) for item in value]
    return sorted(value.items()) if isinstance(value, Map) else value


class GPUOptions(Message):
    """How GPUs are used. The framework that a node's function calls owns its GPU's memory, so nothing here acts."""

    per_process_gpu_memory_fraction: float = 0.0
    allow_growth: bool = False
    allocator_type: str = ""
    deferred_deletion_bytes: int = 0
    visible_device_list: str = ""
    polling_active_delay_usecs: int = 0
    polling_inactive_delay_msecs: int = 0
    force_gpu_compatible: bool = False


class OptimizerOptions(Message):
    """How a plan is simplified before it runs."""

    L1, L0 = 0, -1
    DEFAULT, OFF, ON_1, ON_2 = 0, -1, 1, 2

    do_common_subexpression_elimination: bool = False
    do_constant_folding: bool = False
    max_folded_constant_in_bytes: int = 0
    do_function_inlining: bool = False
    opt_level: int = 0
    """L1: equal nodes are merged and constants folded; L0: nodes run as they were written."""
    global_jit_level: int = 0


class RewriterConfig(Message):
    """How graphs are rewritten, pass by pass: each is DEFAULT, ON, OFF or AGGRESSIVE."""

    DEFAULT, ON, OFF, AGGRESSIVE = 0, 1, 2, 3

    layout_optimizer: int = 0
    constant_folding: int = 0
    shape_optimization: int = 0
    remapping: int = 0
    common_subgraph_elimination: int = 0
    arithmetic_optimization: int = 0
    dependency_optimization: int = 0
    loop_optimization: int = 0
    function_optimization: int = 0
    memory_optimization: int = 0
    disable_model_pruning: bool = False
    disable_meta_optimizer: bool = False
    meta_optimizer_iterations: int = 0
    min_graph_nodes: int = 0
    optimizers: Repeated[str]


class GraphOptions(Message):
    """How a graph becomes a plan."""

    enable_recv_scheduling: bool = False
    optimizer_options: OptimizerOptions
    build_cost_model: int = 0
    build_cost_model_after: int = 0
    infer_shapes: bool = False
    place_pruned_graph: bool = False
    enable_bfloat16_sendrecv: bool = False
    timeline_step: int = 0
    rewrite_options: RewriterConfig


class ThreadPoolOptionProto(Message):
    """A pool of threads that runs may choose by its index."""

    num_threads: int = 0
    global_name: str = ""


class RPCOptions(Message):
    """How processes talk to each other; Ray decides that here."""

    use_rpc_for_inprocess_master: bool = False
    compression_algorithm: str = ""
    compression_level: int = 0
    cache_rpc_response: bool = False
    disable_session_connection_sharing: bool = False


class JobDef(Message):
    """The tasks of one job: index to address."""

    name: str = ""
    tasks: Map[int, str]


class ClusterDef(Message):
    """The jobs of a cluster."""

    job: Repeated[JobDef]


class ConfigProto(Message):
    """What a session is told when it is made."""

    class Experimental(Message):
        """Options that TensorFlow may still change."""

        collective_group_leader: str = ""
        executor_type: str = ""
        recv_buf_max_chunk: int = 0
        use_numa_affinity: bool = False
        share_session_state_in_clusterspec_propagation: bool = False
        optimize_for_static_graph: bool = False

    _choices = {"placement": ("auto", "caller", "actor", "task", "mixed")}

    device_count: Map[str, int]
    """The number of devices of a type, e.g. {"CPU": 2}."""
    intra_op_parallelism_threads: int = 0
    inter_op_parallelism_threads: int = 0
    """Nodes that run at a time; 0 means as many as fit, a negative number the caller's thread alone."""
    use_per_session_threads: bool = False
    session_inter_op_thread_pool: Repeated[ThreadPoolOptionProto]
    placement_period: int = 0
    device_filters: Repeated[str]
    gpu_options: GPUOptions
    allow_soft_placement: bool = False
    """A node whose device is not there runs on a CPU instead of failing."""
    log_device_placement: bool = False
    """Print where each node is placed."""
    graph_options: GraphOptions
    operation_timeout_in_ms: int = 0
    """Milliseconds that a run may take, 0 for no limit; then DeadlineExceededError."""
    rpc_options: RPCOptions
    cluster_def: ClusterDef
    isolate_session_state: bool = False
    experimental: Experimental

    placement: str = "auto"
    """Ours. Where nodes run: "auto" as their cost says, or all of them in the "caller", in the "actor" that holds the
    variables, or in a "task" of Ray; "mixed" spreads them over all three by a hash, for tests."""
    copy: bool = True
    """Ours. False: large fetched arrays are read-only views of shared memory instead of writable copies."""
    memory_budget: int = 0
    """Ours. Bytes of live intermediate values above which a run starts no further work; 0 sets it by the machine."""
    cancel_grace_in_ms: int = 1000
    """Ours. Milliseconds that a cancelled function has to return before its process is ended."""


Config = ConfigProto


class DebugTensorWatch(Message):
    """A tensor that a debugger watches."""

    node_name: str = ""
    output_slot: int = 0
    debug_ops: Repeated[str]
    debug_urls: Repeated[str]


class DebugOptions(Message):
    """What a debugger watches in a run."""

    debug_tensor_watch_opts: Repeated[DebugTensorWatch]
    global_step: int = 0


class RunOptions(Message):
    """What a single run is told."""

    NO_TRACE, SOFTWARE_TRACE, HARDWARE_TRACE, FULL_TRACE = 0, 1, 2, 3

    trace_level: int = 0
    """NO_TRACE, or any other: the times of the nodes are written to the run's metadata."""
    timeout_in_ms: int = 0
    """Milliseconds that this run may take; when positive it overrides the session's `operation_timeout_in_ms`."""
    inter_op_thread_pool: int = 0
    output_partition_graphs: bool = False
    """Write the executed graph, part by part, to the run's metadata."""
    debug_options: DebugOptions
    report_tensor_allocations_upon_oom: bool = False


class NodeExecStats(Message):
    """When one node ran: microseconds since the epoch, and relative to `all_start_micros`."""

    node_name: str = ""
    all_start_micros: int = 0
    op_start_rel_micros: int = 0
    op_end_rel_micros: int = 0
    all_end_rel_micros: int = 0
    scheduled_micros: int = 0
    timeline_label: str = ""
    thread_id: int = 0


class DeviceStepStats(Message):
    """What ran on one device."""

    device: str = ""
    node_stats: Repeated[NodeExecStats]
    thread_names: Map[int, str]


class StepStats(Message):
    """What ran in one run, device by device."""

    dev_stats: Repeated[DeviceStepStats]


class CostGraphDef(Message):
    """What the nodes of a run cost."""

    class Node(Message):
        """One node: `compute_cost` and `compute_time` in microseconds, memory in bytes."""

        name: str = ""
        device: str = ""
        id: int = 0
        compute_cost: int = 0
        compute_time: int = 0
        temporary_memory_size: int = 0

    node: Repeated[Node]


class RunMetadata(Message):
    """What a run tells about itself."""

    step_stats: StepStats
    cost_graph: CostGraphDef
    partition_graphs: Repeated[dict]
    """One dict of plain data for each part of the executed graph."""
