"""The state of a session: where committed values are, and how they are saved and repaired."""
