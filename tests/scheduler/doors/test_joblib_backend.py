"""joblib's programs run by `weftwork.joblib`: scikit-learn's too."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info

import weftwork as tf
import weftwork.joblib
from tests.waiting import LONG

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def backend():
    with parallel_config("weftwork", n_jobs=2):
        yield


def square(x):
    return x * x


def refuse(x):
    raise KeyError(x)


def squares_inside(count):
    return Parallel(n_jobs=2)(delayed(square)(n) for n in range(count))


def test_results_come_in_order_and_errors_as_they_were():
    assert Parallel()(delayed(square)(n) for n in range(300)) == [n * n for n in range(300)]
    with pytest.raises(KeyError) as raised:
        Parallel()(delayed(refuse)(n) for n in range(5))
    assert not isinstance(raised.value, tf.errors.OpError)
    assert Parallel()(delayed(square)(n) for n in range(3)) == [0, 1, 4]


def blas_threads(seconds):
    time.sleep(seconds)
    return {library["num_threads"] for library in threadpool_info()}


def test_jobs_may_be_given_a_number_of_inner_threads():
    before = blas_threads(0)
    for seconds in (0.0, 0.05):  # in threads and in processes
        with parallel_config("weftwork", n_jobs=2, inner_max_num_threads=3):
            assert Parallel()(delayed(blas_threads)(seconds) for _ in range(8)) == [{3}] * 8
    assert blas_threads(0) == before


@pytest.mark.parametrize(
    ("of_backend", "of_call"),
    [({"inner_max_num_threads": 0}, {}), ({"inner_max_num_threads": "2"}, {}), ({}, {"timeout": float("nan")})],
)
def test_options_that_make_no_sense_are_refused(of_backend, of_call):
    [name] = {**of_backend, **of_call}
    with parallel_config("weftwork", n_jobs=2, **of_backend), pytest.raises((TypeError, ValueError), match=name):
        Parallel(**of_call)(delayed(square)(n) for n in range(2))


def test_results_may_come_as_they_are_asked_for():
    assert list(Parallel(return_as="generator")(delayed(square)(n) for n in range(9))) == [n * n for n in range(9)]
    unordered = Parallel(return_as="generator_unordered")(delayed(square)(n) for n in range(9))
    assert sorted(unordered) == [n * n for n in range(9)]


def test_a_job_that_kills_its_worker_is_named():
    def die(x):  # in here: the workers that it kills need not import this module
        os._exit(3)

    with pytest.raises(
        tf.errors.UnavailableError, match=r"ran die\S* \(defined at .*test_joblib_backend.py:\d+\)"
    ) as raised:
        Parallel()([delayed(die)(0)])
    assert isinstance(raised.value, TerminatedWorkerError)
    assert Parallel()(delayed(square)(n) for n in range(3)) == [0, 1, 4]


def test_a_time_limit_ends_what_is_under_way():
    start = time.monotonic()
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.2)(delayed(time.sleep)(2 * LONG) for _ in range(3))
    assert time.monotonic() - start < LONG


def test_calls_may_be_nested_and_share_memory():
    assert Parallel()(delayed(squares_inside)(n) for n in range(4)) == [[], [0], [0, 1], [0, 1, 4]]
    seen = []
    Parallel(require="sharedmem")(delayed(seen.append)(n) for n in range(5))
    assert sorted(seen) == list(range(5))


@pytest.mark.parametrize("jobs", [1, 2, -1, None])
def test_any_number_of_jobs_will_do_but_none_at_all(jobs):
    assert Parallel(n_jobs=jobs)(delayed(square)(n) for n in range(3)) == [0, 1, 4]
    with pytest.raises(ValueError, match="no meaning"):
        Parallel(n_jobs=0)(delayed(square)(n) for n in range(3))


def test_a_grid_search_finds_what_it_finds_alone():
    images, labels = load_digits(return_X_y=True)
    search = GridSearchCV(RidgeClassifier(), {"alpha": [0.1, 10.0]}, cv=3).fit(images, labels)
    with parallel_config("sequential"):
        alone = GridSearchCV(RidgeClassifier(), {"alpha": [0.1, 10.0]}, cv=3).fit(images, labels)
    assert search.best_params_ == alone.best_params_
    assert np.array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


def test_a_forest_is_the_forest_that_grows_alone():
    images, labels = load_digits(return_X_y=True)
    forest = RandomForestClassifier(12, random_state=0).fit(images, labels)
    with parallel_config("sequential"):
        alone = RandomForestClassifier(12, random_state=0).fit(images, labels)
    assert np.array_equal(forest.predict_proba(images), alone.predict_proba(images))


def test_without_joblib_the_door_says_what_to_install():
    code = "import sys; sys.modules['joblib'] = None\nimport weftwork.joblib"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "pip install 'weftwork[joblib]'" in done.stderr
