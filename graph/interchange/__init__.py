"""Reading and writing graphs as protocol buffers, the format that TensorFlow's programs and tools exchange."""

from weftwork.graph.interchange import (
    accumulators,
    queues,
    read_arrays,
    read_cells,
    read_flow,
    read_math,
    read_training,
    special,
    write_arrays,
    write_math,
    write_nn,
)

__all__ = [
    "accumulators",
    "queues",
    "read_arrays",
    "read_cells",
    "read_flow",
    "read_math",
    "read_training",
    "special",
    "write_arrays",
    "write_math",
    "write_nn",
]
