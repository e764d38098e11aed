"""Requests: the fetches, feeds and options of a run, and the messages in which it answers."""
