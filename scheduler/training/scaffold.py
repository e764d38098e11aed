"""Scaffold: operations around a model that a training program needs, to initialize, check, save and summarize it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from weftwork.graph import stacks
from weftwork.graph.graph import GraphKeys
from weftwork.graph.lookup.tables import tables_initializer
from weftwork.graph.ops.flow import group
from weftwork.graph.training.summaries import merge_all
from weftwork.graph.variables.collected import (
    global_variables,
    global_variables_initializer,
    local_variables_initializer,
    report_uninitialized_variables,
)
from weftwork.scheduler.saving.saver import Saver

log = logging.getLogger("weftwork")


class Scaffold:
    """Operations around a model. `finalize` takes what is not given from the graph's collections, or creates it.

    init_op, init_feed_dict, init_fn: initialize the model if there is no checkpoint; init_fn(scaffold, session).
    ready_for_local_init_op, ready_op: return the names of variables without a value; the model is ready if there are
    none.
    local_init_op, local_init_feed_dict: what each process runs for itself.   summary_op: collects summaries.
    saver: saves and restores.   copy_from_scaffold: another scaffold, for what is not given.
    Raises TypeError for a copy_from_scaffold that is not a Scaffold.
    """

    def __init__(
        self,
        init_op: Any = None,
        init_feed_dict: Mapping[Any, Any] | None = None,
        init_fn: Callable[..., Any] | None = None,
        ready_op: Any = None,
        ready_for_local_init_op: Any = None,
        local_init_op: Any = None,
        summary_op: Any = None,
        saver: Saver | None = None,
        copy_from_scaffold: Scaffold | None = None,
        local_init_feed_dict: Mapping[Any, Any] | None = None,
    ):
        if copy_from_scaffold is not None and not isinstance(copy_from_scaffold, Scaffold):
            raise TypeError("copy_from_scaffold is not a Scaffold instance.")
        if init_fn is None and copy_from_scaffold is not None:
            init_fn = copy_from_scaffold._user_init_fn  # it is to see this scaffold, not the other one
        self._user_init_fn = init_fn
        self.init_op, self.init_feed_dict = init_op, init_feed_dict
        self.init_fn = None if init_fn is None else lambda session: init_fn(self, session)
        self.ready_op, self.ready_for_local_init_op = ready_op, ready_for_local_init_op
        self.local_init_op, self.local_init_feed_dict = local_init_op, local_init_feed_dict
        self.summary_op, self.saver = summary_op, saver
        for name, value in vars(copy_from_scaffold).items() if copy_from_scaffold is not None else ():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def finalize(self) -> Scaffold:
        """Create what is missing, and finalize the graph. Returns this scaffold.

        Raises RuntimeError if a collection has several operations for one purpose.
        """
        made = {
            "init_op": (GraphKeys.INIT_OP, lambda: group(global_variables_initializer())),
            "ready_op": (GraphKeys.READY_OP, report_uninitialized_variables),
            "ready_for_local_init_op": (
                GraphKeys.READY_FOR_LOCAL_INIT_OP,
                lambda: report_uninitialized_variables(global_variables()),
            ),
            "local_init_op": (GraphKeys.LOCAL_INIT_OP, Scaffold.default_local_init_op),
            "summary_op": (GraphKeys.SUMMARY_OP, merge_all),
            "saver": (GraphKeys.SAVERS, lambda: Saver(sharded=True, allow_empty=True)),
        }
        for name, (collection, make) in made.items():
            if getattr(self, name) is None:
                if name == "saver" and len(stacks.get_default_graph().get_collection(collection)) > 1:
                    raise RuntimeError(
                        f"More than one item in collection {collection}. Please indicate which one to use by passing "
                        "it to the constructor."
                    )
                setattr(self, name, Scaffold.get_or_default(name, collection, make))
        assert self.saver is not None
        self.saver.build()
        stacks.get_default_graph().finalize()
        log.info("Graph was finalized.")
        return self

    @staticmethod
    def get_or_default(arg_name: str, collection_key: str, default_constructor: Callable[..., Any]) -> Any:
        """The only item of a collection, or else a new one, which is added.

        arg_name: for the error.   collection_key: the collection.   default_constructor: makes a new one.
        Raises RuntimeError if there are several.
        """
        graph = stacks.get_default_graph()
        found = graph.get_collection(collection_key)
        if len(found) > 1:
            raise RuntimeError(
                f'More than one item in the collection "{collection_key}". Please indicate which one to use by passing '
                f"it to the tf.Scaffold constructor as:  tf.Scaffold({arg_name}=item to use)"
            )
        if found:
            return found[0]
        made = default_constructor()
        if made is not None:
            graph.add_to_collection(collection_key, made)
        return made

    @staticmethod
    def default_local_init_op() -> Any:
        """An operation that initializes local variables and tables."""
        return group(local_variables_initializer(), tables_initializer())
