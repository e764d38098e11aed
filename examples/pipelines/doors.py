"""Programs written for Dask, joblib and `concurrent.futures` run on Weftwork with one changed line each.

Prints whether each of them computes the right result.
"""

# The other libraries have few types:
# pyright: basic

import operator
import random

import dask.array as da
import numpy as np
from dask.base import compute
from dask.delayed import delayed
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV

import weftwork
import weftwork.dask
import weftwork.joblib


def by_dask() -> bool:
    """A least-squares fit over blocks, and delayed functions that count their rows."""
    x = da.from_array(np.random.default_rng(0).normal(size=(4000, 8))).rechunk((500, 8))
    weights = np.arange(8.0)
    y = x @ weights
    found = da.linalg.solve(x.T @ x, x.T @ y)
    rows = delayed(sum)([delayed(len)(block) for block in x.to_delayed().ravel()])
    found, rows = compute(found, rows, scheduler=weftwork.dask.get)
    return np.allclose(found, weights) and rows == 4000


def inside(seed: int, count: int = 20_000) -> int:
    """How many of `count` random points in a square lie in the quarter circle inside."""
    draw = random.Random(seed)
    return sum(draw.random() ** 2 + draw.random() ** 2 < 1 for _ in range(count))


def by_executor() -> bool:
    """An estimate of pi: a map over seeds, and a call whose arguments are futures."""
    with weftwork.Executor() as executor:
        hits = sum(executor.map(inside, range(16)))
        more = executor.submit(operator.add, executor.submit(inside, 16), executor.submit(inside, 17))
        return abs(4 * (hits + more.result()) / (18 * 20_000) - np.pi) < 0.02


def by_joblib() -> bool:
    """A grid search by scikit-learn."""
    images, labels = load_digits(return_X_y=True)
    with parallel_config("weftwork"):
        search = GridSearchCV(RidgeClassifier(), {"alpha": [0.1, 1.0, 10.0]}, cv=3).fit(images, labels)
    return search.best_score_ > 0.9


PROGRAMS = {"dask": by_dask, "executor": by_executor, "joblib": by_joblib}


def main() -> float:
    """Run the programs, and return the share of those whose result is right."""
    right = {name: bool(program()) for name, program in PROGRAMS.items()}
    print(*[f"{name:10} {'right' if correct else 'wrong'}" for name, correct in right.items()], sep="\n")
    return sum(right.values()) / len(right)


if __name__ == "__main__":
    main()
