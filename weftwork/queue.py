"""tf.queue: queues, through which runs pass elements to each other, and barriers."""

from weftwork.graph.ops.accumulators import Barrier
from weftwork.graph.ops.queues import FIFOQueue, PaddingFIFOQueue, PriorityQueue, QueueBase, RandomShuffleQueue

__all__ = ["Barrier", "FIFOQueue", "PaddingFIFOQueue", "PriorityQueue", "QueueBase", "RandomShuffleQueue"]
