"""The joblib backend "weftwork": runs joblib's batches as calls of an executor.

joblib itself makes the batches, limits how many are in flight, and raises errors of jobs. Nested calls, and calls with
`require="sharedmem"`, use joblib's own threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import FunctionType
from typing import Any

from weftwork.scheduler.doors.executor import Executor

try:
    from joblib import cpu_count, register_parallel_backend
    from joblib._parallel_backends import (
        AutoBatchingMixin,
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
    )
except ImportError as missing:
    raise ImportError("weftwork.joblib needs joblib 1.4 or later: pip install 'weftwork[joblib]'") from missing


class WeftworkBackend(AutoBatchingMixin, ParallelBackendBase):
    """Runs the calls of a `joblib.Parallel` wherever the engine finds them to be fastest."""

    supports_retrieve_callback = True
    default_n_jobs = -1
    _executor: Executor | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """The number of jobs that run at once; -1 or None means as many as there are CPUs. Raises ValueError for 0.

        n_jobs: how many jobs were asked for, negative ones counted from all CPUs.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        return n_jobs if n_jobs > 0 else max(cpu_count() + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Prepare for a call of `Parallel`. Returns the number of jobs that run at once.

        n_jobs: how many jobs run at a time.   parallel: the `joblib.Parallel`.
        """
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._executor = Executor(n_jobs)
        return n_jobs

    def submit(self, func: Callable[..., Any], callback: Callable[..., Any] | None = None) -> Future:
        """Submit a batch. Returns a future of its list of results.

        callback: called with the future of the job when it is done.
        """
        assert self._executor is not None, "configure comes first"
        future = self._executor.submit_as(tuple(map(_plain, func.items)), _run, func)  # type: ignore[attr-defined]
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future) -> Any:
        """The results of a batch that is done.

        out: the future of a job.
        """
        return out.result()

    def terminate(self) -> None:
        """Clean up after a call of `Parallel`."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End all jobs, after one has failed or timed out.

        ensure_ready: whether it is used again.
        """
        if self._executor is not None:
            self._executor.terminate_workers()
            self._executor = None
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)


def _run(batch: Callable) -> Any:
    """Run a batch of joblib's. To call this, a worker loads this module: so it has the backend for nested calls."""
    return batch()


def _plain(item: tuple) -> Callable:
    """The function of a job. scikit-learn wraps it in an object, a new one for each job."""
    function = item[0]
    inner = function if isinstance(function, FunctionType) else getattr(function, "__dict__", {}).get("__wrapped__")
    return inner if isinstance(inner, FunctionType) else function


register_parallel_backend("weftwork", WeftworkBackend)
