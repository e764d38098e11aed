"""Compilation: from a part of a graph to a pure dataflow, and from nodes to programs."""

from weftwork.scheduler.compile import sections as sections
