"""tf.manip: operations that rearrange tensors."""

from weftwork.graph.ops.array_ops import (
    reshape,
)
from weftwork.graph.ops.indexing import (
    gather_nd,
    scatter_nd,
)
from weftwork.graph.ops.rearranging import (
    reverse,
    roll,
    tile,
)
from weftwork.graph.ops.spaces import (
    batch_to_space_nd,
    space_to_batch_nd,
)

__all__ = [
    "batch_to_space_nd",
    "gather_nd",
    "reshape",
    "reverse",
    "roll",
    "scatter_nd",
    "space_to_batch_nd",
    "tile",
]
