"""What stands around a session in a training program: savers, hooks, coordinators, input queues."""
