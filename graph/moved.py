"""Moved modules: their old names stay importable, because pickled graphs and cost files refer to them.

An old name resolves to the same module object as the new one, so each class has a single identity.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_MOVED = {
    "actors.checkpoint": "actors.checkpoints.writer",
    "actors.checkpoint_reader": "actors.checkpoints.reader",
    "actors.control": "actors.programs.control",
    "actors.encoding": "actors.checkpoints.encoding",
    "actors.exchange": "actors.programs.exchange",
    "actors.files": "actors.checkpoints.files",
    "actors.gpu": "actors.programs.gpu",
    "actors.mesh": "actors.processes.transport",
    "actors.messages": "actors.processes.messages",
    "actors.program": "actors.programs.program",
    "actors.resident": "actors.processes.local_worker",
    "actors.worker": "actors.processes.worker",
    "graph.alike": "graph.python.alike",
    "graph.array_ops": "graph.ops.array_ops",
    "graph.averages": "graph.training.averages",
    "graph.by_identity": "graph.python.by_identity",
    "graph.callables": "graph.python.callables",
    "graph.candidate_sampling": "graph.nn.sampling",
    "graph.captured": "graph.python.captured",
    "graph.captured_classes": "graph.python.captured_classes",
    "graph.captured_kinds": "graph.python.captured_kinds",
    "graph.captured_names": "graph.python.captured_names",
    "graph.captured_notes": "graph.python.captured_notes",
    "graph.captured_walk": "graph.python.captured_walk",
    "graph.census": "graph.statistics",
    "graph.check_ops": "graph.ops.assertions",
    "graph.class_facts": "graph.python.class_facts",
    "graph.clipping": "graph.ops.clipping",
    "graph.codes": "graph.python.codes",
    "graph.composite": "graph.ops.composite",
    "graph.control_flow": "graph.ops.control_flow",
    "graph.conversion": "graph.ops.conversion",
    "graph.data.questions": "graph.data.properties",
    "graph.data_flow_ops": "graph.ops.queues",
    "graph.filling": "graph.ops.filling",
    "graph.flow": "graph.ops.flow",
    "graph.following": "graph.python.following",
    "graph.forks": "graph.python.forks",
    "graph.frames": "graph.python.frames",
    "graph.functional_ops": "graph.ops.functional",
    "graph.gradient_arrays": "graph.gradients.arrays",
    "graph.gradient_autograd": "graph.gradients.numpy_rules",
    "graph.gradient_control": "graph.gradients.control_flow",
    "graph.gradient_kernels": "graph.kernels.derivatives",
    "graph.gradient_linalg": "graph.gradients.linalg",
    "graph.gradient_math": "graph.gradients.elementwise",
    "graph.gradient_nn": "graph.gradients.nn",
    "graph.gradient_nn_kernels": "graph.kernels.convolution",
    "graph.gradient_products": "graph.gradients.products",
    "graph.gradient_reductions": "graph.gradients.reductions",
    "graph.gradient_registry": "graph.gradients.registry",
    "graph.gradient_tools": "graph.gradients.tools",
    "graph.gradient_vjps": "graph.gradients.vjps",
    "graph.images.turning": "graph.images.flipping",
    "graph.indexing": "graph.ops.indexing",
    "graph.init_ops": "graph.variables.initializers",
    "graph.inspection": "graph.python.inspection",
    "graph.joining": "graph.ops.joining",
    "graph.kernels_array": "graph.kernels.arrays",
    "graph.kernels_depthwise": "graph.kernels.depthwise",
    "graph.kernels_math": "graph.kernels.elementwise",
    "graph.kernels_nn": "graph.kernels.nn",
    "graph.kernels_reductions": "graph.kernels.reductions",
    "graph.layers_base": "graph.layers.base",
    "graph.layers_convolutions": "graph.layers.convolutions",
    "graph.layers_core": "graph.layers.core",
    "graph.layers_normalization": "graph.layers.normalization",
    "graph.layers_windows": "graph.layers.windows",
    "graph.lending": "graph.python.lending",
    "graph.linalg_ops": "graph.ops.linalg_ops",
    "graph.loss_weights": "graph.training.loss_weights",
    "graph.losses": "graph.training.losses",
    "graph.made_at_import": "graph.python.made_at_import",
    "graph.math_ops": "graph.ops.math_ops",
    "graph.metrics": "graph.training.metrics",
    "graph.modules": "graph.python.modules",
    "graph.nn_convolutions": "graph.nn.convolutions",
    "graph.nn_losses": "graph.nn.cross_entropies",
    "graph.nn_ops": "graph.nn.ops",
    "graph.nn_windows": "graph.nn.windows",
    "graph.ops.linear_blocks": "graph.linear.blocks",
    "graph.ops.linear_circulant": "graph.linear.circulant",
    "graph.ops.linear_description": "graph.linear.description",
    "graph.ops.linear_operator": "graph.linear.operator",
    "graph.ops.linear_operators": "graph.linear.kinds",
    "graph.optimizer_base": "graph.training.optimizer",
    "graph.optimizer_kernels": "graph.training.kernels",
    "graph.optimizer_regularized": "graph.training.regularized",
    "graph.optimizer_update": "graph.training.update",
    "graph.optimizers": "graph.training.optimizers",
    "graph.origins": "graph.python.origins",
    "graph.ownership": "graph.python.ownership",
    "graph.partitioning": "graph.ops.partitioning",
    "graph.passed": "graph.python.passed",
    "graph.printing": "graph.ops.printing",
    "graph.products": "graph.ops.products",
    "graph.random_ops": "graph.ops.random_ops",
    "graph.reached": "graph.python.reached",
    "graph.reading": "graph.python.reading",
    "graph.rearranging": "graph.ops.rearranging",
    "graph.reductions": "graph.ops.reductions",
    "graph.rnn": "graph.recurrent.static",
    "graph.rnn_cells": "graph.recurrent.cells",
    "graph.rnn_dynamic": "graph.recurrent.dynamic",
    "graph.rnn_wrappers": "graph.recurrent.wrappers",
    "graph.schedules": "graph.training.schedules",
    "graph.seeded": "graph.python.seeded",
    "graph.state_ops": "graph.variables.writes",
    "graph.summaries": "graph.training.summaries",
    "graph.training_steps": "graph.training.steps",
    "graph.turns": "graph.python.turns",
    "graph.uninitialized": "graph.sentinels",
    "graph.unique": "graph.python.unique",
    "graph.value_stack": "graph.python.value_stack",
    "graph.variable_scope": "graph.variables.sharing",
    "scheduler.actor_link": "scheduler.state.actor_link",
    "scheduler.autosave": "scheduler.state.autosave",
    "scheduler.backend": "scheduler.machines.backend",
    "scheduler.basic_hooks": "scheduler.training.basic_hooks",
    "scheduler.batching": "scheduler.input.batching",
    "scheduler.budget": "scheduler.run.budget",
    "scheduler.checkpoint_state": "scheduler.state.checkpoint_state",
    "scheduler.cluster": "scheduler.plan.schedule",
    "scheduler.collector": "scheduler.plan.collector",
    "scheduler.config": "scheduler.request.config",
    "scheduler.control": "scheduler.compile.sections",
    "scheduler.coordinator": "scheduler.input.coordinator",
    "scheduler.cost": "scheduler.plan.cost",
    "scheduler.courier": "scheduler.run.requests",
    "scheduler.dataflow": "scheduler.compile.dataflow",
    "scheduler.devices": "scheduler.machines.devices",
    "scheduler.dispatch": "scheduler.run.dispatch",
    "scheduler.emit": "scheduler.compile.emit",
    "scheduler.engine": "scheduler.run.engine",
    "scheduler.entries": "scheduler.plan.signatures",
    "scheduler.event_files": "scheduler.training.event_files",
    "scheduler.explain": "scheduler.run.explain",
    "scheduler.failures": "scheduler.run.failures",
    "scheduler.feeds": "scheduler.request.feeds",
    "scheduler.fetches": "scheduler.request.fetches",
    "scheduler.flusher": "scheduler.state.flusher",
    "scheduler.folding": "scheduler.compile.folding",
    "scheduler.future": "scheduler.session.future",
    "scheduler.grouping": "scheduler.plan.grouping",
    "scheduler.hooks": "scheduler.training.hooks",
    "scheduler.host": "scheduler.session.host",
    "scheduler.hosts": "scheduler.machines.host_actors",
    "scheduler.input_producers": "scheduler.input.input_producers",
    "scheduler.inventory": "scheduler.machines.inventory",
    "scheduler.listing": "scheduler.plan.call_list",
    "scheduler.message": "scheduler.request.fields",
    "scheduler.monitored_session": "scheduler.training.monitored_session",
    "scheduler.needs": "scheduler.compile.needs",
    "scheduler.nested": "scheduler.run.nested",
    "scheduler.objects": "scheduler.machines.objects",
    "scheduler.ordering": "scheduler.compile.ordering",
    "scheduler.overlap": "scheduler.run.overlap",
    "scheduler.partial": "scheduler.session.partial",
    "scheduler.placement": "scheduler.plan.placement",
    "scheduler.queue_host": "actors.queues.host",
    "scheduler.queue_runner": "scheduler.input.queue_runner",
    "scheduler.queue_waits": "scheduler.run.queue_waits",
    "scheduler.recovery": "scheduler.state.recovery",
    "scheduler.residents": "scheduler.run.local_workers",
    "scheduler.saver": "scheduler.saving.saver",
    "scheduler.saver_nodes": "scheduler.saving.saver_nodes",
    "scheduler.saving_hooks": "scheduler.training.saving_hooks",
    "scheduler.scaffold": "scheduler.training.scaffold",
    "scheduler.server": "scheduler.session.server",
    "scheduler.session.looks": "scheduler.session.inspection",
    "scheduler.session_creators": "scheduler.training.creators",
    "scheduler.session_layers": "scheduler.training.session_layers",
    "scheduler.session_manager": "scheduler.training.manager",
    "scheduler.strategy": "scheduler.plan.autotune",
    "scheduler.threads": "scheduler.run.threads",
    "scheduler.trace": "scheduler.views.metadata",
    "scheduler.training.batching": "scheduler.input.batching",
    "scheduler.training.checked_threads": "scheduler.testing.checked_threads",
    "scheduler.training.checkpoint": "scheduler.saving.checkpoint",
    "scheduler.training.coordinator": "scheduler.input.coordinator",
    "scheduler.training.derivatives": "scheduler.testing.derivatives",
    "scheduler.training.from_checkpoint": "scheduler.saving.from_checkpoint",
    "scheduler.training.input_producers": "scheduler.input.input_producers",
    "scheduler.training.local_cluster": "scheduler.testing.local_cluster",
    "scheduler.training.meta_graph": "scheduler.saving.meta_graph",
    "scheduler.training.more_assertions": "scheduler.testing.more_assertions",
    "scheduler.training.object_graph": "scheduler.saving.object_graph",
    "scheduler.training.queue_runner": "scheduler.input.queue_runner",
    "scheduler.training.restoring": "scheduler.saving.restoring",
    "scheduler.training.saveables": "scheduler.saving.saveables",
    "scheduler.training.saved_model": "scheduler.saving.saved_model",
    "scheduler.training.saver": "scheduler.saving.saver",
    "scheduler.training.saver_def": "scheduler.saving.saver_def",
    "scheduler.training.saver_nodes": "scheduler.saving.saver_nodes",
    "scheduler.training.scoped_graph": "scheduler.saving.scoped_graph",
    "scheduler.training.stripping": "scheduler.saving.stripping",
    "scheduler.training.testing": "scheduler.testing.testing",
    "scheduler.training.variables_file": "scheduler.saving.variables_file",
    "scheduler.training.vocabularies": "scheduler.saving.vocabularies",
    "scheduler.unplanned": "scheduler.run.cold_run",
    "scheduler.unrolling": "scheduler.compile.unrolling",
    "scheduler.variants": "scheduler.plan.specializations",
}
"""From the old name to the new one, both without the package's name."""

_PACKAGE = "weftwork."


def current_name(module: str) -> str:
    """The name under which a module of the library is found today."""
    new = _MOVED.get(module.removeprefix(_PACKAGE)) if module.startswith(_PACKAGE) else None
    return module if new is None else _PACKAGE + new


class _Alias(Loader):
    """Loads a module under its old name by importing it under the new one."""

    def __init__(self, name: str):
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._spec = module.__spec__  # the import system is about to replace it by the alias's
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder(MetaPathFinder):
    """Finds modules by their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        new = current_name(fullname)
        return None if new == fullname else ModuleSpec(fullname, _Alias(new))


def keep_old_names() -> None:
    """Let the import system find modules by their old names."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
