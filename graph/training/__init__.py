"""Optimizers, losses, metrics and summaries: a library built on the language."""
