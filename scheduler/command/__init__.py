"""The command line: `python -m weftwork`, or `weftwork`."""
