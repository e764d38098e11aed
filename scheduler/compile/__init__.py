"""From a part of a graph to pure dataflow and programs."""

from weftwork.scheduler.compile import sections as sections
