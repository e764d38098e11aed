"""Creators of sessions for training programs: the chief initializes or restores the model, workers wait for that."""

from __future__ import annotations

import abc

from weftwork.graph import stacks
from weftwork.scheduler.request.config import ConfigProto
from weftwork.scheduler.session.session import Session
from weftwork.scheduler.training.manager import SessionManager
from weftwork.scheduler.training.scaffold import Scaffold


class SessionCreator(abc.ABC):
    """Creates sessions, with `create_session()`."""

    @abc.abstractmethod
    def create_session(self) -> Session:
        """Create a session whose model is ready."""
        raise NotImplementedError(f"create_session is not implemented for {self}.")


class ChiefSessionCreator(SessionCreator):
    """Creates sessions that restore or initialize the model.

    master: the session's target.   checkpoint_dir, checkpoint_filename_with_path: where to look for a checkpoint.
    """

    def __init__(
        self,
        scaffold: Scaffold | None = None,
        master: str = "",
        config: ConfigProto | None = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
    ):
        self._scaffold = scaffold or Scaffold()
        self._master, self._config = master, config
        self._checkpoint_dir, self._checkpoint_filename = checkpoint_dir, checkpoint_filename_with_path

    def create_session(self) -> Session:
        """Create a session. Finalizes the scaffold and the graph."""
        scaffold = self._scaffold.finalize()
        return _manager(scaffold).prepare_session(
            self._master,
            saver=scaffold.saver,
            checkpoint_dir=self._checkpoint_dir,
            checkpoint_filename_with_path=self._checkpoint_filename,
            config=self._config,
            init_op=scaffold.init_op,
            init_feed_dict=scaffold.init_feed_dict,
            init_fn=scaffold.init_fn,
        )


class WorkerSessionCreator(SessionCreator):
    """Creates sessions that wait until the chief has made the model ready."""

    def __init__(
        self,
        scaffold: Scaffold | None = None,
        master: str = "",
        config: ConfigProto | None = None,
        max_wait_secs: float = 30 * 60,
    ):
        self._scaffold = scaffold or Scaffold()
        self._master, self._config, self._max_wait_secs = master, config, max_wait_secs

    def create_session(self) -> Session:
        """Create a session. Finalizes the scaffold and the graph."""
        manager = _manager(self._scaffold.finalize())
        return manager.wait_for_session(self._master, config=self._config, max_wait_secs=self._max_wait_secs)


def _manager(scaffold: Scaffold) -> SessionManager:
    return SessionManager(
        local_init_op=scaffold.local_init_op,
        local_init_feed_dict=scaffold.local_init_feed_dict,
        ready_op=scaffold.ready_op,
        ready_for_local_init_op=scaffold.ready_for_local_init_op,
        graph=stacks.get_default_graph(),
        recovery_wait_secs=1.0,
    )
