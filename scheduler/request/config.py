"""What a session and a run may be told: TensorFlow 1's option messages, by the same names, as plain Python.

A field that has a text below it does what that says. One that has none is accepted for the sake of existing programs
and has no meaning here. A test proves that the code reads those with a text, and no others.
"""

from __future__ import annotations

from weftwork.scheduler.request.fields import Map, Message, Repeated


class GPUOptions(Message):
    """How GPUs are used: nothing here acts, for the framework that a node's function calls owns its GPU's memory."""

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
    """Merge equal pure nodes also at level L0."""
    do_constant_folding: bool = False
    """Fold nodes of constants also at level L0."""
    max_folded_constant_in_bytes: int = 0
    """Bytes that what a folded node gives may have at most; 0: it may have 65,536 elements, which is a limit always."""
    do_function_inlining: bool = False
    opt_level: int = 0
    """L1: equal pure nodes are merged and nodes of constants folded; L0: nodes run as they were written."""
    global_jit_level: int = 0


class RewriterConfig(Message):
    """How graphs are rewritten, pass by pass. There are two passes here, and both are on unless they are OFF."""

    DEFAULT, ON, OFF, AGGRESSIVE = 0, 1, 2, 3

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
    """N: every Nth run of the same fetches and feeds measures its nodes, for `RunMetadata.cost_graph`; 0: none does."""
    build_cost_model_after: int = 0
    """So many first runs are not counted."""
    infer_shapes: bool = False
    """`session.graph_def` tells the shapes of all outputs."""
    place_pruned_graph: bool = False
    """Devices that are not there matter only where a run needs them; else one such node fails every run."""
    enable_bfloat16_sendrecv: bool = False
    timeline_step: int = 0
    rewrite_options: RewriterConfig


class ThreadPoolOptionProto(Message):
    """A pool of threads. Sessions have none here: `inter_op_parallelism_threads` bounds what a run uses."""

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

    _choices = {
        "placement": ("auto", "caller", "thread", "resident", "dynamic", "actor", "task", "mixed"),
        "lifetime": ("", "detached"),
    }

    device_count: Map[str, int]
    """How many devices of a type a machine shows: {"CPU": 2} makes "/cpu:1" a name of it. GPUs are counted."""
    intra_op_parallelism_threads: int = 0
    """Threads that a convolution or a pooling of this process uses from now on; 0 leaves it as it is: one for each CPU.
    In workers it is one."""
    inter_op_parallelism_threads: int = 0
    """Nodes of a run that run at a time: 0 is as many as there are CPUs, 1 one after another, a negative number one
    after another in the caller's thread, but for those that ask for a worker. What waits in a queue does not count."""
    use_per_session_threads: bool = False
    session_inter_op_thread_pool: Repeated[ThreadPoolOptionProto]
    """How many pools there are by number, for `RunOptions.inter_op_thread_pool`; all are the same threads."""
    placement_period: int = 0
    device_filters: Repeated[str]
    gpu_options: GPUOptions
    allow_soft_placement: bool = False
    """A node whose device is not there runs on a CPU instead of failing."""
    log_device_placement: bool = False
    """Say on standard output and standard error which devices there are, and of each node that a run needs where it
    was placed, once for each place: "NAME: (TYPE): DEVICE"."""
    graph_options: GraphOptions
    operation_timeout_in_ms: int = 0
    """Milliseconds that a run may take, 0 for no limit; then DeadlineExceededError."""
    rpc_options: RPCOptions
    cluster_def: ClusterDef
    """The cluster whose tasks are devices of this session, "/job:ps/task:0" and so on; with it the session has
    variables of its own."""
    isolate_session_state: bool = False
    """The session has variables of its own, whatever its target and `name`."""
    experimental: Experimental

    name: str = ""
    """Ours. A session that others of the cluster may share: those with the same name run on the same variables."""
    lifetime: str = ""
    """Ours. "detached": the named session outlives this process, until `Session.reset` ends it."""
    placement: str = "auto"
    """Ours. Where nodes run: "auto" as their cost says, or all of them in the "caller", in the "actor" that holds the
    variables, in a "task" of Ray, or shared out among the program's local workers while the run goes on ("dynamic").
    For tests, "mixed" spreads them over caller, actor and task by a hash, "thread" and "resident" over three threads,
    or the caller and two local workers."""
    copy: bool = True
    """Ours. False: large fetched arrays are read-only views of shared memory instead of writable copies."""
    memory_budget: int = 0
    """Ours. Bytes of live intermediate values above which a run starts no further work; 0 sets it by the machine."""
    replicas: int = 1
    """Ours. Copies of each large variable, on so many machines: with 2, losing a machine loses nothing."""
    checkpoint_dir: str = ""
    """Ours. A folder or URL to which the session saves its variables by itself, and from which a new one resumes."""
    checkpoint_every: float = 600.0
    """Ours. Seconds between two such checkpoints."""
    debug: bool = False
    """Ours. Everything runs in the thread that calls `run`, one node after another, whatever nodes ask for, and no time
    limit holds: breakpoints work, and each error has your frames."""
    limits: Map[str, int]
    """Ours. How much there is of each named limit that functions ask for with `@tf.op(limits={"api": 1})`: with 5, five
    calls run at a time, of all runs of the session."""
    cancel_grace_in_ms: int = 1000
    """Ours. Milliseconds that a cancelled function has to return before its process is ended."""


Config = ConfigProto


class ServerDef(Message):
    """What a server serves: a task of a cluster."""

    cluster: ClusterDef
    job_name: str = ""
    task_index: int = 0
    default_session_config: ConfigProto
    protocol: str = ""


class DebugTensorWatch(Message):
    """A tensor that a debugger watches. There is no debugger here."""

    node_name: str = ""
    output_slot: int = 0
    debug_ops: Repeated[str]
    debug_urls: Repeated[str]


class DebugOptions(Message):
    """What a debugger watches in a run. There is none here."""

    debug_tensor_watch_opts: Repeated[DebugTensorWatch]
    global_step: int = 0


class RunOptions(Message):
    """What a single run is told."""

    NO_TRACE, SOFTWARE_TRACE, HARDWARE_TRACE, FULL_TRACE = 0, 1, 2, 3

    trace_level: int = 0
    """NO_TRACE, or any other: the times of the nodes are written to `RunMetadata.step_stats`."""
    timeout_in_ms: int = 0
    """Milliseconds that this run may take; when positive it overrides the session's `operation_timeout_in_ms`."""
    inter_op_thread_pool: int = 0
    """The number of a pool of the session's, or -1: another one is an InvalidArgumentError."""
    output_partition_graphs: bool = False
    """Write the executed graph, as it was rewritten and part by part, to `RunMetadata.partition_graphs`."""
    debug_options: DebugOptions
    report_tensor_allocations_upon_oom: bool = False


class AllocationDescription(Message):
    """The memory of a tensor: what it took, and was given."""

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
    """An output of a node that ran; its first one stands for all of them here."""

    slot: int = 0
    tensor_description: TensorDescription


class NodeExecStats(Message):
    """When one node ran: microseconds since the epoch, and relative to `all_start_micros`; and the bytes it made."""

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
    """What ran in one run, device by device."""

    dev_stats: Repeated[DeviceStepStats]


class CostGraphDef(Message):
    """What the nodes of a run cost."""

    class Node(Message):
        """One node."""

        class InputInfo(Message):
            """What a node takes: an output of a node before it."""

            preceding_node: int = 0
            preceding_port: int = 0

        class OutputInfo(Message):
            """What a node makes: the bytes of an output, -1 where they were not measured."""

            size: int = 0

        name: str = ""
        device: str = ""
        id: int = 0
        input_info: Repeated[InputInfo]
        output_info: Repeated[OutputInfo]
        temporary_memory_size: int = 0
        compute_cost: int = 0
        """Microseconds that it took, measured; of all its calls where it is in a loop."""
        compute_time: int = 0
        is_final: bool = False
        """It was fetched."""
        control_input: Repeated[int]

    node: Repeated[Node]


class NodeDef(Message):
    """A node of a graph. input: "NAME" for the first output of a node, "NAME:1" and so on, "^NAME" to wait for one."""

    name: str = ""
    op: str = ""
    input: Repeated[str]
    device: str = ""


class GraphDef(Message):
    """The nodes of a graph."""

    node: Repeated[NodeDef]


class RunMetadata(Message):
    """What a run tells about itself."""

    step_stats: StepStats
    cost_graph: CostGraphDef
    partition_graphs: Repeated[GraphDef]
    """The parts of the executed graph: of each the nodes that ran together, with the device where they ran, and the
    constants, variables and feeds that they took."""
