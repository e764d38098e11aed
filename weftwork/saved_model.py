"""tf.saved_model: models with their signatures, in folders that TensorFlow's tools and servers read.

Its names exist as in `tf.saved_model.builder.SavedModelBuilder`, and, as in TensorFlow 1.15, without the submodule.
"""

from types import SimpleNamespace

from weftwork.graph.lookup.tables import tables_initializer
from weftwork.graph.operation import Operation
from weftwork.graph.ops.flow import group
from weftwork.graph.stacks import get_default_graph
from weftwork.graph.variables.collected import global_variables_initializer, local_variables_initializer
from weftwork.scheduler.saving import saved_model as _model
from weftwork.scheduler.saving.saved_model import (
    DEFAULT_SERVING_SIGNATURE_DEF_KEY,
    SavedModelBuilder,
    build_signature_def,
    build_tensor_info,
    classification_signature_def,
    contains_saved_model,
    get_tensor_from_tensor_info,
    is_valid_signature,
    load,
    maybe_saved_model_directory,
    predict_signature_def,
    regression_signature_def,
    simple_save,
)

Builder = SavedModelBuilder
builder = SimpleNamespace(SavedModelBuilder=SavedModelBuilder)
loader = SimpleNamespace(load=load, maybe_saved_model_directory=maybe_saved_model_directory)
utils = SimpleNamespace(build_tensor_info=build_tensor_info, get_tensor_from_tensor_info=get_tensor_from_tensor_info)
signature_def_utils = SimpleNamespace(
    build_signature_def=build_signature_def,
    classification_signature_def=classification_signature_def,
    is_valid_signature=is_valid_signature,
    predict_signature_def=predict_signature_def,
    regression_signature_def=regression_signature_def,
)
tag_constants = SimpleNamespace(
    **{word: getattr(_model, word) for word in ("SERVING", "TRAINING", "EVAL", "GPU", "TPU")}
)
signature_constants = SimpleNamespace(
    **{
        word: getattr(_model, word)
        for word in vars(_model)
        if word.startswith(("CLASSIFY_", "PREDICT_", "REGRESS_", "DEFAULT_SERVING"))
    }
)

CLASSIFY_INPUTS, CLASSIFY_METHOD_NAME = _model.CLASSIFY_INPUTS, _model.CLASSIFY_METHOD_NAME
CLASSIFY_OUTPUT_CLASSES, CLASSIFY_OUTPUT_SCORES = _model.CLASSIFY_OUTPUT_CLASSES, _model.CLASSIFY_OUTPUT_SCORES
PREDICT_INPUTS, PREDICT_OUTPUTS = _model.PREDICT_INPUTS, _model.PREDICT_OUTPUTS
PREDICT_METHOD_NAME, REGRESS_METHOD_NAME = _model.PREDICT_METHOD_NAME, _model.REGRESS_METHOD_NAME
REGRESS_INPUTS, REGRESS_OUTPUTS = _model.REGRESS_INPUTS, _model.REGRESS_OUTPUTS
GPU, SERVING, TPU, TRAINING = _model.GPU, _model.SERVING, _model.TPU, _model.TRAINING
ASSETS_DIRECTORY, ASSETS_KEY = "assets", "saved_model_assets"
LEGACY_INIT_OP_KEY, MAIN_OP_KEY = "legacy_init_op", "saved_model_main_op"
SAVED_MODEL_FILENAME_PB, SAVED_MODEL_FILENAME_PBTXT = "saved_model.pb", "saved_model.pbtxt"
SAVED_MODEL_SCHEMA_VERSION = 1
DEBUG_DIRECTORY, DEBUG_INFO_FILENAME_PB = "debug", "saved_model_debug_info.pb"
VARIABLES_DIRECTORY, VARIABLES_FILENAME = "variables", "variables"
constants = SimpleNamespace(
    ASSETS_DIRECTORY=ASSETS_DIRECTORY,
    ASSETS_KEY=ASSETS_KEY,
    DEBUG_DIRECTORY=DEBUG_DIRECTORY,
    DEBUG_INFO_FILENAME_PB=DEBUG_INFO_FILENAME_PB,
    LEGACY_INIT_OP_KEY=LEGACY_INIT_OP_KEY,
    MAIN_OP_KEY=MAIN_OP_KEY,
    SAVED_MODEL_FILENAME_PB=SAVED_MODEL_FILENAME_PB,
    SAVED_MODEL_FILENAME_PBTXT=SAVED_MODEL_FILENAME_PBTXT,
    SAVED_MODEL_SCHEMA_VERSION=SAVED_MODEL_SCHEMA_VERSION,
    VARIABLES_DIRECTORY=VARIABLES_DIRECTORY,
    VARIABLES_FILENAME=VARIABLES_FILENAME,
)


def _main_op() -> Operation:
    """The operation that initializes global variables, local variables and tables."""
    return group(global_variables_initializer(), local_variables_initializer(), tables_initializer())


def main_op_with_restore(restore_op_name: str) -> Operation:
    """Like `main_op.main_op`, but the operation called `restore_op_name` first restores the global variables.

    restore_op_name: the name of an operation of the default graph.
    """
    restored = get_default_graph().get_operation_by_name(restore_op_name)
    with get_default_graph().control_dependencies([restored]):
        return group(local_variables_initializer(), tables_initializer())


main_op = SimpleNamespace(main_op=_main_op, main_op_with_restore=main_op_with_restore)

__all__ = [
    "ASSETS_DIRECTORY",
    "ASSETS_KEY",
    "CLASSIFY_INPUTS",
    "CLASSIFY_METHOD_NAME",
    "CLASSIFY_OUTPUT_CLASSES",
    "CLASSIFY_OUTPUT_SCORES",
    "DEBUG_DIRECTORY",
    "DEBUG_INFO_FILENAME_PB",
    "DEFAULT_SERVING_SIGNATURE_DEF_KEY",
    "Builder",
    "GPU",
    "LEGACY_INIT_OP_KEY",
    "MAIN_OP_KEY",
    "PREDICT_INPUTS",
    "PREDICT_METHOD_NAME",
    "PREDICT_OUTPUTS",
    "REGRESS_INPUTS",
    "REGRESS_METHOD_NAME",
    "REGRESS_OUTPUTS",
    "SAVED_MODEL_FILENAME_PB",
    "SAVED_MODEL_FILENAME_PBTXT",
    "SAVED_MODEL_SCHEMA_VERSION",
    "SERVING",
    "TPU",
    "TRAINING",
    "VARIABLES_DIRECTORY",
    "VARIABLES_FILENAME",
    "SavedModelBuilder",
    "build_signature_def",
    "build_tensor_info",
    "builder",
    "classification_signature_def",
    "constants",
    "contains_saved_model",
    "get_tensor_from_tensor_info",
    "is_valid_signature",
    "load",
    "loader",
    "main_op",
    "main_op_with_restore",
    "maybe_saved_model_directory",
    "predict_signature_def",
    "regression_signature_def",
    "signature_constants",
    "signature_def_utils",
    "simple_save",
    "tag_constants",
    "utils",
]
