"""Effects: a run is executed in the caller, threads, local workers, tasks and actors."""
