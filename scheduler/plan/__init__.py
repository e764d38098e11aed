"""Decisions without side effects: how to run a dataflow, what runs where, and in which order."""
