"""The command: `python -m weftwork`, or `weftwork`."""
