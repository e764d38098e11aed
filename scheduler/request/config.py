"""Options of sessions and runs: TensorFlow 1's messages, with the same names, in plain Python.

A field with a docstring does what the docstring says. A field without one is accepted so that existing programs run,
but has no effect. A test proves that the code reads the fields with a docstring, and no others.
"""

from __future__ import annotations

from weftwork.scheduler.request.fields import Map, Message, Repeated


class GPUOptions(Message):
    """How GPUs are used.

    No field has an effect, because the framework that a function calls manages the GPU's memory.
    """

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
    _enums = {"opt_level": ("L1", "L0"), "global_jit_level": ("DEFAULT", "OFF", "ON_1", "ON_2")}

    do_common_subexpression_elimination: bool = False
    """Merge equal pure nodes, also at level L0."""
    do_constant_folding: bool = False
    """Fold nodes of constants, also at level L0."""
    max_folded_constant_in_bytes: int = 0
    """Maximum size in bytes of a folded output; 0 means no limit beyond the general one of 65,536 elements."""
    do_function_inlining: bool = False
    opt_level: int = 0
    """L1 merges equal pure nodes and folds nodes of constants. L0 runs nodes as they were written."""
    global_jit_level: int = 0


class RewriterConfig(Message):
    """How graphs are rewritten, pass by pass. There are two passes, both active unless they are OFF."""

    DEFAULT, ON, OFF, AGGRESSIVE = 0, 1, 2, 3
    _enums = dict.fromkeys(
        ("layout_optimizer", "constant_folding", "shape_optimization", "remapping", "common_subgraph_elimination",
         "arithmetic_optimization", "dependency_optimization", "loop_optimization", "function_optimization"),
        ("DEFAULT", "ON", "OFF", "AGGRESSIVE"),
    )  # fmt: skip

    layout_optimizer: int = 0
    constant_folding: int = 0
    """OFF: nodes of constants are not folded, whatever the level."""
    shape_optimization: int = 0
    remapping: int = 0
    common_subgraph_elimination: int = 0
    """OFF: equal pure nodes are not merged, whatever the level."""
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
    """N: measure the nodes of every Nth run of the same fetches and feeds, for `RunMetadata.cost_graph`. 0: never."""
    build_cost_model_after: int = 0
    """The number of first runs that do not count."""
    infer_shapes: bool = False
    """`session.graph_def` includes the shapes of all outputs."""
    place_pruned_graph: bool = False
    """A missing device is an error only in runs that need it.

    Otherwise one node with a missing device fails every run.
    """
    enable_bfloat16_sendrecv: bool = False
    timeline_step: int = 0
    rewrite_options: RewriterConfig


class ThreadPoolOptionProto(Message):
    """A pool of threads. Sessions have no pools; `inter_op_parallelism_threads` limits what a run uses."""

    num_threads: int = 0
    global_name: str = ""


class RPCOptions(Message):
    """How processes communicate. No field has an effect, because Ray decides that."""

    use_rpc_for_inprocess_master: bool = False
    compression_algorithm: str = ""
    compression_level: int = 0
    cache_rpc_response: bool = False
    disable_session_connection_sharing: bool = False


class JobDef(Message):
    """The tasks of a job: maps index to address."""

    name: str = ""
    tasks: Map[int, str]


class ClusterDef(Message):
    """The jobs of a cluster."""

    job: Repeated[JobDef]


class ConfigProto(Message):
    """The options of a session.

    session = tf.Session(config=tf.ConfigProto(operation_timeout_in_ms=5000, checkpoint_dir="/tmp/run"))
    """

    class Experimental(Message):
        """Options that TensorFlow may still change."""

        collective_group_leader: str = ""
        executor_type: str = ""
        recv_buf_max_chunk: int = 0
        use_numa_affinity: bool = False
        share_session_state_in_clusterspec_propagation: bool = False
        optimize_for_static_graph: bool = False

    _choices = {
        "placement": ("auto", "caller", "thread", "resident", "dynamic", "actor", "task", "mixed"),
        "lifetime": ("", "detached"),
    }
    _least = {"limits": 1, "memory_budget": 0, "replicas": 1, "checkpoint_every": 0, "cancel_grace_in_ms": 0}

    device_count: Map[str, int]
    """The number of devices of a type per machine: with {"CPU": 2}, "/cpu:1" names a device. GPUs are detected."""
    intra_op_parallelism_threads: int = 0
    """Threads per convolution or pooling in this process from now on. 0 leaves the number unchanged; it starts as one
    per CPU. Workers use one."""
    inter_op_parallelism_threads: int = 0
    """The number of nodes that a run executes at once. 0: as many as there are CPUs. 1: one by one. Negative: one by
    one in the caller's thread, except nodes that must run in a worker. Nodes that wait for a queue do not count."""
    use_per_session_threads: bool = False
    session_inter_op_thread_pool: Repeated[ThreadPoolOptionProto]
    """The number of pools that `RunOptions.inter_op_thread_pool` may name. All of them are the same threads."""
    placement_period: int = 0
    device_filters: Repeated[str]
    gpu_options: GPUOptions
    allow_soft_placement: bool = False
    """A node whose device is missing runs on a CPU instead of failing."""
    log_device_placement: bool = False
    """Print to standard output and standard error which devices there are, and where each node of a run was placed, as
    "NAME: (TYPE): DEVICE", once per node and place."""
    graph_options: GraphOptions
    operation_timeout_in_ms: int = 0
    """The time limit of a run in milliseconds, 0 for none. A run that exceeds it raises DeadlineExceededError."""
    rpc_options: RPCOptions
    cluster_def: ClusterDef
    """The cluster whose tasks are devices of this session, such as "/job:ps/task:0". The session has variables of its
    own then."""
    isolate_session_state: bool = False
    """Give the session variables of its own, whatever its target and `name`."""
    experimental: Experimental

    name: str = ""
    """Weftwork only. Sessions of a cluster with the same name share their variables."""
    lifetime: str = ""
    """Weftwork only. "detached": the named session outlives this process, until `Session.reset` ends it."""
    placement: str = "auto"
    """Weftwork only. Where nodes run. "auto": as their costs suggest. "caller", "actor" or "task": all in the caller,
    in the actor that holds the variables, or in Ray tasks. "dynamic": shared out during the run, among local workers
    or, on several machines, Ray tasks. For tests, "mixed" spreads nodes over caller, actor and tasks by a hash,
    "thread" over three threads, and "resident" over the caller and two local workers."""
    copy: bool = True
    """Weftwork only. False: large fetched arrays are read-only views of shared memory, not writable copies."""
    memory_budget: int = 0
    """Weftwork only. Limit in bytes for live intermediate values; above it a run starts no work. 0: by the machine."""
    replicas: int = 1
    """Weftwork only. Copies of each large variable, on as many machines: with 2, losing one machine loses nothing."""
    checkpoint_dir: str = ""
    """Weftwork only. A folder or URL in which the session saves its variables, and from which a new session resumes."""
    checkpoint_every: float = 600.0
    """Weftwork only. Seconds between two such checkpoints."""
    debug: bool = False
    """Weftwork only. Run everything in the thread that calls `run`, one node after another, whatever the nodes ask for
    and without time limits. Breakpoints work, and each error shows your frames."""
    limits: Map[str, int]
    """Weftwork only. The amount of each named limit that functions take with `@tf.op(limits={"api": 1})`. With
    {"api": 5}, five such calls run at once, in all runs of the session."""
    names_in_ray: bool = False
    """Weftwork only. Ray's dashboard, `ray timeline` and `ray list tasks` show what runs in tasks and actors, under the
    names of its nodes. It costs some 20 us a task; without it, Ray's records do not list them."""
    cancel_grace_in_ms: int = 1000
    """Weftwork only. Milliseconds that a cancelled function has to return before its process is killed."""


Config = ConfigProto


class ServerDef(Message):
    """What a server serves: a task of a cluster."""

    cluster: ClusterDef
    job_name: str = ""
    task_index: int = 0
    default_session_config: ConfigProto
    protocol: str = ""


class DebugTensorWatch(Message):
    """A tensor that a debugger watches. No field has an effect: there is no debugger."""

    node_name: str = ""
    output_slot: int = 0
    debug_ops: Repeated[str]
    debug_urls: Repeated[str]


class DebugOptions(Message):
    """What a debugger watches. No field has an effect: there is no debugger."""

    debug_tensor_watch_opts: Repeated[DebugTensorWatch]
    global_step: int = 0


class RunOptions(Message):
    """The options of a single run."""

    NO_TRACE, SOFTWARE_TRACE, HARDWARE_TRACE, FULL_TRACE = 0, 1, 2, 3
    _enums = {"trace_level": ("NO_TRACE", "SOFTWARE_TRACE", "HARDWARE_TRACE", "FULL_TRACE")}

    trace_level: int = 0
    """NO_TRACE, or anything else to write the times of the nodes to `RunMetadata.step_stats`."""
    timeout_in_ms: int = 0
    """The time limit of this run in milliseconds. If positive, it overrides `ConfigProto.operation_timeout_in_ms`."""
    inter_op_thread_pool: int = 0
    """The number of one of the session's pools, or -1. Anything else raises InvalidArgumentError."""
    output_partition_graphs: bool = False
    """Write the executed graph, rewritten and cut into parts, to `RunMetadata.partition_graphs`."""
    debug_options: DebugOptions
    report_tensor_allocations_upon_oom: bool = False


class AllocationDescription(Message):
    """The memory of a tensor: requested and allocated bytes."""

    requested_bytes: int = 0
    allocated_bytes: int = 0
    allocator_name: str = ""
    allocation_id: int = 0
    has_single_reference: bool = False
    ptr: int = 0


class TensorDescription(Message):
    """A tensor that a node made."""

    allocation_description: AllocationDescription


class NodeOutput(Message):
    """An output of a node that ran. The first one stands for all of a node's outputs."""

    slot: int = 0
    tensor_description: TensorDescription


class NodeExecStats(Message):
    """When one node ran, in microseconds since the epoch and relative to `all_start_micros`, and the bytes it made."""

    node_name: str = ""
    all_start_micros: int = 0
    op_start_rel_micros: int = 0
    op_end_rel_micros: int = 0
    all_end_rel_micros: int = 0
    scheduled_micros: int = 0
    timeline_label: str = ""
    thread_id: int = 0
    output: Repeated[NodeOutput]


class DeviceStepStats(Message):
    """What ran on one device."""

    device: str = ""
    node_stats: Repeated[NodeExecStats]
    thread_names: Map[int, str]


class StepStats(Message):
    """What ran in one run, by device."""

    dev_stats: Repeated[DeviceStepStats]


class CostGraphDef(Message):
    """The measured costs of the nodes of a run."""

    class Node(Message):
        """The cost of one node."""

        class InputInfo(Message):
            """An input of a node: an output of an earlier node."""

            preceding_node: int = 0
            preceding_port: int = 0

        class OutputInfo(Message):
            """An output of a node: its size in bytes, -1 if it was not measured."""

            size: int = 0

        name: str = ""
        device: str = ""
        id: int = 0
        input_info: Repeated[InputInfo]
        output_info: Repeated[OutputInfo]
        temporary_memory_size: int = 0
        compute_cost: int = 0
        """Measured microseconds; for a node in a loop, of all its calls."""
        compute_time: int = 0
        is_final: bool = False
        """Whether it was fetched."""
        control_input: Repeated[int]

    node: Repeated[Node]


class NodeDef(Message):
    """A node of a graph. input: "NAME" is a node's first output, "NAME:1" its second, "^NAME" a control input."""

    name: str = ""
    op: str = ""
    input: Repeated[str]
    device: str = ""


class GraphDef(Message):
    """The nodes of a graph."""

    node: Repeated[NodeDef]


class RunMetadata(Message):
    """What a run reports about itself."""

    step_stats: StepStats
    cost_graph: CostGraphDef
    partition_graphs: Repeated[GraphDef]
    """The parts of the executed graph. Each contains nodes that ran together, with their device, and the constants,
    variables and feeds that they took."""
