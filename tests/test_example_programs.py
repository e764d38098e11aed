"""The example programs reach what they promise."""

from __future__ import annotations

import importlib

import pytest

import weftwork as tf

pytestmark = pytest.mark.usefixtures("ray_session")

LEAST = {
    "logistic_regression": 0.93,
    "nearest_neighbours": 0.95,
    "perceptron": 0.96,
    "convolution": 0.95,
    "word2vec": 0.95,
    "lstm": 0.93,
    "devices": 0.9,
    "data_parallel": 0.9,
    "pipeline": 0.9,
    "doors": 1.0,
}
"""Accuracies."""
MOST = {
    "linear_regression": 0.1,
    "kmeans": 0.2,
    "autoencoder": 0.03,
    "gan": 0.5,
    "save_restore": 1e-6,
    "actor_learner": 8,
    "parameter_server": 0.05,
}
"""Errors, distances, steps."""


@pytest.mark.parametrize("name", [*LEAST, *MOST])
def test_a_program_reaches_its_quality(name, capsys):
    program = importlib.import_module(f"examples.{name}")
    with tf.Graph().as_default():
        quality = program.main()
    assert capsys.readouterr().out
    assert LEAST.get(name, 0) <= quality <= MOST.get(name, 1)
