"""Events: what runs do, told while they do it."""
