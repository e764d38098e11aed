"""Lookup tables: maps from keys to values, used in a graph."""
