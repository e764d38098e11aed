"""Variables on disk."""
