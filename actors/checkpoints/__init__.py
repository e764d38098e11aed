"""Checkpoints: the values of variables on disk."""
