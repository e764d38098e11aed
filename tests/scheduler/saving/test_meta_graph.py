"""MetaGraphDefs: graphs come back with their collections and savers, and go on where they stopped."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf

pytest.importorskip("tensorboard", reason="MetaGraphDefs are TensorBoard's protocol buffers")


def model():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    w = tf.get_variable("w", [2, 1], initializer=tf.ones_initializer())
    loss = tf.reduce_mean(tf.square(tf.matmul(x, w)), name="loss")
    train = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss, tf.train.get_or_create_global_step())
    tf.add_to_collection("train_op", train)
    tf.add_to_collection("sizes", 3)
    tf.add_to_collection("words", "one")
    tf.global_variables_initializer()


FEED = np.ones([4, 2], "f")


@pytest.mark.parametrize(
    ("scope", "version", "sharded"), [(None, None, False), ("again", 2, False), (None, None, True)]
)
def test_a_training_program_goes_on_from_its_files(graph, tmp_path, scope, version, sharded):
    model()
    saver = tf.train.Saver(write_version=version, sharded=sharded, max_to_keep=2)
    with tf.Session() as session:
        session.run("init")
        session.run(tf.get_collection("train_op"), {"x:0": FEED})
        prefix = saver.save(session, tmp_path / "model", global_step=tf.train.get_global_step())
        session.run(tf.get_collection("train_op"), {"x:0": FEED})
        expected = session.run("loss:0", {"x:0": FEED})
    start = f"{scope}/" if scope else ""
    with tf.Graph().as_default() as other:
        again = tf.train.import_meta_graph(f"{prefix}.meta", import_scope=scope)
        assert [v.name for v in tf.trainable_variables()] == [f"{start}w:0"]
        assert tf.get_collection("sizes") == [3]
        assert tf.get_collection("words") == ([b"one"] if scope is None else [f"{scope}/one"])
        assert len(tf.global_variables()) == 3
        assert tf.global_variables()[0] is tf.trainable_variables()[0]
        with tf.Session() as session:
            again.restore(session, prefix)
            session.run(tf.get_collection("train_op"), {f"{start}x:0": FEED})
            assert session.run(f"{start}loss:0", {f"{start}x:0": FEED}) == expected
            path = again.save(session, tmp_path / "next")
            assert tf.train.load_variable(path, "global_step") == 2
        assert tf.gradients(other.get_tensor_by_name(f"{start}loss:0"), tf.trainable_variables()) != [None]


def test_a_graph_is_imported_into_the_name_scope_that_is_open(graph, tmp_path):
    doubled = tf.multiply(tf.Variable([1.0], name="w"), 2.0, name="doubled")
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        prefix = saver.save(session, tmp_path / "model")
        assert session.run(doubled) == [2.0]
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.name_scope("outer"):
            again = tf.train.import_meta_graph(f"{prefix}.meta")
        with tf.variable_scope("tower"):
            tf.train.import_meta_graph(f"{prefix}.meta", import_scope="inner")
        assert [v.name for v in tf.global_variables()] == ["outer/w:0", "tower/inner/w:0"]
        again.restore(session, prefix)
        assert session.run("outer/doubled:0") == [2.0]


def test_text_and_chosen_collections(graph, tmp_path):
    model()
    made = tf.train.export_meta_graph(tmp_path / "m.txt", collection_list=["sizes"], as_text=True, clear_devices=True)
    assert list(made.collection_def) == ["sizes"]
    assert "collection_def" in (tmp_path / "m.txt").read_text()
    with tf.Graph().as_default():
        assert tf.train.import_meta_graph(tmp_path / "m.txt") is None
        assert tf.get_collection("sizes") == [3]


def test_items_that_cannot_be_written_are_left_out_with_a_warning(graph, caplog):
    tf.add_to_collection("things", object())
    tf.add_to_collection("mixed", 1)
    tf.add_to_collection("mixed", "one")
    made = tf.train.export_meta_graph()
    assert len(made.collection_def) == 0
    assert "The collection things is not written: it holds a object." in caplog.text
    assert "The collection mixed is not written" in caplog.text


def test_queue_runners_come_back_and_run(graph):
    source = tf.train.range_input_producer(4, num_epochs=1, shuffle=False)
    tf.identity(source.dequeue(), name="item")
    written = tf.train.export_meta_graph()
    with tf.Graph().as_default():
        tf.train.import_meta_graph(written)
        with tf.Session() as session:
            session.run([v.initializer for v in tf.local_variables()])
            coordinator = tf.train.Coordinator()
            threads = tf.train.start_queue_runners(session, coordinator)
            assert [session.run("item:0") for _ in range(4)] == [0, 1, 2, 3]
            with pytest.raises(tf.errors.OutOfRangeError):
                session.run("item:0")
            coordinator.request_stop()
            coordinator.join(threads)


def test_a_file_that_is_not_there_or_none_is_told(graph, tmp_path):
    with pytest.raises(OSError, match="does not exist"):
        tf.train.import_meta_graph(tmp_path / "no.meta")
    (tmp_path / "m").write_bytes(b"\xff\xff nothing")
    with pytest.raises(OSError, match="Cannot parse file"):
        tf.train.import_meta_graph(tmp_path / "m")
    with pytest.raises(TypeError, match="must be a MetaGraphDef or the name of a file"):
        tf.train.import_meta_graph(3)


def test_a_saver_def_is_tensorflows_message_on_the_wire():
    made = tf.train.SaverDef(filename_tensor_name="save/Const:0", max_to_keep=5, version=tf.train.SaverDef.V2)
    data = made.SerializeToString()
    assert data.startswith(b"\n\x0csave/Const:0")
    assert tf.train.SaverDef.FromString(data) == made


def test_a_variable_tells_its_definition(graph):
    v = tf.Variable([1.0], name="v")
    again = tf.Variable(variable_def=v.to_proto())
    assert (again.op, again.initializer, again.value()) == (v.op, v.initializer, v.value())
    with pytest.raises(ValueError, match="mutually exclusive"):
        tf.Variable(1.0, variable_def=v.to_proto())


# Initial values from a checkpoint


@pytest.mark.parametrize("version", [None, 2])
def test_initial_values_come_from_a_checkpoint(graph, tmp_path, version):
    with tf.variable_scope("old"):
        a, b = tf.get_variable("a", initializer=[1.0, 2.0]), tf.get_variable("b", initializer=3)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.train.Saver([a, b], write_version=version).save(session, tmp_path / "model")
    with tf.Graph().as_default():
        with tf.variable_scope("new"):
            c = tf.get_variable("a", [2], initializer=tf.zeros_initializer())
            d = tf.get_variable("b", [], tf.int32, initializer=tf.zeros_initializer())
        e = tf.get_variable("e", [], tf.int32, initializer=tf.zeros_initializer())
        tf.train.init_from_checkpoint(tmp_path, {"old/": "new/", "old/b": e})
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            assert [v.tolist() for v in session.run([c, d, e])] == [[1.0, 2.0], 3, 3]
        for mapping, text in (
            ({"nothing": e}, "Tensor nothing is not found"),
            ({"old/a": e}, "doesn't match with shape of tensor old/a"),
            ({"old/b": "f"}, "Variable f is not found"),
            ({"old/": "new"}, "should map to scope only new"),
        ):
            with pytest.raises(ValueError, match=text):
                tf.train.init_from_checkpoint(tmp_path / "model", mapping)


# SavedModels


def test_a_saved_model_is_loaded_by_its_tags_and_signatures(graph, tmp_path):
    model()
    y = tf.matmul(graph.get_tensor_by_name("x:0"), tf.trainable_variables()[0], name="y")
    with tf.Session() as session:
        session.run("init")
        session.run(tf.get_collection("train_op"), {"x:0": FEED})
        expected = session.run(y, {"x:0": FEED})
        tf.saved_model.simple_save(session, tmp_path / "m", {"rows": graph.get_tensor_by_name("x:0")}, {"y": y})
        with pytest.raises(AssertionError, match="already exists, and isn't empty"):
            tf.saved_model.Builder(tmp_path / "m")
    assert tf.saved_model.loader.maybe_saved_model_directory(tmp_path / "m")
    with tf.Graph().as_default() as other, tf.Session() as session:
        made = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], tmp_path / "m")
        signature = made.signature_def[tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
        assert tf.saved_model.is_valid_signature(signature)
        rows = tf.saved_model.utils.get_tensor_from_tensor_info(signature.inputs["rows"], other)
        np.testing.assert_array_equal(session.run(signature.outputs["y"].name, {rows: FEED}), expected)
        assert not any("_weftwork" in node.attr for node in made.graph_def.node)  # TensorFlow reads all of it
        with pytest.raises(RuntimeError, match="MetaGraphDef associated with tags"):
            tf.saved_model.load(session, ["train"], tmp_path / "m")
    with tf.Session(graph=tf.Graph()) as session, pytest.raises(OSError, match="SavedModel file does not exist"):
        tf.saved_model.load(session, ["serve"], tmp_path)


def test_a_saved_model_brings_its_files_and_runs_what_it_asks_for(graph, tmp_path):
    (tmp_path / "words.txt").write_text("a\nb")
    path = tf.constant(str(tmp_path / "words.txt"), name="path")
    v = tf.get_variable("v", [], tf.string, initializer=tf.constant_initializer(b"", tf.string), collections=["mine"])
    init = v.assign(path, name="load").op
    builder = tf.saved_model.builder.SavedModelBuilder(tmp_path / "m")
    with pytest.raises(AssertionError, match="has not been saved yet"):
        builder.add_meta_graph(["serve"])
    with tf.Session() as session:
        builder.add_meta_graph_and_variables(session, ["serve"], assets_collection=[path], main_op=init)
        with pytest.raises(AssertionError, match="has already been saved"):
            builder.add_meta_graph_and_variables(session, ["serve"])
    builder.add_meta_graph(["serve", "gpu"])
    builder.save(as_text=True)
    (tmp_path / "words.txt").unlink()
    for tags in (["serve"], ["gpu", "serve"]):
        with tf.Session(graph=tf.Graph()) as session:
            tf.saved_model.load(session, tags, tmp_path / "m")
            if tags == ["serve"]:
                assert session.run("v:0").endswith(b"/m/assets/words.txt")


def test_signatures_say_what_they_are_for(graph):
    text, scores = tf.placeholder(tf.string, [None]), tf.placeholder(tf.float32, [None])
    made = tf.saved_model.classification_signature_def(text, None, scores)
    assert (made.method_name, list(made.outputs)) == ("tensorflow/serving/classify", ["scores"])
    made = tf.saved_model.regression_signature_def(text, scores)
    assert (made.method_name, list(made.outputs)) == ("tensorflow/serving/regress", ["outputs"])
    with pytest.raises(ValueError, match="inputs tensor must be of type string"):
        tf.saved_model.regression_signature_def(scores, scores)
    with pytest.raises(ValueError, match="cannot be None or empty"):
        tf.saved_model.predict_signature_def({}, {"y": scores})


def test_a_dataset_in_the_graph_comes_back(graph):
    iterator = tf.data.Dataset.range(3).make_initializable_iterator()
    tf.identity(iterator.get_next(), name="next")
    start = iterator.initializer.name
    written = tf.train.export_meta_graph()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(written)
        session.run(start)
        assert [session.run("next:0") for _ in range(3)] == [0, 1, 2]


def test_a_scope_of_a_graph_is_a_graph_of_its_own(graph):
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    with tf.variable_scope("hidden"):
        w = tf.get_variable("w", [2, 1], initializer=tf.ones_initializer())
        tf.add_to_collection("ends", tf.matmul(x, w, name="y"))
    tf.get_variable("other", [])
    made = tf.train.export_meta_graph(export_scope="hidden")
    assert "w" in [node.name for node in made.graph_def.node]
    assert not any(node.name.startswith(("hidden", "other")) for node in made.graph_def.node)
    with tf.Graph().as_default():
        given = tf.constant([[1.0, 2.0]])
        with pytest.raises(ValueError, match=r"unbound inputs: \$unbound_inputs_x. Must provide these"):
            tf.train.import_meta_graph(made, import_scope="a")
        tf.train.import_meta_graph(made, import_scope="b", input_map={"$unbound_inputs_x": given})
        assert [v.name for v in tf.global_variables()] == ["b/w:0"]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            assert session.run(tf.get_collection("ends")[0]) == [[3]]


def test_a_variable_in_a_collection_of_ones_own_is_its_tensor_afterwards(graph):
    pytest.importorskip("tensorboard", reason="MetaGraphDefs are TensorBoard's protocol buffers")
    graph.add_to_collection("mine", tf.Variable([1.0, 2.0], name="v"))
    made = tf.train.export_meta_graph()
    assert list(made.collection_def["mine"].node_list.value) == ["v:0"]
    with tf.Graph().as_default() as other:
        tf.train.import_meta_graph(made)
        assert other.get_collection("mine") == [other.get_tensor_by_name("v:0")]


def test_a_meta_graph_declares_the_operations_that_it_uses(graph):
    v = tf.Variable(1.0, name="v")
    tf.add(v, 2.0)
    saver = tf.train.Saver()
    declared = [op.name for op in saver.export_meta_graph().meta_info_def.stripped_op_list.op]
    assert declared == sorted(declared)
    assert {"Const", "PlaceholderWithDefault", "SaveV2", "VariableV2"} <= set(declared)


def test_attributes_with_a_default_are_left_out_when_asked_for(graph):
    tf.matmul([[1.0]], [[2.0]], transpose_b=True, name="m")
    plain, stripped = tf.train.export_meta_graph(), tf.train.export_meta_graph(strip_default_attrs=True)
    attrs = [{node.name: set(node.attr) for node in made.graph_def.node}["m"] for made in (plain, stripped)]
    assert "transpose_a" in attrs[0] - attrs[1]
    assert "transpose_b" in attrs[1]
    assert stripped.meta_info_def.stripped_default_attrs
    assert not plain.meta_info_def.stripped_default_attrs


def test_other_savers_are_left_out_when_asked_for(graph):
    tf.Variable(1.0, name="v")
    first, second = tf.train.Saver(), tf.train.Saver(name="mine")
    for saver in (first, second):
        tf.add_to_collection(tf.GraphKeys.SAVERS, saver)
    made = second.export_meta_graph(clear_extraneous_savers=True)
    names = {node.name.split("/")[0] for node in made.graph_def.node}
    assert names == {"v", "mine"}
    assert len(made.collection_def["savers"].bytes_list.value) == 1
    assert {node.name.split("/")[0] for node in second.export_meta_graph().graph_def.node} == {"v", "mine", "save"}


def test_savers_come_back_as_savers(graph):
    tf.Variable(1.0, name="v")
    tf.add_to_collection(tf.GraphKeys.SAVERS, tf.train.Saver(max_to_keep=2))
    made = tf.train.export_meta_graph()
    with tf.Graph().as_default() as other:
        tf.train.import_meta_graph(made)
        (saver,) = other.get_collection(tf.GraphKeys.SAVERS)
        assert isinstance(saver, tf.train.Saver)
        assert saver.saver_def.max_to_keep == 2
        assert tf.train.Scaffold().finalize().saver is saver


def test_a_graph_to_export_is_a_graph_def(graph):
    with pytest.raises(TypeError, match="graph_def must be of type GraphDef"):
        tf.train.export_meta_graph(graph_def=3)
    with pytest.raises(TypeError, match="meta_info_def must be of type MetaInfoDef"):
        tf.train.export_meta_graph(meta_info_def="x")


def test_names_of_nodes_in_a_collection_are_exported_with_their_scope(graph):
    with tf.name_scope("inner"):
        tf.constant(1.0, name="c")
    tf.add_to_collection("names", "inner/c")
    tf.add_to_collection("names", "outer")
    made = tf.train.export_meta_graph(export_scope="inner")
    assert list(made.collection_def["names"].bytes_list.value) == [b"inner/c"]


def test_a_savers_message_is_relative_to_its_scope(graph):
    tf.Variable(1.0, name="v")
    with tf.name_scope("a"):
        saver = tf.train.Saver()
    assert saver.to_proto(export_scope="a").restore_op_name == "save/restore_all"
    assert saver.to_proto(export_scope="b") is None
    assert saver.to_proto().restore_op_name == "a/save/restore_all"


def test_texts_of_collections_are_names_in_the_scope_of_an_import():
    with tf.Graph().as_default():
        tf.constant(1.0, name="c")
        tf.add_to_collection("names", "c")
        made = tf.train.export_meta_graph()
    with tf.Graph().as_default() as graph:
        tf.train.import_meta_graph(made, import_scope="inner")
        tf.train.import_meta_graph(made)
        assert graph.get_collection("names") == ["inner/c", b"c"]
