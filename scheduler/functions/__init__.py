"""Traced functions: plain Python functions that are traced into graphs, and the session that runs them."""
