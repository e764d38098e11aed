"""The public names, and where each is made: `__init__.py` reads them from here when one is first asked for.

`from MODULE import NAME as NAME` makes a name public. One that is called otherwise in its module is imported with an
underscore before it, and given its name at the end.
"""

from typing import Any

from weftwork import (
    app as app,
)
from weftwork import (
    bitwise as bitwise,
)
from weftwork import (
    compat as compat,
)
from weftwork import (
    config as config,
)
from weftwork import (
    contrib as contrib,
)
from weftwork import (
    data as data,
)
from weftwork import (
    debugging as debugging,
)
from weftwork import (
    distributions as distributions,
)
from weftwork import (
    dtypes as dtypes,
)
from weftwork import (
    flags as flags,
)
from weftwork import (
    gfile as gfile,
)
from weftwork import (
    graph_util as graph_util,
)
from weftwork import (
    image as image,
)
from weftwork import (
    initializers as initializers,
)
from weftwork import (
    io as io,
)
from weftwork import (
    layers as layers,
)
from weftwork import (
    linalg as linalg,
)
from weftwork import (
    logging as logging,
)
from weftwork import (
    lookup as lookup,
)
from weftwork import (
    losses as losses,
)
from weftwork import (
    manip as manip,
)
from weftwork import (
    math as math,
)
from weftwork import (
    metrics as metrics,
)
from weftwork import (
    nest as nest,
)
from weftwork import (
    nn as nn,
)
from weftwork import (
    python_io as python_io,
)
from weftwork import (
    quantization as quantization,
)
from weftwork import (
    queue as queue,
)
from weftwork import (
    random as random,
)
from weftwork import (
    raw_ops as raw_ops,
)
from weftwork import (
    resource_loader as resource_loader,
)
from weftwork import (
    saved_model as saved_model,
)
from weftwork import (
    sets as sets,
)
from weftwork import (
    signal as signal,
)
from weftwork import (
    sparse as sparse,
)
from weftwork import (
    spectral as spectral,
)
from weftwork import (
    strings as strings,
)
from weftwork import (
    summary as summary,
)
from weftwork import (
    test as test,
)
from weftwork import (
    timeline as timeline,
)
from weftwork import (
    train as train,
)
from weftwork import (
    version as version,
)
from weftwork.actors.programs.sizes import register_size as register_size
from weftwork.graph import errors as errors
from weftwork.graph.build import (
    constant as constant,
)
from weftwork.graph.build import (
    convert_to_tensor as convert_to_tensor,
)
from weftwork.graph.build import (
    placeholder as placeholder,
)
from weftwork.graph.build import (
    placeholder_with_default as placeholder_with_default,
)
from weftwork.graph.conversions import (
    register_tensor_conversion_function as register_tensor_conversion_function,
)
from weftwork.graph.default_scopes import (
    add_to_collection as add_to_collection,
)
from weftwork.graph.default_scopes import (
    add_to_collections as add_to_collections,
)
from weftwork.graph.default_scopes import (
    colocate_with as colocate_with,
)
from weftwork.graph.default_scopes import (
    container as container,
)
from weftwork.graph.default_scopes import (
    control_dependencies as control_dependencies,
)
from weftwork.graph.default_scopes import (
    device as device,
)
from weftwork.graph.default_scopes import (
    get_collection as get_collection,
)
from weftwork.graph.default_scopes import (
    get_collection_ref as get_collection_ref,
)
from weftwork.graph.default_scopes import (
    get_name_scope as get_name_scope,
)
from weftwork.graph.default_scopes import (
    init_scope as init_scope,
)
from weftwork.graph.default_scopes import (
    resources as resources,
)
from weftwork.graph.devices import DeviceSpec as DeviceSpec
from weftwork.graph.dtypes import (
    QUANTIZED_DTYPES as QUANTIZED_DTYPES,
)
from weftwork.graph.dtypes import (
    DType as DType,
)
from weftwork.graph.dtypes import (
    as_dtype as as_dtype,
)
from weftwork.graph.dtypes import (
    bool as bool,
)
from weftwork.graph.dtypes import (
    complex64 as complex64,
)
from weftwork.graph.dtypes import (
    complex128 as complex128,
)
from weftwork.graph.dtypes import (
    double as double,
)
from weftwork.graph.dtypes import (
    float16 as float16,
)
from weftwork.graph.dtypes import (
    float32 as float32,
)
from weftwork.graph.dtypes import (
    float64 as float64,
)
from weftwork.graph.dtypes import (
    half as half,
)
from weftwork.graph.dtypes import (
    int8 as int8,
)
from weftwork.graph.dtypes import (
    int16 as int16,
)
from weftwork.graph.dtypes import (
    int32 as int32,
)
from weftwork.graph.dtypes import (
    int64 as int64,
)
from weftwork.graph.dtypes import (
    object as object,
)
from weftwork.graph.dtypes import (
    qint8 as qint8,
)
from weftwork.graph.dtypes import (
    qint16 as qint16,
)
from weftwork.graph.dtypes import (
    qint32 as qint32,
)
from weftwork.graph.dtypes import (
    quint8 as quint8,
)
from weftwork.graph.dtypes import (
    quint16 as quint16,
)
from weftwork.graph.dtypes import (
    resource as resource,
)
from weftwork.graph.dtypes import (
    string as string,
)
from weftwork.graph.dtypes import (
    uint8 as uint8,
)
from weftwork.graph.dtypes import (
    uint16 as uint16,
)
from weftwork.graph.dtypes import (
    uint32 as uint32,
)
from weftwork.graph.dtypes import (
    uint64 as uint64,
)
from weftwork.graph.dtypes import (
    variant as variant,
)
from weftwork.graph.errors import OpError as OpError
from weftwork.graph.files.nodes import (
    decode_compressed as decode_compressed,
)
from weftwork.graph.files.nodes import (
    decode_csv as decode_csv,
)
from weftwork.graph.files.nodes import (
    decode_json_example as decode_json_example,
)
from weftwork.graph.files.nodes import (
    decode_raw as decode_raw,
)
from weftwork.graph.files.nodes import (
    matching_files as matching_files,
)
from weftwork.graph.files.nodes import (
    read_file as read_file,
)
from weftwork.graph.files.nodes import (
    write_file as write_file,
)
from weftwork.graph.files.parsing import (
    FixedLenFeature as FixedLenFeature,
)
from weftwork.graph.files.parsing import (
    FixedLenSequenceFeature as FixedLenSequenceFeature,
)
from weftwork.graph.files.parsing import (
    SparseFeature as SparseFeature,
)
from weftwork.graph.files.parsing import (
    VarLenFeature as VarLenFeature,
)
from weftwork.graph.files.parsing import (
    parse_example as parse_example,
)
from weftwork.graph.files.parsing import (
    parse_single_example as parse_single_example,
)
from weftwork.graph.files.parsing import (
    parse_single_sequence_example as parse_single_sequence_example,
)
from weftwork.graph.files.readers import (
    FixedLengthRecordReader as FixedLengthRecordReader,
)
from weftwork.graph.files.readers import (
    IdentityReader as IdentityReader,
)
from weftwork.graph.files.readers import (
    ReaderBase as ReaderBase,
)
from weftwork.graph.files.readers import (
    TextLineReader as TextLineReader,
)
from weftwork.graph.files.readers import (
    TFRecordReader as TFRecordReader,
)
from weftwork.graph.files.readers import (
    WholeFileReader as WholeFileReader,
)
from weftwork.graph.function import (
    Op as Op,
)
from weftwork.graph.function import (
    op as op,
)
from weftwork.graph.function import (
    py_func as py_func,
)
from weftwork.graph.gradients.registry import (
    NoGradient as NoGradient,
)
from weftwork.graph.gradients.registry import (
    NotDifferentiable as NotDifferentiable,
)
from weftwork.graph.gradients.registry import NotDifferentiable as _NotDifferentiable
from weftwork.graph.gradients.registry import (
    RegisterGradient as RegisterGradient,
)
from weftwork.graph.gradients.registry import (
    custom_gradient as custom_gradient,
)
from weftwork.graph.gradients.walk import (
    AggregationMethod as AggregationMethod,
)
from weftwork.graph.gradients.walk import (
    UnconnectedGradients as UnconnectedGradients,
)
from weftwork.graph.gradients.walk import (
    gradients as gradients,
)
from weftwork.graph.gradients.walk import (
    hessians as hessians,
)
from weftwork.graph.graph import (
    Graph as Graph,
)
from weftwork.graph.graph import (
    GraphKeys as GraphKeys,
)
from weftwork.graph.interchange.reading import import_graph_def as import_graph_def
from weftwork.graph.interchange.sparse import deserialize_many_sparse as deserialize_many_sparse
from weftwork.graph.interchange.sparse import serialize_many_sparse as serialize_many_sparse
from weftwork.graph.interchange.sparse import serialize_sparse as serialize_sparse
from weftwork.graph.interchange.tensors import (
    make_ndarray as make_ndarray,
)
from weftwork.graph.interchange.tensors import (
    make_tensor_proto as make_tensor_proto,
)
from weftwork.graph.interchange.tensors import (
    parse_tensor as parse_tensor,
)
from weftwork.graph.interchange.tensors import (
    serialize_tensor as serialize_tensor,
)
from weftwork.graph.lookup.tables import tables_initializer as _tables_initializer
from weftwork.graph.lookup.tables import (
    tables_initializer as tables_initializer,
)
from weftwork.graph.nest import register_structure as register_structure
from weftwork.graph.operation import (
    Operation as Operation,
)
from weftwork.graph.operation import (
    Tensor as Tensor,
)
from weftwork.graph.ops.accumulators import (
    ConditionalAccumulator as ConditionalAccumulator,
)
from weftwork.graph.ops.accumulators import (
    ConditionalAccumulatorBase as ConditionalAccumulatorBase,
)
from weftwork.graph.ops.accumulators import (
    SparseConditionalAccumulator as SparseConditionalAccumulator,
)
from weftwork.graph.ops.array_ops import (
    broadcast_dynamic_shape as broadcast_dynamic_shape,
)
from weftwork.graph.ops.array_ops import (
    broadcast_static_shape as broadcast_static_shape,
)
from weftwork.graph.ops.array_ops import (
    broadcast_to as broadcast_to,
)
from weftwork.graph.ops.array_ops import (
    expand_dims as expand_dims,
)
from weftwork.graph.ops.array_ops import (
    newaxis as newaxis,
)
from weftwork.graph.ops.array_ops import (
    rank as rank,
)
from weftwork.graph.ops.array_ops import (
    reshape as reshape,
)
from weftwork.graph.ops.array_ops import (
    shape as shape,
)
from weftwork.graph.ops.array_ops import (
    shape_n as shape_n,
)
from weftwork.graph.ops.array_ops import (
    size as size,
)
from weftwork.graph.ops.array_ops import (
    squeeze as squeeze,
)
from weftwork.graph.ops.asking import (
    assert_proper_iterable as assert_proper_iterable,
)
from weftwork.graph.ops.asking import (
    assert_rank_in as assert_rank_in,
)
from weftwork.graph.ops.asking import (
    assert_same_float_dtype as assert_same_float_dtype,
)
from weftwork.graph.ops.asking import (
    assert_scalar as assert_scalar,
)
from weftwork.graph.ops.asking import (
    convert_to_tensor_or_indexed_slices as convert_to_tensor_or_indexed_slices,
)
from weftwork.graph.ops.asking import (
    dimension_at_index as dimension_at_index,
)
from weftwork.graph.ops.asking import (
    dimension_value as dimension_value,
)
from weftwork.graph.ops.asking import (
    get_static_value as get_static_value,
)
from weftwork.graph.ops.asking import (
    grad_pass_through as grad_pass_through,
)
from weftwork.graph.ops.asking import (
    is_non_decreasing as is_non_decreasing,
)
from weftwork.graph.ops.asking import (
    is_numeric_tensor as is_numeric_tensor,
)
from weftwork.graph.ops.asking import (
    is_strictly_increasing as is_strictly_increasing,
)
from weftwork.graph.ops.asking import (
    is_symbolic_tensor as is_symbolic_tensor,
)
from weftwork.graph.ops.asking import (
    is_tensor as is_tensor,
)
from weftwork.graph.ops.asking import (
    numpy_function as numpy_function,
)
from weftwork.graph.ops.asking import (
    recompute_grad as recompute_grad,
)
from weftwork.graph.ops.asking import (
    timestamp as timestamp,
)
from weftwork.graph.ops.asking import (
    to_complex64 as to_complex64,
)
from weftwork.graph.ops.asking import (
    to_complex128 as to_complex128,
)
from weftwork.graph.ops.asking import (
    vectorized_map as vectorized_map,
)
from weftwork.graph.ops.assertions import (
    Assert as Assert,
)
from weftwork.graph.ops.assertions import (
    add_check_numerics_ops as add_check_numerics_ops,
)
from weftwork.graph.ops.assertions import (
    assert_equal as assert_equal,
)
from weftwork.graph.ops.assertions import (
    assert_greater as assert_greater,
)
from weftwork.graph.ops.assertions import (
    assert_greater_equal as assert_greater_equal,
)
from weftwork.graph.ops.assertions import (
    assert_integer as assert_integer,
)
from weftwork.graph.ops.assertions import (
    assert_less as assert_less,
)
from weftwork.graph.ops.assertions import (
    assert_less_equal as assert_less_equal,
)
from weftwork.graph.ops.assertions import (
    assert_near as assert_near,
)
from weftwork.graph.ops.assertions import (
    assert_negative as assert_negative,
)
from weftwork.graph.ops.assertions import (
    assert_non_negative as assert_non_negative,
)
from weftwork.graph.ops.assertions import (
    assert_non_positive as assert_non_positive,
)
from weftwork.graph.ops.assertions import (
    assert_none_equal as assert_none_equal,
)
from weftwork.graph.ops.assertions import (
    assert_positive as assert_positive,
)
from weftwork.graph.ops.assertions import (
    assert_rank as assert_rank,
)
from weftwork.graph.ops.assertions import (
    assert_rank_at_least as assert_rank_at_least,
)
from weftwork.graph.ops.assertions import (
    assert_type as assert_type,
)
from weftwork.graph.ops.assertions import (
    check_numerics as check_numerics,
)
from weftwork.graph.ops.assertions import (
    verify_tensor_all_finite as verify_tensor_all_finite,
)
from weftwork.graph.ops.cases import (
    case as case,
)
from weftwork.graph.ops.cases import (
    switch_case as switch_case,
)
from weftwork.graph.ops.clipping import (
    clip_by_average_norm as clip_by_average_norm,
)
from weftwork.graph.ops.clipping import (
    clip_by_global_norm as clip_by_global_norm,
)
from weftwork.graph.ops.clipping import (
    clip_by_norm as clip_by_norm,
)
from weftwork.graph.ops.clipping import (
    clip_by_value as clip_by_value,
)
from weftwork.graph.ops.clipping import (
    global_norm as global_norm,
)
from weftwork.graph.ops.composite import (
    IndexedSlices as IndexedSlices,
)
from weftwork.graph.ops.composite import (
    IndexedSlicesValue as IndexedSlicesValue,
)
from weftwork.graph.ops.composite import (
    SparseTensor as SparseTensor,
)
from weftwork.graph.ops.composite import (
    SparseTensorValue as SparseTensorValue,
)
from weftwork.graph.ops.control_flow import (
    cond as cond,
)
from weftwork.graph.ops.conversion import (
    angle as angle,
)
from weftwork.graph.ops.conversion import (
    cast as cast,
)
from weftwork.graph.ops.conversion import (
    complex as complex,
)
from weftwork.graph.ops.conversion import (
    conj as conj,
)
from weftwork.graph.ops.conversion import (
    imag as imag,
)
from weftwork.graph.ops.conversion import (
    real as real,
)
from weftwork.graph.ops.conversion import (
    saturate_cast as saturate_cast,
)
from weftwork.graph.ops.conversion import (
    to_double as to_double,
)
from weftwork.graph.ops.conversion import (
    to_float as to_float,
)
from weftwork.graph.ops.conversion import (
    to_int32 as to_int32,
)
from weftwork.graph.ops.conversion import (
    to_int64 as to_int64,
)
from weftwork.graph.ops.factoring import (
    cholesky_solve as cholesky_solve,
)
from weftwork.graph.ops.factoring import sqrtm as _sqrtm
from weftwork.graph.ops.filling import (
    eye as eye,
)
from weftwork.graph.ops.filling import (
    fill as fill,
)
from weftwork.graph.ops.filling import (
    ones as ones,
)
from weftwork.graph.ops.filling import (
    ones_like as ones_like,
)
from weftwork.graph.ops.filling import (
    sequence_mask as sequence_mask,
)
from weftwork.graph.ops.filling import (
    zeros as zeros,
)
from weftwork.graph.ops.filling import (
    zeros_like as zeros_like,
)
from weftwork.graph.ops.flow import (
    group as group,
)
from weftwork.graph.ops.flow import (
    identity as identity,
)
from weftwork.graph.ops.flow import (
    identity_n as identity_n,
)
from weftwork.graph.ops.flow import (
    no_op as no_op,
)
from weftwork.graph.ops.flow import (
    prevent_gradient as prevent_gradient,
)
from weftwork.graph.ops.flow import (
    stop_gradient as stop_gradient,
)
from weftwork.graph.ops.flow import (
    tuple as tuple,
)
from weftwork.graph.ops.functional import (
    foldl as foldl,
)
from weftwork.graph.ops.functional import (
    foldr as foldr,
)
from weftwork.graph.ops.functional import (
    map_fn as map_fn,
)
from weftwork.graph.ops.functional import (
    scan as scan,
)
from weftwork.graph.ops.indexing import (
    batch_gather as batch_gather,
)
from weftwork.graph.ops.indexing import (
    boolean_mask as boolean_mask,
)
from weftwork.graph.ops.indexing import (
    gather as gather,
)
from weftwork.graph.ops.indexing import (
    gather_nd as gather_nd,
)
from weftwork.graph.ops.indexing import (
    one_hot as one_hot,
)
from weftwork.graph.ops.indexing import (
    scatter_nd as scatter_nd,
)
from weftwork.graph.ops.indexing import (
    slice as slice,
)
from weftwork.graph.ops.indexing import (
    strided_slice as strided_slice,
)
from weftwork.graph.ops.joining import (
    concat as concat,
)
from weftwork.graph.ops.joining import (
    meshgrid as meshgrid,
)
from weftwork.graph.ops.joining import (
    parallel_stack as parallel_stack,
)
from weftwork.graph.ops.joining import (
    split as split,
)
from weftwork.graph.ops.joining import (
    stack as stack,
)
from weftwork.graph.ops.joining import (
    unstack as unstack,
)
from weftwork.graph.ops.kept_values import (
    delete_session_tensor as delete_session_tensor,
)
from weftwork.graph.ops.kept_values import (
    get_session_handle as get_session_handle,
)
from weftwork.graph.ops.kept_values import (
    get_session_tensor as get_session_tensor,
)
from weftwork.graph.ops.linalg_ops import (
    cholesky as cholesky,
)
from weftwork.graph.ops.linalg_ops import (
    matrix_determinant as matrix_determinant,
)
from weftwork.graph.ops.linalg_ops import (
    matrix_inverse as matrix_inverse,
)
from weftwork.graph.ops.linalg_ops import (
    matrix_solve as matrix_solve,
)
from weftwork.graph.ops.linalg_ops import (
    matrix_solve_ls as matrix_solve_ls,
)
from weftwork.graph.ops.linalg_ops import (
    matrix_triangular_solve as matrix_triangular_solve,
)
from weftwork.graph.ops.linalg_ops import (
    norm as norm,
)
from weftwork.graph.ops.linalg_ops import (
    qr as qr,
)
from weftwork.graph.ops.linalg_ops import (
    self_adjoint_eig as self_adjoint_eig,
)
from weftwork.graph.ops.linalg_ops import (
    self_adjoint_eigvals as self_adjoint_eigvals,
)
from weftwork.graph.ops.linalg_ops import (
    svd as svd,
)
from weftwork.graph.ops.loops import (
    while_loop as while_loop,
)
from weftwork.graph.ops.math_ops import (
    abs as abs,
)
from weftwork.graph.ops.math_ops import (
    accumulate_n as accumulate_n,
)
from weftwork.graph.ops.math_ops import (
    acos as acos,
)
from weftwork.graph.ops.math_ops import (
    acosh as acosh,
)
from weftwork.graph.ops.math_ops import (
    add as add,
)
from weftwork.graph.ops.math_ops import (
    add_n as add_n,
)
from weftwork.graph.ops.math_ops import (
    arg_max as arg_max,
)
from weftwork.graph.ops.math_ops import (
    arg_min as arg_min,
)
from weftwork.graph.ops.math_ops import (
    asin as asin,
)
from weftwork.graph.ops.math_ops import (
    asinh as asinh,
)
from weftwork.graph.ops.math_ops import (
    atan as atan,
)
from weftwork.graph.ops.math_ops import (
    atan2 as atan2,
)
from weftwork.graph.ops.math_ops import (
    atanh as atanh,
)
from weftwork.graph.ops.math_ops import (
    ceil as ceil,
)
from weftwork.graph.ops.math_ops import (
    cos as cos,
)
from weftwork.graph.ops.math_ops import (
    cosh as cosh,
)
from weftwork.graph.ops.math_ops import (
    digamma as digamma,
)
from weftwork.graph.ops.math_ops import (
    div as div,
)
from weftwork.graph.ops.math_ops import (
    div_no_nan as div_no_nan,
)
from weftwork.graph.ops.math_ops import (
    divide as divide,
)
from weftwork.graph.ops.math_ops import (
    equal as equal,
)
from weftwork.graph.ops.math_ops import (
    erf as erf,
)
from weftwork.graph.ops.math_ops import (
    erfc as erfc,
)
from weftwork.graph.ops.math_ops import (
    exp as exp,
)
from weftwork.graph.ops.math_ops import (
    expm1 as expm1,
)
from weftwork.graph.ops.math_ops import (
    floor as floor,
)
from weftwork.graph.ops.math_ops import (
    floor_div as floor_div,
)
from weftwork.graph.ops.math_ops import (
    floordiv as floordiv,
)
from weftwork.graph.ops.math_ops import (
    floormod as floormod,
)
from weftwork.graph.ops.math_ops import (
    greater as greater,
)
from weftwork.graph.ops.math_ops import (
    greater_equal as greater_equal,
)
from weftwork.graph.ops.math_ops import (
    igamma as igamma,
)
from weftwork.graph.ops.math_ops import (
    igammac as igammac,
)
from weftwork.graph.ops.math_ops import (
    is_finite as is_finite,
)
from weftwork.graph.ops.math_ops import (
    is_inf as is_inf,
)
from weftwork.graph.ops.math_ops import (
    is_nan as is_nan,
)
from weftwork.graph.ops.math_ops import (
    less as less,
)
from weftwork.graph.ops.math_ops import (
    less_equal as less_equal,
)
from weftwork.graph.ops.math_ops import (
    lgamma as lgamma,
)
from weftwork.graph.ops.math_ops import (
    lin_space as lin_space,
)
from weftwork.graph.ops.math_ops import (
    linspace as linspace,
)
from weftwork.graph.ops.math_ops import (
    log as log,
)
from weftwork.graph.ops.math_ops import (
    log1p as log1p,
)
from weftwork.graph.ops.math_ops import (
    logical_and as logical_and,
)
from weftwork.graph.ops.math_ops import (
    logical_not as logical_not,
)
from weftwork.graph.ops.math_ops import (
    logical_or as logical_or,
)
from weftwork.graph.ops.math_ops import (
    logical_xor as logical_xor,
)
from weftwork.graph.ops.math_ops import (
    maximum as maximum,
)
from weftwork.graph.ops.math_ops import (
    minimum as minimum,
)
from weftwork.graph.ops.math_ops import (
    mod as mod,
)
from weftwork.graph.ops.math_ops import (
    multiply as multiply,
)
from weftwork.graph.ops.math_ops import (
    negative as negative,
)
from weftwork.graph.ops.math_ops import (
    not_equal as not_equal,
)
from weftwork.graph.ops.math_ops import (
    pow as pow,
)
from weftwork.graph.ops.math_ops import (
    range as range,
)
from weftwork.graph.ops.math_ops import (
    realdiv as realdiv,
)
from weftwork.graph.ops.math_ops import (
    reciprocal as reciprocal,
)
from weftwork.graph.ops.math_ops import (
    rint as rint,
)
from weftwork.graph.ops.math_ops import (
    round as round,
)
from weftwork.graph.ops.math_ops import (
    rsqrt as rsqrt,
)
from weftwork.graph.ops.math_ops import (
    scalar_mul as scalar_mul,
)
from weftwork.graph.ops.math_ops import (
    segment_mean as segment_mean,
)
from weftwork.graph.ops.math_ops import (
    sigmoid as sigmoid,
)
from weftwork.graph.ops.math_ops import (
    sign as sign,
)
from weftwork.graph.ops.math_ops import (
    sin as sin,
)
from weftwork.graph.ops.math_ops import (
    sinh as sinh,
)
from weftwork.graph.ops.math_ops import (
    sqrt as sqrt,
)
from weftwork.graph.ops.math_ops import (
    square as square,
)
from weftwork.graph.ops.math_ops import (
    squared_difference as squared_difference,
)
from weftwork.graph.ops.math_ops import (
    subtract as subtract,
)
from weftwork.graph.ops.math_ops import (
    tan as tan,
)
from weftwork.graph.ops.math_ops import (
    tanh as tanh,
)
from weftwork.graph.ops.math_ops import (
    truediv as truediv,
)
from weftwork.graph.ops.math_ops import (
    truncatediv as truncatediv,
)
from weftwork.graph.ops.math_ops import (
    truncatemod as truncatemod,
)
from weftwork.graph.ops.math_ops import (
    unsorted_segment_mean as unsorted_segment_mean,
)
from weftwork.graph.ops.math_ops import (
    unsorted_segment_sqrt_n as unsorted_segment_sqrt_n,
)
from weftwork.graph.ops.math_ops import (
    zeta as zeta,
)
from weftwork.graph.ops.partitioning import (
    dynamic_partition as dynamic_partition,
)
from weftwork.graph.ops.partitioning import (
    dynamic_stitch as dynamic_stitch,
)
from weftwork.graph.ops.partitioning import (
    parallel_stitch as parallel_stitch,
)
from weftwork.graph.ops.partitioning import (
    setdiff1d as setdiff1d,
)
from weftwork.graph.ops.printing import (
    Print as Print,
)
from weftwork.graph.ops.printing import (
    print as print,
)
from weftwork.graph.ops.products import (
    cross as cross,
)
from weftwork.graph.ops.products import (
    einsum as einsum,
)
from weftwork.graph.ops.products import (
    matmul as matmul,
)
from weftwork.graph.ops.products import (
    tensordot as tensordot,
)
from weftwork.graph.ops.products import (
    trace as trace,
)
from weftwork.graph.ops.py_function import (
    py_function as py_function,
)
from weftwork.graph.ops.queues import (
    FIFOQueue as FIFOQueue,
)
from weftwork.graph.ops.queues import (
    PaddingFIFOQueue as PaddingFIFOQueue,
)
from weftwork.graph.ops.queues import (
    PriorityQueue as PriorityQueue,
)
from weftwork.graph.ops.queues import (
    QueueBase as QueueBase,
)
from weftwork.graph.ops.queues import (
    RandomShuffleQueue as RandomShuffleQueue,
)
from weftwork.graph.ops.random_ops import (
    categorical as categorical,
)
from weftwork.graph.ops.random_ops import (
    multinomial as multinomial,
)
from weftwork.graph.ops.random_ops import (
    random_crop as random_crop,
)
from weftwork.graph.ops.random_ops import (
    random_gamma as random_gamma,
)
from weftwork.graph.ops.random_ops import (
    random_normal as random_normal,
)
from weftwork.graph.ops.random_ops import (
    random_poisson as random_poisson,
)
from weftwork.graph.ops.random_ops import (
    random_shuffle as random_shuffle,
)
from weftwork.graph.ops.random_ops import (
    random_uniform as random_uniform,
)
from weftwork.graph.ops.random_ops import (
    set_random_seed as set_random_seed,
)
from weftwork.graph.ops.random_ops import (
    truncated_normal as truncated_normal,
)
from weftwork.graph.ops.rearranging import (
    diag as diag,
)
from weftwork.graph.ops.rearranging import (
    diag_part as diag_part,
)
from weftwork.graph.ops.rearranging import (
    invert_permutation as invert_permutation,
)
from weftwork.graph.ops.rearranging import (
    matrix_diag as matrix_diag,
)
from weftwork.graph.ops.rearranging import (
    matrix_diag_part as matrix_diag_part,
)
from weftwork.graph.ops.rearranging import (
    pad as pad,
)
from weftwork.graph.ops.rearranging import (
    reverse as reverse,
)
from weftwork.graph.ops.rearranging import (
    reverse_sequence as reverse_sequence,
)
from weftwork.graph.ops.rearranging import (
    reverse_v2 as reverse_v2,
)
from weftwork.graph.ops.rearranging import (
    roll as roll,
)
from weftwork.graph.ops.rearranging import (
    tile as tile,
)
from weftwork.graph.ops.rearranging import (
    transpose as transpose,
)
from weftwork.graph.ops.rearranging import (
    unique as unique,
)
from weftwork.graph.ops.rearranging import (
    unique_with_counts as unique_with_counts,
)
from weftwork.graph.ops.reductions import (
    argmax as argmax,
)
from weftwork.graph.ops.reductions import (
    argmin as argmin,
)
from weftwork.graph.ops.reductions import (
    bincount as bincount,
)
from weftwork.graph.ops.reductions import (
    count_nonzero as count_nonzero,
)
from weftwork.graph.ops.reductions import (
    cumprod as cumprod,
)
from weftwork.graph.ops.reductions import (
    cumsum as cumsum,
)
from weftwork.graph.ops.reductions import (
    reduce_all as reduce_all,
)
from weftwork.graph.ops.reductions import (
    reduce_any as reduce_any,
)
from weftwork.graph.ops.reductions import (
    reduce_logsumexp as reduce_logsumexp,
)
from weftwork.graph.ops.reductions import (
    reduce_max as reduce_max,
)
from weftwork.graph.ops.reductions import (
    reduce_mean as reduce_mean,
)
from weftwork.graph.ops.reductions import (
    reduce_min as reduce_min,
)
from weftwork.graph.ops.reductions import (
    reduce_prod as reduce_prod,
)
from weftwork.graph.ops.reductions import (
    reduce_std as reduce_std,
)
from weftwork.graph.ops.reductions import (
    reduce_sum as reduce_sum,
)
from weftwork.graph.ops.reductions import (
    reduce_variance as reduce_variance,
)
from weftwork.graph.ops.reductions import (
    segment_max as segment_max,
)
from weftwork.graph.ops.reductions import (
    segment_min as segment_min,
)
from weftwork.graph.ops.reductions import (
    segment_prod as segment_prod,
)
from weftwork.graph.ops.reductions import (
    segment_sum as segment_sum,
)
from weftwork.graph.ops.reductions import (
    unsorted_segment_max as unsorted_segment_max,
)
from weftwork.graph.ops.reductions import (
    unsorted_segment_min as unsorted_segment_min,
)
from weftwork.graph.ops.reductions import (
    unsorted_segment_prod as unsorted_segment_prod,
)
from weftwork.graph.ops.reductions import (
    unsorted_segment_sum as unsorted_segment_sum,
)
from weftwork.graph.ops.scattering import tensor_scatter_add as _tensor_scatter_add
from weftwork.graph.ops.scattering import (
    tensor_scatter_add as tensor_scatter_add,
)
from weftwork.graph.ops.scattering import tensor_scatter_max as _tensor_scatter_max
from weftwork.graph.ops.scattering import tensor_scatter_min as _tensor_scatter_min
from weftwork.graph.ops.scattering import tensor_scatter_sub as _tensor_scatter_sub
from weftwork.graph.ops.scattering import (
    tensor_scatter_sub as tensor_scatter_sub,
)
from weftwork.graph.ops.scattering import tensor_scatter_update as _tensor_scatter_update
from weftwork.graph.ops.scattering import (
    tensor_scatter_update as tensor_scatter_update,
)
from weftwork.graph.ops.selecting import (
    where as where,
)
from weftwork.graph.ops.selecting import (
    where_v2 as where_v2,
)
from weftwork.graph.ops.signal import (
    fft as fft,
)
from weftwork.graph.ops.signal import (
    fft2d as fft2d,
)
from weftwork.graph.ops.signal import (
    fft3d as fft3d,
)
from weftwork.graph.ops.signal import (
    ifft as ifft,
)
from weftwork.graph.ops.signal import (
    ifft2d as ifft2d,
)
from weftwork.graph.ops.signal import (
    ifft3d as ifft3d,
)
from weftwork.graph.ops.sorting import (
    argsort as argsort,
)
from weftwork.graph.ops.sorting import (
    searchsorted as searchsorted,
)
from weftwork.graph.ops.sorting import (
    sort as sort,
)
from weftwork.graph.ops.spaces import (
    batch_to_space as batch_to_space,
)
from weftwork.graph.ops.spaces import (
    batch_to_space_nd as batch_to_space_nd,
)
from weftwork.graph.ops.spaces import (
    bitcast as bitcast,
)
from weftwork.graph.ops.spaces import (
    depth_to_space as depth_to_space,
)
from weftwork.graph.ops.spaces import (
    edit_distance as edit_distance,
)
from weftwork.graph.ops.spaces import (
    ensure_shape as ensure_shape,
)
from weftwork.graph.ops.spaces import (
    extract_image_patches as extract_image_patches,
)
from weftwork.graph.ops.spaces import (
    extract_volume_patches as extract_volume_patches,
)
from weftwork.graph.ops.spaces import (
    guarantee_const as guarantee_const,
)
from weftwork.graph.ops.spaces import (
    matrix_band_part as matrix_band_part,
)
from weftwork.graph.ops.spaces import (
    matrix_set_diag as matrix_set_diag,
)
from weftwork.graph.ops.spaces import (
    matrix_transpose as matrix_transpose,
)
from weftwork.graph.ops.spaces import (
    repeat as repeat,
)
from weftwork.graph.ops.spaces import (
    required_space_to_batch_paddings as required_space_to_batch_paddings,
)
from weftwork.graph.ops.spaces import (
    space_to_batch as space_to_batch,
)
from weftwork.graph.ops.spaces import (
    space_to_batch_nd as space_to_batch_nd,
)
from weftwork.graph.ops.spaces import (
    space_to_depth as space_to_depth,
)
from weftwork.graph.ops.spaces import (
    unravel_index as unravel_index,
)
from weftwork.graph.ops.sparse_dense import (
    sparse_placeholder as sparse_placeholder,
)
from weftwork.graph.ops.sparse_dense import (
    sparse_tensor_to_dense as sparse_tensor_to_dense,
)
from weftwork.graph.ops.sparse_dense import (
    sparse_to_dense as sparse_to_dense,
)
from weftwork.graph.ops.sparse_dense import (
    sparse_to_indicator as sparse_to_indicator,
)
from weftwork.graph.ops.sparse_ops import (
    convert_to_tensor_or_sparse_tensor as convert_to_tensor_or_sparse_tensor,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_add as sparse_add,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_concat as sparse_concat,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_fill_empty_rows as sparse_fill_empty_rows,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_mask as sparse_mask,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_matmul as sparse_matmul,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_maximum as sparse_maximum,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_merge as sparse_merge,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_minimum as sparse_minimum,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_reorder as sparse_reorder,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_reset_shape as sparse_reset_shape,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_reshape as sparse_reshape,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_retain as sparse_retain,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_slice as sparse_slice,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_softmax as sparse_softmax,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_split as sparse_split,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_tensor_dense_matmul as sparse_tensor_dense_matmul,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_transpose as sparse_transpose,
)
from weftwork.graph.ops.sparse_reductions import (
    sparse_reduce_max as sparse_reduce_max,
)
from weftwork.graph.ops.sparse_reductions import (
    sparse_reduce_max_sparse as sparse_reduce_max_sparse,
)
from weftwork.graph.ops.sparse_reductions import (
    sparse_reduce_sum as sparse_reduce_sum,
)
from weftwork.graph.ops.sparse_reductions import (
    sparse_reduce_sum_sparse as sparse_reduce_sum_sparse,
)
from weftwork.graph.ops.sparse_reductions import (
    sparse_segment_mean as sparse_segment_mean,
)
from weftwork.graph.ops.sparse_reductions import (
    sparse_segment_sqrt_n as sparse_segment_sqrt_n,
)
from weftwork.graph.ops.sparse_reductions import (
    sparse_segment_sum as sparse_segment_sum,
)
from weftwork.graph.ops.special import (
    betainc as betainc,
)
from weftwork.graph.ops.special import (
    fake_quant_with_min_max_args as fake_quant_with_min_max_args,
)
from weftwork.graph.ops.special import (
    fake_quant_with_min_max_args_gradient as fake_quant_with_min_max_args_gradient,
)
from weftwork.graph.ops.special import (
    fake_quant_with_min_max_vars as fake_quant_with_min_max_vars,
)
from weftwork.graph.ops.special import (
    fake_quant_with_min_max_vars_gradient as fake_quant_with_min_max_vars_gradient,
)
from weftwork.graph.ops.special import (
    fake_quant_with_min_max_vars_per_channel as fake_quant_with_min_max_vars_per_channel,
)
from weftwork.graph.ops.special import (
    fake_quant_with_min_max_vars_per_channel_gradient as fake_quant_with_min_max_vars_per_channel_gradient,
)
from weftwork.graph.ops.special import (
    histogram_fixed_width as histogram_fixed_width,
)
from weftwork.graph.ops.special import (
    histogram_fixed_width_bins as histogram_fixed_width_bins,
)
from weftwork.graph.ops.special import (
    lbeta as lbeta,
)
from weftwork.graph.ops.special import (
    log_sigmoid as log_sigmoid,
)
from weftwork.graph.ops.special import (
    polygamma as polygamma,
)
from weftwork.graph.ops.specs import (
    IndexedSlicesSpec as IndexedSlicesSpec,
)
from weftwork.graph.ops.specs import (
    SparseTensorSpec as SparseTensorSpec,
)
from weftwork.graph.ops.specs import (
    TensorSpec as TensorSpec,
)
from weftwork.graph.ops.specs import (
    TypeSpec as TypeSpec,
)
from weftwork.graph.ops.specs import (
    type_spec_from_value as type_spec_from_value,
)
from weftwork.graph.ops.strings import (
    as_string as as_string,
)
from weftwork.graph.ops.strings import (
    decode_base64 as decode_base64,
)
from weftwork.graph.ops.strings import (
    encode_base64 as encode_base64,
)
from weftwork.graph.ops.strings import fingerprint as fingerprint
from weftwork.graph.ops.strings import (
    reduce_join as reduce_join,
)
from weftwork.graph.ops.strings import (
    regex_replace as regex_replace,
)
from weftwork.graph.ops.strings import (
    string_join as string_join,
)
from weftwork.graph.ops.strings import (
    string_split as string_split,
)
from weftwork.graph.ops.strings import (
    string_strip as string_strip,
)
from weftwork.graph.ops.strings import (
    string_to_hash_bucket as string_to_hash_bucket,
)
from weftwork.graph.ops.strings import (
    string_to_hash_bucket_fast as string_to_hash_bucket_fast,
)
from weftwork.graph.ops.strings import (
    string_to_hash_bucket_strong as string_to_hash_bucket_strong,
)
from weftwork.graph.ops.strings import (
    string_to_number as string_to_number,
)
from weftwork.graph.ops.strings import (
    substr as substr,
)
from weftwork.graph.ops.tensor_array import TensorArray as TensorArray
from weftwork.graph.retries import (
    Retry as Retry,
)
from weftwork.graph.scopes import (
    name_scope as name_scope,
)
from weftwork.graph.scopes import (
    op_scope as op_scope,
)
from weftwork.graph.seeds import get_seed as get_seed
from weftwork.graph.shapes import (
    Dimension as Dimension,
)
from weftwork.graph.shapes import (
    TensorShape as TensorShape,
)
from weftwork.graph.stacks import (
    get_default_graph as get_default_graph,
)
from weftwork.graph.stacks import (
    get_default_session as get_default_session,
)
from weftwork.graph.stacks import (
    reset_default_graph as reset_default_graph,
)
from weftwork.graph.training.averages import moving_average_variables as moving_average_variables
from weftwork.graph.training.metrics import confusion_matrix as confusion_matrix
from weftwork.graph.variables.collected import (
    all_variables as all_variables,
)
from weftwork.graph.variables.collected import (
    assert_variables_initialized as assert_variables_initialized,
)
from weftwork.graph.variables.collected import (
    global_variables as global_variables,
)
from weftwork.graph.variables.collected import (
    global_variables_initializer as global_variables_initializer,
)
from weftwork.graph.variables.collected import (
    initialize_all_variables as initialize_all_variables,
)
from weftwork.graph.variables.collected import (
    initialize_local_variables as initialize_local_variables,
)
from weftwork.graph.variables.collected import (
    initialize_variables as initialize_variables,
)
from weftwork.graph.variables.collected import (
    local_variables as local_variables,
)
from weftwork.graph.variables.collected import (
    local_variables_initializer as local_variables_initializer,
)
from weftwork.graph.variables.collected import (
    model_variables as model_variables,
)
from weftwork.graph.variables.collected import (
    report_uninitialized_variables as report_uninitialized_variables,
)
from weftwork.graph.variables.collected import (
    trainable_variables as trainable_variables,
)
from weftwork.graph.variables.collected import (
    variables_initializer as variables_initializer,
)
from weftwork.graph.variables.creators import variable_creator_scope as variable_creator_scope
from weftwork.graph.variables.critical import CriticalSection as CriticalSection
from weftwork.graph.variables.initializers import (
    constant_initializer as constant_initializer,
)
from weftwork.graph.variables.initializers import (
    glorot_normal_initializer as glorot_normal_initializer,
)
from weftwork.graph.variables.initializers import (
    glorot_uniform_initializer as glorot_uniform_initializer,
)
from weftwork.graph.variables.initializers import (
    identity_initializer as identity_initializer,
)
from weftwork.graph.variables.initializers import (
    ones_initializer as ones_initializer,
)
from weftwork.graph.variables.initializers import (
    orthogonal_initializer as orthogonal_initializer,
)
from weftwork.graph.variables.initializers import (
    random_normal_initializer as random_normal_initializer,
)
from weftwork.graph.variables.initializers import (
    random_uniform_initializer as random_uniform_initializer,
)
from weftwork.graph.variables.initializers import (
    truncated_normal_initializer as truncated_normal_initializer,
)
from weftwork.graph.variables.initializers import (
    uniform_unit_scaling_initializer as uniform_unit_scaling_initializer,
)
from weftwork.graph.variables.initializers import (
    variance_scaling_initializer as variance_scaling_initializer,
)
from weftwork.graph.variables.initializers import (
    zeros_initializer as zeros_initializer,
)
from weftwork.graph.variables.modes import (
    disable_resource_variables as disable_resource_variables,
)
from weftwork.graph.variables.modes import (
    enable_resource_variables as enable_resource_variables,
)
from weftwork.graph.variables.modes import (
    resource_variables_enabled as resource_variables_enabled,
)
from weftwork.graph.variables.partitioned import (
    fixed_size_partitioner as fixed_size_partitioner,
)
from weftwork.graph.variables.partitioned import (
    min_max_variable_partitioner as min_max_variable_partitioner,
)
from weftwork.graph.variables.partitioned import (
    variable_axis_size_partitioner as variable_axis_size_partitioner,
)
from weftwork.graph.variables.scoping import (
    get_variable_scope as get_variable_scope,
)
from weftwork.graph.variables.scoping import (
    variable_op_scope as variable_op_scope,
)
from weftwork.graph.variables.scoping import (
    variable_scope as variable_scope,
)
from weftwork.graph.variables.sharing import (
    create_partitioned_variables as create_partitioned_variables,
)
from weftwork.graph.variables.sharing import (
    get_local_variable as get_local_variable,
)
from weftwork.graph.variables.sharing import (
    get_variable as get_variable,
)
from weftwork.graph.variables.template import make_template as make_template
from weftwork.graph.variables.variable import (
    Variable as Variable,
)
from weftwork.graph.variables.variable import (
    VariableAggregation as VariableAggregation,
)
from weftwork.graph.variables.variable import (
    VariableSynchronization as VariableSynchronization,
)
from weftwork.graph.variables.variable_scopes import (
    AUTO_REUSE as AUTO_REUSE,
)
from weftwork.graph.variables.variable_scopes import (
    VariableScope as VariableScope,
)
from weftwork.graph.variables.variable_scopes import (
    no_regularizer as no_regularizer,
)
from weftwork.graph.variables.writes import (
    assign as assign,
)
from weftwork.graph.variables.writes import (
    assign_add as assign_add,
)
from weftwork.graph.variables.writes import (
    assign_sub as assign_sub,
)
from weftwork.graph.variables.writes import (
    batch_scatter_update as batch_scatter_update,
)
from weftwork.graph.variables.writes import (
    count_up_to as count_up_to,
)
from weftwork.graph.variables.writes import (
    is_variable_initialized as is_variable_initialized,
)
from weftwork.graph.variables.writes import (
    scatter_add as scatter_add,
)
from weftwork.graph.variables.writes import (
    scatter_div as scatter_div,
)
from weftwork.graph.variables.writes import (
    scatter_max as scatter_max,
)
from weftwork.graph.variables.writes import (
    scatter_min as scatter_min,
)
from weftwork.graph.variables.writes import (
    scatter_mul as scatter_mul,
)
from weftwork.graph.variables.writes import (
    scatter_nd_add as scatter_nd_add,
)
from weftwork.graph.variables.writes import (
    scatter_nd_sub as scatter_nd_sub,
)
from weftwork.graph.variables.writes import (
    scatter_nd_update as scatter_nd_update,
)
from weftwork.graph.variables.writes import (
    scatter_sub as scatter_sub,
)
from weftwork.graph.variables.writes import (
    scatter_update as scatter_update,
)
from weftwork.logging import get_logger as get_logger
from weftwork.scheduler.doors.executor import Executor as Executor
from weftwork.scheduler.doors.lazy_map import lazy_map as _lazy_map
from weftwork.scheduler.doors.notebook import load_ipython_extension as load_ipython_extension
from weftwork.scheduler.events.stream import listen as listen
from weftwork.scheduler.functions.function import function as function
from weftwork.scheduler.functions.runtime import get_session as get_session
from weftwork.scheduler.functions.runtime import run as run
from weftwork.scheduler.functions.runtime import set_session as set_session
from weftwork.scheduler.functions.runtime import shared as shared
from weftwork.scheduler.plan.cost import (
    load_costs as load_costs,
)
from weftwork.scheduler.plan.cost import (
    save_costs as save_costs,
)
from weftwork.scheduler.request.config import (
    Config as Config,
)
from weftwork.scheduler.request.config import (
    ConfigProto as ConfigProto,
)
from weftwork.scheduler.request.config import (
    GPUOptions as GPUOptions,
)
from weftwork.scheduler.request.config import (
    GraphOptions as GraphOptions,
)
from weftwork.scheduler.request.config import (
    OptimizerOptions as OptimizerOptions,
)
from weftwork.scheduler.request.config import (
    RunMetadata as RunMetadata,
)
from weftwork.scheduler.request.config import (
    RunOptions as RunOptions,
)
from weftwork.scheduler.request.fetches import (
    register_session_run_conversion_functions as register_session_run_conversion_functions,
)
from weftwork.scheduler.session.interactive import InteractiveSession as InteractiveSession
from weftwork.scheduler.session.session import (
    Session as Session,
)
from weftwork.scheduler.views.progress import (
    progress as progress,
)
from weftwork.scheduler.views.spans import (
    export_spans as export_spans,
)
from weftwork.scheduler.views.stats import (
    export_metrics as export_metrics,
)
from weftwork.switches import (
    control_flow_v2_enabled as control_flow_v2_enabled,
)
from weftwork.switches import (
    disable_control_flow_v2 as disable_control_flow_v2,
)
from weftwork.switches import (
    disable_eager_execution as disable_eager_execution,
)
from weftwork.switches import (
    disable_tensor_equality as disable_tensor_equality,
)
from weftwork.switches import (
    disable_v2_behavior as disable_v2_behavior,
)
from weftwork.switches import (
    disable_v2_tensorshape as disable_v2_tensorshape,
)
from weftwork.switches import (
    enable_control_flow_v2 as enable_control_flow_v2,
)
from weftwork.switches import (
    executing_eagerly as executing_eagerly,
)
from weftwork.version import COMPILER_VERSION as COMPILER_VERSION
from weftwork.version import CXX11_ABI_FLAG as CXX11_ABI_FLAG
from weftwork.version import GIT_VERSION as GIT_VERSION
from weftwork.version import GRAPH_DEF_VERSION as GRAPH_DEF_VERSION
from weftwork.version import GRAPH_DEF_VERSION_MIN_CONSUMER as GRAPH_DEF_VERSION_MIN_CONSUMER
from weftwork.version import GRAPH_DEF_VERSION_MIN_PRODUCER as GRAPH_DEF_VERSION_MIN_PRODUCER
from weftwork.version import MONOLITHIC_BUILD as MONOLITHIC_BUILD
from weftwork.version import VERSION as VERSION

tensor_scatter_nd_add = _tensor_scatter_add
tensor_scatter_nd_max = _tensor_scatter_max
tensor_scatter_nd_min = _tensor_scatter_min
tensor_scatter_nd_sub = _tensor_scatter_sub
tensor_scatter_nd_update = _tensor_scatter_update
initialize_all_tables = _tables_initializer
map = _lazy_map
no_gradient = _NotDifferentiable
matrix_square_root = _sqrtm

__version__: str

def __getattr__(name: str) -> Any: ...  # pyright: ignore[reportIncompleteStub]
