"""Kernels: the functions of arrays that nodes call at run time. They know nothing of graphs."""
