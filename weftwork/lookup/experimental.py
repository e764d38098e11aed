"""tf.lookup.experimental: tables whose entries change while the program runs."""

from weftwork.graph.lookup.mutable import MutableDenseHashTable as DenseHashTable
from weftwork.graph.lookup.mutable import MutableHashTable

__all__ = ["DenseHashTable", "MutableHashTable"]
