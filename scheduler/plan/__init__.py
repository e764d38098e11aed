"""Decisions, without effects: which way a run goes, what runs where, in which order."""
