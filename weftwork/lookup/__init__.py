"""tf.lookup: lookup tables."""

from weftwork.graph.lookup.initializers import KeyValueTensorInitializer, TextFileIndex, TextFileInitializer
from weftwork.graph.lookup.tables import StaticHashTable, StaticVocabularyTable
from weftwork.lookup import experimental

__all__ = [
    "experimental",
    "KeyValueTensorInitializer",
    "StaticHashTable",
    "StaticVocabularyTable",
    "TextFileIndex",
    "TextFileInitializer",
]
