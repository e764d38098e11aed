"""tf.lookup.experimental: tables whose entries the program can change."""

from weftwork.graph.lookup.mutable import MutableDenseHashTable as DenseHashTable
from weftwork.graph.lookup.mutable import MutableHashTable

__all__ = ["DenseHashTable", "MutableHashTable"]
