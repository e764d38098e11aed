"""weftwork.joblib: importing it registers the backend for `joblib.parallel_config("weftwork")`."""

from weftwork.scheduler.doors.joblib_backend import WeftworkBackend

__all__ = ["WeftworkBackend"]
