"""The engine of a session: it chooses how to run a dataflow, and carries that out."""
