"""The door: sessions, partial runs, futures, servers."""

from weftwork.scheduler.session.session import BaseSession, InteractiveSession, Session

__all__ = ["BaseSession", "InteractiveSession", "Session"]
