"""What runs in any process: programs of segments, control flow, the exchange of values."""
