"""Datasets at run time: the stages that make elements, and the iterators of a session."""
