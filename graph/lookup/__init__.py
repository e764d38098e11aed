"""Tables: what stands for what, looked up in a graph."""
