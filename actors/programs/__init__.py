"""Programs: the code of segments, with branches, loops and exchanges. It runs in any process."""
