"""What functions mean, wherever they run: a rule a test."""
