"""Datasets: what a program reads, as graph-level descriptions, and the iterators that give their elements to a run."""
