"""Queues, readers, accumulators and barriers, and the host that holds them for a session."""
