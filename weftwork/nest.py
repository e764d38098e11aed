"""tf.nest: nested structures: lists, tuples and mappings, with anything else as leaves."""

from weftwork.graph.structures import assert_same_structure, flatten, is_nested, map_structure, pack_sequence_as

is_sequence = is_nested
"""The older name."""

__all__ = ["assert_same_structure", "flatten", "is_nested", "is_sequence", "map_structure", "pack_sequence_as"]
