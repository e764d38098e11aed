"""Training programs: savers, hooks, coordinators, monitored sessions, input queues."""
