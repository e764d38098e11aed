"""The element types."""

import copy
import pickle

import numpy as np
import pytest

import weftwork as tf
from weftwork.graph import dtypes
from weftwork.graph.dtypes import as_dtype


@pytest.mark.parametrize("name", sorted(dtypes.ALL))
def test_a_type_is_found_by_its_name_and_is_one_object(name):
    dtype = getattr(dtypes, name)
    assert dtypes.ALL[name] is dtype
    assert as_dtype(name) is dtype
    assert as_dtype(dtype) is dtype


@pytest.mark.parametrize("name", sorted(dtypes.ALL))
def test_pickling_and_copying_keep_the_identity(name):
    dtype = dtypes.ALL[name]
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert pickle.loads(pickle.dumps(dtype._as_ref)) is dtype._as_ref
    assert copy.deepcopy(dtype) is dtype


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (float, "float32"),
        (int, "int32"),
        (bool, "bool"),
        (str, "string"),
        (bytes, "string"),
        (object, "object"),
        (np.float64, "float64"),
        (np.bool_, "bool"),
        (np.dtype("uint16"), "uint16"),
        (np.dtype(">f4"), "float32"),
        (np.dtype("U5"), "string"),
        (np.dtype("S5"), "string"),
        (np.object_, "object"),
        ("half", "float16"),
        ("float", "float32"),
        ("double", "float64"),
        ("complex64", "complex64"),
    ],
)
def test_python_and_numpy_types_are_converted(given, expected):
    assert as_dtype(given) is dtypes.ALL[expected]


@pytest.mark.parametrize("junk", [None, "junk", "f4,f4", 99, np.float32(3), dict, np.datetime64, np.generic, [], ()])
def test_anything_else_is_refused_and_equals_no_type(junk):
    with pytest.raises(TypeError, match="Cannot convert value .* to a TensorFlow DType"):
        as_dtype(junk)
    assert all(dtype != junk for dtype in dtypes.ALL.values())


def test_equality_takes_what_as_dtype_takes():
    assert dtypes.float32 == np.float32
    assert np.float32 == dtypes.float32
    assert dtypes.float32 == np.dtype("float32")
    assert dtypes.float32 == "float32"
    assert dtypes.float32 != np.float64
    assert dtypes.float32 != dtypes.float64
    assert {dtypes.float32: 1}["float32"] == 1


def test_string_object_and_resource_differ_though_numpy_holds_them_alike():
    assert len({dtypes.string, dtypes.object, dtypes.resource}) == 3
    assert dtypes.string.numpy == dtypes.object.numpy == np.dtype(object)


def test_a_reference_type_is_another_one_with_the_plain_type_as_base():
    ref = dtypes.float32._as_ref
    assert ref.name == "float32_ref"
    assert ref is dtypes.float32._as_ref is ref._as_ref is as_dtype("float32_ref")
    assert ref.base_dtype is dtypes.float32
    assert dtypes.float32.base_dtype is dtypes.float32
    assert ref != dtypes.float32
    assert ref._is_ref_dtype
    assert not dtypes.float32._is_ref_dtype
    assert not ref.is_compatible_with(np.float32)
    assert ref.is_compatible_with(ref)
    assert dtypes.float32.is_compatible_with(ref)


def test_the_kinds_are_told_apart():
    def names(predicate):
        return {d.name for d in dtypes.ALL.values() if getattr(d, predicate)}

    unsigned = {"uint8", "uint16", "uint32", "uint64"}
    assert names("is_floating") == {"float16", "float32", "float64"}
    assert names("is_unsigned") == unsigned
    assert names("is_integer") == unsigned | {"int8", "int16", "int32", "int64"}
    assert names("is_complex") == {"complex64", "complex128"}
    assert names("is_bool") == {"bool"}


def test_limits_are_the_range_of_intensities_in_images():
    assert [d.limits for d in (dtypes.uint8, dtypes.int8, dtypes.float32)] == [(0, 255), (0, 127), (0, 1)]
    with pytest.raises(ValueError, match="does not have defined limits"):
        _ = dtypes.string.limits


def test_quantized_dtypes_hold_values_but_do_not_compute(graph):
    assert {d.name for d in dtypes.QUANTIZED_DTYPES if not d.name.endswith("_ref")} == {
        "qint8", "qint16", "qint32", "quint8", "quint16"
    }  # fmt: skip
    assert dtypes.qint8.is_quantized
    assert [dtypes.int8.is_quantized, dtypes.qint8.is_integer] == [False, False]
    assert dtypes.as_dtype(np.int8) is dtypes.int8
    assert dtypes.as_dtype("qint8") is dtypes.as_dtype(11) is dtypes.qint8
    tensor = tf.constant([1, -2], tf.qint8)
    assert tensor.dtype is tf.qint8
    assert tf.Session().run(tf.cast(tensor, tf.float32)).tolist() == [1.0, -2.0]
    with pytest.raises(TypeError, match="does not take qint8"):
        _ = tensor + tensor


def test_sizes_and_bounds_are_those_of_numpy():
    assert (dtypes.int8.min, dtypes.int8.max) == (-128, 127)
    assert (dtypes.uint64.min, dtypes.uint64.max) == (0, 2**64 - 1)
    assert dtypes.float32.max == np.finfo(np.float32).max
    assert (dtypes.bool.min, dtypes.bool.max) == (False, True)
    assert dtypes.complex128.size == 16
    assert dtypes.float32.as_numpy_dtype is np.float32
    assert dtypes.complex64.real_dtype is dtypes.float32
    for dtype in (dtypes.string, dtypes.complex64, dtypes.qint8):
        with pytest.raises(TypeError, match=f"Cannot find minimum value of <dtype: '{dtype.name}'>"):
            _ = dtype.min


def test_a_dtype_is_made_from_its_number():
    for dtype in [*dtypes.ALL.values(), *[dtype._as_ref for dtype in dtypes.ALL.values()]]:
        if dtype.base_dtype is not dtypes.variant:  # its number is also that of `object`
            assert dtypes.DType(dtype.as_datatype_enum) is dtype
        assert pickle.loads(pickle.dumps(dtype)) is copy.deepcopy(dtype) is dtype
    for number in (0, 99, 200, -1):
        with pytest.raises(TypeError, match=f"type_enum is not a valid types_pb2.DataType: {number}"):
            dtypes.DType(number)


def test_they_print_as_in_tensorflow():
    assert str(dtypes.float32) == "<dtype: 'float32'>"
    assert repr(dtypes.float32) == "tf.float32"
    assert str(dtypes.int32._as_ref) == "<dtype: 'int32_ref'>"
    assert [d.cpp_name for d in (dtypes.float32, dtypes.float64, dtypes.int32, dtypes.string, dtypes.bool)] == [
        "float",
        "double",
        "int32",
        "string",
        "bool",
    ]
