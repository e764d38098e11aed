"""Signatures: what TensorFlow's public operations take and give, as its registry declares them.

A line is `NAME INPUTS -> OUTPUTS | ATTRIBUTES`. `!` after the name: it has state or effects.
input, output   `x:T` one tensor of the type that the attribute T names (or a plain dtype), `x:N*T` as many as N says,
                `x:[T]` one for each type in the list T. `&` after it: a variable's reference
attribute       `name:kind=default`. Types, and counts of tensors, are attributes too, named where they have a default

Lines that begin with a space go on with the one before.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from weftwork.graph import dtypes
from weftwork.graph.protos import protos


class Arg(NamedTuple):
    """An input or output. type: a dtype or an attribute's name; count, types: names of attributes, or ""."""

    name: str
    type: str
    count: str
    types: str
    ref: bool


class Attr(NamedTuple):
    """An attribute: its kind, and its default as a Python value where it has one."""

    name: str
    kind: str
    default: Any
    has_default: bool


class Signature(NamedTuple):
    """An operation's declaration."""

    name: str
    inputs: tuple[Arg, ...]
    outputs: tuple[Arg, ...]
    attrs: dict[str, Attr]
    stateful: bool


UNSAID = object()
"""A default that is not plain data: an attribute of that kind may be left out."""


def _arg(text: str) -> Arg:
    name, _, type_ = text.removesuffix("&").partition(":")
    if type_.startswith("["):
        return Arg(name, "", "", type_[1:-1], text.endswith("&"))
    count, star, one = type_.partition("*")
    return Arg(name, one if star else type_, count if star else "", "", text.endswith("&"))


def _attr(text: str, implied: dict[str, str]) -> Attr:
    head, equals, default = text.partition("=")
    name, _, kind = head.partition(":")
    kind = kind or implied[name]
    value: Any = None
    if equals and kind == "type":
        value = dtypes.as_dtype(default)
    elif equals and kind == "shape":
        value = None if default == "?" else json.loads(default)
    elif equals:
        value = UNSAID if default == "?" else json.loads(default)
        if kind == "list(type)":
            value = [dtypes.as_dtype(number) for number in value]
    return Attr(name, kind, value, bool(equals))


def _parsed(line: str) -> Signature:
    shape, _, attrs = line.partition(" | ")
    left, _, right = shape.partition(" ->")
    name, *inputs = left.split()
    ins, outs = tuple(map(_arg, inputs)), tuple(map(_arg, right.split()))
    implied: dict[str, str] = {}
    for arg in (*ins, *outs):
        if arg.count:
            implied[arg.count] = "int"
        if arg.types:
            implied[arg.types] = "list(type)"
        elif arg.type not in dtypes.ALL:
            implied[arg.type] = "type"
    said = {attr.name: attr for attr in [_attr(text, implied) for text in attrs.split()]}
    found = {key: said.pop(key, Attr(key, kind, None, False)) for key, kind in implied.items()}
    return Signature(name.removesuffix("!"), ins, outs, {**found, **said}, name.endswith("!"))


def signature(name: str) -> Signature | None:
    """The declaration of one of TensorFlow's operations, or None."""
    line = _lines().get(name)
    return None if line is None else _parse_once(line)


_parse_once = cache(_parsed)


@cache
def _lines() -> dict[str, str]:
    joined = _SIGNATURES.strip().replace("\n  ", " ").splitlines()
    return {line.split(" ", 1)[0].removesuffix("!"): line for line in joined}


def names() -> list[str]:
    """The names of all operations that are declared."""
    return list(_lines())


def op_def(declared: Signature) -> Any:
    """The OpDef message of a declaration."""
    module = protos("op_def")
    made = module.OpDef(name=declared.name, is_stateful=declared.stateful)
    for args, field in ((declared.inputs, made.input_arg), (declared.outputs, made.output_arg)):
        for arg in args:
            entry = field.add(name=arg.name, number_attr=arg.count, type_list_attr=arg.types, is_ref=arg.ref)
            if arg.type in dtypes.ALL:
                entry.type = dtypes.ALL[arg.type].as_datatype_enum
            else:
                entry.type_attr = arg.type
    for attr in declared.attrs.values():
        made.attr.add(name=attr.name, type=attr.kind)
    return made


_SIGNATURES = r"""
Const -> output:dtype | value:tensor
Identity input:T -> output:T
IdentityN input:[T] -> output:[T]
NoOp ->
Placeholder -> output:dtype | shape:shape=?
PlaceholderV2 -> output:dtype | shape:shape
PlaceholderWithDefault input:dtype -> output:dtype | shape:shape
Snapshot input:T -> output:T
StopGradient input:T -> output:T
PreventGradient input:T -> output:T | message:string=""
EnsureShape input:T -> output:T | shape:shape
DeepCopy! x:T -> y:T
Switch data:T pred:bool -> output_false:T output_true:T
Merge inputs:N*T -> output:T value_index:int32
Enter data:T -> output:T | frame_name:string is_constant:bool=false parallel_iterations:int=10
Exit data:T -> output:T
NextIteration data:T -> output:T
LoopCond input:bool -> output:bool
RefSwitch data:T& pred:bool -> output_false:T& output_true:T&
RefMerge inputs:N*T& -> output:T& value_index:int32
RefEnter data:T& -> output:T& | frame_name:string is_constant:bool=false parallel_iterations:int=10
RefExit data:T& -> output:T&
RefNextIteration data:T& -> output:T&
RefIdentity input:T& -> output:T&
ControlTrigger ->
Abort -> | error_msg:string="" exit_without_error:bool=false
If! cond:Tcond input:[Tin] -> output:[Tout] | then_branch:func else_branch:func output_shapes:list(shape)=[]
While! input:[T] -> output:[T] | cond:func body:func output_shapes:list(shape)=[] parallel_iterations:int=10
StatelessIf cond:Tcond input:[Tin] -> output:[Tout] | then_branch:func else_branch:func output_shapes:list(shape)=[]
StatelessWhile input:[T] -> output:[T] | cond:func body:func output_shapes:list(shape)=[] parallel_iterations:int=10
PartitionedCall args:[Tin] -> output:[Tout] | f:func config:string="" config_proto:string="" executor_type:string=""
StatefulPartitionedCall! args:[Tin] -> output:[Tout] | f:func config:string="" config_proto:string=""
  executor_type:string=""
Add x:T y:T -> z:T
AddV2 x:T y:T -> z:T
Sub x:T y:T -> z:T
Mul x:T y:T -> z:T
Div x:T y:T -> z:T
RealDiv x:T y:T -> z:T
TruncateDiv x:T y:T -> z:T
FloorDiv x:T y:T -> z:T
FloorMod x:T y:T -> z:T
Mod x:T y:T -> z:T
TruncateMod x:T y:T -> z:T
Pow x:T y:T -> z:T
Maximum x:T y:T -> z:T
Minimum x:T y:T -> z:T
SquaredDifference x:T y:T -> z:T
Atan2 y:T x:T -> z:T
DivNoNan x:T y:T -> z:T
MulNoNan x:T y:T -> z:T
Xdivy x:T y:T -> z:T
Xlogy x:T y:T -> z:T
Complex real:T imag:T -> out:Tout | T=float32 Tout=complex64
Igamma a:T x:T -> z:T
Igammac a:T x:T -> z:T
Zeta x:T q:T -> z:T
Polygamma a:T x:T -> z:T
Betainc a:T b:T x:T -> z:T
Equal x:T y:T -> z:bool | incompatible_shape_error:bool=true
NotEqual x:T y:T -> z:bool | incompatible_shape_error:bool=true
ApproximateEqual x:T y:T -> z:bool | tolerance:float=1e-05
Less x:T y:T -> z:bool
LessEqual x:T y:T -> z:bool
Greater x:T y:T -> z:bool
GreaterEqual x:T y:T -> z:bool
LogicalAnd x:bool y:bool -> z:bool
LogicalOr x:bool y:bool -> z:bool
LogicalNot x:bool -> y:bool
Abs x:T -> y:T
ComplexAbs x:T -> y:Tout | T=complex64 Tout=float32
Neg x:T -> y:T
Sign x:T -> y:T
Square x:T -> y:T
Sqrt x:T -> y:T
Rsqrt x:T -> y:T
Reciprocal x:T -> y:T
Inv x:T -> y:T
Exp x:T -> y:T
Expm1 x:T -> y:T
Log x:T -> y:T
Log1p x:T -> y:T
Sin x:T -> y:T
Cos x:T -> y:T
Tan x:T -> y:T
Asin x:T -> y:T
Acos x:T -> y:T
Atan x:T -> y:T
Sinh x:T -> y:T
Cosh x:T -> y:T
Tanh x:T -> y:T
Asinh x:T -> y:T
Acosh x:T -> y:T
Atanh x:T -> y:T
Sigmoid x:T -> y:T
Erf x:T -> y:T
Erfc x:T -> y:T
Lgamma x:T -> y:T
Digamma x:T -> y:T
Floor x:T -> y:T
Ceil x:T -> y:T
Round x:T -> y:T
Rint x:T -> y:T
IsNan x:T -> y:bool
IsInf x:T -> y:bool
IsFinite x:T -> y:bool
Real input:T -> output:Tout | T=complex64 Tout=float32
Imag input:T -> output:Tout | T=complex64 Tout=float32
Conj input:T -> output:T | T=complex64
Angle input:T -> output:Tout | T=complex64 Tout=float32
Invert x:T -> y:T
BitwiseAnd x:T y:T -> z:T
BitwiseOr x:T y:T -> z:T
BitwiseXor x:T y:T -> z:T
LeftShift x:T y:T -> z:T
RightShift x:T y:T -> z:T
Relu features:T -> activations:T
Relu6 features:T -> activations:T
Elu features:T -> activations:T
Selu features:T -> activations:T
LeakyRelu features:T -> activations:T | alpha:float=0.200000003 T=float32
Softplus features:T -> activations:T
Softsign features:T -> activations:T
Softmax logits:T -> softmax:T
LogSoftmax logits:T -> logsoftmax:T
L2Loss t:T -> output:T
BiasAdd value:T bias:T -> output:T | data_format:string="NHWC"
BiasAddV1 value:T bias:T -> output:T
ReluGrad gradients:T features:T -> backprops:T
Relu6Grad gradients:T features:T -> backprops:T
EluGrad gradients:T outputs:T -> backprops:T
SeluGrad gradients:T outputs:T -> backprops:T
LeakyReluGrad gradients:T features:T -> backprops:T | alpha:float=0.200000003 T=float32
SoftplusGrad gradients:T features:T -> backprops:T
SoftsignGrad gradients:T features:T -> backprops:T
BiasAddGrad out_backprop:T -> output:T | data_format:string="NHWC"
SigmoidGrad y:T dy:T -> z:T
TanhGrad y:T dy:T -> z:T
RsqrtGrad y:T dy:T -> z:T
SqrtGrad y:T dy:T -> z:T
ReciprocalGrad y:T dy:T -> z:T
InvGrad y:T dy:T -> z:T
SoftmaxCrossEntropyWithLogits features:T labels:T -> loss:T backprop:T
SparseSoftmaxCrossEntropyWithLogits features:T labels:Tlabels -> loss:T backprop:T | Tlabels=int64
InTopK predictions:float32 targets:T -> precision:bool | k:int T=int32
InTopKV2 predictions:float32 targets:T k:T -> precision:bool | T=int32
TopK input:T -> values:T indices:int32 | k:int sorted:bool=true
TopKV2 input:T k:Tk -> values:T indices:index_type | sorted:bool=true Tk=int32 index_type=int32
MatMul a:T b:T -> product:T | transpose_a:bool=false transpose_b:bool=false grad_a:bool=false grad_b:bool=false
BatchMatMul x:T y:T -> output:T | adj_x:bool=false adj_y:bool=false grad_x:bool=false grad_y:bool=false
BatchMatMulV2 x:T y:T -> output:T | adj_x:bool=false adj_y:bool=false grad_x:bool=false grad_y:bool=false
Einsum inputs:N*T -> output:T | equation:string
Cross a:T b:T -> product:T
MatrixInverse input:T -> output:T | adjoint:bool=false
MatrixDeterminant input:T -> output:T
LogMatrixDeterminant input:T -> sign:T log_abs_determinant:T
Cholesky input:T -> output:T
MatrixSolve matrix:T rhs:T -> output:T | adjoint:bool=false
MatrixTriangularSolve matrix:T rhs:T -> output:T | lower:bool=true adjoint:bool=false
MatrixDiag diagonal:T -> output:T
MatrixDiagPart input:T -> diagonal:T
MatrixDiagV3 diagonal:T k:int32 num_rows:int32 num_cols:int32 padding_value:T -> output:T |
  align:string="RIGHT_LEFT"
MatrixDiagPartV3 input:T k:int32 padding_value:T -> diagonal:T | align:string="RIGHT_LEFT"
BatchMatMulV3 x:Ta y:Tb -> output:Tout | adj_x:bool=false adj_y:bool=false grad_x:bool=false grad_y:bool=false
MatrixSetDiag input:T diagonal:T -> output:T
MatrixBandPart input:T num_lower:Tindex num_upper:Tindex -> band:T | Tindex=int64
Diag diagonal:T -> output:T
DiagPart input:T -> diagonal:T
SelfAdjointEigV2 input:T -> e:T v:T | compute_v:bool=true
Svd input:T -> s:T u:T v:T | compute_uv:bool=true full_matrices:bool=false
Qr input:T -> q:T r:T | full_matrices:bool=false
Sum input:T reduction_indices:Tidx -> output:T | keep_dims:bool=false Tidx=int32
Prod input:T reduction_indices:Tidx -> output:T | keep_dims:bool=false Tidx=int32
Mean input:T reduction_indices:Tidx -> output:T | keep_dims:bool=false Tidx=int32
Max input:T reduction_indices:Tidx -> output:T | keep_dims:bool=false Tidx=int32
Min input:T reduction_indices:Tidx -> output:T | keep_dims:bool=false Tidx=int32
Any input:bool reduction_indices:Tidx -> output:bool | keep_dims:bool=false Tidx=int32
All input:bool reduction_indices:Tidx -> output:bool | keep_dims:bool=false Tidx=int32
ArgMax input:T dimension:Tidx -> output:output_type | Tidx=int32 output_type=int64
ArgMin input:T dimension:Tidx -> output:output_type | Tidx=int32 output_type=int64
Cumsum x:T axis:Tidx -> out:T | exclusive:bool=false reverse:bool=false Tidx=int32
Cumprod x:T axis:Tidx -> out:T | exclusive:bool=false reverse:bool=false Tidx=int32
AddN inputs:N*T -> sum:T
AccumulateNV2 inputs:N*T -> sum:T | shape:shape
Bincount arr:int32 size:int32 weights:T -> bins:T
SegmentSum data:T segment_ids:Tindices -> output:T
SegmentProd data:T segment_ids:Tindices -> output:T
SegmentMean data:T segment_ids:Tindices -> output:T
SegmentMax data:T segment_ids:Tindices -> output:T
SegmentMin data:T segment_ids:Tindices -> output:T
UnsortedSegmentSum data:T segment_ids:Tindices num_segments:Tnumsegments -> output:T | Tnumsegments=int32
UnsortedSegmentProd data:T segment_ids:Tindices num_segments:Tnumsegments -> output:T | Tnumsegments=int32
UnsortedSegmentMax data:T segment_ids:Tindices num_segments:Tnumsegments -> output:T | Tnumsegments=int32
UnsortedSegmentMin data:T segment_ids:Tindices num_segments:Tnumsegments -> output:T | Tnumsegments=int32
SparseSegmentSum data:T indices:Tidx segment_ids:Tsegmentids -> output:T | Tidx=int32 Tsegmentids=int32
  sparse_gradient:bool=false
SparseSegmentMean data:T indices:Tidx segment_ids:Tsegmentids -> output:T | Tidx=int32 Tsegmentids=int32
  sparse_gradient:bool=false
Shape input:T -> output:out_type | out_type=int32
ShapeN input:N*T -> output:N*out_type | out_type=int32
Size input:T -> output:out_type | out_type=int32
Rank input:T -> output:int32
Reshape tensor:T shape:Tshape -> output:T | Tshape=int32
ExpandDims input:T dim:Tdim -> output:T | Tdim=int32
Squeeze input:T -> output:T | squeeze_dims:list(int)=[]
Transpose x:T perm:Tperm -> y:T | Tperm=int32
ConjugateTranspose x:T perm:Tperm -> y:T | Tperm=int32
Concat concat_dim:int32 values:N*T -> output:T
ConcatV2 values:N*T axis:Tidx -> output:T | Tidx=int32
ConcatOffset concat_dim:int32 shape:N*shape_type -> offset:N*shape_type | shape_type=int32
Pack values:N*T -> output:T | axis:int=0
Unpack value:T -> output:num*T | axis:int=0
Split split_dim:int32 value:T -> output:num_split*T
SplitV value:T size_splits:Tlen split_dim:int32 -> output:num_split*T | Tlen=int64
Slice input:T begin:Index size:Index -> output:T
StridedSlice input:T begin:Index end:Index strides:Index -> output:T | begin_mask:int=0 end_mask:int=0
  ellipsis_mask:int=0 new_axis_mask:int=0 shrink_axis_mask:int=0
StridedSliceGrad shape:Index begin:Index end:Index strides:Index dy:T -> output:T | begin_mask:int=0 end_mask:int=0
  ellipsis_mask:int=0 new_axis_mask:int=0 shrink_axis_mask:int=0
Gather params:Tparams indices:Tindices -> output:Tparams | validate_indices:bool=true
GatherV2 params:Tparams indices:Tindices axis:Taxis -> output:Tparams | batch_dims:int=0
GatherNd params:Tparams indices:Tindices -> output:Tparams | bad_indices_policy:string=""
ScatterNd indices:Tindices updates:T shape:Tindices -> output:T | bad_indices_policy:string=""
Tile input:T multiples:Tmultiples -> output:T | Tmultiples=int32
Pad input:T paddings:Tpaddings -> output:T | Tpaddings=int32
PadV2 input:T paddings:Tpaddings constant_values:T -> output:T | Tpaddings=int32
MirrorPad input:T paddings:Tpaddings -> output:T | Tpaddings=int32 mode:string
Fill dims:index_type value:T -> output:T | index_type=int32
Range start:Tidx limit:Tidx delta:Tidx -> output:Tidx | Tidx=int32
LinSpace start:T stop:T num:Tidx -> output:T | Tidx=int32
OneHot indices:TI depth:int32 on_value:T off_value:T -> output:T | axis:int=-1 TI=int64
Select condition:bool t:T e:T -> output:T
SelectV2 condition:bool t:T e:T -> output:T
Where input:T -> index:int64 | T=bool
Cast x:SrcT -> y:DstT | Truncate:bool=false
Bitcast input:T -> output:type
ReverseV2 tensor:T axis:Tidx -> output:T | Tidx=int32
Reverse tensor:T dims:bool -> output:T
ReverseSequence input:T seq_lengths:Tlen -> output:T | seq_dim:int batch_dim:int=0 Tlen=int64
Roll input:T shift:Tshift axis:Taxis -> output:T
BroadcastTo input:T shape:Tidx -> output:T | Tidx=int32
BroadcastArgs s0:T s1:T -> r0:T | T=int32
BroadcastGradientArgs s0:T s1:T -> r0:T r1:T | T=int32
ZerosLike x:T -> y:T
OnesLike x:T -> y:T
Unique x:T -> y:T idx:out_idx | out_idx=int32
UniqueWithCounts x:T -> y:T idx:out_idx count:out_idx | out_idx=int32
UniqueV2 x:T axis:Taxis -> y:T idx:out_idx | Taxis=int64 out_idx=int32
ListDiff x:T y:T -> out:T idx:out_idx | out_idx=int32
InvertPermutation x:T -> y:T | T=int32
DynamicPartition data:T partitions:int32 -> outputs:num_partitions*T
DynamicStitch indices:N*int32 data:N*T -> merged:T
ParallelDynamicStitch indices:N*int32 data:N*T -> merged:T
SpaceToDepth input:T -> output:T | block_size:int data_format:string="NHWC"
DepthToSpace input:T -> output:T | block_size:int data_format:string="NHWC"
SpaceToBatch input:T paddings:Tpaddings -> output:T | Tpaddings=int32 block_size:int
SpaceToBatchND input:T block_shape:Tblock_shape paddings:Tpaddings -> output:T | Tblock_shape=int32 Tpaddings=int32
BatchToSpace input:T crops:Tidx -> output:T | block_size:int Tidx=int32
BatchToSpaceND input:T block_shape:Tblock_shape crops:Tcrops -> output:T | Tblock_shape=int32 Tcrops=int32
ExtractImagePatches images:T -> patches:T | ksizes:list(int) strides:list(int) rates:list(int) padding:string
ClipByValue t:T clip_value_min:T clip_value_max:T -> output:T
CheckNumerics! tensor:T -> output:T | message:string
ParallelConcat values:N*T -> output:T | shape:shape
TensorScatterUpdate tensor:T indices:Tindices updates:T -> output:T | bad_indices_policy:string=""
EditDistance hypothesis_indices:int64 hypothesis_values:T hypothesis_shape:int64 truth_indices:int64 truth_values:T
  truth_shape:int64 -> output:float32 | normalize:bool=true
Conv2D input:T filter:T -> output:T | strides:list(int) use_cudnn_on_gpu:bool=true padding:string
  explicit_paddings:list(int)=[] data_format:string="NHWC" dilations:list(int)=[1,1,1,1]
Conv2DBackpropInput input_sizes:int32 filter:T out_backprop:T -> output:T | strides:list(int)
  use_cudnn_on_gpu:bool=true padding:string explicit_paddings:list(int)=[] data_format:string="NHWC"
  dilations:list(int)=[1,1,1,1]
Conv2DBackpropFilter input:T filter_sizes:int32 out_backprop:T -> output:T | strides:list(int)
  use_cudnn_on_gpu:bool=true padding:string explicit_paddings:list(int)=[] data_format:string="NHWC"
  dilations:list(int)=[1,1,1,1]
DepthwiseConv2dNative input:T filter:T -> output:T | strides:list(int) padding:string explicit_paddings:list(int)=[]
  data_format:string="NHWC" dilations:list(int)=[1,1,1,1]
DepthwiseConv2dNativeBackpropInput input_sizes:int32 filter:T out_backprop:T -> output:T | strides:list(int)
  padding:string explicit_paddings:list(int)=[] data_format:string="NHWC" dilations:list(int)=[1,1,1,1]
DepthwiseConv2dNativeBackpropFilter input:T filter_sizes:int32 out_backprop:T -> output:T | strides:list(int)
  padding:string explicit_paddings:list(int)=[] data_format:string="NHWC" dilations:list(int)=[1,1,1,1]
Conv3D input:T filter:T -> output:T | strides:list(int) padding:string data_format:string="NDHWC"
  dilations:list(int)=[1,1,1,1,1]
MaxPool input:T -> output:T | T=float32 ksize:list(int) strides:list(int) padding:string
  explicit_paddings:list(int)=[] data_format:string="NHWC"
MaxPoolV2 input:T ksize:int32 strides:int32 -> output:T | T=float32 padding:string data_format:string="NHWC"
MaxPoolGrad orig_input:T orig_output:T grad:T -> output:T | ksize:list(int) strides:list(int) padding:string
  explicit_paddings:list(int)=[] data_format:string="NHWC" T=float32
AvgPool value:T -> output:T | ksize:list(int) strides:list(int) padding:string data_format:string="NHWC"
AvgPoolGrad orig_input_shape:int32 grad:T -> output:T | ksize:list(int) strides:list(int) padding:string
  data_format:string="NHWC"
MaxPoolWithArgmax input:T -> output:T argmax:Targmax | ksize:list(int) strides:list(int) Targmax=int64
  padding:string include_batch_in_index:bool=false
FusedBatchNorm x:T scale:T offset:T mean:T variance:T -> y:T batch_mean:T batch_variance:T reserve_space_1:T
  reserve_space_2:T | epsilon:float=0.0001 exponential_avg_factor:float=1.0 data_format:string="NHWC"
  is_training:bool=true
FusedBatchNormV2 x:T scale:U offset:U mean:U variance:U -> y:T batch_mean:U batch_variance:U reserve_space_1:U
  reserve_space_2:U | epsilon:float=0.0001 exponential_avg_factor:float=1.0 data_format:string="NHWC"
  is_training:bool=true
FusedBatchNormV3 x:T scale:U offset:U mean:U variance:U -> y:T batch_mean:U batch_variance:U reserve_space_1:U
  reserve_space_2:U reserve_space_3:U | epsilon:float=0.0001 exponential_avg_factor:float=1.0
  data_format:string="NHWC" is_training:bool=true
FusedBatchNormGrad y_backprop:T x:T scale:T reserve_space_1:T reserve_space_2:T -> x_backprop:T scale_backprop:T
  offset_backprop:T reserve_space_3:T reserve_space_4:T | epsilon:float=0.0001 data_format:string="NHWC"
  is_training:bool=true
FusedBatchNormGradV2 y_backprop:T x:T scale:float32 reserve_space_1:U reserve_space_2:U -> x_backprop:T
  scale_backprop:U offset_backprop:U reserve_space_3:U reserve_space_4:U | epsilon:float=0.0001
  data_format:string="NHWC" is_training:bool=true
FusedBatchNormGradV3 y_backprop:T x:T scale:float32 reserve_space_1:U reserve_space_2:U reserve_space_3:U ->
  x_backprop:T scale_backprop:U offset_backprop:U reserve_space_4:U reserve_space_5:U | epsilon:float=0.0001
  data_format:string="NHWC" is_training:bool=true
LRN input:T -> output:T | depth_radius:int=5 bias:float=1.0 alpha:float=1.0 beta:float=0.5 T=float32
LRNGrad input_grads:T input_image:T output_image:T -> output:T | depth_radius:int=5 bias:float=1.0 alpha:float=1.0
  beta:float=0.5 T=float32
Dilation2D input:T filter:T -> output:T | strides:list(int) rates:list(int) padding:string
FractionalMaxPool value:T -> output:T row_pooling_sequence:int64 col_pooling_sequence:int64 |
  pooling_ratio:list(float) pseudo_random:bool=false overlapping:bool=false deterministic:bool=false seed:int=0
  seed2:int=0
CTCLoss inputs:T labels_indices:int64 labels_values:int32 sequence_length:int32 -> loss:T gradient:T |
  preprocess_collapse_repeated:bool=false ctc_merge_repeated:bool=true ignore_longer_outputs_than_inputs:bool=false
  T=float32
CTCGreedyDecoder inputs:T sequence_length:int32 -> decoded_indices:int64 decoded_values:int64 decoded_shape:int64
  log_probability:T | merge_repeated:bool=false blank_index:int=-1 T=float32
Variable! -> ref:dtype& | shape:shape container:string="" shared_name:string=""
VariableV2! -> ref:dtype& | shape:shape container:string="" shared_name:string=""
TemporaryVariable! -> ref:dtype& | shape:shape var_name:string=""
DestroyTemporaryVariable ref:T& -> value:T | var_name:string
IsVariableInitialized ref:dtype& -> is_initialized:bool
Assign ref:T& value:T -> output_ref:T& | validate_shape:bool=true use_locking:bool=true
AssignAdd ref:T& value:T -> output_ref:T& | use_locking:bool=false
AssignSub ref:T& value:T -> output_ref:T& | use_locking:bool=false
CountUpTo ref:T& -> output:T | limit:int
ScatterUpdate ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=true
ScatterAdd ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
ScatterSub ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
ScatterMul ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
ScatterDiv ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
ScatterMin ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
ScatterMax ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
ScatterNdUpdate ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=true
  bad_indices_policy:string=""
ScatterNdAdd ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
  bad_indices_policy:string=""
ScatterNdSub ref:T& indices:Tindices updates:T -> output_ref:T& | use_locking:bool=false
  bad_indices_policy:string=""
VarHandleOp! -> resource:resource | container:string="" shared_name:string="" debug_name:string="" dtype:type
  shape:shape allowed_devices:list(string)=[]
ReadVariableOp! resource:resource -> value:dtype
AssignVariableOp! resource:resource value:dtype -> | validate_shape:bool=false
AssignAddVariableOp! resource:resource value:dtype ->
AssignSubVariableOp! resource:resource value:dtype ->
VarIsInitializedOp! resource:resource -> is_initialized:bool
VariableShape! input:resource -> output:out_type | out_type=int32
ResourceGather! resource:resource indices:Tindices -> output:dtype | batch_dims:int=0 validate_indices:bool=true
ResourceScatterAdd! resource:resource indices:Tindices updates:dtype ->
ResourceScatterSub! resource:resource indices:Tindices updates:dtype ->
ResourceScatterUpdate! resource:resource indices:Tindices updates:dtype ->
DestroyResourceOp! resource:resource -> | ignore_lookup_error:bool=true
ApplyGradientDescent var:T& alpha:T delta:T -> out:T& | use_locking:bool=false
ApplyMomentum var:T& accum:T& lr:T grad:T momentum:T -> out:T& | use_locking:bool=false use_nesterov:bool=false
ApplyAdam var:T& m:T& v:T& beta1_power:T beta2_power:T lr:T beta1:T beta2:T epsilon:T grad:T -> out:T& |
  use_locking:bool=false use_nesterov:bool=false
ApplyAdagrad var:T& accum:T& lr:T grad:T -> out:T& | use_locking:bool=false update_slots:bool=true
ApplyAdadelta var:T& accum:T& accum_update:T& lr:T rho:T epsilon:T grad:T -> out:T& | use_locking:bool=false
ApplyRMSProp var:T& ms:T& mom:T& lr:T rho:T momentum:T epsilon:T grad:T -> out:T& | use_locking:bool=false
ApplyFtrl var:T& accum:T& linear:T& grad:T lr:T l1:T l2:T lr_power:T -> out:T& | use_locking:bool=false
  multiply_linear_by_lr:bool=false
ApplyProximalAdagrad var:T& accum:T& lr:T l1:T l2:T grad:T -> out:T& | use_locking:bool=false
ApplyProximalGradientDescent var:T& alpha:T l1:T l2:T delta:T -> out:T& | use_locking:bool=false
SparseApplyAdagrad var:T& accum:T& lr:T grad:T indices:Tindices -> out:T& | use_locking:bool=false
  update_slots:bool=true
SparseApplyMomentum var:T& accum:T& lr:T grad:T indices:Tindices momentum:T -> out:T& | use_locking:bool=false
  use_nesterov:bool=false
ResourceApplyGradientDescent! var:resource alpha:T delta:T -> | use_locking:bool=false
ResourceApplyMomentum! var:resource accum:resource lr:T grad:T momentum:T -> | use_locking:bool=false
  use_nesterov:bool=false
ResourceApplyAdam! var:resource m:resource v:resource beta1_power:T beta2_power:T lr:T beta1:T beta2:T epsilon:T
  grad:T -> | use_locking:bool=false use_nesterov:bool=false
ResourceApplyKerasMomentum! var:resource accum:resource lr:T grad:T momentum:T -> | use_locking:bool=false
  use_nesterov:bool=false
ResourceApplyRMSProp! var:resource ms:resource mom:resource lr:T rho:T momentum:T epsilon:T grad:T -> |
  use_locking:bool=false
RandomUniform! shape:T -> output:dtype | seed:int=0 seed2:int=0
RandomUniformInt! shape:T minval:Tout maxval:Tout -> output:Tout | seed:int=0 seed2:int=0
RandomStandardNormal! shape:T -> output:dtype | seed:int=0 seed2:int=0
TruncatedNormal! shape:T -> output:dtype | seed:int=0 seed2:int=0
RandomShuffle! value:T -> output:T | seed:int=0 seed2:int=0
Multinomial! logits:T num_samples:int32 -> output:output_dtype | seed:int=0 seed2:int=0 output_dtype=int64
RandomGamma! shape:S alpha:T -> output:T | seed:int=0 seed2:int=0
RandomPoissonV2! shape:S rate:R -> output:dtype | seed:int=0 seed2:int=0 R=float64 dtype=int64
RandomCrop! image:T size:int64 -> output:T | seed:int=0 seed2:int=0
StatelessRandomUniform shape:T seed:Tseed -> output:dtype | dtype=float32 T=int32 Tseed=int64
StatelessRandomNormal shape:T seed:Tseed -> output:dtype | dtype=float32 T=int32 Tseed=int64
ParameterizedTruncatedNormal! shape:T means:dtype stdevs:dtype minvals:dtype maxvals:dtype -> output:dtype |
  seed:int=0 seed2:int=0
Assert! condition:bool data:[T] -> | summarize:int=3
Print! input:T data:[U] -> output:T | message:string="" first_n:int=-1 summarize:int=3
PrintV2! input:string -> | output_stream:string="stderr" end:string="\n"
PyFunc! input:[Tin] -> output:[Tout] | token:string
PyFuncStateless input:[Tin] -> output:[Tout] | token:string
EagerPyFunc! input:[Tin] -> output:[Tout] | token:string is_async:bool=false
Timestamp! -> ts:float64
Save! filename:string tensor_names:string data:[T] ->
SaveSlices! filename:string tensor_names:string shapes_and_slices:string data:[T] ->
SaveV2! prefix:string tensor_names:string shape_and_slices:string tensors:[dtypes] ->
Restore! file_pattern:string tensor_name:string -> tensor:dt | preferred_shard:int=-1
RestoreSlice! file_pattern:string tensor_name:string shape_and_slice:string -> tensor:dt | preferred_shard:int=-1
RestoreV2! prefix:string tensor_names:string shape_and_slices:string -> tensors:[dtypes]
ShardedFilename basename:string shard:int32 num_shards:int32 -> filename:string
ShardedFilespec basename:string num_shards:int32 -> filename:string
MergeV2Checkpoints! checkpoint_prefixes:string destination_prefix:string -> | delete_old_dirs:bool=true
  allow_missing_files:bool=false
ReadFile filename:string -> contents:string
WriteFile! filename:string contents:string ->
MatchingFiles pattern:string -> filenames:string
StringJoin inputs:N*string -> output:string | separator:string=""
StringSplit input:string delimiter:string -> indices:int64 values:string shape:int64 | skip_empty:bool=true
StringSplitV2 input:string sep:string -> indices:int64 values:string shape:int64 | maxsplit:int=-1
StringToNumber string_tensor:string -> output:out_type | out_type=float32
StringToHashBucketFast input:string -> output:int64 | num_buckets:int
StringToHashBucketStrong input:string -> output:int64 | num_buckets:int key:list(int)
StringToHashBucket string_tensor:string -> output:int64 | num_buckets:int
AsString input:T -> output:string | precision:int=-1 scientific:bool=false shortest:bool=false width:int=-1
  fill:string=""
ReduceJoin inputs:string reduction_indices:int32 -> output:string | keep_dims:bool=false separator:string=""
Substr input:string pos:T len:T -> output:string | unit:string="BYTE"
RegexReplace input:string pattern:string rewrite:string -> output:string | replace_global:bool=true
RegexFullMatch input:string pattern:string -> output:bool
StaticRegexFullMatch input:string -> output:bool | pattern:string
StaticRegexReplace input:string -> output:string | pattern:string rewrite:string replace_global:bool=true
StringLength input:string -> output:int32 | unit:string="BYTE"
StringLower input:string -> output:string | encoding:string=""
StringUpper input:string -> output:string | encoding:string=""
StringStrip input:string -> output:string
StringFormat inputs:[T] -> output:string | template:string="%s" placeholder:string="%s" summarize:int=3
EncodeBase64 input:string -> output:string | pad:bool=false
DecodeBase64 input:string -> output:string
DecodeRaw bytes:string -> output:out_type | little_endian:bool=true
DecodeCSV records:string record_defaults:[OUT_TYPE] -> output:[OUT_TYPE] | field_delim:string=","
  use_quote_delim:bool=true na_value:string="" select_cols:list(int)=[]
ParseExample serialized:string names:string sparse_keys:Nsparse*string dense_keys:Ndense*string
  dense_defaults:[Tdense] -> sparse_indices:Nsparse*int64 sparse_values:[sparse_types] sparse_shapes:Nsparse*int64
  dense_values:[Tdense] | dense_shapes:list(shape)
ParseExampleV2 serialized:string names:string sparse_keys:string dense_keys:string ragged_keys:string
  dense_defaults:[Tdense] -> sparse_indices:num_sparse*int64 sparse_values:[sparse_types]
  sparse_shapes:num_sparse*int64 dense_values:[Tdense] ragged_values:[ragged_value_types]
  ragged_row_splits:[ragged_split_types] | dense_shapes:list(shape)
ParseSingleExample serialized:string dense_defaults:[Tdense] -> sparse_indices:num_sparse*int64
  sparse_values:[sparse_types] sparse_shapes:num_sparse*int64 dense_values:[Tdense] | sparse_keys:list(string)
  dense_keys:list(string) dense_shapes:list(shape)
ParseTensor serialized:string -> output:out_type
SerializeTensor tensor:T -> serialized:string
DecodeJpeg contents:string -> image:uint8 | channels:int=0 ratio:int=1 fancy_upscaling:bool=true
  try_recover_truncated:bool=false acceptable_fraction:float=1.0 dct_method:string=""
DecodePng contents:string -> image:dtype | channels:int=0 dtype=uint8
DecodeGif contents:string -> image:uint8
DecodeBmp contents:string -> image:uint8 | channels:int=0
DecodeImage contents:string -> image:dtype | channels:int=0 dtype=uint8 expand_animations:bool=true
EncodeJpeg image:uint8 -> contents:string | format:string="" quality:int=95 progressive:bool=false
  optimize_size:bool=false chroma_downsampling:bool=true density_unit:string="in" x_density:int=300
  y_density:int=300 xmp_metadata:string=""
EncodePng image:T -> contents:string | compression:int=-1 T=uint8
ResizeBilinear images:T size:int32 -> resized_images:float32 | align_corners:bool=false
  half_pixel_centers:bool=false
ResizeNearestNeighbor images:T size:int32 -> resized_images:T | align_corners:bool=false
  half_pixel_centers:bool=false
ResizeBicubic images:T size:int32 -> resized_images:float32 | align_corners:bool=false half_pixel_centers:bool=false
ResizeArea images:T size:int32 -> resized_images:float32 | align_corners:bool=false
CropAndResize image:T boxes:float32 box_ind:int32 crop_size:int32 -> crops:float32 | method:string="bilinear"
  extrapolation_value:float=0.0
AdjustContrastv2 images:T contrast_factor:float32 -> output:T | T=float32
AdjustHue images:T delta:float32 -> output:T | T=float32
AdjustSaturation images:T scale:float32 -> output:T | T=float32
RGBToHSV images:T -> output:T | T=float32
HSVToRGB images:T -> output:T | T=float32
NonMaxSuppression boxes:float32 scores:float32 max_output_size:int32 -> selected_indices:int32 |
  iou_threshold:float=0.5
NonMaxSuppressionV2 boxes:T scores:T max_output_size:int32 iou_threshold:T_threshold -> selected_indices:int32 |
  T=float32 T_threshold=float32
NonMaxSuppressionV3 boxes:T scores:T max_output_size:int32 iou_threshold:T_threshold score_threshold:T_threshold ->
  selected_indices:int32 | T=float32 T_threshold=float32
DrawBoundingBoxes images:T boxes:float32 -> output:T | T=float32
ScalarSummary tags:string values:T -> summary:string
HistogramSummary tag:string values:T -> summary:string | T=float32
ImageSummary tag:string tensor:T -> summary:string | max_images:int=3 T=float32 bad_color:tensor=?
AudioSummary tag:string tensor:float32 -> summary:string | sample_rate:float max_outputs:int=3
AudioSummaryV2 tag:string tensor:float32 sample_rate:float32 -> summary:string | max_outputs:int=3
TensorSummary tensor:T -> summary:string | description:string="" labels:list(string)=[] display_name:string=""
TensorSummaryV2 tag:string tensor:T serialized_summary_metadata:string -> summary:string
MergeSummary inputs:N*string -> summary:string
FIFOQueueV2! -> handle:resource | component_types:list(type) shapes:list(shape)=[] capacity:int=-1
  container:string="" shared_name:string=""
RandomShuffleQueueV2! -> handle:resource | component_types:list(type) shapes:list(shape)=[] capacity:int=-1
  min_after_dequeue:int=0 seed:int=0 seed2:int=0 container:string="" shared_name:string=""
PaddingFIFOQueueV2! -> handle:resource | component_types:list(type) shapes:list(shape)=[] capacity:int=-1
  container:string="" shared_name:string=""
PriorityQueueV2! -> handle:resource | component_types:list(type)=[] shapes:list(shape) capacity:int=-1
  container:string="" shared_name:string=""
QueueEnqueueV2! handle:resource components:[Tcomponents] -> | timeout_ms:int=-1
QueueEnqueueManyV2! handle:resource components:[Tcomponents] -> | timeout_ms:int=-1
QueueDequeueV2! handle:resource -> components:[component_types] | timeout_ms:int=-1
QueueDequeueManyV2! handle:resource n:int32 -> components:[component_types] | timeout_ms:int=-1
QueueDequeueUpToV2! handle:resource n:int32 -> components:[component_types] | timeout_ms:int=-1
QueueCloseV2! handle:resource -> | cancel_pending_enqueues:bool=false
QueueSizeV2! handle:resource -> size:int32
QueueIsClosedV2! handle:resource -> is_closed:bool
TensorArrayV3! size:int32 -> handle:resource flow:float32 | dtype:type element_shape:shape=? dynamic_size:bool=false
  clear_after_read:bool=true identical_element_shapes:bool=false tensor_array_name:string=""
TensorArrayWriteV3! handle:resource index:int32 value:T flow_in:float32 -> flow_out:float32
TensorArrayReadV3! handle:resource index:int32 flow_in:float32 -> value:dtype
TensorArrayGatherV3! handle:resource indices:int32 flow_in:float32 -> value:dtype | element_shape:shape=?
TensorArrayScatterV3! handle:resource indices:int32 value:T flow_in:float32 -> flow_out:float32
TensorArrayConcatV3! handle:resource flow_in:float32 -> value:dtype lengths:int64 | element_shape_except0:shape=?
TensorArraySplitV3! handle:resource value:T lengths:int64 flow_in:float32 -> flow_out:float32
TensorArraySizeV3! handle:resource flow_in:float32 -> size:int32
TensorArrayCloseV3! handle:resource ->
TensorArrayGradV3! handle:resource flow_in:float32 -> grad_handle:resource flow_out:float32 | source:string
StackV2! max_size:int32 -> handle:resource | elem_type:type stack_name:string=""
StackPushV2! handle:resource elem:T -> output:T | swap_memory:bool=false
StackPopV2! handle:resource -> elem:elem_type
StackCloseV2! handle:resource ->
HashTableV2! -> table_handle:resource | container:string="" shared_name:string="" use_node_name_sharing:bool=false
  key_dtype:type value_dtype:type
MutableHashTableV2! -> table_handle:resource | container:string="" shared_name:string=""
  use_node_name_sharing:bool=false key_dtype:type value_dtype:type
InitializeTableV2! table_handle:resource keys:Tkey values:Tval ->
InitializeTableFromTextFileV2! table_handle:resource filename:string -> | key_index:int value_index:int
  vocab_size:int=-1 delimiter:string="\t" offset:int=0
LookupTableFindV2! table_handle:resource keys:Tin default_value:Tout -> values:Tout
LookupTableInsertV2! table_handle:resource keys:Tin values:Tout ->
LookupTableSizeV2! table_handle:resource -> size:int64
LookupTableImportV2! table_handle:resource keys:Tin values:Tout ->
LookupTableExportV2! table_handle:resource -> keys:Tkeys values:Tvalues
SparseToDense sparse_indices:Tindices output_shape:Tindices sparse_values:T default_value:T -> dense:T |
  validate_indices:bool=true
SparseTensorDenseMatMul a_indices:Tindices a_values:T a_shape:int64 b:T -> product:T | Tindices=int64
  adjoint_a:bool=false adjoint_b:bool=false
SparseReshape input_indices:int64 input_shape:int64 new_shape:int64 -> output_indices:int64 output_shape:int64
SparseConcat indices:N*int64 values:N*T shapes:N*int64 -> output_indices:int64 output_values:T output_shape:int64 |
  concat_dim:int
SparseReorder input_indices:int64 input_values:T input_shape:int64 -> output_indices:int64 output_values:T
SparseFillEmptyRows indices:int64 values:T dense_shape:int64 default_value:T -> output_indices:int64 output_values:T
  empty_row_indicator:bool reverse_index_map:int64
SparseSlice indices:int64 values:T shape:int64 start:int64 size:int64 -> output_indices:int64 output_values:T
  output_shape:int64
SparseAdd a_indices:int64 a_values:T a_shape:int64 b_indices:int64 b_values:T b_shape:int64 thresh:Treal ->
  sum_indices:int64 sum_values:T sum_shape:int64
SparseDenseCwiseAdd sp_indices:int64 sp_values:T sp_shape:int64 dense:T -> output:T
SparseDenseCwiseMul sp_indices:int64 sp_values:T sp_shape:int64 dense:T -> output:T
SparseReduceSum input_indices:int64 input_values:T input_shape:int64 reduction_axes:int32 -> output:T |
  keep_dims:bool=false
SparseMatMul a:Ta b:Tb -> product:float32 | transpose_a:bool=false transpose_b:bool=false a_is_sparse:bool=false
  b_is_sparse:bool=false Ta=float32 Tb=float32
TextLineReaderV2! -> reader_handle:resource | skip_header_lines:int=0 container:string="" shared_name:string=""
TFRecordReaderV2! -> reader_handle:resource | container:string="" shared_name:string="" compression_type:string=""
WholeFileReaderV2! -> reader_handle:resource | container:string="" shared_name:string=""
IdentityReaderV2! -> reader_handle:resource | container:string="" shared_name:string=""
FixedLengthRecordReaderV2! -> reader_handle:resource | header_bytes:int=0 record_bytes:int footer_bytes:int=0
  hop_bytes:int=0 container:string="" shared_name:string="" encoding:string=""
ReaderReadV2! reader_handle:resource queue_handle:resource -> key:string value:string
ReaderReadUpToV2! reader_handle:resource queue_handle:resource num_records:int64 -> keys:string values:string
IteratorV2! -> handle:resource | shared_name:string container:string output_types:list(type)
  output_shapes:list(shape)
OneShotIterator! -> handle:resource | dataset_factory:func output_types:list(type) output_shapes:list(shape)
  container:string="" shared_name:string=""
IteratorGetNext! iterator:resource -> components:[output_types] | output_shapes:list(shape)
MakeIterator! dataset:variant iterator:resource ->
TensorDataset! components:[Toutput_types] -> handle:variant | output_shapes:list(shape) metadata:string=""
TensorSliceDataset! components:[Toutput_types] -> handle:variant | output_shapes:list(shape) is_files:bool=false
  metadata:string="" replicate_on_split:bool=false
BatchDataset input_dataset:variant batch_size:int64 -> handle:variant | output_types:list(type)
  output_shapes:list(shape) metadata:string=""
BatchDatasetV2 input_dataset:variant batch_size:int64 drop_remainder:bool -> handle:variant |
  parallel_copy:bool=false output_types:list(type) output_shapes:list(shape) metadata:string=""
RepeatDataset input_dataset:variant count:int64 -> handle:variant | output_types:list(type)
  output_shapes:list(shape) metadata:string=""
ShuffleDataset input_dataset:variant buffer_size:int64 seed:int64 seed2:int64 -> handle:variant |
  reshuffle_each_iteration:bool=true output_types:list(type) output_shapes:list(shape) metadata:string=""
MapDataset input_dataset:variant other_arguments:[Targuments] -> handle:variant | f:func output_types:list(type)
  output_shapes:list(shape) use_inter_op_parallelism:bool=true preserve_cardinality:bool=false
  force_synchronous:bool=false metadata:string=""
ParallelMapDataset input_dataset:variant other_arguments:[Targuments] num_parallel_calls:int32 -> handle:variant |
  f:func output_types:list(type) output_shapes:list(shape) use_inter_op_parallelism:bool=true sloppy:bool=false
  preserve_cardinality:bool=false metadata:string=""
PrefetchDataset input_dataset:variant buffer_size:int64 -> handle:variant | output_types:list(type)
  output_shapes:list(shape) slack_period:int=0 legacy_autotune:bool=true buffer_size_min:int=0 metadata:string=""
"""
