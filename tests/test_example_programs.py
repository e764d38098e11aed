"""The example programs reach what they promise, and each of them is tried."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session")

ROOT = Path(__file__).parent.parent
HELPERS = ("__init__", "datasets", "local_server")
EXAMPLES = sorted(path for path in (ROOT / "examples").rglob("*.py") if path.stem not in HELPERS)
LEAST = {
    "pipelines.doors": 1.0,
    "pipelines.http_calls": 1.0,
    "pipelines.pipeline": 0.9,
    "pipelines.sales": 0.95,
    "search.nearest_neighbours": 0.95,
    "search.random_search": 0.95,
    "training.convolution": 0.95,
    "training.data_parallel": 0.9,
    "training.logistic_regression": 0.93,
    "training.lstm": 0.93,
    "training.perceptron": 0.96,
    "training.word2vec": 0.95,
    "cluster.devices": 0.9,
}
"""Accuracies, shares."""
MOST = {
    "simulation.actor_learner": 8,
    "simulation.monte_carlo": 0,
    "simulation.plain_program": 0.02,
    "state.save_restore": 1e-6,
    "training.autoencoder": 0.03,
    "training.gan": 0.5,
    "training.kmeans": 0.2,
    "training.linear_regression": 0.1,
    "cluster.parameter_server": 0.05,
}
"""Errors, distances, steps."""
EXACT = {"state.bank": 1000}


@pytest.mark.parametrize("name", [*LEAST, *MOST, *EXACT])
def test_a_program_reaches_its_quality(name, capsys):
    program = importlib.import_module(f"examples.{name}")
    with tf.Graph().as_default():
        quality = program.main()
    assert capsys.readouterr().out
    assert EXACT.get(name, LEAST.get(name, 0)) <= quality <= EXACT.get(name, MOST.get(name, 1))


def test_every_example_is_run_by_a_test():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    untried = [path.stem for path in EXAMPLES if path.stem not in tests]
    assert untried == []


def test_every_example_says_what_it_shows_prints_it_and_can_be_run_alone():
    for path in EXAMPLES:
        source = path.read_text()
        assert (source[:3], "print(" in source, "__main__" in source[-400:]) == ('"""', True, True), path


def test_every_example_fits_on_80_lines():
    assert [path.name for path in EXAMPLES if len(path.read_text().splitlines()) > 80] == []
