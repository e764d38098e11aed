"""Events: reports of what runs do, as they do it."""
