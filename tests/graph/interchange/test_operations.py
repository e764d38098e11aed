"""Each operation that TensorFlow has is written as TensorFlow's: it computes the same there, and here when it is read.

What TensorFlow computed from the GraphDefs is written down in operations.json.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import weftwork as tf
from tests.graph.interchange import operations
from weftwork.graph.interchange import native

pytest.importorskip("tensorboard", reason="GraphDefs are TensorBoard's protocol buffers")
KEYS = [f"{subject}: {line}" for subject, line in operations.expressions()]
SAID = json.loads(operations.RECORD.read_text())


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    """The values of all expressions, those of the graph that was written and read, and what is not TensorFlow's."""
    with tf.Graph().as_default() as graph:
        tensors = operations.built()
        with tf.Session() as session:
            values = session.run(tensors)
    definition = graph.as_graph_def()
    names = {key: [tensor.name for tensor in some] for key, some in tensors.items()}
    with tf.Graph().as_default() as other:
        tf.import_graph_def(definition, name="")
        with tf.Session() as session:
            again = session.run({key: [other.get_tensor_by_name(name) for name in names[key]] for key in names})
    ours = sorted({node.op for node in definition.node if native.ATTRIBUTE in node.attr})
    return {"values": values, "again": again, "ours": ours}


def test_all_nodes_are_written_as_tensorflows(outcome):
    assert outcome["ours"] == []


@pytest.mark.parametrize("key", KEYS)
def test_an_expression_computes_the_same_in_tensorflow_and_when_it_is_read(key, outcome):
    for value, again, said in zip(outcome["values"][key], outcome["again"][key], SAID[key], strict=True):
        here = operations.told(value)
        for there in (operations.told(again), said):
            assert there[:2] == here[:2]
            if here[0] == "string":
                assert there[2] == here[2]
            else:
                np.testing.assert_allclose(there[2], here[2], rtol=2e-4, atol=2e-5)
