"""Doors: programs written for other libraries come in by them, and run as ordinary graphs in ordinary sessions."""
