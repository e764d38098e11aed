"""Work of a run that leaves the caller by a plan, or waits: tasks, actors, queues, branches, other processes."""
