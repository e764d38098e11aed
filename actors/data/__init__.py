"""Datasets at work: the stages that make elements, and the iterators of a session."""
