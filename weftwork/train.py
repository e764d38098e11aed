"""tf.train: optimizers, savers, sessions with hooks, queue runners, and more for training programs."""

from types import SimpleNamespace
from typing import Any

from weftwork.actors.checkpoints.reader import CheckpointReader as NewCheckpointReader
from weftwork.graph.files import messages
from weftwork.graph.interchange.graph_util import write_graph
from weftwork.graph.training.averages import ExponentialMovingAverage
from weftwork.graph.training.device_setter import (
    replica_device_setter,
)
from weftwork.graph.training.optimizer import Optimizer
from weftwork.graph.training.optimizers import (
    AdadeltaOptimizer,
    AdagradOptimizer,
    AdamOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    RMSPropOptimizer,
)
from weftwork.graph.training.regularized import (
    AdagradDAOptimizer,
    FtrlOptimizer,
    ProximalAdagradOptimizer,
    ProximalGradientDescentOptimizer,
)
from weftwork.graph.training.schedules import (
    cosine_decay,
    cosine_decay_restarts,
    exponential_decay,
    inverse_time_decay,
    linear_cosine_decay,
    natural_exp_decay,
    noisy_linear_cosine_decay,
    piecewise_constant,
    piecewise_constant_decay,
    polynomial_decay,
)
from weftwork.graph.training.steps import (
    assert_global_step,
    create_global_step,
    get_global_step,
    get_or_create_global_step,
    global_step,
)
from weftwork.scheduler.input.batching import (
    batch,
    batch_join,
    maybe_batch,
    maybe_batch_join,
    maybe_shuffle_batch,
    maybe_shuffle_batch_join,
    shuffle_batch,
    shuffle_batch_join,
)
from weftwork.scheduler.input.coordinator import Coordinator, LooperThread
from weftwork.scheduler.input.input_producers import (
    input_producer,
    limit_epochs,
    match_filenames_once,
    range_input_producer,
    slice_input_producer,
    string_input_producer,
)
from weftwork.scheduler.input.queue_runner import QueueRunner, add_queue_runner, start_queue_runners
from weftwork.scheduler.request.config import ClusterDef, JobDef, ServerDef
from weftwork.scheduler.saving.checkpoint import Checkpoint, CheckpointManager
from weftwork.scheduler.saving.from_checkpoint import init_from_checkpoint, warm_start
from weftwork.scheduler.saving.meta_graph import export_meta_graph
from weftwork.scheduler.saving.saver import Saver, import_meta_graph
from weftwork.scheduler.saving.saver_def import SaverDef
from weftwork.scheduler.saving.variables_file import export_variables, import_variables
from weftwork.scheduler.saving.vocabularies import VocabInfo
from weftwork.scheduler.session.cluster import ClusterSpec
from weftwork.scheduler.session.server import Server
from weftwork.scheduler.state.checkpoint_state import (
    CheckpointState,
    checkpoint_exists,
    generate_checkpoint_state_proto,
    get_checkpoint_mtimes,
    get_checkpoint_state,
    latest_checkpoint,
    list_variables,
    load_checkpoint,
    load_variable,
    remove_checkpoint,
    update_checkpoint_state,
)
from weftwork.scheduler.training.basic_hooks import (
    FeedFnHook,
    FinalOpsHook,
    GlobalStepWaiterHook,
    LoggingTensorHook,
    NanLossDuringTrainingError,
    NanTensorHook,
    SecondOrStepTimer,
    StopAtStepHook,
)
from weftwork.scheduler.training.creators import ChiefSessionCreator, SessionCreator, WorkerSessionCreator
from weftwork.scheduler.training.event_files import summary_iterator
from weftwork.scheduler.training.hooks import SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues
from weftwork.scheduler.training.loops import basic_train_loop, checkpoints_iterator
from weftwork.scheduler.training.manager import SessionManager
from weftwork.scheduler.training.monitored_session import (
    MonitoredSession,
    MonitoredTrainingSession,
    SingularMonitoredSession,
)
from weftwork.scheduler.training.saving_hooks import (
    CheckpointSaverHook,
    CheckpointSaverListener,
    ProfilerHook,
    StepCounterHook,
    SummarySaverHook,
)
from weftwork.scheduler.training.scaffold import Scaffold
from weftwork.scheduler.training.supervisor import (
    Supervisor,
)
from weftwork.scheduler.training.sync_replicas import SyncReplicasOptimizer

queue_runner = SimpleNamespace(
    QueueRunner=QueueRunner, add_queue_runner=add_queue_runner, start_queue_runners=start_queue_runners
)

__all__ = [
    "queue_runner",
    "summary_iterator",
    "AdagradDAOptimizer",
    "SyncReplicasOptimizer",
    "basic_train_loop",
    "checkpoints_iterator",
    "cosine_decay_restarts",
    "linear_cosine_decay",
    "maybe_batch",
    "maybe_batch_join",
    "maybe_shuffle_batch",
    "maybe_shuffle_batch_join",
    "noisy_linear_cosine_decay",
    "warm_start",
    "AdadeltaOptimizer",
    "AdagradOptimizer",
    "AdamOptimizer",
    "Checkpoint",
    "CheckpointManager",
    "CheckpointSaverHook",
    "CheckpointSaverListener",
    "CheckpointState",
    "ChiefSessionCreator",
    "ClusterDef",
    "ClusterSpec",
    "Coordinator",
    "ExponentialMovingAverage",
    "FeedFnHook",
    "FinalOpsHook",
    "FtrlOptimizer",
    "GlobalStepWaiterHook",
    "GradientDescentOptimizer",
    "JobDef",
    "LoggingTensorHook",
    "LooperThread",
    "MomentumOptimizer",
    "MonitoredSession",
    "MonitoredTrainingSession",
    "NanLossDuringTrainingError",
    "NanTensorHook",
    "NewCheckpointReader",
    "Optimizer",
    "ProximalAdagradOptimizer",
    "ProximalGradientDescentOptimizer",
    "QueueRunner",
    "RMSPropOptimizer",
    "Saver",
    "SaverDef",
    "Scaffold",
    "SecondOrStepTimer",
    "Server",
    "ServerDef",
    "SessionCreator",
    "SessionManager",
    "SessionRunArgs",
    "SessionRunContext",
    "SessionRunHook",
    "SessionRunValues",
    "SingularMonitoredSession",
    "ProfilerHook",
    "StepCounterHook",
    "StopAtStepHook",
    "SummarySaverHook",
    "Supervisor",
    "VocabInfo",
    "WorkerSessionCreator",
    "add_queue_runner",
    "assert_global_step",
    "batch",
    "batch_join",
    "checkpoint_exists",
    "cosine_decay",
    "create_global_step",
    "exponential_decay",
    "export_meta_graph",
    "export_variables",
    "generate_checkpoint_state_proto",
    "get_checkpoint_mtimes",
    "get_checkpoint_state",
    "get_global_step",
    "get_or_create_global_step",
    "global_step",
    "import_meta_graph",
    "import_variables",
    "init_from_checkpoint",
    "input_producer",
    "inverse_time_decay",
    "latest_checkpoint",
    "limit_epochs",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "match_filenames_once",
    "natural_exp_decay",
    "piecewise_constant",
    "piecewise_constant_decay",
    "polynomial_decay",
    "range_input_producer",
    "remove_checkpoint",
    "replica_device_setter",
    "shuffle_batch",
    "shuffle_batch_join",
    "slice_input_producer",
    "start_queue_runners",
    "string_input_producer",
    "update_checkpoint_state",
    "write_graph",
]


def __getattr__(name: str) -> Any:
    """The messages of examples (`Example`, `Features` ...), created when first used."""
    if name in messages.NAMES:
        return messages.message(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
