"""SavedModels: a model with its signatures, in a folder that TensorFlow's tools and servers can read.

folder       `saved_model.pb` (MetaGraphDefs, identified by tags), `variables/` (a V2 checkpoint), `assets/`
signature    names for inputs and outputs that callers use, and the tensors behind them
readable     the part of a graph that TensorFlow can read. Operations that only Weftwork has (derivatives, updates) are
             left out, unless a signature needs them
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

from weftwork.graph import dtypes
from weftwork.graph.build import static_value
from weftwork.graph.graph import Graph
from weftwork.graph.interchange import native
from weftwork.graph.interchange.frames import source
from weftwork.graph.interchange.values import shape_proto
from weftwork.graph.names import with_scope
from weftwork.graph.operation import Operation, Tensor
from weftwork.graph.ops.composite import SparseTensor
from weftwork.graph.protos import messages, protos
from weftwork.graph.stacks import get_default_graph
from weftwork.scheduler.saving.meta_graph import as_bytes, export_meta_graph, parsed
from weftwork.scheduler.saving.saver import Saver, import_meta_graph
from weftwork.scheduler.saving.saver_def import SaverDef

log = logging.getLogger("weftwork")

SERVING, TRAINING, EVAL, GPU, TPU = "serve", "train", "eval", "gpu", "tpu"
DEFAULT_SERVING_SIGNATURE_DEF_KEY = "serving_default"
CLASSIFY_INPUTS, CLASSIFY_METHOD_NAME = "inputs", "tensorflow/serving/classify"
CLASSIFY_OUTPUT_CLASSES, CLASSIFY_OUTPUT_SCORES = "classes", "scores"
PREDICT_INPUTS, PREDICT_METHOD_NAME, PREDICT_OUTPUTS = "inputs", "tensorflow/serving/predict", "outputs"
REGRESS_INPUTS, REGRESS_METHOD_NAME, REGRESS_OUTPUTS = "inputs", "tensorflow/serving/regress", "outputs"
_MAIN_OP, _LEGACY_INIT_OP = "saved_model_main_op", "legacy_init_op"
_FILE, _TEXT_FILE, _VARIABLES = "saved_model.pb", "saved_model.pbtxt", os.path.join("variables", "variables")


@cache
def _wire() -> Any:
    module = protos("meta_graph")
    graphs = f"2 repeated .{module.MetaGraphDef.DESCRIPTOR.full_name}"
    fields = {"saved_model_schema_version": "1 int64", "meta_graphs": graphs}
    return messages("weftwork.saved_model", {"SavedModel": fields}, module)["SavedModel"]


# Signatures


def build_tensor_info(tensor: Any) -> Any:
    """The TensorInfo of a tensor or SparseTensor: name, dtype and shape."""
    module = protos("meta_graph")
    made = module.TensorInfo()
    if isinstance(tensor, SparseTensor):
        made.dtype = tensor.values.dtype.as_datatype_enum
        made.coo_sparse.values_tensor_name = tensor.values.name
        made.coo_sparse.indices_tensor_name = tensor.indices.name
        made.coo_sparse.dense_shape_tensor_name = tensor.dense_shape.name
        return made
    element = tensor._as_graph_element() if hasattr(tensor, "_as_graph_element") else tensor
    made.name, made.dtype = element.name, element.dtype.base_dtype.as_datatype_enum
    made.tensor_shape.CopyFrom(shape_proto(element.raw_shape))
    return made


def get_tensor_from_tensor_info(tensor_info: Any, graph: Graph | None = None, import_scope: str | None = None) -> Any:
    """The tensor or SparseTensor of a TensorInfo in a graph. Raises KeyError if it is not there.

    tensor_info: a TensorInfo.
    """
    graph = graph or get_default_graph()

    def named(name: str) -> Any:
        return graph.get_tensor_by_name(with_scope(name, import_scope))

    if tensor_info.WhichOneof("encoding") == "coo_sparse":
        parts = tensor_info.coo_sparse
        names = (parts.indices_tensor_name, parts.values_tensor_name, parts.dense_shape_tensor_name)
        indices, values, shape = map(named, names)
        return SparseTensor(indices, values, shape)
    return named(tensor_info.name)


def build_signature_def(inputs: Any = None, outputs: Any = None, method_name: str | None = None) -> Any:
    """A SignatureDef of TensorInfos, by the names that callers use.

    inputs, outputs: {name: TensorInfo}.   method_name: as the constants of `signature_constants`.
    """
    made = protos("meta_graph").SignatureDef()
    for given, field in ((inputs, made.inputs), (outputs, made.outputs)):
        for key, info in (given or {}).items():
            field[key].CopyFrom(info)
    made.method_name = method_name or ""
    return made


def predict_signature_def(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
    """A signature for prediction, of tensors by name. Raises ValueError if there are none.

    inputs, outputs: {name: tensor}.
    """
    _check_given("Prediction", inputs=inputs, outputs=outputs)
    taken, given = [{key: build_tensor_info(t) for key, t in tensors.items()} for tensors in (inputs, outputs)]
    return build_signature_def(taken, given, PREDICT_METHOD_NAME)


def classification_signature_def(examples: Any, classes: Any, scores: Any) -> Any:
    """A signature for classification.

    examples: string tensor, the inputs.   classes: string tensor, or None.   scores: float32 tensor, or None.
    Raises ValueError without examples, or without both classes and scores.
    """
    _check_given("Classification", examples=examples)
    if classes is None and scores is None:
        raise ValueError("Classification classes and scores cannot both be None.")
    _check_dtype("Classification inputs", examples, dtypes.string)
    outputs = {}
    for key, tensor, dtype in (
        (CLASSIFY_OUTPUT_CLASSES, classes, dtypes.string),
        (CLASSIFY_OUTPUT_SCORES, scores, dtypes.float32),
    ):
        if tensor is not None:
            _check_dtype(f"Classification {key}", tensor, dtype)
            outputs[key] = build_tensor_info(tensor)
    return build_signature_def({CLASSIFY_INPUTS: build_tensor_info(examples)}, outputs, CLASSIFY_METHOD_NAME)


def regression_signature_def(examples: Any, predictions: Any) -> Any:
    """A signature for regression: serialized examples, and float32 predictions."""
    _check_given("Regression", examples=examples, predictions=predictions)
    _check_dtype("Regression inputs", examples, dtypes.string)
    _check_dtype("Regression outputs", predictions, dtypes.float32)
    outputs = {REGRESS_OUTPUTS: build_tensor_info(predictions)}
    return build_signature_def({REGRESS_INPUTS: build_tensor_info(examples)}, outputs, REGRESS_METHOD_NAME)


def _check_given(what: str, **given: Any) -> None:
    for word, value in given.items():
        if value is None or (isinstance(value, Mapping) and not value):
            raise ValueError(f"{what} {word} cannot be None or empty.")


def _check_dtype(what: str, tensor: Tensor, dtype: Any) -> None:
    if tensor.dtype.base_dtype is not dtype:
        raise ValueError(f"{what} tensor must be of type {dtype.name}, not {tensor.dtype.name}.")


def is_valid_signature(signature_def: Any) -> bool:
    """Whether a signature is a valid classification, regression or prediction, with inputs and outputs.

    signature_def: a SignatureDef.
    """
    methods = (CLASSIFY_METHOD_NAME, REGRESS_METHOD_NAME, PREDICT_METHOD_NAME)
    filled = bool(signature_def.inputs) and bool(signature_def.outputs)
    return signature_def is not None and filled and signature_def.method_name in methods


# Writing


class SavedModelBuilder:
    """Writes a SavedModel into a folder, which must be new or empty.

    Raises AssertionError if the folder is not empty.
    """

    def __init__(self, export_dir: Any):
        self._folder = os.fspath(export_dir)
        if os.path.isdir(self._folder) and os.listdir(self._folder):
            raise AssertionError(
                "Export directory already exists, and isn't empty. Please choose a different export directory, or "
                f"delete all the contents of the specified directory: {self._folder}"
            )
        os.makedirs(self._folder, exist_ok=True)
        self._graphs: list[Any] = []
        self._saved = False

    def add_meta_graph_and_variables(
        self,
        sess: Any,
        tags: Iterable[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets_collection: Iterable[Any] | None = None,
        legacy_init_op: Any = None,
        clear_devices: bool = False,
        main_op: Any = None,
        strip_default_attrs: bool = False,
        saver: Saver | None = None,
    ) -> None:
        """Add a session's graph, and write the values of its variables. Adds a saver to the graph.

        tags: identify the graph.   signature_def_map: signatures by name.
        assets_collection: constants that name files; the files are copied.
        main_op, legacy_init_op: run when the model is loaded.
        Raises AssertionError if variables have been written already.
        """
        if self._saved:
            raise AssertionError(
                "Graph state including variables and assets has already been saved. Please invoke `add_meta_graph()` "
                "instead."
            )
        with sess.graph.as_default():
            saver = saver or _saver()
            prefix = os.path.join(self._folder, _VARIABLES)
            os.makedirs(os.path.dirname(prefix), exist_ok=True)
            saver.save(sess, prefix, write_meta_graph=False, write_state=False)
            self._saved = True
            self._add(
                tags, signature_def_map, assets_collection, main_op or legacy_init_op, clear_devices, saver,
                strip_default_attrs,
            )  # fmt: skip

    def add_meta_graph(
        self,
        tags: Iterable[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets_collection: Iterable[Any] | None = None,
        legacy_init_op: Any = None,
        clear_devices: bool = False,
        main_op: Any = None,
        strip_default_attrs: bool = False,
        saver: Saver | None = None,
    ) -> None:
        """Add the default graph under other tags. It uses the variables that were written before.

        signature_def_map: {name: SignatureDef}.
        assets_collection: tensors of file names.
        main_op, legacy_init_op: an operation that runs when the model is loaded.
        Raises AssertionError before `add_meta_graph_and_variables`.
        """
        if not self._saved:
            raise AssertionError(
                "Graph state including variables and assets has not been saved yet. Please invoke "
                "`add_meta_graph_and_variables()` first."
            )
        init = main_op or legacy_init_op
        self._add(
            tags, signature_def_map, assets_collection, init, clear_devices, saver or _saver(), strip_default_attrs
        )

    def _add(
        self, tags: Any, signatures: Any, assets: Any, init: Operation | None, clear: bool, saver: Saver, strip: bool
    ) -> None:
        made = export_meta_graph(saver_def=saver.saver_def, clear_devices=clear, strip_default_attrs=strip)
        made.meta_info_def.tags.extend(list(tags))
        for key, signature in (signatures or {}).items():
            made.signature_def[key].CopyFrom(signature)
        for tensor in assets or ():
            self._add_asset(made, tensor)
        if init is not None:
            made.collection_def[_MAIN_OP].node_list.value.append(init.name)
        _keep_readable(made)
        self._graphs.append(made)

    def _add_asset(self, made: Any, tensor: Tensor) -> None:
        path = os.fsdecode(np.ravel(static_value(tensor))[0])
        folder = os.path.join(self._folder, "assets")
        os.makedirs(folder, exist_ok=True)
        shutil.copyfile(path, os.path.join(folder, os.path.basename(path)))
        made.asset_file_def.add(filename=os.path.basename(path)).tensor_info.name = tensor.name

    def save(self, as_text: bool = False) -> str:
        """Write `saved_model.pb`, or `saved_model.pbtxt` in protobuf's text format. Returns its path."""
        path = os.path.join(self._folder, _TEXT_FILE if as_text else _FILE)
        data = as_bytes(_wire()(saved_model_schema_version=1, meta_graphs=self._graphs), as_text)
        with open(path, "wb") as file:
            file.write(data)
        return path


def _saver() -> Saver:
    return Saver(write_version=SaverDef.V2, allow_empty=True)


def _keep_readable(made: Any) -> None:
    """Remove nodes that TensorFlow cannot read, with their dependents, unless a signature or the saver needs them."""
    nodes = {node.name: node for node in made.graph_def.node}
    left = {name for name, node in nodes.items() if native.ATTRIBUTE in node.attr}
    grown = True
    while grown:
        more = {
            name
            for name, node in nodes.items()
            if name not in left and any(source(text)[0] in left for text in node.input)
        }
        left |= more
        grown = bool(more)
    infos = [info for signature in made.signature_def.values() for info in (*signature.inputs.values(),)]
    infos += [info for signature in made.signature_def.values() for info in signature.outputs.values()]
    needed = {source(info.name)[0] for info in infos if info.name}
    if _MAIN_OP in made.collection_def:
        needed |= set(made.collection_def[_MAIN_OP].node_list.value)
    if not left or needed & left:
        return
    kept = [node for name, node in nodes.items() if name not in left]
    del made.graph_def.node[:]
    made.graph_def.node.extend(kept)
    for name in list(made.collection_def):
        values = made.collection_def[name].node_list.value
        if made.collection_def[name].WhichOneof("kind") == "node_list":
            values[:] = [text for text in values if source(text)[0] not in left]
            if not values:
                del made.collection_def[name]
    made.collection_def.pop("queue_runners", None)


def simple_save(
    session: Any,
    export_dir: Any,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    legacy_init_op: Any = None,
) -> None:
    """Save a session's model for serving, with one prediction signature of tensors by the names that callers use.

    inputs, outputs: {name: tensor}.   legacy_init_op: an operation that runs when the model is loaded.
    """
    builder = SavedModelBuilder(export_dir)
    signatures = {DEFAULT_SERVING_SIGNATURE_DEF_KEY: predict_signature_def(inputs, outputs)}
    builder.add_meta_graph_and_variables(session, [SERVING], signatures, main_op=legacy_init_op, clear_devices=True)
    builder.save()


# Reading


def maybe_saved_model_directory(export_dir: Any) -> bool:
    """Whether a folder contains a SavedModel."""
    return any(os.path.isfile(os.path.join(os.fspath(export_dir), name)) for name in (_FILE, _TEXT_FILE))


contains_saved_model = maybe_saved_model_directory


def _read(folder: str) -> list[Any]:
    """Read the MetaGraphDefs of a folder. Raises OSError if it contains no SavedModel."""
    for name in (_FILE, _TEXT_FILE):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return list(parsed(file.read(), _wire(), path).meta_graphs)
    raise OSError(f"SavedModel file does not exist at: {folder}/{{{_TEXT_FILE}|{_FILE}}}")


def load(
    sess: Any,
    tags: Iterable[str],
    export_dir: Any,
    import_scope: str | None = None,
    **saver_kwargs: Any,
) -> Any:
    """Load a SavedModel into a session: add its graph, restore its variables, run its init operation.

    Returns its MetaGraphDef. Raises OSError if the folder has no SavedModel, RuntimeError if no graph has exactly these
    tags.
    """
    folder, wanted = os.fspath(export_dir), {tags} if isinstance(tags, str) else set(tags)
    for made in _read(folder):
        if set(made.meta_info_def.tags) == wanted:
            break
    else:
        raise RuntimeError(
            f"MetaGraphDef associated with tags {sorted(wanted)} could not be found in SavedModel. To inspect "
            "available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
        )
    with sess.graph.as_default():
        saver = import_meta_graph(made, import_scope=import_scope, **saver_kwargs)
    if (
        saver is not None
        and saver.saver_def is not None
        and os.path.isfile(os.path.join(folder, f"{_VARIABLES}.index"))
    ):
        saver.restore(sess, os.path.join(folder, _VARIABLES))
    else:
        log.info("The specified SavedModel has no variables; no checkpoints were restored.")
    feeds = {
        with_scope(asset.tensor_info.name, import_scope): os.path.join(folder, "assets", asset.filename)
        for asset in made.asset_file_def
    }
    for name in (_MAIN_OP, _LEGACY_INIT_OP):
        for op in made.collection_def[name].node_list.value if name in made.collection_def else ():
            sess.run(with_scope(op, import_scope), feeds)
    return made
