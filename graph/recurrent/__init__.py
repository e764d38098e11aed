"""Recurrent cells, and functions that run them along sequences."""
