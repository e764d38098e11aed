"""The doors against what people use today: Dask's schedulers, joblib's backends, and a pool of processes.

Each workload runs in a process of its own for each system, so that a first run is one: nothing has been called or
learned before. Their runs are timed in turn. A workload has three rows for each peer: the first run, the median of runs
2 to 10, and the median of those after. What a system computes is compared with what the others compute.

dask       the goal is the time of Dask's threads, half of it where tasks take less than 1 ms, and 0.7 of the time of
           its processes for pure Python
joblib     the goal is 1.05 of the better one of joblib's threads and its processes (loky)
executor   the goals are 1.3 of a plain loop for short calls, and the time of a pool of processes
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from benchmarks.common import row
from benchmarks.memory import CORES, Program, answer, timed

PHASES = {"first run": slice(0, 1), "runs 2-10": slice(1, 10), "steady": slice(10, None)}
RUNS = 15
Job = Callable[[], Any]
"""Makes ready for one computation: gives what does it, and is timed. Its result is a number, the same for all."""


# Dask. A workload gives a collection, which is built anew for each run: only `compute` is timed


def matmul() -> Any:
    """512 products of blocks."""
    import dask.array as da

    x = da.random.default_rng(0).random((2000, 2000), chunks=250)
    return (x @ x.T).sum()


def cholesky() -> Any:
    """A factor of a matrix of 8 x 8 blocks."""
    import dask.array as da

    x = da.random.default_rng(0).random((2000, 2000), chunks=250)
    return da.trace(da.linalg.cholesky(x @ x.T + 2000 * da.eye(2000, chunks=250), lower=True))


def svd() -> Any:
    """The singular values of a tall matrix."""
    import dask.array as da

    return da.linalg.svd(da.random.default_rng(0).random((100_000, 60), chunks=(5000, 60)))[1].sum()


def rechunk() -> Any:
    """From rows to columns: 1,600 small pieces."""
    import dask.array as da

    x = da.random.default_rng(0).random((4000, 4000), chunks=(100, 4000))
    return (x.rechunk((4000, 100)).max(axis=0) * 2).sum()


def window() -> Any:
    """Means over a sliding window."""
    import dask.array as da

    x = da.random.default_rng(0).random(2_000_000, chunks=20_000)
    return da.lib.stride_tricks.sliding_window_view(x, 20).mean(axis=-1).max()


def tree() -> Any:
    """10,000 tasks of less than a microsecond."""
    import operator

    from dask.delayed import delayed

    add = delayed(operator.add, pure=False)
    level = [add(number, 1) for number in range(5000)]
    while len(level) > 1:
        level = [add(*level[at : at + 2]) if len(level) > at + 1 else level[at] for at in range(0, len(level), 2)]
    return level[0]


def words() -> Any:
    """How often the most frequent word of 200,000 lines occurs: pure Python."""
    import dask.bag as db

    bag = db.from_sequence(range(200_000), npartitions=40).map(_line).map(str.split).flatten()
    return bag.frequencies().topk(1, key=1).map(lambda item: item[1]).sum()


def _line(number: int) -> str:
    return f"line {number % 97} of {number % 89} and {number % 83} words"


def chunked() -> Any:
    """400 tasks of pure Python, of 2 ms each."""
    import dask.bag as db

    return db.from_sequence(range(400), npartitions=400).map(_count).sum()


def _count(number: int) -> int:
    return sum([(number * k) % 7 for k in range(20_000)])


THREADS, PROCESSES, CLUSTER = "Dask threads", "Dask processes", "Dask distributed"
DASK: dict[str, tuple[Callable, dict[str, float]]] = {
    "blocked matmul": (matmul, {THREADS: 1.0}),
    "Cholesky": (cholesky, {THREADS: 1.0}),
    "SVD": (svd, {THREADS: 1.0}),
    "rechunk": (rechunk, {THREADS: 0.5}),
    "sliding window": (window, {THREADS: 1.0}),
    "delayed tree of 10,000 tasks": (tree, {THREADS: 0.5, CLUSTER: 0.5}),
    "bag, word count": (words, {THREADS: 1.0, PROCESSES: 0.7, CLUSTER: 1.0}),
    "bag, 400 tasks of 2 ms": (chunked, {THREADS: 1.0, PROCESSES: 0.7}),
}


def dask_job(name: str, system: str, stack: ExitStack) -> Job:
    """A workload under a scheduler."""
    import dask

    if system == "ours":
        import weftwork.dask

        scheduler: Any = weftwork.dask.get
    elif system == CLUSTER:
        from distributed import Client, LocalCluster

        options: Mapping[str, Any] = {"n_workers": CORES, "threads_per_worker": 1, "dashboard_address": None}
        client = stack.enter_context(Client(stack.enter_context(LocalCluster(**options))))
        scheduler = client.get
    else:
        scheduler = {THREADS: "threads", PROCESSES: "processes"}[system]
    stack.enter_context(dask.config.set(scheduler=scheduler))
    build = DASK[name][0]
    return lambda: build().compute


# joblib. A workload gives what scikit-learn does by the backend of the configuration


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 pictures of 8 x 8."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def grid_of_ridges() -> Job:
    """27 fits of some 5 ms."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import GridSearchCV

    grid = {"alpha": list(np.logspace(-4, 4, 9))}
    return lambda: GridSearchCV(RidgeClassifier(), grid, cv=3).fit(*digits()).best_score_


def grid_of_svms() -> Job:
    """18 fits of some 100 ms."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    grid = {"C": [0.1, 1.0, 10.0], "gamma": [1e-4, 1e-3]}
    return lambda: GridSearchCV(SVC(), grid, cv=3).fit(*digits()).best_score_


def random_search() -> Job:
    """16 trees in turn."""
    from sklearn.model_selection import RandomizedSearchCV
    from sklearn.tree import DecisionTreeClassifier

    options = {"max_depth": [4, 6, 8, 10], "min_samples_leaf": [1, 2, 4, 8]}
    search = partial(RandomizedSearchCV, DecisionTreeClassifier(random_state=0), options, n_iter=16, random_state=0)
    return lambda: search(cv=5).fit(*digits()).best_score_


def forest() -> Job:
    """100 trees, fitted and asked."""
    from sklearn.ensemble import RandomForestClassifier

    return lambda: RandomForestClassifier(100, random_state=0).fit(*digits()).score(*digits())


def extra_trees() -> Job:
    """100 trees that split at random: 2 ms each."""
    from sklearn.ensemble import ExtraTreesRegressor

    return lambda: ExtraTreesRegressor(100, random_state=0).fit(*digits()).score(*digits())


def bagging() -> Job:
    """Many neighbours, each of some of the data."""
    from sklearn.ensemble import BaggingClassifier
    from sklearn.neighbors import KNeighborsClassifier

    models = partial(BaggingClassifier, KNeighborsClassifier(), 20, max_samples=0.5, random_state=0)
    return lambda: models().fit(*digits()).score(*digits())


def validation() -> Job:
    """Ten folds of a naive model: a millisecond each."""
    from sklearn.model_selection import cross_val_score
    from sklearn.naive_bayes import GaussianNB

    return lambda: cross_val_score(GaussianNB(), *digits(), cv=10).mean()


def one_for_each_class() -> Job:
    """Ten logistic regressions."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return lambda: OneVsRestClassifier(LogisticRegression(max_iter=100)).fit(*digits()).score(*digits())


def importance() -> Job:
    """64 columns, permuted three times each."""
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import RidgeClassifier

    model = RidgeClassifier().fit(*digits())
    return lambda: permutation_importance(model, *digits(), n_repeats=3, random_state=0).importances_mean.sum()


def curve() -> Job:
    """A learning curve of boosted trees: pure Python around short calls."""
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.model_selection import learning_curve

    model = GradientBoostingRegressor(n_estimators=10, max_depth=2, random_state=0)
    return lambda: learning_curve(model, *digits(), cv=3, train_sizes=[0.3, 0.6, 1.0])[2].mean()


JOBLIB = {
    "grid search, ridge": grid_of_ridges,
    "grid search, SVM": grid_of_svms,
    "random search, trees": random_search,
    "random forest": forest,
    "extra trees": extra_trees,
    "bagged neighbours": bagging,
    "cross validation, naive Bayes": validation,
    "one model for each class": one_for_each_class,
    "permutation importance": importance,
    "learning curve, boosted trees": curve,
}


def joblib_job(name: str, system: str, stack: ExitStack) -> Job:
    """A workload under a backend."""
    import warnings

    import joblib

    if system == "ours":
        import weftwork.joblib  # noqa: F401  # registers the backend

    warnings.simplefilter("ignore")  # of models that have not converged
    stack.enter_context(joblib.parallel_config({"ours": "weftwork"}.get(system, system), n_jobs=CORES))
    job = JOBLIB[name]()
    return lambda: job


# Executors


def spin(number: int) -> int:
    """Some 10 us."""
    return sum([number ^ k for k in range(400)]) & 1023


def count(number: int) -> int:
    """Some 20 ms."""
    return sum([(number * k) % 7 for k in range(700_000)])


def by_map(executor: Any, function: Callable, calls: int) -> int:
    """By `map`, as it is."""
    return sum(executor.map(function, range(calls)))


def by_submit(executor: Any, function: Callable, calls: int) -> int:
    """By a future for each call."""
    return sum([future.result() for future in [executor.submit(function, number) for number in range(calls)]])


LOOP, POOL = "plain loop", "process pool"
EXECUTOR: dict[str, tuple[Callable, Callable, int, dict[str, float]]] = {
    "map, 100,000 calls of 10 us": (by_map, spin, 100_000, {LOOP: 1.3, POOL: 1.0}),
    "submit, 100,000 calls of 10 us": (by_submit, spin, 100_000, {LOOP: 1.3, POOL: 1.0}),
    "submit, 64 calls of 20 ms": (by_submit, count, 64, {POOL: 1.05}),
}


def executor_job(name: str, system: str, stack: ExitStack) -> Job:
    """Calls by an executor, which is there already; it has started nothing."""
    from concurrent.futures import ProcessPoolExecutor

    way, function, calls, _ = EXECUTOR[name]
    if system == LOOP:
        return lambda: lambda: sum(map(function, range(calls)))
    if system == "ours":
        import weftwork as wf

        executor: Any = wf.Executor(CORES)
    else:
        executor = ProcessPoolExecutor(CORES)
    stack.enter_context(executor)
    return lambda: partial(way, executor, function, calls)


# Comparing


JOBS = {"dask": dask_job, "joblib": joblib_job, "executor": executor_job}


def program(door: str, name: str, system: str) -> None:
    """A system's process."""
    with ExitStack() as stack:
        job = JOBS[door](name, system, stack)
        answer("ready", lambda: took(job()))


def took(compute: Callable) -> tuple[float, float]:
    """The seconds of a computation, and its result."""
    seconds, result = timed(compute)
    return seconds, float(result)


def in_turn(door: str, name: str, systems: Iterable[str], runs: int) -> dict[str, list[float]]:
    """The seconds of each run, by system."""
    seconds: dict[str, list[float]] = {}
    results: list[float] = []
    with ExitStack() as stack:
        programs = {system: stack.enter_context(Program("benchmarks.doors", door, name, system)) for system in systems}
        for number in range(runs):
            for system in list(programs)[:: -1 if number % 2 else 1]:
                one, result = programs[system].run()
                seconds.setdefault(system, []).append(one)
                results.append(result)
    assert np.allclose(results, results[0], rtol=1e-6), f"the systems do not agree on {name}: {results}"
    return seconds


def phases(seconds: Mapping[str, list[float]], runs: int) -> dict[str, dict[str, float]]:
    """By phase, the median of each system; a phase without runs is left out."""
    kept = {phase: which for phase, which in PHASES.items() if range(runs)[which]}
    return {
        phase: {system: statistics.median(each[which]) for system, each in seconds.items()}
        for phase, which in kept.items()
    }


def compare(door: str, name: str, goals: Mapping[str, float], runs: int = RUNS) -> None:
    """Print the rows of a workload: against each peer."""
    for phase, of in phases(in_turn(door, name, ["ours", *goals], runs), runs).items():
        for peer, goal in goals.items():
            row(f"{door}: {name}, {phase}", of["ours"], of[peer], goal, peer, "ms", 1e3)


def compare_joblib(name: str, runs: int = RUNS) -> None:
    """Print the rows of a workload of joblib's: against the better one of its backends."""
    for phase, of in phases(in_turn("joblib", name, ["ours", "loky", "threading"], runs), runs).items():
        best = min(("loky", "threading"), key=of.__getitem__)
        row(f"joblib: {name}, {phase}", of["ours"], of[best], 1.05, best, "ms", 1e3)


def main(doors: Iterable[str] = JOBS) -> None:
    """Print all rows, or those of some doors."""
    if "dask" in doors:
        for name, (_, goals) in DASK.items():
            compare("dask", name, goals)
    if "joblib" in doors:
        for name in JOBLIB:
            compare_joblib(name)
    if "executor" in doors:
        for name, (*_, goals) in EXECUTOR.items():
            compare("executor", name, goals, 5 if "100,000" in name else RUNS)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        program(*sys.argv[1:])
    else:
        main(sys.argv[1:] or JOBS)
