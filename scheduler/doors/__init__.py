"""Doors: run programs that were written for other libraries, as ordinary graphs in ordinary sessions."""
