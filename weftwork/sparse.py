"""tf.sparse: operations on sparse tensors."""

from weftwork.graph.ops.accumulators import (
    SparseConditionalAccumulator,
)
from weftwork.graph.ops.composite import (
    SparseTensor,
)
from weftwork.graph.ops.sparse_dense import from_dense
from weftwork.graph.ops.sparse_dense import sparse_eye as eye
from weftwork.graph.ops.sparse_dense import sparse_placeholder as placeholder
from weftwork.graph.ops.sparse_dense import sparse_tensor_to_dense as to_dense
from weftwork.graph.ops.sparse_dense import sparse_to_indicator as to_indicator
from weftwork.graph.ops.sparse_ops import (
    sparse_add as add,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_concat as concat,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_expand_dims as expand_dims,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_fill_empty_rows as fill_empty_rows,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_mask as mask,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_maximum as maximum,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_merge as merge,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_minimum as minimum,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_reorder as reorder,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_reset_shape as reset_shape,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_reshape as reshape,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_retain as retain,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_slice as slice,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_softmax as softmax,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_tensor_dense_matmul as matmul,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_tensor_dense_matmul as sparse_dense_matmul,
)
from weftwork.graph.ops.sparse_ops import (
    sparse_transpose as transpose,
)
from weftwork.graph.ops.sparse_ops import split
from weftwork.graph.ops.sparse_reductions import sparse_reduce_max as reduce_max
from weftwork.graph.ops.sparse_reductions import sparse_reduce_max_sparse as reduce_max_sparse
from weftwork.graph.ops.sparse_reductions import sparse_reduce_sum as reduce_sum
from weftwork.graph.ops.sparse_reductions import sparse_reduce_sum_sparse as reduce_sum_sparse
from weftwork.graph.ops.sparse_reductions import sparse_segment_mean as segment_mean
from weftwork.graph.ops.sparse_reductions import sparse_segment_sqrt_n as segment_sqrt_n
from weftwork.graph.ops.sparse_reductions import sparse_segment_sum as segment_sum

__all__ = [
    "SparseConditionalAccumulator",
    "SparseTensor",
    "add",
    "concat",
    "expand_dims",
    "eye",
    "fill_empty_rows",
    "from_dense",
    "mask",
    "matmul",
    "maximum",
    "merge",
    "minimum",
    "placeholder",
    "reduce_max",
    "reduce_max_sparse",
    "reduce_sum",
    "reduce_sum_sparse",
    "reorder",
    "reset_shape",
    "reshape",
    "retain",
    "segment_mean",
    "segment_sqrt_n",
    "segment_sum",
    "slice",
    "softmax",
    "sparse_dense_matmul",
    "split",
    "to_dense",
    "to_indicator",
    "transpose",
]
