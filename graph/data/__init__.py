"""Datasets: descriptions in the graph of what a program reads, and iterators that pass their elements to runs."""
