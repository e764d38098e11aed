"""What nodes call when the graph runs: functions of arrays. They know nothing of graphs."""
