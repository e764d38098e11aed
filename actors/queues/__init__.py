"""Queues, and the place where they live."""
