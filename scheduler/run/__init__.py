"""One run: its values, its errors, its limits, and what it tells."""
