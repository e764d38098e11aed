"""The door: sessions, partial runs, futures, servers."""

from weftwork.scheduler.session.interactive import InteractiveSession
from weftwork.scheduler.session.session import BaseSession, Session

__all__ = ["BaseSession", "InteractiveSession", "Session"]
