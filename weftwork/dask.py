"""weftwork.dask: `dask.compute(x, scheduler=weftwork.dask.get)`."""

from weftwork.scheduler.doors.dask_graphs import get

__all__ = ["get"]
