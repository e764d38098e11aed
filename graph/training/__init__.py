"""Optimizers, losses, metrics and summaries: a library written on the language."""
