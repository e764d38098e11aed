"""The values that a session holds: where they are, how they are saved and repaired."""
