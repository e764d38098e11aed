"""tf.saved_model: models with their signatures, in folders that TensorFlow's tools and servers read.

Its names are there as `tf.saved_model.builder.SavedModelBuilder` and so on, and, as in TensorFlow 1.15, without the
word in the middle.
"""

from types import SimpleNamespace

from weftwork.scheduler.training import saved_model as _model
from weftwork.scheduler.training.saved_model import (
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

__all__ = [
    "DEFAULT_SERVING_SIGNATURE_DEF_KEY",
    "Builder",
    "SavedModelBuilder",
    "build_signature_def",
    "build_tensor_info",
    "builder",
    "classification_signature_def",
    "contains_saved_model",
    "get_tensor_from_tensor_info",
    "is_valid_signature",
    "load",
    "loader",
    "maybe_saved_model_directory",
    "predict_signature_def",
    "regression_signature_def",
    "signature_constants",
    "signature_def_utils",
    "simple_save",
    "tag_constants",
    "utils",
]
