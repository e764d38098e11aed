"""What TensorFlow makes of files that Weftwork wrote, and files of its own: `python tensorflow_program.py FOLDER`.

Reads FOLDER/weftwork, writes FOLDER/tensorflow and prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow.compat.v1 as tf  # pyright: ignore[reportMissingImports]

from tests.models import FEED, arrays, build, expressions, flows, group, values

tf.disable_v2_behavior()


def loaded(folder: str) -> list:
    """The outputs of a SavedModel."""
    with tf.Graph().as_default(), tf.Session() as session:
        model = tf.saved_model.loader.load(session, ["serve"], folder)
        signature = model.signature_def["serving_default"]
        return session.run(signature.outputs["y"].name, {signature.inputs["x"].name: FEED}).tolist()


def restored(prefix: str) -> list:
    """The outputs of a graph with the values of a checkpoint, both read from files."""
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(f"{prefix}.meta")
        saver.restore(session, prefix)
        return session.run("y:0", {"x:0": FEED}).tolist()


def read(prefix: str) -> dict:
    """What is in a checkpoint."""
    reader = tf.train.NewCheckpointReader(prefix)
    return {key: reader.get_tensor(key).tolist() for key in sorted(reader.get_variable_to_shape_map())}


def in_halves(prefix: str) -> list:
    """The slices of a variable, restored into two."""
    with tf.Graph().as_default(), tf.Session() as session:
        halves = tf.get_variable("s/w", [5, 2], partitioner=tf.fixed_size_partitioner(2))
        tf.train.Saver().restore(session, prefix)
        return [half.tolist() for half in session.run(list(halves))]


def ran(path: str) -> list:
    """The outputs of a GraphDef of flows."""
    with open(path, "rb") as file, tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString(file.read()), name="")
        return [session.run("flows:0", {"x:0": FEED * sign}).tolist() for sign in (1, -1)]


def expressed(path: str) -> dict:
    """The outputs of a GraphDef of expressions."""
    with open(path, "rb") as file, tf.Graph().as_default() as graph, tf.Session() as session:
        tf.import_graph_def(tf.GraphDef.FromString(file.read()), name="")
        return computed(session, [op.name for op in graph.get_operations() if op.name.startswith("out_")])


def computed(session: tf.Session, names: list) -> dict:
    """The values of nodes, as JSON has them."""
    found = session.run([f"{name}:0" for name in names], {"x:0": FEED})
    return {name: value.tolist() for name, value in zip(names, found, strict=True)}


def grouped(theirs: str, ours: str) -> tuple[list, list]:
    """The values of a Checkpoint that Weftwork wrote; those of another one, written beside it."""
    with tf.Graph().as_default(), tf.Session() as session:
        whole, step = group(tf)
        whole.restore(theirs).assert_consumed().initialize_or_restore()
        found = session.run(values(whole))
        session.run(step)
        whole.save(ours)
        return [float(value) for value in found], [float(value) for value in session.run(values(whole))]


def records(folder: str) -> list:
    """The examples in Weftwork's files of records, by their compression. Writes such files beside them."""
    told = []
    for compression in ("", "GZIP", "ZLIB"):
        options = tf.python_io.TFRecordOptions(compression)
        found = []
        for record in tf.python_io.tf_record_iterator(f"{folder}/ours{compression}", options):
            features = tf.train.Example.FromString(record).features.feature
            names = [name.decode() for name in features["name"].bytes_list.value]
            found.append((list(features["size"].int64_list.value), names))
        told.append(found)
        with tf.python_io.TFRecordWriter(f"{folder}/theirs{compression}", compression) as writer:
            for size, height in (([5, -6], [0.5]), ([7, 8], [])):
                ints = tf.train.Feature(int64_list=tf.train.Int64List(value=size))
                floats = tf.train.Feature(float_list=tf.train.FloatList(value=height))
                features = tf.train.Features(feature={"size": ints, "height": floats})
                writer.write(tf.train.Example(features=features).SerializeToString())
    return told


def main(folder: str) -> None:
    theirs, ours = os.path.join(folder, "weftwork"), os.path.join(folder, "tensorflow")
    os.makedirs(f"{ours}/checkpoints")
    os.makedirs(f"{ours}/more")
    found = {
        "model": loaded(f"{theirs}/model"),
        "checkpoint": restored(f"{theirs}/checkpoints/c"),
        "old": read(f"{theirs}/checkpoints/old"),
        "slices": [in_halves(f"{theirs}/checkpoints/slices-{name}") for name in ("1-?????-of-00001", "2")],
        "flows": ran(f"{theirs}/flows.pb"),
        "expressions": expressed(f"{theirs}/expressions.pb"),
        "records": records(theirs),
    }
    wrote = {}
    found["group"], wrote["group"] = grouped(f"{theirs}/group-1", f"{ours}/more/group")
    with tf.Graph().as_default() as graph, tf.Session() as session:
        x, y, train = build(tf)
        saver = tf.train.Saver(sharded=True)
        session.run(tf.global_variables_initializer())
        session.run(train, {x: FEED})
        saver.save(session, f"{ours}/checkpoints/c")
        tf.saved_model.simple_save(session, f"{ours}/model", {"x": x}, {"y": y})
        wrote["y"] = session.run(y, {x: FEED}).tolist()
        frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y"])
        tf.train.write_graph(frozen, ours, "frozen.pb", as_text=False)
        for _ in range(3):
            session.run(train, {x: FEED})
        wrote["trained"] = session.run(y, {x: FEED}).tolist()
    with tf.Graph().as_default(), tf.Session() as session:
        divided = tf.fixed_size_partitioner(3)
        tf.get_variable("parts", [300, 2], initializer=tf.random_normal_initializer(), partitioner=divided)
        tf.get_variable(
            "columns", [2, 4], initializer=tf.ones_initializer(), partitioner=tf.fixed_size_partitioner(2, 1)
        )
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, f"{ours}/more/parts", write_meta_graph=False)
        wrote["parts"] = read(f"{ours}/more/parts")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("whole", [3], tf.int64, initializer=tf.ones_initializer())
        tf.Variable(["a", "bb"], name="text")
        session.run(tf.global_variables_initializer())
        old = tf.train.Saver(write_version=tf.train.SaverDef.V1)
        old.save(session, f"{ours}/more/old", write_meta_graph=False)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        flows(tf)
        tf.train.write_graph(graph, ours, "flows.pb", as_text=False)
        wrote["flows"] = [session.run("flows:0", {"x:0": FEED * sign}).tolist() for sign in (1, -1)]
    with tf.Graph().as_default() as graph, tf.Session() as session:
        names = [tensor.op.name for tensor in expressions(tf).values()]
        tf.train.write_graph(graph, ours, "expressions.pb", as_text=False)
        wrote["expressions"] = computed(session, names)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        names = [tensor.op.name for tensor in arrays(tf)]
        tf.train.write_graph(graph, ours, "arrays.pb", as_text=False)
        wrote["arrays"] = computed(session, names)
    print(json.dumps({"found": found, "wrote": wrote}))


if __name__ == "__main__":
    main(sys.argv[1])
