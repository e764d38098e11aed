"""The joblib backend "weftwork": runs joblib's batches as calls of an executor.

joblib itself makes the batches, limits how many are submitted at once, and raises the errors of jobs. Nested calls,
and calls with `require="sharedmem"`, use joblib's own threads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import FunctionType
from typing import Any

from weftwork.graph.python.amounts import count_of, seconds_of
from weftwork.scheduler.doors.calls import Draws, Series
from weftwork.scheduler.doors.executor import Executor
from weftwork.scheduler.doors.inner_threads import check_available, inner_threads
from weftwork.scheduler.doors.running import BrokenPoolError, one_at_a_time

try:
    from joblib import cpu_count, register_parallel_backend
    from joblib._parallel_backends import (
        AutoBatchingMixin,
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
    )
    from joblib.externals.loky.process_executor import TerminatedWorkerError
except ImportError as missing:
    raise ImportError("weftwork.joblib needs joblib 1.4 or later: pip install 'weftwork[joblib]'") from missing


class _TerminatedWorkerError(BrokenPoolError, TerminatedWorkerError):
    """The same error for programs that expect that of loky, joblib's own backend."""


class WeftworkBackend(AutoBatchingMixin, ParallelBackendBase):
    """Runs the calls of a `joblib.Parallel` wherever the engine finds them to be fastest."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1
    MIN_IDEAL_BATCH_DURATION, MAX_IDEAL_BATCH_DURATION = 0.02, 0.2
    """Seconds of work in a batch of short jobs; joblib takes 0.2 and 2 for processes. A call costs this executor far
    less, and long batches let a worker wait for another at the end."""
    _executor: Executor | None = None
    _series: Series

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """The number of jobs that run at once; -1 or None means as many as there are CPUs. Raises ValueError for 0.

        n_jobs: as passed to `joblib.Parallel`.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        return n_jobs if n_jobs > 0 else max(cpu_count() + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Prepare for a call of `Parallel`. Returns the number of jobs that run at once.

        n_jobs: how many jobs run at once.   parallel: the `joblib.Parallel`.
        Raises ImportError for `inner_max_num_threads` if threadpoolctl is not installed, TypeError or ValueError for
        one that is not a number of threads, and for a time limit that is not a number of seconds.
        """
        if self.inner_max_num_threads is not None:
            count_of("inner_max_num_threads", self.inner_max_num_threads)
            check_available()
        seconds_of("timeout", getattr(parallel, "timeout", None))
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._executor = Executor(n_jobs)
        self._series = Series()
        return n_jobs

    def start_call(self) -> None:
        """Prepare for the jobs of one call of `Parallel`: they form a series."""
        self._series = Series()

    def submit(self, func: Callable[..., Any], callback: Callable[..., Any] | None = None) -> Future:
        """Submit a batch of jobs. Returns the future of its list of results.

        func: the batch.   callback: called with the future when it is done.
        """
        assert self._executor is not None, "configure comes first"
        functions = tuple(map(_plain, func.items))  # type: ignore[attr-defined]
        threads = self.inner_max_num_threads
        run, given = (_run, ()) if threads is None else (_run_within, (threads,))
        future = self._executor.submit_as(functions, run, self._series, func, *given)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future) -> Any:
        """The results of a batch that is done.

        out: its future. Raises an UnavailableError that is also a TerminatedWorkerError of loky if a process has died.
        """
        try:
            return out.result()
        except BrokenPoolError as error:
            raise _TerminatedWorkerError(None, error.op, error.message) from error.__cause__

    def terminate(self) -> None:
        """Clean up after a call of `Parallel`."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End all jobs, because one has failed or timed out.

        ensure_ready: whether the backend will be used again.
        """
        if self._executor is not None:
            self._executor.terminate_workers()
            self._executor = None
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)


def _run(draws: Draws | None, batch: Callable) -> Any:
    """Run a batch of jobs. A worker imports this module to call it, and so has the backend for nested calls."""
    if draws is not None:
        batch = copy.copy(batch)
        batch.items = [  # type: ignore[attr-defined]
            (partial(draws.call, number, function), args, kwargs)
            for number, (function, args, kwargs) in enumerate(batch.items)  # type: ignore[attr-defined]
        ]
    return batch()


@one_at_a_time  # some versions of OpenBLAS ignore all threads but the first one that sets the number
def _run_within(draws: Draws | None, batch: Callable, threads: int) -> Any:
    """Run a batch of jobs.   threads: how many threads BLAS and OpenMP may use."""
    with inner_threads(threads):
        return _run(draws, batch)


def _plain(item: tuple) -> Callable:
    """The function of a job, without the object in which scikit-learn wraps it for each job anew."""
    function = item[0]
    inner = function if isinstance(function, FunctionType) else getattr(function, "__dict__", {}).get("__wrapped__")
    return inner if isinstance(inner, FunctionType) else function


register_parallel_backend("weftwork", WeftworkBackend)
