"""Python's functions and values, as nodes meet them: what code refers to and changes, and who owns a value."""
