"""Execution: runs in the caller, threads, local workers, tasks and actors."""
